//! Two engines write one ledger, with nothing between them; one is frozen and goes on.

use std::path::Path;
use std::time::Duration;

use click_engine::store::{LedgerReader, Scan, SqliteReader, View};
use click_sim::kafka::Kafka;
use rustix::process::{Signal, kill_process};

use super::ledger::{Ledger, count, metric, start, wait_until};
use super::{alone, is_long};
use crate::visitors::{Visitors, begin_trial};

const TRIAL: &str = "kafka-engine-frozen";

#[test]
fn a_frozen_engine_that_goes_on_takes_nothing_back() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let Some(kafka) = Kafka::start(dir.path(), 1) else { return };
    begin_trial(TRIAL);
    let ledger = Ledger::new(dir.path(), &kafka, "clicks");
    let shared = dir.path().join("ledger.db");
    let store = format!("[store]\nurl = \"sqlite:{}\"\n", shared.display());
    let tracker = ledger.tracker("");
    let engines = ["one", "two"].map(|name| ledger.data(name, &["engine"], &store));
    let taking = start(&tracker);
    let [one, two] = [start(&engines[0]), start(&engines[1])];
    let frozen: u32 = if is_long() { 60 } else { 6 };
    let seconds = frozen + 4;
    let mut visitors = Visitors::new();
    visitors.rate = 400;
    let long = f64::from(seconds);
    visitors.mint(&tracker, long);
    let loading = visitors.begin(&taking, long);
    std::thread::sleep(Duration::from_secs(2));
    kill_process(two.id(), Signal::STOP).unwrap();
    let mut before = Counts::default();
    for half_second in 0..2 * (frozen + 4) {
        if half_second == 2 * frozen {
            kill_process(two.id(), Signal::CONT).unwrap();
        }
        before = before.grown_to(&shared);
        std::thread::sleep(Duration::from_millis(500));
    }
    visitors.end(loading);
    let wanted = visitors.acknowledged;
    for engine in [&one, &two] {
        wait_until("both have everything", || {
            count(engine, "clickledger_clicks_measured_total") == wanted.to_string()
                && metric(engine, "clickledger_clicks_pending") == 0.0
        });
        assert_eq!(metric(engine, "clickledger_engine_failed"), 0.0);
    }
    before.grown_to(&shared);
    taking.stop();
    one.stop();
    two.stop();
    println!("two engines, one frozen for {frozen} s");
    println!("the other: {}", visitors.verify(&engines[1]));
    visitors.verify_trial(TRIAL, &engines[0]);
}

/// Measured clicks and the mark, as readers of the ledger see them.
#[derive(Clone, Copy, Default)]
struct Counts {
    measured: u64,
    versions: u128,
}

impl Counts {
    /// What it is now, which is no less.
    fn grown_to(self, ledger: &Path) -> Counts {
        let Ok(reader) = SqliteReader::open(ledger) else { return self };
        let mut now = Counts::default();
        reader
            .scan(&Scan::all(View::Ad), &mut |row| {
                now.measured += row.counts.measured;
                now.versions += u128::from(row.version.0);
                true
            })
            .unwrap();
        assert!(now.measured >= self.measured, "{} after {}", now.measured, self.measured);
        assert!(now.versions >= self.versions, "a version went back");
        now
    }
}
