//! Trackers die in the midst of a load, and what a cluster loses is sent again.

use std::time::Duration;

use click_sim::kafka::Kafka;

use super::again::sent_again;
use super::ledger::{Ledger, metric, start, wait_drained, wait_until};
use super::{alone, is_long};
use crate::visitors::{Visitors, begin_trial};

const TRIALS: [&str; 2] = ["kafka-tracker-killed", "kafka-sent-again"];

#[test]
fn trackers_that_die_lose_nothing() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let Some(kafka) = Kafka::start(dir.path(), 1) else { return };
    begin_trial(TRIALS[0]);
    let ledger = Ledger::new(dir.path(), &kafka, "clicks");
    let (tracker, engine) = (ledger.tracker(""), ledger.engine());
    let counting = start(&engine);
    let mut visitors = Visitors::new();
    let kills = if is_long() { 30 } else { 4 };
    for kill in 0..kills {
        let taking = start(&tracker);
        visitors.mint(&tracker, 1.0);
        let loading = visitors.begin(&taking, 1.0);
        std::thread::sleep(Duration::from_millis(200 + 97 * (kill % 7)));
        taking.kill();
        visitors.end(loading);
    }
    let taking = start(&tracker);
    wait_drained(&taking);
    wait_until("no tail is missing", || metric(&counting, "clickledger_records_missing") == 0.0);
    assert!(visitors.acknowledged > 0);
    taking.stop();
    counting.stop();
    println!("{kills} trackers killed");
    visitors.verify_trial(TRIALS[0], &engine);
    sent_again(&ledger, &mut visitors, TRIALS[1], "spool");
}
