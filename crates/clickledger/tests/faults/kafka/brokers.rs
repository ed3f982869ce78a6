//! Brokers die, freeze and stop under load.

use std::time::Duration;

use click_sim::kafka::Kafka;

use super::ledger::{Ledger, metric, start, wait_drained};
use super::{alone, is_long};
use crate::visitors::{Visitors, begin_trial};

const TRIALS: [&str; 3] = ["kafka-leader-killed", "kafka-frozen", "kafka-stopped"];

#[test]
fn nothing_is_lost_by_brokers_that_die_freeze_and_stop() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let Some(mut kafka) = Kafka::start(dir.path(), 3) else { return };
    leaders_killed(dir.path(), &mut kafka);
    frozen_past_the_delivery_timeout(dir.path(), &mut kafka);
    stopped_while_the_tracker_starts_anew(dir.path(), &mut kafka);
}

fn visitors() -> Visitors {
    let mut visitors = Visitors::new();
    visitors.rate = 500;
    visitors
}

/// Whoever leads partition 0 dies, again and again.
fn leaders_killed(dir: &std::path::Path, kafka: &mut Kafka) {
    begin_trial(TRIALS[0]);
    let ledger = Ledger::new(dir, kafka, "leaders");
    let kills: u8 = if is_long() { 12 } else { 3 };
    let seconds = f64::from(kills) * 5.0;
    let (tracker, engine) = (ledger.tracker(""), ledger.engine());
    let mut visitors = visitors();
    let (taking, counting) = (start(&tracker), start(&engine));
    visitors.mint(&tracker, seconds);
    let loading = visitors.begin(&taking, seconds);
    for _ in 0..kills {
        std::thread::sleep(Duration::from_secs(2));
        let leader = kafka.leader("leaders", 0);
        kafka.kill(leader);
        std::thread::sleep(Duration::from_secs(2));
        kafka.bring_back(leader);
    }
    visitors.end(loading);
    wait_drained(&taking);
    let restarts = metric(&taking, "clickledger_spool_restarts_total");
    taking.stop();
    counting.stop();
    println!("{kills} leaders killed, {restarts} sent anew");
    visitors.verify_trial(TRIALS[0], &engine);
}

/// Two of three freeze for longer than a record may be under way, and go on as if nothing was.
fn frozen_past_the_delivery_timeout(dir: &std::path::Path, kafka: &mut Kafka) {
    begin_trial(TRIALS[1]);
    let ledger = Ledger::new(dir, kafka, "frozen");
    let pause: u8 = if is_long() { 45 } else { 6 };
    let seconds = f64::from(pause) + 6.0;
    let (tracker, engine) = (ledger.tracker("delivery_timeout_ms = 2000\n"), ledger.engine());
    let mut visitors = visitors();
    let (taking, counting) = (start(&tracker), start(&engine));
    visitors.mint(&tracker, seconds);
    let loading = visitors.begin(&taking, seconds);
    std::thread::sleep(Duration::from_secs(2));
    kafka.freeze(0);
    kafka.freeze(1);
    std::thread::sleep(Duration::from_secs(pause.into()));
    let at_risk = metric(&taking, "clickledger_spool_at_risk_records");
    kafka.thaw(0);
    kafka.thaw(1);
    visitors.end(loading);
    let drained = wait_drained(&taking);
    let restarts = metric(&taking, "clickledger_spool_restarts_total");
    assert!(at_risk > 0.0 && restarts > 0.0, "the freeze must outlast the delivery timeout");
    taking.stop();
    counting.stop();
    println!("frozen for {pause} s, {at_risk} at risk, {restarts} sent anew, then {drained:.1?}");
    visitors.verify_trial(TRIALS[1], &engine);
}

/// All brokers stop; the tracker dies meanwhile and starts on its spool alone.
fn stopped_while_the_tracker_starts_anew(dir: &std::path::Path, kafka: &mut Kafka) {
    begin_trial(TRIALS[2]);
    let ledger = Ledger::new(dir, kafka, "stopped");
    let pause: u8 = if is_long() { 60 } else { 8 };
    let (tracker, engine) = (ledger.tracker(""), ledger.engine());
    let mut visitors = visitors();
    let (taking, counting) = (start(&tracker), start(&engine));
    visitors.mint(&tracker, 4.0);
    let loading = visitors.begin(&taking, 4.0);
    std::thread::sleep(Duration::from_secs(2));
    (0..3).for_each(|broker| kafka.kill(broker));
    visitors.end(loading);
    taking.kill();
    let half = f64::from(pause) / 2.0;
    let taking = start(&tracker);
    visitors.mint(&tracker, half);
    let loading = visitors.begin(&taking, half);
    visitors.end(loading);
    let before = visitors.acknowledged;
    let at_risk = metric(&taking, "clickledger_spool_at_risk_records");
    kafka.bring_back_all(&[0, 1, 2]);
    visitors.mint(&tracker, 3.0);
    let loading = visitors.begin(&taking, 3.0);
    visitors.end(loading);
    let drained = wait_drained(&taking);
    assert!(at_risk > 0.0 && visitors.acknowledged > before);
    taking.stop();
    counting.stop();
    println!("stopped for {pause} s, {at_risk} at risk, drained in {drained:.1?}");
    visitors.verify_trial(TRIALS[2], &engine);
}
