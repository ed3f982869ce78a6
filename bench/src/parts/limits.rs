//! The machine's limits by themselves.

use crate::Settings;
use crate::machine::{copied_per_second, flushes, updates_per_second};
use crate::process::data_dir;
use crate::report::Report;
use crate::stats::Samples;
use anyhow::Result;
use std::time::Duration;

const PART: &str = "machine";

/// Measures each limit in turns.
pub fn run(settings: &Settings, report: &mut Report) -> Result<()> {
    let dir = tempfile::tempdir_in(data_dir()?)?;
    let time = Duration::from_millis(if settings.quick { 100 } else { 1000 });
    let mut all: [Samples; 5] = Default::default();
    for _ in 0..settings.rounds() {
        let small = flushes(dir.path(), 4 << 10, time)?;
        let large = flushes(dir.path(), 256 << 10, time)?;
        let figures = [
            updates_per_second(time),
            copied_per_second(time),
            small.p50_ms,
            small.p99_ms,
            large.p50_ms,
        ];
        all.iter_mut().zip(figures).for_each(|(samples, figure)| samples.push(figure));
    }
    let names = [
        ("random updates of 64 bytes, prefetched, one thread", "1/s"),
        ("memory copied, one thread", "B/s"),
        ("fdatasync of 4 KiB, preallocated, p50", "ms"),
        ("fdatasync of 4 KiB, preallocated, p99", "ms"),
        ("fdatasync of 256 KiB, preallocated, p50", "ms"),
    ];
    for ((what, unit), samples) in names.into_iter().zip(all) {
        report.alone(PART, what, unit, samples);
    }
    Ok(())
}
