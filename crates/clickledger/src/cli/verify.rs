//! `clickledger verify`: every acknowledged click is in the ledger, exactly once.
//!
//! The log is folded again; a click that was sent again by its sender (same transport identity) is
//! one measured click, while a link that was clicked twice is two.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use click_core::row::RowKey;
use click_engine::store::{LedgerReader, Scan, View};

use super::data::{DataDir, threads};
use super::verdicts;
use crate::out;

/// Most ids that are named in the report.
const NAMED: usize = 10;

/// Check that every acknowledged click is in the ledger exactly once.
///
/// Exit code 1 if one is lost or double. Not while a server runs.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// Journal of acknowledged click ids, a line each, as `load` writes it.
    journal: PathBuf,
    /// Data directory.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
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
    let reader = data.fresh_reader(threads(args.threads))?;
    let log = data.log_for_refold()?;
    let mut measured = 0;
    verdicts::for_each(&log, threads(args.threads), &mut |_, _, click_id, _| {
        measured += 1;
        if let Some((_, found)) = seen.get_mut(click_id) {
            *found += 1;
        }
        Ok(())
    })?;
    let (stored, pending) = stored(&reader)?;
    let lost: Vec<_> = named(&seen, |acknowledged, found| found < acknowledged);
    let double: Vec<_> = named(&seen, |acknowledged, found| found > acknowledged);
    report("lost", &lost);
    report("double", &double);
    let consistent = stored == measured + pending;
    if !consistent {
        out::line(format_args!(
            "the store counts {stored} clicks ({pending} pending), the log {measured} final ones"
        ));
    }
    out::line(format_args!(
        "acknowledged {acknowledged}, measured {stored}, lost {}, double {}",
        lost.len(),
        double.len()
    ));
    let good = lost.is_empty() && double.is_empty() && consistent;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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

/// Measured and pending clicks of the store, the ad view.
fn stored(reader: &dyn LedgerReader) -> Result<(u64, u64)> {
    let (mut measured, mut pending) = (0, 0);
    reader.scan(&Scan::all(View::Ad), &mut |row| {
        if matches!(row.key, RowKey::Ad { .. }) {
            measured += row.counts.measured;
            pending += row.counts.pending;
        }
        true
    })?;
    Ok((measured, pending))
}

fn named(seen: &Seen, hit: impl Fn(u64, u64) -> bool) -> Vec<&str> {
    let hits = seen.iter().filter(|(_, (acknowledged, found))| hit(*acknowledged, *found));
    let mut ids: Vec<_> = hits.map(|(id, _)| id.as_str()).collect();
    ids.sort_unstable();
    ids
}

fn report(what: &str, ids: &[&str]) {
    for id in ids.iter().take(NAMED) {
        out::line(format_args!("{what}: {id}"));
    }
    if ids.len() > NAMED {
        out::line(format_args!("{what}: and {} more", ids.len() - NAMED));
    }
}
