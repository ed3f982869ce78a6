//! DuckDB from PyPI in an environment of its own under the build directory, and the Parquet file
//! that it reads.

use crate::clicks::Clicks;
use crate::process::{data_dir, find, output};
use crate::report::progress;
use anyhow::{Context, Result, ensure};
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
/// Rows of a row group.
const GROUP: u64 = 1 << 17;

/// A Python that has DuckDB.
pub struct DuckDb {
    python: PathBuf,
}

impl DuckDb {
    /// Finds it, or installs it once.
    pub fn prepare() -> Result<DuckDb> {
        let dir = data_dir()?.join("duckdb");
        let python = dir.join("bin/python");
        let has_it = |python: &Path| {
            let check = Command::new(python).args(["-c", "import duckdb"]).output();
            check.is_ok_and(|out| out.status.success())
        };
        if !has_it(&python) {
            let system = find("python3").context("no python3: install it with its venv module")?;
            progress("installing DuckDB from PyPI");
            run(Command::new(system).args(["-m", "venv"]).arg(&dir))?;
            let package = format!("duckdb=={VERSION}");
            run(Command::new(&python).args(["-m", "pip", "install", "--quiet", &package]))?;
        }
        Ok(DuckDb { python })
    }

    /// One query over the file, in a process of its own.
    pub fn query(&self, file: &Path) -> Result<Value> {
        output(Command::new(&self.python).args(["-c", SCRIPT]).arg(file))
    }
}

fn run(command: &mut Command) -> Result<()> {
    let name = format!("{:?}", command.get_program());
    let out = command.output().with_context(|| name.clone())?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{name} failed: {}", said.lines().last().unwrap_or_default());
    Ok(())
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
