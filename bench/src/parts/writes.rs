//! How many rows a store is given for each click: what the pre-aggregation saves. Log time runs as
//! the log says, so that a minute of 50,000 clicks a second takes as long as folding it.

use crate::Settings;
use crate::clicks::{Clicks, START};
use crate::counting::CountingStore;
use crate::process::data_dir;
use crate::report::{Report, progress};
use crate::stats::Samples;
use anyhow::Result;
use click_core::record::Record;
use click_core::types::Millis;
use click_engine::disk::RealDisk;
use click_engine::driver::{Engine, EngineConfig, EngineParts, PublishMode};
use click_engine::log::{EventLog, LogId, ManualClock, MemLog};
use std::sync::Arc;
use std::time::Duration;

const PART: &str = "writes";
const RATE: u64 = 50_000;
/// Log time of a trial: one whole minute.
const SECONDS: u64 = 60;
/// The minute's beginning.
const BEGIN: u64 = START.div_ceil(60_000) * 60_000;

/// Each number of ads, distribution, mode and interval.
pub fn run(settings: &Settings, report: &mut Report) -> Result<()> {
    let seconds = if settings.quick { 3 } else { SECONDS };
    let modes = [
        ("live, 1 s", PublishMode::Live, 1_000),
        ("live, 10 s", PublishMode::Live, 10_000),
        ("minute", PublishMode::Minute, 1_000),
    ];
    for (ads, exponent, shape) in [
        (1_000, 0.0, "all equal"),
        (100_000, 0.0, "all equal"),
        (1_000_000, 0.0, "all equal"),
        (1_000_000, 1.0, "Zipf 1.0"),
    ] {
        for (name, mode, interval) in modes {
            progress(&format!("writes: {ads} ads, {shape}, {name}"));
            let rows = trial(ads, exponent, seconds, mode, interval)?;
            #[expect(clippy::cast_precision_loss, reason = "a ratio, for people")]
            let each = rows as f64 * 1000.0 / (RATE * seconds) as f64;
            let what = format!("{ads} ads, {shape}, {name}");
            report.alone(PART, &what, "rows/1,000 clicks", Samples(vec![each]));
        }
    }
    report.note(format!(
        "writes: rows of both views given to a store, {seconds} s of log time at {RATE} clicks a \
         second; 5,000 publishers; less is better"
    ));
    Ok(())
}

fn trial(
    ads: usize,
    exponent: f64,
    seconds: u64,
    publish_mode: PublishMode,
    interval: u64,
) -> Result<u64> {
    let dir = tempfile::tempdir_in(data_dir()?)?;
    let clock = Arc::new(ManualClock::new(BEGIN));
    let log: Arc<dyn EventLog> = Arc::new(MemLog::new(LogId([7; 16]), 1, 1, clock.clone()));
    let config = EngineConfig {
        publish_mode,
        publish_interval: Duration::from_millis(interval),
        checkpoint_interval: Duration::from_secs(1 << 30),
        checkpoint_claims: u64::MAX,
        ..EngineConfig::default()
    };
    let parts = EngineParts {
        log: log.clone(),
        disk: Arc::new(RealDisk),
        clock: clock.clone(),
        checkpoints: dir.path().join("checkpoints"),
        dead_letters: dir.path().join("dead-letters"),
        store: Some(Box::new(CountingStore::default())),
        sink: None,
        status: Arc::default(),
    };
    let (mut engine, _) = Engine::open(parts, config)?;
    let (mut store, mut payload) = (CountingStore::default(), Vec::new());
    let mut clicks = Clicks::new(1, RATE, 0).over(ads, exponent).starting_at(BEGIN);
    // A second of log time, then what is due as of it.
    let second = |clicks: &mut Clicks, payload: &mut Vec<u8>| -> Result<()> {
        for _ in 0..RATE {
            payload.clear();
            let time = clicks.next_into(payload);
            log.append_at(0, time, payload)?.wait()?;
        }
        Ok(())
    };
    for turn in 1..=seconds.div_ceil(60) * 60 + 2 {
        if turn <= seconds {
            second(&mut clicks, &mut payload)?;
        } else {
            let tick = Millis(BEGIN + turn * 1000);
            log.append_at(0, tick.0, &Record::tick(tick).to_bytes())?.wait()?;
        }
        clock.advance(1_000);
        // One step takes all of a second, so that rows are published once for it.
        while engine.step()?.records > 0 {}
        if turn % (interval / 1000).max(1) == 0 || turn > seconds {
            engine.publish(&mut store)?;
        }
    }
    Ok(store.rows())
}
