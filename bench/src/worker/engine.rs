//! The embedded log: written with made-up clicks, and read by the engine as the product runs it,
//! journal of claims and checkpoints included, but without a store.

use super::fold::CLOSING_MS;
use crate::clicks::Clicks;
use crate::measure::{Measure, peak_resident};
use crate::tally::Tally;
use anyhow::Result;
use click_core::record::Record;
use click_core::types::Millis;
use click_engine::disk::RealDisk;
use click_engine::driver::{Engine, EngineConfig, EngineParts, append_header};
use click_engine::log::{Commit, DiskLog, EventLog, LogError, LogOptions, SystemClock};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(clap::Args)]
pub struct LogArgs {
    /// Directory of the log and of the checkpoints.
    #[arg(long)]
    dir: PathBuf,
    /// Clicks to write; ignored when reading.
    #[arg(long, default_value_t = 0)]
    clicks: u64,
    /// Clicks per second of log time; ignored when reading.
    #[arg(long, default_value_t = 50_000)]
    rate: u64,
    /// How often to read it, one after the other; the last time is told.
    #[arg(long, default_value_t = 1)]
    pub passes: u32,
}

/// Appends and waits when the queue is full; returns the newest commit.
pub fn append(
    log: &dyn EventLog,
    time: u64,
    payload: &[u8],
    newest: &mut Option<Commit>,
) -> Result<()> {
    loop {
        match log.append_at(0, time, payload) {
            Ok(commit) => {
                *newest = Some(commit);
                return Ok(());
            }
            Err(error @ LogError::Busy { .. }) => {
                let Some(commit) = newest.take() else { return Err(error.into()) };
                commit.wait()?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The same clicks as those of the fold from memory, and a tick behind them.
pub fn write_log(args: &LogArgs) -> Result<Value> {
    let log = DiskLog::create(&args.dir.join("log"), &LogOptions::default())?;
    append_header(&log)?.wait()?;
    let mut clicks = Clicks::new(1, args.rate, 10);
    let (mut payload, mut newest, mut last, mut bytes) = (Vec::new(), None, 0, 0);
    for _ in 0..args.clicks {
        payload.clear();
        last = clicks.next_into(&mut payload);
        bytes += payload.len();
        append(&log, last, &payload, &mut newest)?;
    }
    let closing = Millis(last + CLOSING_MS);
    append(&log, closing.0, &Record::tick(closing).to_bytes(), &mut newest)?;
    newest.map(Commit::wait).transpose()?;
    Ok(json!({ "clicks": args.clicks, "payload_bytes": bytes }))
}

/// The parts of an engine over `log` in `dir`, without store and live views.
pub fn parts(log: Arc<dyn EventLog>, dir: &Path) -> EngineParts {
    EngineParts {
        log,
        disk: Arc::new(RealDisk),
        clock: Arc::new(SystemClock),
        checkpoints: dir.join("checkpoints"),
        dead_letters: dir.join("dead-letters"),
        store: None,
        sink: None,
        status: Arc::default(),
    }
}

/// Folds the whole log from its beginning, without an earlier checkpoint.
pub fn run(args: &LogArgs) -> Result<Value> {
    for old in ["checkpoints", "dead-letters"] {
        // Left by the run before, if there was one.
        let _ = std::fs::remove_dir_all(args.dir.join(old));
    }
    fold_all(Arc::new(DiskLog::open(&args.dir.join("log"), &LogOptions::default())?), &args.dir)
}

/// What it takes to fold all of a log with an engine that has its checkpoints in `dir`, and what it
/// counts.
pub fn fold_all(log: Arc<dyn EventLog>, dir: &Path) -> Result<Value> {
    let measure = Measure::begin();
    let (mut engine, _) = Engine::open(parts(log, dir), EngineConfig::default())?;
    engine.catch_up(None)?;
    let (wall, cpu) = measure.end();
    let mut tally = Tally::default();
    engine.for_each_open_row(|row| tally.add(&row));
    Ok(json!({
        "cpu": cpu.as_secs_f64(),
        "wall": wall.as_secs_f64(),
        "peak": peak_resident(),
        "tally": tally.to_json(),
    }))
}
