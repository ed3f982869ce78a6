//! `clickledger archive`: what the log has and the archive has not yet.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum as _};
use click_engine::archive::{
    Archive, ArchiveConfig, ArchiveError, ArchiveParts, Archived, Archiver, Location, Objects, Told,
};
use click_engine::disk::RealDisk;
use click_engine::log::{EventLog, SystemClock};

use super::data::{DataDir, threads};
use super::progress;
use crate::cluster;
use crate::config::{Config, VerdictsOf};
use crate::out;
use crate::serve::follow;

/// Archive every record and verdict as Parquet.
///
/// What is archived already is checked, not written again. A server with `archive.url` set does the
/// same by itself while it runs.
#[derive(Args, Debug)]
pub struct ArchiveArgs {
    /// Data directory.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where the archive is: a directory, or a URL such as s3://BUCKET/PREFIX [default:
    /// `archive.url` of the data directory's configuration, else `archive` in it].
    #[arg(long, value_name = "URL")]
    archive: Option<Location>,
    /// Go on archiving until SIGTERM: a log in Kafka, in a process of its own.
    #[arg(long)]
    follow: bool,
    /// Whose verdicts are archived: of a fold of its own, or of a job in Flink or Spark [default:
    /// `archive.verdicts` of the data directory's configuration].
    #[arg(long, value_name = "WHOSE")]
    verdicts: Option<VerdictsOf>,
    /// Threads of the fold [default: all cores]; changes no result.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    threads: usize,
}

/// Runs the command.
pub fn run(args: &ArchiveArgs) -> Result<()> {
    let data = DataDir::new(&args.data);
    let url = args.archive.as_ref().map(|place| ("archive.url".into(), place.to_string()));
    let verdicts = args.verdicts.and_then(|whose| whose.to_possible_value());
    let verdicts = verdicts.map(|whose| ("archive.verdicts".into(), whose.get_name().to_owned()));
    let config = data.config(url.into_iter().chain(verdicts).collect())?;
    if args.follow {
        if config.log.url.is_empty() {
            bail!("a log in a data directory is archived by its server: set archive.url there");
        }
        return follow(&config, &data);
    }
    let place = of(&data, args.archive.as_ref())?;
    data.close().context("a server archives by itself, if `archive.url` is set")?;
    let log = data.log_for_refold()?;
    let archived = catch_up(&data, &config, log, &place, threads(args.threads))?;
    out::line(format_args!(
        "{place}: {} manifests, everything before {} (ms since 1970) is archived",
        archived.manifests, archived.until.0
    ));
    Ok(())
}

/// The archive of a data directory: as asked for, else as its server is configured, else inside.
pub fn of(data: &DataDir, asked: Option<&Location>) -> Result<Location> {
    if let Some(asked) = asked {
        return Ok(asked.clone());
    }
    let configured = data.config(Vec::new())?.archive.place(data.root())?;
    Ok(configured.unwrap_or_else(|| Location::Dir(data.root().join("archive"))))
}

/// Archives all that is final.
pub fn catch_up(
    data: &DataDir,
    config: &Config,
    log: Arc<dyn EventLog>,
    place: &Location,
    threads: usize,
) -> Result<Archived> {
    let spinner = progress::spinner("archiving");
    let objects = objects(place)?;
    let told = match (config.archive.verdicts, cluster::settings(config)?) {
        (VerdictsOf::Job, Some(settings)) => Some(cluster::verdicts(&settings)?),
        _ => None,
    };
    let config = ArchiveConfig { threads, ..ArchiveConfig::default() };
    let finish = || open(data, log, objects, told, config)?.finish();
    let archived = finish().with_context(|| place.to_string())?;
    spinner.finish_and_clear();
    Ok(archived)
}

/// An archiver of the data directory's log; `told` are a job's verdicts.
pub fn open(
    data: &DataDir,
    log: Arc<dyn EventLog>,
    objects: Arc<dyn Objects>,
    told: Option<Box<dyn Told>>,
    config: ArchiveConfig,
) -> Result<Archiver, ArchiveError> {
    let of = if told.is_some() { VerdictsOf::Job } else { VerdictsOf::Fold };
    let parts = ArchiveParts {
        log,
        disk: Arc::new(RealDisk),
        clock: Arc::new(SystemClock),
        checkpoints: data.archive_checkpoints(of),
        objects,
        told,
    };
    Archiver::open(parts, config)
}

/// What is archived there.
pub fn read(place: &Location) -> Result<Archive> {
    Archive::open(objects(place)?).with_context(|| place.to_string())
}

/// The objects of a place; asks nobody yet.
pub fn objects(place: &Location) -> Result<Arc<dyn Objects>> {
    Ok(place.open(Arc::new(RealDisk))?)
}

/// An archive as a log, or else the log of a data directory, from its beginning.
pub fn log(data: Option<&Path>, place: Option<&Location>) -> Result<Arc<dyn EventLog>> {
    match (place, data) {
        (Some(place), _) => Ok(Arc::new(read(place)?.into_log())),
        (None, Some(data)) => DataDir::new(data).log_for_refold(),
        (None, None) => bail!("name a data directory or an archive"),
    }
}
