//! The brokers that other tests stand on: what one acknowledged is there after it was killed, and
//! of three another leads soon after the leader's end.

#![expect(clippy::print_stdout, reason = "a test says how long starts and pauses take")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use click_sim::kafka::Kafka;
use click_sim::python::python_with;

/// Most time from the end of a leader to the next, on a machine that is busy with other tests.
const PAUSE: Duration = Duration::from_secs(10);
const TOPIC: &str = "clicks";

/// Writes as many as are asked for, each acknowledged, and counts all that are there.
const WRITE_AND_COUNT: &str = "
import sys
from confluent_kafka import Consumer, Producer, TopicPartition
bootstrap, topic, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
refused = []
producer = Producer({'bootstrap.servers': bootstrap, 'acks': 'all'})
for n in range(number):
    producer.produce(topic, str(n), on_delivery=lambda error, _: error and refused.append(error))
assert producer.flush(60) == 0 and not refused, refused
consumer = Consumer({'bootstrap.servers': bootstrap, 'group.id': 'count'})
print(consumer.get_watermark_offsets(TopicPartition(topic, 0), 60)[1])
";

fn write_and_count(python: &Path, kafka: &Kafka, number: usize) -> String {
    let mut run = Command::new(python);
    run.args(["-c", WRITE_AND_COUNT, &kafka.bootstrap(), TOPIC, &number.to_string()]);
    let out = run.output().expect("python starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let result = work();
    println!("{:6.2} s  {what}", begun.elapsed().as_secs_f64());
    (result, begun.elapsed())
}

#[test]
fn one_broker_keeps_what_it_acknowledged_before_it_was_killed() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(python) = python_with("confluent_kafka") else { return };
    let (Some(mut kafka), _) = timed("one starts", || Kafka::start(dir.path(), 1)) else { return };
    let bootstrap = kafka.bootstrap();
    timed("a topic", || kafka.create_topic(TOPIC, 1, &[("retention.ms", "-1")]));
    assert_eq!(kafka.leader(TOPIC, 0), 0);
    assert_eq!(write_and_count(&python, &kafka, 100), "100");
    kafka.kill(0);
    assert_eq!((kafka.pids(), kafka.partition(TOPIC, 0)), (vec![], None));
    timed("it comes back after a kill", || kafka.bring_back(0));
    assert_eq!(kafka.bootstrap(), bootstrap);
    assert_eq!(write_and_count(&python, &kafka, 10), "110");
    timed("it stops", || kafka.stop(0));
    timed("it comes back after a stop", || kafka.bring_back(0));
    assert_eq!(write_and_count(&python, &kafka, 1), "111");
}

#[test]
fn another_of_three_leads_soon_after_the_leaders_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let (started, _) = timed("three start", || Kafka::start(dir.path(), 3));
    let Some(mut kafka) = started else { return };
    kafka.create_topic(TOPIC, 1, &[]);
    kafka.wait_in_sync(TOPIC, 0);
    let killed = kafka.leader(TOPIC, 0);
    kafka.kill(killed);
    let (frozen, pause) = timed("a killed leader's pause", || kafka.new_leader(TOPIC, 0, killed));
    assert!(pause < PAUSE, "{pause:?}");
    timed("it comes back", || kafka.bring_back(killed));
    timed("all have all", || kafka.wait_in_sync(TOPIC, 0));
    kafka.freeze(frozen);
    let (_, pause) = timed("a frozen leader's pause", || kafka.new_leader(TOPIC, 0, frozen));
    assert!(pause < PAUSE, "{pause:?}");
    kafka.thaw(frozen);
    timed("all have all", || kafka.wait_in_sync(TOPIC, 0));
    assert_eq!(kafka.pids().len(), 3);
}
