//! Bytes of memory per click that the dedup set holds, beside Redis keys with an expiry.

use crate::Settings;
use crate::measure::available_memory;
use crate::peers::bytes_per_key;
use crate::process::{data_dir, field, output, worker};
use crate::report::{Figure, Line, Report, progress};
use crate::stats::Samples;
use anyhow::{Result, ensure};

const PART: &str = "memory";
const UNIT: &str = "B/click";
/// More than a click can cost in memory while it is folded, bytes.
const ENOUGH: u64 = 64;

/// Folds once and asks what is held; fills Redis once.
pub fn run(settings: &Settings, report: &mut Report) -> Result<()> {
    let clicks = settings.clicks();
    let available = available_memory();
    ensure!(clicks * ENOUGH < available, "{clicks} clicks may not fit in {available} bytes");
    progress(&format!("memory: folding {clicks} clicks"));
    // Seldom enough for D2's ten minutes to be a part of the whole, not all of it.
    let rate = (clicks / 3600).max(1000).to_string();
    let (clicks, count) = (clicks.to_string(), clicks);
    let args = ["fold", "--clicks", &clicks, "--rate", &rate];
    let answer = output(&mut worker(None, &args)?)?;
    let held = field(&answer, "claims")?;
    let per_claim = |name: &str| Ok::<f64, anyhow::Error>(field(&answer, name)? / held);
    let peer = redis(settings, report)?;
    report.line(Line {
        part: PART,
        what: format!("dedup set at {} claims", crate::report::number(held)),
        unit: UNIT,
        ours: Figure::new("", Samples(vec![per_claim("claims_bytes")?])),
        other: peer,
    });
    let pairs = per_claim("pairs_bytes")?;
    report.alone(PART, "ten minutes of user and ad (D2)", UNIT, Samples(vec![pairs]));
    let grown = per_claim("resident")?;
    report.alone(PART, "whole process, resident", UNIT, Samples(vec![grown]));
    report.note(format!("memory: {count} clicks at {rate} a second of log time; less is better"));
    Ok(())
}

fn redis(settings: &Settings, report: &mut Report) -> Result<Option<Figure>> {
    let keys = if settings.quick { 50_000 } else { 1_000_000 };
    let dir = tempfile::tempdir_in(data_dir()?)?;
    match bytes_per_key(dir.path(), keys) {
        Ok(bytes) => Ok(Some(Figure::new("Redis key with expiry", Samples(vec![bytes])))),
        Err(error) => {
            report.skip(format!("Redis: {error:#}"));
            Ok(None)
        }
    }
}
