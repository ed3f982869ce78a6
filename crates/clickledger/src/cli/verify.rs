//! `clickledger verify`: every acknowledged click is in the ledger, exactly once.
//!
//! The log is folded again; a click that was sent again by its sender (same transport identity) is
//! one measured click, while a link that was clicked twice is two. A click that is in the log at an
//! instant that log time has not reached is not lost: it is said to wait.

use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use click_core::row::{Row, RowId};
use click_engine::log::EventLog;
use click_engine::store::{LedgerReader, Scan, StoreAddress, View};

use super::data::{DataDir, threads};
use super::verdicts::{Identity, Refolded};
use crate::out;

/// Most ids that are named in the report.
const NAMED: usize = 10;

/// Check that every acknowledged click is in the ledger exactly once.
///
/// The log is folded again, and the stored rows are compared with it, too. Exit code 1 if a click
/// is lost or double, or a row differs. Not while a server runs.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// Journal of acknowledged click ids, a line each, as `load` writes it.
    journal: PathBuf,
    /// Data directory.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The store to compare [default: the first of `store.url`].
    #[arg(long, value_name = "URL")]
    store: Option<StoreAddress>,
    /// Threads of the fold [default: all cores].
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    threads: usize,
}

/// Runs the command.
pub fn run(args: &VerifyArgs) -> Result<ExitCode> {
    let data = DataDir::new(&args.data);
    let mut seen = journal(&args.journal)?;
    let acknowledged: u64 = seen.values().map(|(acknowledged, _)| *acknowledged).sum();
    data.settle().context("verify reads the whole log; stop the server first")?;
    let fresh = data.fresh_reader(threads(args.threads))?;
    let reader = match &args.store {
        Some(store) => store.reader(Path::new(""))?,
        None => fresh,
    };
    let log = data.log_for_refold()?;
    let refolded = Refolded::fold(&*log, threads(args.threads), true)?;
    let mut measured = 0;
    refolded.for_each(&*log, &mut |_, _, click_id, _| {
        measured += 1;
        if let Some((_, found)) = seen.get_mut(click_id) {
            *found += 1;
        }
        Ok(())
    })?;
    let waiting = find_waiting(&*log, &refolded, &mut seen)?;
    let (rows, differ) = compare(&*reader, refolded.rows.unwrap_or_default())?;
    let lost: Vec<_> = named(&seen, |acknowledged, found| found < acknowledged);
    let double: Vec<_> = named(&seen, |acknowledged, found| found > acknowledged);
    report("lost", &lost);
    report("double", &double);
    report("row differs", &differ);
    out::line(format_args!(
        "acknowledged {acknowledged}, measured {measured}, lost {}, double {}; \
         {rows} rows, {} differ",
        lost.len(),
        double.len(),
        differ.len()
    ));
    if waiting > 0 {
        out::note(format_args!(
            "{waiting} of them wait in the log for their instant: its clock was ahead of today's"
        ));
    }
    let good = lost.is_empty() && double.is_empty() && differ.is_empty();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Acknowledged clicks that are in the log, but at an instant of log time that has not come: they
/// count as found. That is so after the system's clock was far ahead and was set back.
fn find_waiting(log: &dyn EventLog, refolded: &Refolded, seen: &mut Seen) -> Result<u64> {
    let missing = |(acknowledged, found): &(u64, u64)| acknowledged.saturating_sub(*found);
    if refolded.waiting == 0 || seen.values().all(|counts| missing(counts) == 0) {
        return Ok(0);
    }
    let mut others: HashMap<String, BTreeSet<Identity>> = HashMap::new();
    refolded.for_each_other(log, &mut |click_id, identity| {
        if seen.get(click_id).is_some_and(|counts| missing(counts) > 0) {
            others.entry(click_id.to_owned()).or_default().insert(identity);
        }
    })?;
    let mut waiting = 0;
    for (click_id, identities) in others {
        if let Some(counts) = seen.get_mut(&click_id) {
            // No more than the fold itself knows of: what it has dropped is lost.
            let left = refolded.waiting.saturating_sub(waiting);
            let here = missing(counts).min(identities.len() as u64).min(left);
            counts.1 += here;
            waiting += here;
        }
    }
    Ok(waiting)
}

type Seen = HashMap<String, (u64, u64)>;

/// How often each id was acknowledged; a last line without its end was never finished.
fn journal(path: &Path) -> Result<Seen> {
    let context = || format!("journal {}", path.display());
    let file = std::fs::File::open(path).with_context(context)?;
    let mut reader = BufReader::new(file);
    let (mut seen, mut line) = (Seen::new(), String::new());
    while reader.read_line(&mut line).with_context(context)? > 0 {
        if let Some(id) = line.strip_suffix('\n').filter(|id| !id.is_empty()) {
            seen.entry(id.to_owned()).or_default().0 += 1;
        }
        line.clear();
    }
    Ok(seen)
}

/// Compares the store with the log: how many rows it has, and which contradict the log.
fn compare(
    reader: &dyn LedgerReader,
    mut expected: HashMap<RowId, Row>,
) -> Result<(u64, Vec<String>)> {
    let (mut rows, mut differ) = (0, Vec::new());
    for view in [View::Ad, View::Publisher] {
        reader.scan(&Scan::all(view), &mut |row| {
            rows += 1;
            if expected.remove(&row.id()).is_none_or(|wanted| !row.agrees_with(&wanted)) {
                differ.push(format!("{:?} minute {}", row.key, row.minute.0));
            }
            true
        })?;
    }
    let missing = expected.into_values().filter(|wanted| !wanted.counts.only_pending());
    let name = |row: Row| format!("{:?} minute {} is missing", row.key, row.minute.0);
    differ.extend(missing.map(name));
    Ok((rows, differ))
}

fn named(seen: &Seen, hit: impl Fn(u64, u64) -> bool) -> Vec<String> {
    let hits = seen.iter().filter(|(_, (acknowledged, found))| hit(*acknowledged, *found));
    let mut ids: Vec<_> = hits.map(|(id, _)| id.clone()).collect();
    ids.sort_unstable();
    ids
}

fn report(what: &str, ids: &[String]) {
    for id in ids.iter().take(NAMED) {
        out::line(format_args!("{what}: {id}"));
    }
    if ids.len() > NAMED {
        out::line(format_args!("{what}: and {} more", ids.len() - NAMED));
    }
}
