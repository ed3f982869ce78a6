//! `clickledger replay`: log and ledger again, from the archive alone.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use click_engine::archive::{Location, restore_log};
use click_engine::log::{EventLog, LogOptions};

use super::data::{DataDir, threads};
use super::table::Format;
use super::{archive, policy, progress, shadow};
use crate::out;

/// Write log and ledger again from the archive, where both are lost; or try another policy on it.
///
/// With `--data`, the log has the same identity, records and times as the lost one, so that a
/// server can go on with it. What the archive had not yet, about the last second or minute, is not
/// in it: trackers that still have it send it again.
///
/// With `--policy`, everything is folded as if that policy had been in force from the beginning,
/// and what would be different is printed by advertiser, in clicks and in millionths of the
/// currency. No ledger is touched but the one that `--shadow` makes.
#[derive(Args, Debug)]
pub struct ReplayArgs {
    /// The archive: a directory, or a URL such as s3://BUCKET/PREFIX.
    #[arg(long, value_name = "URL")]
    archive: Location,
    /// Data directory to be made; it must not hold a log.
    #[arg(long, value_name = "DIR", required_unless_present = "policy")]
    data: Option<PathBuf>,
    /// A policy, as `policy add` takes it; its `effective_from` has no say.
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    policy: Option<PathBuf>,
    /// Where the ledger under that policy is left, to be read with sqlite3.
    #[arg(long, value_name = "FILE", requires = "policy")]
    shadow: Option<PathBuf>,
    /// Form of the differences.
    #[arg(long, value_enum, default_value_t = Format::Table, requires = "policy")]
    format: Format,
    /// Threads of the fold [default: all cores]; changes no result.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    threads: usize,
}

/// Runs the command.
pub fn run(args: &ReplayArgs) -> Result<()> {
    if let Some(policy) = &args.policy {
        let policy = policy::read(policy)?;
        let archive = archive::read(&args.archive)?.into_log();
        let how = (args.format, threads(args.threads));
        return shadow::run(&archive, &policy, args.shadow.as_deref(), how);
    }
    let Some(data) = &args.data else { bail!("name a data directory or a policy") };
    let data = DataDir::new(data);
    if data.log().is_dir() {
        bail!("{} holds a log already: name another directory", data.root().display());
    }
    let archive = archive::read(&args.archive)?.into_log();
    data.create()?;
    let total = (0..archive.partitions()).map(|partition| archive.range(partition).end).sum();
    let bar = progress::bar("records", total, false);
    let restored = restore_log(&archive, &data.log(), &LogOptions::default(), &mut |more| {
        bar.inc(more);
    });
    let records = restored.with_context(|| args.archive.to_string())?;
    bar.finish_and_clear();
    let spinner = progress::spinner("folding");
    data.catch_up(data.open_log()?, threads(args.threads))?;
    spinner.finish_and_clear();
    out::line(format_args!("{records} records are in {} again", data.log().display()));
    Ok(())
}
