//! `clickledger archive`: what the log has and the archive has not yet.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use click_engine::archive::{
    Archive, ArchiveConfig, ArchiveParts, Archived, Archiver, DiskObjects, Objects,
};
use click_engine::disk::RealDisk;
use click_engine::log::{EventLog, SystemClock};

use super::data::{DataDir, threads};
use super::progress;
use crate::out;

/// Archive every record and verdict as Parquet.
///
/// What is archived already is checked, not written again. A server with `archive.dir` set does the
/// same by itself while it runs.
#[derive(Args, Debug)]
pub struct ArchiveArgs {
    /// Data directory.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where the archive is [default: `archive` in the data directory].
    #[arg(long, value_name = "DIR")]
    archive: Option<PathBuf>,
    /// Threads of the fold [default: all cores]; changes no result.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    threads: usize,
}

/// Runs the command.
pub fn run(args: &ArchiveArgs) -> Result<()> {
    let data = DataDir::new(&args.data);
    let folder = data.archive(args.archive.as_deref());
    data.close().context("a server archives by itself, if `archive.dir` is set")?;
    let log = data.log_for_refold()?;
    let archived = catch_up(&data, Arc::new(log), &folder, threads(args.threads))?;
    out::line(format_args!(
        "{}: {} manifests, everything before {} (ms since 1970) is archived",
        folder.display(),
        archived.manifests,
        archived.until.0
    ));
    Ok(())
}

/// Archives all that is final.
pub fn catch_up(
    data: &DataDir,
    log: Arc<dyn EventLog>,
    folder: &Path,
    threads: usize,
) -> Result<Archived> {
    let spinner = progress::spinner("archiving");
    let archiver = open(data, log, folder, ArchiveConfig { threads, ..ArchiveConfig::default() })?;
    let archived = archiver.finish().with_context(|| folder.display().to_string())?;
    spinner.finish_and_clear();
    Ok(archived)
}

/// An archiver of the data directory's log.
pub fn open(
    data: &DataDir,
    log: Arc<dyn EventLog>,
    folder: &Path,
    config: ArchiveConfig,
) -> Result<Archiver> {
    let parts = ArchiveParts {
        log,
        disk: Arc::new(RealDisk),
        clock: Arc::new(SystemClock),
        checkpoints: data.archive_checkpoints(),
        objects: objects(folder),
    };
    Archiver::open(parts, config).with_context(|| folder.display().to_string())
}

/// What a folder archives.
pub fn read(folder: &Path) -> Result<Archive> {
    Archive::open(objects(folder)).with_context(|| folder.display().to_string())
}

fn objects(folder: &Path) -> Arc<dyn Objects> {
    Arc::new(DiskObjects::new(Arc::new(RealDisk), folder))
}
