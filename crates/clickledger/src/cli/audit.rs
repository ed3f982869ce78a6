//! `clickledger audit`: the ledger computed again from the archive, and compared with everything
//! that is served or kept. Tolerance zero.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use click_core::row::{Row, RowKey};
use click_core::types::Minute;
use click_core::verdict::Class;
use click_engine::archive::{Audit, Location, audit};
use click_engine::log::EventLog;
use click_engine::store::StoreAddress;
use serde_json::json;

use super::archive;
use super::data::{DataDir, is_locked, threads};
use crate::out;

/// Compute the whole ledger again from the archive, and compare.
///
/// With `--data`, what is not archived yet is archived first, and archive, log and ledger are
/// compared; while a server runs, the archive as it is and the ledger. Without a data directory at
/// hand, `--archive` and `--store` are compared; `--archive` alone is held to itself: files to
/// manifests, verdicts to records. Exit code 1 at any difference.
#[derive(Args, Debug)]
pub struct AuditArgs {
    /// Data directory.
    #[arg(long, value_name = "DIR", required_unless_present = "archive")]
    data: Option<PathBuf>,
    /// Where the archive is: a directory, or a URL such as s3://BUCKET/PREFIX [default:
    /// `archive.url` of the data directory's configuration, else `archive` in it].
    #[arg(long, value_name = "URL")]
    archive: Option<Location>,
    /// The rows to compare with: a SQLite file, such as a copy of `ledger.db`, also written
    /// sqlite:FILE, or the URL of another store [default: the data directory's first].
    #[arg(long, value_name = "URL", value_parser = store)]
    store: Option<StoreAddress>,
    /// Compare the rows of this day alone, UTC, such as 2026-11-25.
    #[arg(long, value_name = "DAY")]
    day: Option<jiff::civil::Date>,
    /// Compare the rows of this advertiser alone.
    #[arg(long, value_name = "ID")]
    advertiser: Option<String>,
    /// Write the report as JSON.
    #[arg(long)]
    json: bool,
    /// Threads of the fold [default: all cores]; changes no result.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    threads: usize,
}

/// The store that is meant; a plain name is a file's.
fn store(text: &str) -> Result<StoreAddress, String> {
    match text.contains("://") || text.starts_with("sqlite:") {
        true => text.parse(),
        false => Ok(StoreAddress::Sqlite(text.into())),
    }
}

/// Runs the command.
pub fn run(args: &AuditArgs) -> Result<ExitCode> {
    let begun = Instant::now();
    let threads = threads(args.threads);
    let (mut log, mut store, mut place) = (None, args.store.clone(), args.archive.clone());
    if let Some(data) = &args.data {
        let data = DataDir::new(data);
        let archive = archive::of(&data, args.archive.as_ref())?;
        log = prepare(&data, &archive, threads)?;
        store = store.or(data.stores()?.into_iter().next());
        place = Some(archive);
    }
    let Some(place) = place else { bail!("name a data directory or an archive") };
    let reader = store.map(|store| store.reader(Path::new(""))).transpose()?;
    let archive = archive::read(&place)?;
    let wanted = wanted(args)?;
    let found = audit(archive, reader.as_deref(), log.as_deref(), threads, &*wanted)?;
    let seconds = begun.elapsed().as_secs_f64();
    if args.json {
        print_json(&found)
    } else {
        print(&found, seconds)
    }
    Ok(if found.differ == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Brings ledger and archive up to the log; the log, unless a server has it.
fn prepare(data: &DataDir, place: &Location, threads: usize) -> Result<Option<Arc<dyn EventLog>>> {
    match data.close() {
        Ok(()) => {}
        Err(error) if is_locked(&error) => {
            out::note("a server runs: auditing what it has archived so far, without the log");
            return Ok(None);
        }
        Err(error) => return Err(error),
    }
    drop(data.fresh_reader(threads)?);
    let log = data.open_log_readonly()?;
    archive::catch_up(data, &data.config(Vec::new())?, log.clone(), place, threads)?;
    Ok(Some(log))
}

type Wanted = Box<dyn Fn(&Row) -> bool>;

fn wanted(args: &AuditArgs) -> Result<Wanted> {
    let minutes = match args.day {
        None => 0..u32::MAX,
        Some(day) => {
            let start = day.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp().as_second() / 60;
            let start = u32::try_from(start)?;
            start..start + 24 * 60
        }
    };
    let advertiser = args.advertiser.clone();
    Ok(Box::new(move |row| {
        let Minute(minute) = row.minute;
        let own = match (&advertiser, &*row.key) {
            (None, _) => true,
            (Some(wanted), RowKey::Ad { advertiser_id, .. }) => advertiser_id == wanted,
            (Some(_), RowKey::Publisher { .. }) => false,
        };
        own && minutes.contains(&minute)
    }))
}

fn print(found: &Audit, seconds: f64) {
    for difference in &found.differences {
        out::line(format_args!("DIFFERS  {}: {}", difference.what, difference.how));
    }
    let more = found.differ - found.differences.len() as u64;
    if more > 0 {
        out::line(format_args!("         and {more} more"));
    }
    if found.unfinished_erasures > 0 {
        let count = found.unfinished_erasures;
        out::line(format_args!(
            "         {count} erasures were cut short: run `privacy erase` again for the same users"
        ));
    }
    let summary = &found.summary;
    let classes: Vec<String> = Class::ALL
        .into_iter()
        .map(|class| format!("{} {}", class.code(), found.by_class[class as usize]))
        .collect();
    let lines = [
        format!(
            "archive  {} manifests, {} files{}",
            found.manifests,
            found.files,
            rewritten(found)
        ),
        format!("clicks   {} measured: {}", summary.measured, classes.join(", ")),
        format!(
            "         {} pending, {} sent again, {} dead letters, {} missing by gaps",
            summary.pending, summary.repeats, summary.dead_letters, summary.gaps
        ),
        format!("verdicts {} compared, {} not decided yet", found.verdicts, found.undecided),
        format!("rows     {} compared, {} newer than the archive", found.rows, found.newer_rows),
        format!("log      {} records compared", found.log_records),
        format!("result   sha256 {} as of {}", found.result, summary.watermark.0),
        format!("{} differences, {seconds:.1} s", found.differ),
    ];
    lines.iter().for_each(out::line);
}

/// What was taken out of the archive on purpose.
fn rewritten(found: &Audit) -> String {
    if found.rewritten == 0 {
        return String::new();
    }
    format!(
        ", {} of them without what tells of persons ({} clicks of erased users): their source keys \
         and stateless reasons are taken as recorded",
        found.rewritten, found.erased
    )
}

fn print_json(found: &Audit) {
    let summary = &found.summary;
    let by_class: serde_json::Map<String, serde_json::Value> = Class::ALL
        .into_iter()
        .map(|class| (class.code().to_owned(), found.by_class[class as usize].into()))
        .collect();
    let differences: Vec<_> =
        found.differences.iter().map(|d| json!({ "what": d.what, "how": d.how })).collect();
    let report = json!({
        "manifests": found.manifests,
        "files": found.files,
        "rewritten_files": found.rewritten,
        "erased_clicks": found.erased,
        "unfinished_erasures": found.unfinished_erasures,
        "as_of": summary.watermark.0,
        "measured": summary.measured,
        "pending": summary.pending,
        "by_class": by_class,
        "repeats": summary.repeats,
        "dead_letters": summary.dead_letters,
        "gaps": summary.gaps,
        "verdicts_compared": found.verdicts,
        "verdicts_of_the_last_second": found.undecided,
        "rows_compared": found.rows,
        "rows_newer_than_the_archive": found.newer_rows,
        "log_records_compared": found.log_records,
        "result_sha256": found.result,
        "differ": found.differ,
        "differences": differences,
    });
    out::line(format_args!("{report:#}"));
}
