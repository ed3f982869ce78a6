//! `clickledger reconcile`: another system's export beside ours, and why they differ.

mod by_click;
mod by_time;
mod causes;
mod ours;
mod page;
mod print;
mod theirs;

use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, ValueEnum};
use click_engine::archive::Location;
use jiff::tz::TimeZone;

use super::data::threads;
use super::import::column_map;
use super::table::Format;
use super::{archive, progress};
use crate::out;
use causes::Report;
use theirs::{Reading, TheirRow};

/// Compare another system's export with ours, and split the difference by cause.
///
/// Rows with a `click_id` are joined click by click, rows without one by `ad_id` and `time`, with
/// `clicks` in them. The causes add up to the whole difference, in clicks and in money. Exit code 1
/// at any difference.
#[derive(Args, Debug)]
pub struct ReconcileArgs {
    /// Their export: CSV with a header, NDJSON or Parquet (by its name). Columns: click_id, issuer,
    /// ad_id, time, clicks, price_micros, spend_micros, amount (decimal), currency.
    #[arg(long, value_name = "FILE")]
    theirs: PathBuf,
    /// Data directory; not while a server runs.
    #[arg(long, value_name = "DIR", required_unless_present = "archive")]
    data: Option<PathBuf>,
    /// The archive instead: a directory, or a URL such as s3://BUCKET/PREFIX.
    #[arg(long, value_name = "URL")]
    archive: Option<Location>,
    /// TOML file of foreign column names, a line each: theirs = "ours".
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// Ours that are billed from here on, such as 2026-11-01T00:00Z [default: of counts what they
    /// cover, of clicks all].
    #[arg(long, value_name = "TIME")]
    from: Option<jiff::Timestamp>,
    /// ... and before this.
    #[arg(long, value_name = "TIME")]
    to: Option<jiff::Timestamp>,
    /// Time zone of times that name none, such as Europe/Berlin [default: UTC].
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// What a count of theirs is of.
    #[arg(long, value_enum, default_value_t = Per::Minute)]
    per: Per,
    /// `csv` is a line a part of the difference.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Also write a page for people.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Threads of the fold [default: all cores]; changes no result.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    threads: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Per {
    Minute,
    Hour,
    Day,
}

impl Per {
    const fn ms(self) -> u64 {
        match self {
            Per::Minute => 60_000,
            Per::Hour => 3_600_000,
            Per::Day => 24 * 3_600_000,
        }
    }
}

/// Runs the command.
pub fn run(args: &ReconcileArgs) -> Result<ExitCode> {
    let theirs = theirs::read(&args.theirs, &reading(args)?)?;
    let log = archive::log(args.data.as_deref(), args.archive.as_ref())?;
    let spinner = progress::spinner("folding");
    let (ours, waiting) = ours::read(&*log, threads(args.threads))?;
    spinner.finish_and_clear();
    if waiting > 0 {
        out::note(format_args!("{waiting} clicks of ours have no final verdict yet: left out"));
    }
    let report = join(args, &ours, &theirs)?;
    report.check()?;
    print::print(&report, args.format)?;
    if let Some(path) = &args.html {
        let page = page::page(&report, &args.theirs.display().to_string());
        std::fs::write(path, page).with_context(|| path.display().to_string())?;
    }
    Ok(if report.differs() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn join(args: &ReconcileArgs, ours: &[ours::OurClick], theirs: &[TheirRow]) -> Result<Report> {
    let period = period(args)?;
    let clicks = theirs.iter().filter(|row| !row.click_id.is_empty()).count();
    if clicks == theirs.len() {
        return Ok(by_click::join(ours, theirs, &period.unwrap_or(0..u64::MAX)));
    }
    if clicks > 0 {
        bail!("some rows have a click_id and some have none: split the file");
    }
    by_time::join(ours, theirs, args.per.ms(), period)
}

fn period(args: &ReconcileArgs) -> Result<Option<Range<u64>>> {
    let ms = |at: jiff::Timestamp| u64::try_from(at.as_millisecond()).context("before 1970");
    let (from, to) = (args.from.map(ms).transpose()?, args.to.map(ms).transpose()?);
    Ok(match (from, to) {
        (None, None) => None,
        (from, to) => Some(from.unwrap_or(0)..to.unwrap_or(u64::MAX)),
    })
}

fn reading(args: &ReconcileArgs) -> Result<Reading> {
    let zone = match &args.zone {
        None => TimeZone::UTC,
        Some(name) => TimeZone::get(name)
            .map_err(|_| anyhow!("--zone {name}: no such time zone; such as Europe/Berlin"))?,
    };
    let names = args.map.as_deref().map(column_map).transpose()?.unwrap_or_default();
    Ok(Reading { names, zone })
}
