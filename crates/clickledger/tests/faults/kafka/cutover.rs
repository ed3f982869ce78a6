//! A log moves to other partitions while clicks come in: to a new topic, then to partitions by
//! which that has grown; what waits in a spool goes to the partitions that it was made for.

use std::path::Path;
use std::process::{Command, Stdio};

use click_sim::kafka::Kafka;
use rustix::process::{Pid, Signal, kill_process};

use super::again::sent_again;
use super::alone;
use super::ledger::{Ledger, metric, start, start_by, wait_drained, wait_until};
use crate::server::{BIN, Server, said};
use crate::visitors::{Visitors, begin_trial};

const TRIALS: [&str; 2] = ["kafka-cutover", "kafka-cutover-sent-again"];

/// A tracker for whom the cluster is away: it has its spool alone.
fn offline(tracker: &Path) -> Server {
    let mut command = Command::new(BIN);
    command.env("CLICKLEDGER_LOG__URL", "kafka://127.0.0.1:1/clicks");
    start_by(command, tracker)
}

fn click(visitors: &mut Visitors, tracker: &Path, server: &Server, seconds: f64) -> usize {
    visitors.mint(tracker, seconds);
    let loading = visitors.begin(server, seconds);
    visitors.end(loading)
}

/// Whether a tracker has been given clicks for this part of the log.
fn uses(tracker: &Path, part: usize) -> bool {
    tracker.join(format!("spool-{part}/log.meta")).exists()
}

#[test]
fn a_log_that_moves_loses_and_repeats_nothing() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let Some(kafka) = Kafka::start(dir.path(), 1) else { return };
    begin_trial(TRIALS[0]);
    let ledger = Ledger::with_partitions(dir.path(), &kafka, "clicks", 2);
    let (tracker, engine) = (ledger.tracker(""), ledger.engine());
    let (taking, counting) = (start(&tracker), start(&engine));
    let mut visitors = Visitors::new();
    click(&mut visitors, &tracker, &taking, 0.5);
    taking.stop();
    // What waits in the spool belongs to the first part.
    let away = offline(&tracker);
    let waiting = click(&mut visitors, &tracker, &away, 0.5);
    assert!(waiting > 0 && metric(&away, "clickledger_spool_at_risk_records") > 0.0);
    away.stop();

    let refused = said(&ledger.cutover(&[]));
    assert!(
        refused.contains("all 2 partitions of topic clicks are the log's already"),
        "{refused}"
    );
    let refused = said(&ledger.cutover(&["--to", "more"]));
    assert!(refused.contains("there is no topic more: say by --partitions"), "{refused}");
    let moved = ledger.cutover(&["--to", "more", "--partitions", "5"]);
    assert!(moved.status.success(), "{}", said(&moved));
    assert!(said(&moved).contains("the log has moved: layout 1"), "{}", said(&moved));
    let again = ledger.cutover(&["--to", "more", "--partitions", "5"]);
    assert!(said(&again).contains("the log had moved before: layout 1"), "{}", said(&again));

    // Restarted with a filled spool across it; then an engine restarts behind it.
    let taking = start(&tracker);
    assert!(uses(&tracker, 1) && !uses(&tracker, 2));
    click(&mut visitors, &tracker, &taking, 0.5);
    wait_drained(&taking);
    counting.kill();
    let counting = start(&engine);

    // A topic that has grown, in the midst of a load.
    kafka.grow_topic("more", 6);
    let grown = ledger.check();
    assert!(grown.contains("topic more: it has grown to 6 partitions"), "{grown}");
    visitors.mint(&tracker, 4.0);
    let loading = visitors.begin(&taking, 4.0);
    let moved = ledger.cutover(&["--to", "more"]);
    assert!(
        said(&moved).contains("partitions 7-7: topic more, 5-5  takes new"),
        "{}",
        said(&moved)
    );
    wait_until("the tracker knows the new part", || uses(&tracker, 2));
    visitors.end(loading);
    click(&mut visitors, &tracker, &taking, 0.5);
    wait_drained(&taking);
    wait_until("nothing is missing", || metric(&counting, "clickledger_records_missing") == 0.0);
    // Without a cluster it knows all parts, too.
    taking.stop();
    let away = offline(&tracker);
    assert!(click(&mut visitors, &tracker, &away, 0.3) > 0);
    away.kill();
    let taking = start(&tracker);
    wait_drained(&taking);
    taking.stop();
    counting.stop();
    let check = ledger.check();
    assert!(check.contains("nothing about it could lose clicks"), "{check}");
    assert!(visitors.acknowledged > 0);
    visitors.verify_trial(TRIALS[0], &engine);
}

#[test]
fn ticks_and_what_is_sent_again_reach_every_part() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let Some(kafka) = Kafka::start(dir.path(), 1) else { return };
    let ledger = Ledger::with_partitions(dir.path(), &kafka, "clicks", 2);
    let (tracker, engine) = (ledger.tracker(""), ledger.engine());
    let taking = start(&tracker);
    let mut visitors = Visitors::new();
    click(&mut visitors, &tracker, &taking, 0.5);
    wait_drained(&taking);
    taking.stop();
    let moved = ledger.cutover(&["--to", "more", "--partitions", "3"]);
    assert!(moved.status.success(), "{}", said(&moved));

    // Nobody else appends: neither tracker nor engine runs.
    let before = ends(&kafka);
    let mut ticking = Command::new(BIN)
        .args(["tick", "--data"])
        .arg(&engine)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("every partition of both parts has had ticks", || {
        let now = ends(&kafka);
        now.len() == 5 && before.iter().zip(&now).all(|(before, now)| now > before)
    });
    kill_process(Pid::from_child(&ticking), Signal::TERM).unwrap();
    assert!(ticking.wait().unwrap().success());

    sent_again(&ledger, &mut visitors, TRIALS[1], "spool-1");
}

/// Where the partitions of both topics end, in their order.
fn ends(kafka: &Kafka) -> Vec<u64> {
    let told = kafka
        .tool("org.apache.kafka.tools.GetOffsetShell")
        .args(["--bootstrap-server", &kafka.bootstrap()])
        .args(["--topic-partitions", "clicks:0-2,more:0-3"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.iter().filter_map(|line| line.rsplit(':').next()?.parse().ok()).collect()
}
