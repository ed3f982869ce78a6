//! The archive: written from a log by the archiver as the product runs it, its files encoded once
//! more from columns in memory, and audited.

use crate::measure::Measure;
use anyhow::{Context, Result, ensure};
use click_core::verdict::Class;
use click_engine::archive::{
    Archive, ArchiveConfig, ArchiveParts, Archiver, DiskObjects, FileEntry, Objects, StoredTable,
    audit,
};
use click_engine::disk::RealDisk;
use click_engine::log::{DiskLog, LogOptions, SystemClock};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

#[derive(clap::Args)]
pub struct ArchiveArgs {
    /// Directory of the log and the archive.
    #[arg(long)]
    dir: PathBuf,
    /// Files of which dataset; of encoding alone.
    #[arg(long, default_value = "clicks")]
    dataset: String,
    /// Threads of the fold; of the audit alone.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

/// Below the directory of the log.
pub const FOLDER: &str = "archive";

fn objects(dir: &Path) -> Arc<dyn Objects> {
    Arc::new(DiskObjects::new(Arc::new(RealDisk), &dir.join(FOLDER)))
}

fn files(archive: &Archive) -> impl Iterator<Item = &FileEntry> {
    archive.manifests().iter().flat_map(|manifest| &manifest.files)
}

/// Archives the whole log, durably, without an earlier archive.
pub fn write(args: &ArchiveArgs) -> Result<Value> {
    for old in [FOLDER, "archive-checkpoints"] {
        // Left by the run before, if there was one.
        let _ = std::fs::remove_dir_all(args.dir.join(old));
    }
    let parts = ArchiveParts {
        log: Arc::new(DiskLog::open(&args.dir.join("log"), &LogOptions::default())?),
        disk: Arc::new(RealDisk),
        clock: Arc::new(SystemClock),
        checkpoints: args.dir.join("archive-checkpoints"),
        objects: objects(&args.dir),
        told: None,
    };
    let measure = Measure::begin();
    Archiver::open(parts, ArchiveConfig::default())?.finish()?;
    let (wall, cpu) = measure.end();
    let archive = Archive::open(objects(&args.dir))?;
    let rows: u64 = files(&archive).map(|file| file.rows).sum();
    Ok(json!({ "cpu": cpu.as_secs_f64(), "wall": wall.as_secs_f64(), "rows": rows }))
}

/// Writes the files of a dataset again, into memory, from columns in memory.
pub fn encode(args: &ArchiveArgs) -> Result<Value> {
    let objects = objects(&args.dir);
    let archive = Archive::open(objects.clone())?;
    let (mut wall, mut cpu, mut rows, mut bytes) = (Duration::ZERO, Duration::ZERO, 0, 0);
    for file in files(&archive).filter(|file| file.dataset == args.dataset) {
        let table = StoredTable::read(&archive, file)?;
        let measure = Measure::begin();
        let written = table.to_parquet()?;
        let took = measure.end();
        (wall, cpu) = (wall + took.0, cpu + took.1);
        let stored = objects.get(&file.name)?.context("a file is gone")?;
        ensure!(written == stored, "{}: what was written is not what is stored", file.name);
        (rows, bytes) = (rows + file.rows, bytes + file.bytes);
    }
    let (cpu, wall) = (cpu.as_secs_f64(), wall.as_secs_f64());
    Ok(json!({ "cpu": cpu, "wall": wall, "rows": rows, "bytes": bytes }))
}

/// What `clickledger audit --archive` does.
pub fn check(args: &ArchiveArgs) -> Result<Value> {
    let measure = Measure::begin();
    let archive = Archive::open(objects(&args.dir))?;
    let found = audit(archive, None, None, args.threads, &|_| true)?;
    let (wall, cpu) = measure.end();
    let counts = Class::ALL.into_iter().map(|class| (class, found.by_class[class as usize]));
    let by_class: Map<String, Value> = counts
        .filter(|(_, count)| *count > 0)
        .map(|(class, count)| (class.code().to_owned(), count.into()))
        .collect();
    Ok(json!({
        "cpu": cpu.as_secs_f64(),
        "wall": wall.as_secs_f64(),
        "found": {
            "clicks": found.summary.measured,
            "pending": found.summary.pending,
            "verdicts": found.verdicts,
            "differences": found.differ,
            "by_class": by_class,
        },
    }))
}
