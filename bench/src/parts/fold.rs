//! Fold rate from memory and from the embedded log, beside DuckDB over the same clicks in Parquet
//! and the machine's random updates. Believed only if all three count the same clicks.

use crate::Settings;
use crate::contend::{Contender, compete};
use crate::machine::updates_per_second;
use crate::peers::{DuckDb, write_parquet};
use crate::process::{data_dir, output, worker};
use crate::report::{Figure, Line, Report, progress};
use crate::stats::Samples;
use anyhow::{Context, Result};
use std::path::Path;
use std::time::Duration;

const PART: &str = "fold";
/// All rows must still be open at the end, so that they can be compared: less than `seal_after`.
const LONGEST_LOG_SECONDS: u64 = 600;

/// Prepares the clicks in three forms, then lets the contenders run in turns.
pub fn run(settings: &Settings, report: &mut Report) -> Result<()> {
    let dir = tempfile::tempdir_in(data_dir()?)?;
    let clicks = settings.clicks();
    let rate = (clicks / LONGEST_LOG_SECONDS).max(50_000);
    progress(&format!("fold: writing {clicks} clicks to a log"));
    prepare_log(dir.path(), clicks, rate)?;
    let mut contenders = ours(dir.path(), clicks, rate)?;
    let parquet = dir.path().join("clicks.parquet");
    match DuckDb::prepare() {
        Ok(duckdb) => {
            progress("fold: writing the same clicks to Parquet");
            write_parquet(&parquet, clicks, rate)?;
            let run = move || duckdb.query(&parquet);
            contenders.push(Contender::new("DuckDB, one thread, Parquet", run));
        }
        Err(error) => report.skip(format!("DuckDB: {error:#}")),
    }
    compete(PART, settings.rounds(), &mut contenders, "tally")?;
    let updates = (0..settings.rounds()).map(|_| updates_per_second(Duration::from_millis(500)));
    let updates = Figure::new("random 64-byte updates", updates.collect());
    write_lines(report, &contenders, &updates, clicks);
    report.note(format!("fold: {clicks} clicks; all contenders counted the same rows"));
    Ok(())
}

/// Writes a log of made-up clicks into `dir`.
pub fn prepare_log(dir: &Path, clicks: u64, rate: u64) -> Result<()> {
    let (dir, clicks, rate) = (path(dir)?, clicks.to_string(), rate.to_string());
    let args = ["write-log", "--dir", dir, "--clicks", &clicks, "--rate", &rate];
    output(&mut worker(None, &args)?)?;
    Ok(())
}

fn ours<'a>(dir: &'a Path, clicks: u64, rate: u64) -> Result<Vec<Contender<'a>>> {
    let (dir, clicks, rate) = (path(dir)?, clicks.to_string(), rate.to_string());
    // Twice in one process that gives no memory back: see `docs/benchmarks.md`, "fold".
    let twice = |args: &[&str]| {
        let args = [args, &["--passes", "2"]].concat();
        output(worker(None, &args)?.env("MIMALLOC_PURGE_DELAY", "-1"))
    };
    let from_memory = move || twice(&["fold", "--clicks", &clicks, "--rate", &rate]);
    let from_log = move || twice(&["engine", "--dir", dir]);
    Ok(vec![
        Contender::new("from encoded payloads in memory", from_memory),
        Contender::new("from the embedded log, checkpoints on", from_log),
    ])
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn write_lines(report: &mut Report, contenders: &[Contender<'_>], updates: &Figure, clicks: u64) {
    let clicks = clicks as f64;
    let (ours, peers) = contenders.split_at(2);
    for contender in ours {
        let peers = peers.iter().map(|peer| peer.per_cpu(clicks));
        for other in peers.chain([updates.clone()]) {
            report.line(Line {
                part: PART,
                what: contender.name().into(),
                unit: "clicks/CPU-s",
                ours: contender.per_cpu(clicks),
                other: Some(other),
            });
        }
    }
    for contender in contenders {
        let rates = contender.first_cpu().0.iter().map(|seconds| clicks / seconds).collect();
        let what = format!("{}, the first time", contender.name());
        report.alone(PART, &what, "clicks/CPU-s", Samples(rates));
    }
    let by_the_clock = contenders[1].by_the_clock(clicks).value;
    report.alone(PART, "from the embedded log, by the clock", "clicks/s", by_the_clock);
}

/// As a word of a command line.
pub fn path(path: &Path) -> Result<&str> {
    path.to_str().context("the build directory's name is not UTF-8")
}
