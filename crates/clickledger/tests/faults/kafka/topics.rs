//! What a topic has to be, and that nothing starts on one that is not.

use std::process::Command;
use std::time::Duration;

use click_sim::kafka::Kafka;

use super::alone;
use super::ledger::{Ledger, run, start};
use crate::server::{BIN, said};

/// A setting that could lose clicks or reorder time.
const BAD: [(&str, &str); 6] = [
    ("message.timestamp.type", "CreateTime"),
    ("cleanup.policy", "compact"),
    ("unclean.leader.election.enable", "true"),
    ("retention.ms", "345899999"),
    ("retention.bytes", "1000000000"),
    ("max.message.bytes", "66559"),
];
/// The same, just good enough.
const GOOD: [(&str, &str); 6] = [
    ("message.timestamp.type", "LogAppendTime"),
    ("cleanup.policy", "delete"),
    ("unclean.leader.election.enable", "false"),
    ("retention.ms", "345900000"),
    ("retention.bytes", "-1"),
    ("max.message.bytes", "66560"),
];

#[test]
fn a_topic_that_could_lose_clicks_is_refused_and_the_setting_is_named() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let Some(mut kafka) = Kafka::start(dir.path(), 1) else { return };
    let url = |topic: &str| format!("kafka://{}/{topic}", kafka.bootstrap());
    let create = |topic: &str, partitions: &str| {
        let url = url(topic);
        let counts = ["--replication", "1", "--min-insync", "1", "--partitions", partitions];
        run(&[&["topics", "create", "--single-replica", "--log", &url][..], &counts].concat())
    };

    for (at, (key, value)) in (0..).zip(BAD) {
        let topic = format!("bad{at}");
        let mut settings = GOOD;
        settings[at] = (key, value);
        kafka.create_topic(&topic, 2, &settings);
        let made = create(&topic, "2");
        let found = said(&made);
        assert!(!made.status.success(), "{key}={value} is taken: {found}");
        assert_eq!(found.matches("PROBLEM").count(), 1, "{found}");
        assert!(found.contains(&format!("{key} is {value}")), "{found}");
        if at == 0 {
            let data = dir.path().join("refused");
            let flags = ["--set".to_owned(), format!("log.url={}", url(&topic))];
            let single = ["--set", "kafka.allow_single_replica=true"];
            let mut serve = Command::new(BIN);
            serve.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
            let refused = said(&serve.args(flags).args(single).output().unwrap());
            assert!(refused.contains("message.timestamp.type is CreateTime"), "{refused}");
        }
    }

    kafka.create_topic("good", 2, &GOOD);
    let made = create("good", "2");
    assert!(made.status.success(), "{}", said(&made));
    let again = create("good", "2");
    assert_eq!(said(&made), said(&again), "made twice, it is the same log");
    let check = run(&["topics", "check", "--log", &url("good")]);
    let found = said(&check);
    assert!(!check.status.success() && found.contains("1 replicas"), "{found}");
    assert!(found.contains("min.insync.replicas is 1"), "{found}");

    // As after somebody has added partitions.
    kafka.create_topic("grown", 3, &GOOD);
    let grown = said(&create("grown", "2"));
    assert!(grown.contains("it has grown to 3 partitions, of which the log has 2"), "{grown}");
    assert!(grown.contains("run `clickledger log cutover`"), "{grown}");

    let none = said(&run(&["topics", "check", "--log", &url("none")]));
    assert!(none.contains("topics create"), "{none}");
    let guarded = Command::new(BIN)
        .args(["topics", "check", "--log", &url("good")])
        .env("CLICKLEDGER_KAFKA__PROPERTIES", "acks=1")
        .output()
        .unwrap();
    assert!(said(&guarded).contains("'acks' is set by this program"), "{}", said(&guarded));

    // A cluster that is away is said to be.
    let ledger = Ledger::new(dir.path(), &kafka, "away");
    let tracker = ledger.tracker("");
    start(&tracker).stop();
    kafka.stop(0);
    let server = start(&tracker);
    std::thread::sleep(Duration::from_millis(100));
    assert!(server.is_ready(), "a spool takes clicks: {}", server.readiness());
    server.stop();
}
