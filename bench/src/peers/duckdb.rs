//! DuckDB, and the Parquet file that it reads.

use super::python::python_with;
use crate::clicks::Clicks;
use crate::process::output;
use anyhow::{Context, Result};
use arrow_array::builder::{StringBuilder, UInt64Builder};
use arrow_array::{ArrayRef, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// The version that the figures of the documentation are of.
const VERSION: &str = "2.0.0";
const SCRIPT: &str = include_str!("../../duckdb_peer.py");
const AUDIT: &str = include_str!("../../audit_peer.py");
/// Rows of a row group.
const GROUP: u64 = 1 << 17;

/// A Python that has DuckDB.
pub struct DuckDb {
    python: PathBuf,
}

impl DuckDb {
    /// Finds it, or installs it once.
    pub fn prepare() -> Result<DuckDb> {
        Ok(DuckDb { python: python_with("duckdb", VERSION)? })
    }

    /// The audit in SQL of an archive, in a process of its own.
    pub fn audit(&self, archive: &Path) -> Result<Value> {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        output(Command::new(&self.python).args(["-c", AUDIT]).arg(docs).arg(archive))
    }

    /// One query over the file, in a process of its own.
    pub fn query(&self, file: &Path) -> Result<Value> {
        output(Command::new(&self.python).args(["-c", SCRIPT]).arg(file))
    }
}

/// The same clicks as those of the fold, with the columns that the query needs.
pub fn write_parquet(path: &Path, count: u64, rate: u64) -> Result<()> {
    let mut clicks = Clicks::new(1, rate, 10);
    let mut writer: Option<ArrowWriter<File>> = None;
    let mut done = 0;
    while done < count {
        let rows = GROUP.min(count - done);
        let batch = batch(&mut clicks, rows)?;
        if writer.is_none() {
            let properties = WriterProperties::builder()
                .set_compression(Compression::SNAPPY)
                .set_max_row_group_row_count(usize::try_from(GROUP).ok());
            let file = File::create(path)?;
            writer = Some(ArrowWriter::try_new(file, batch.schema(), Some(properties.build()))?);
        }
        if let Some(writer) = &mut writer {
            writer.write(&batch)?;
        }
        done += rows;
    }
    writer.context("no clicks")?.close()?;
    Ok(())
}

fn batch(clicks: &mut Clicks, rows: u64) -> Result<RecordBatch> {
    let (mut click, mut user) = (StringBuilder::new(), StringBuilder::new());
    let (mut ad, mut received) = (StringBuilder::new(), UInt64Builder::new());
    for _ in 0..rows {
        received.append_value(clicks.advance());
        let text = clicks.text();
        click.append_value(&text.click);
        user.append_value(&text.user);
        ad.append_value(&text.ad);
    }
    let columns: [(&str, ArrayRef); 4] = [
        ("click_id", Arc::new(click.finish())),
        ("user_id", Arc::new(user.finish())),
        ("ad_id", Arc::new(ad.finish())),
        ("received_at", Arc::new(received.finish())),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}
