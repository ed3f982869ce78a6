//! Other clients on the topic: one reads it by the published schema, one writes what does not
//! belong there. The archive and the ticks as processes of their own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use click_sim::kafka::Kafka;
use click_sim::python::python_with;

use super::alone;
use super::background::Background;
use super::ledger::{Ledger, count, run, start, wait_drained, wait_until};
use crate::server::said;
use crate::visitors::Visitors;

#[test]
fn others_read_the_topic_and_what_they_write_is_put_aside() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let Some(kafka) = Kafka::start(dir.path(), 1) else { return };
    let Some(client) = Client::new(dir.path()) else { return };
    let ledger = Ledger::new(dir.path(), &kafka, "clicks");
    let (tracker, engine) = (ledger.tracker(""), ledger.engine());
    let (taking, counting) = (start(&tracker), start(&engine));
    let mut visitors = Visitors::new();
    visitors.rate = 300;
    visitors.mint(&tracker, 3.0);
    let loading = visitors.begin(&taking, 3.0);
    // In the midst, 6 of garbage in transactions: their 6 markers take offsets without a record.
    let written = client.run(WRITER, &[&kafka.bootstrap(), "clicks"]);
    assert_eq!(written.trim(), "written", "{written}");
    visitors.end(loading);
    wait_drained(&taking);
    let all = visitors.acknowledged;
    wait_until("all is counted", || {
        count(&counting, "clickledger_clicks_measured_total") == all.to_string()
            && count(&counting, "clickledger_dead_letters_total") == "12"
    });
    taking.stop();
    counting.stop();
    println!("{}", visitors.verify(&engine));

    let theirs = client.run(READER, &[&kafka.bootstrap(), "clicks"]);
    let show = run(&["show", "--verdicts", "--format", "csv", "--data", text(&engine)]);
    assert_eq!(places(&theirs, 4), places(&said(&show), 2));
    assert_eq!(places(&theirs, 4).len(), all);
    for line in theirs.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields[3], fields[4], "a click without a user has itself as key: {line}");
        assert!(fields[2].parse::<u64>().unwrap() > 0, "{line}");
    }
    let dead = client.run(DEAD, &[&kafka.bootstrap(), "clicks.dead"]);
    let reasons: BTreeSet<&str> =
        dead.lines().map(|line| line.split(':').nth(2).unwrap()).collect();
    assert_eq!(dead.lines().count(), 12, "{dead}");
    assert!(reasons.iter().all(|reason| !reason.is_empty()), "{dead}");
    beside(&ledger, &mut visitors, &engine);
}

/// No engine runs: time comes from `tick`, and the archive from a process of its own.
fn beside(ledger: &Ledger, visitors: &mut Visitors, engine: &Path) {
    let tracker = ledger.tracker("");
    let often = "[archive]\nurl = \"../archive\"\ninterval_ms = 5000\n";
    let archive = ledger.data("archiver", &["engine"], often);
    let ticking = Background::start(&["tick", "--data", text(&tracker)]);
    let archiving = Background::start(&["archive", "--follow", "--data", text(&archive)]);
    let taking = start(&tracker);
    visitors.mint(&tracker, 1.0);
    let loading = visitors.begin(&taking, 1.0);
    visitors.end(loading);
    taking.stop();
    let manifests = archive.join("../archive/manifest");
    let count = || std::fs::read_dir(&manifests).map_or(0, Iterator::count);
    wait_until("something is archived", || count() > 0);
    std::thread::sleep(Duration::from_secs(3));
    archiving.stop();
    ticking.stop();
    println!("{}", visitors.verify(engine));
    let place = archive.join("../archive");
    let audited = run(&["audit", "--archive", text(&place), "--data", text(engine)]);
    let all = said(&audited);
    assert!(audited.status.success() && all.contains("\n0 differences"), "{all}");
    println!("{}", all.lines().next_back().unwrap());
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Partition, offset and click id of each line.
fn places(lines: &str, id: usize) -> BTreeSet<(u64, u64, String)> {
    let place = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        (fields[0].parse().unwrap(), fields[1].parse().unwrap(), fields[id].to_owned())
    };
    lines.lines().skip(1).map(place).collect()
}

const READER: &str = include_str!("../../../../../docs/read_topic.py");

const WRITER: &str = "
import sys
from confluent_kafka import Producer
producer = Producer({'bootstrap.servers': sys.argv[1], 'transactional.id': 'stranger'})
producer.init_transactions()
for garbage in (b'no record', b'\\xff', b'\\x08'):
    producer.begin_transaction()
    for partition in range(2):
        producer.produce(sys.argv[2], garbage, partition=partition)
    producer.commit_transaction()
print('written')
";

const DEAD: &str = "
import sys
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
consumer = Consumer({'bootstrap.servers': sys.argv[1], 'group.id': 'look',
                     'enable.partition.eof': True})
consumer.assign([TopicPartition(sys.argv[2], 0, OFFSET_BEGINNING)])
seen = set()
while (message := consumer.poll(10)) is not None and not message.error():
    seen.add(message.key().decode())
consumer.close()
print('\\n'.join(sorted(seen)))
";

/// Kafka's Python client, with code that `protoc` made of the schema.
struct Client {
    python: PathBuf,
    dir: PathBuf,
}

impl Client {
    fn new(dir: &Path) -> Option<Client> {
        let python = python_with("confluent_kafka")?;
        let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../click-core/proto");
        let made = Command::new("protoc")
            .arg(format!("--python_out={}", dir.display()))
            .arg(format!("--proto_path={}", schema.display()))
            .arg("click.proto")
            .output();
        if !made.is_ok_and(|made| made.status.success()) {
            assert!(std::env::var_os("CLICKTEST_CI").is_none(), "protoc is not installed");
            println!("skipped: protoc is not installed");
            return None;
        }
        Some(Client { python, dir: dir.to_path_buf() })
    }

    fn run(&self, script: &str, args: &[&str]) -> String {
        let file = self.dir.join("script.py");
        std::fs::write(&file, script).unwrap();
        let output = Command::new(&self.python).arg(&file).args(args).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }
}
