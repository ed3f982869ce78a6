//! Rows of a topic, as a job with sums writes them, posted to Redis and Cassandra by processes that
//! are killed at random, two at once: rows, sums by advertiser and versions are in the end those
//! that the native engine wrote to the same kinds of stores, and the mark is where the job's is.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use click_core::fold::encode_rows;
use click_core::hosted::split_published;
use click_core::limits::LOOK_AHEAD_MS;
use click_core::policy::Timeline;
use click_core::row::{Row, RowId};
use click_core::types::{Millis, Minute};
use click_engine::driver::{FinalVerdict, RefoldSink, refold};
use click_engine::kafka::{KafkaLog, KafkaSettings, Patience};
use click_engine::store::{Scan, StoreAddress, View};
use click_sim::cassandra::Cassandra;
use click_sim::kafka::Kafka;
use click_sim::python::python_with;
use click_sim::redis::Redis;

use super::alone;
use super::ledger::{Ledger, count, metric, run, start, stored, wait_until};
use crate::server::{BIN, said};
use crate::visitors::{Visitors, begin_trial};

const TRIAL: &str = "posting";
const PARTITIONS: u32 = 3;
const SECONDS: f64 = 12.0;

#[test]
fn posts_that_are_killed_write_what_the_engine_writes() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let Some(kafka) = Kafka::start(dir.path(), 1) else { return };
    let Some(python) = python_with("confluent_kafka") else { return };
    let (one, two) = (dir.path().join("native"), dir.path().join("posted"));
    let Some(redis) = Redis::start(&one) else { return };
    let Some(other) = Redis::start(&two) else { return };
    let Some(cassandra) = Cassandra::start(dir.path()) else { return };
    begin_trial(TRIAL);
    let native = [redis.url(), cassandra.url("native")];
    let posted = [other.url(), cassandra.url("posted")];
    for keyspace in [&native[1], &posted[1]] {
        let made = run(&["store", "init", "--store", keyspace]);
        assert!(made.status.success(), "{}", said(&made));
    }
    let ledger = Ledger::new(dir.path(), &kafka, "clicks");
    ledger.make_outputs(PARTITIONS);
    let mut visitors = Visitors::new();
    let engine = take_clicks(&ledger, &mut visitors, &native);

    let (script, mark) = play(dir.path(), &ledger);
    let mut playing = Command::new(&python)
        .args([&script, Path::new("clicks.rows"), Path::new(&kafka.bootstrap())])
        .spawn()
        .unwrap();
    let begin = || Post::begin(&ledger, &posted.join(" "));
    let (mut posts, mut kills) = ([begin(), begin()], 0);
    while playing.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(400 + u64::from(random() % 1_600)));
        posts[kills % 2] = begin();
        kills += 1;
    }
    assert!(playing.wait().unwrap().success());
    for (native, posted) in native.iter().zip(&posted) {
        wait_until("everything is posted", || marked(posted) >= mark);
        assert_eq!(marked(posted), mark, "{posted}");
        let (truth, found) = (stored(native), stored(posted));
        assert_eq!(truth, found, "{posted}");
        println!("{kills} posts killed, {} rows and sums equal", truth.len());
    }
    drop(posts);
    visitors.verify_trial(TRIAL, &engine);
}

/// Takes clicks and has the native engine write its stores.
fn take_clicks(ledger: &Ledger, visitors: &mut Visitors, stores: &[String]) -> PathBuf {
    let store = format!("[store]\nurl = \"sqlite:ledger.db {}\"\n", stores.join(" "));
    let (tracker, engine) = (ledger.tracker(""), ledger.data("engine", &["engine"], &store));
    let (taking, native) = (start(&tracker), start(&engine));
    (visitors.rate, visitors.ads) = (300, 20);
    visitors.mint(&tracker, SECONDS);
    let loading = visitors.begin(&taking, SECONDS);
    visitors.end(loading);
    wait_until("the engine has everything", || {
        count(&native, "clickledger_clicks_measured_total") == visitors.acknowledged.to_string()
            && metric(&native, "clickledger_clicks_pending") == 0.0
    });
    // Rows are as of whole seconds, so those of the last clicks come a little later.
    for store in stores {
        wait_until("the engine's stores have everything", || {
            is_whole(store, visitors.acknowledged)
        });
    }
    native.stop();
    taking.stop();
    engine
}

fn is_whole(store: &str, clicks: usize) -> bool {
    let rows = stored(store);
    let of = |kind: u8| rows.iter().filter(move |((of, _), _)| *of == kind).map(|(_, row)| row);
    (0..3).all(|kind| {
        let measured: u64 = of(kind).map(|row| row.counts.measured).sum();
        measured == clicks as u64 && of(kind).all(|row| row.counts.pending == 0)
    })
}

fn marked(url: &str) -> Millis {
    let Ok(reader) = url.parse::<StoreAddress>().unwrap().reader(Path::new("")) else {
        return Millis(0);
    };
    let nothing = Scan { minutes: 0..0, ..Scan::all(View::Ad) };
    reader.scan(&nothing, &mut |_| true).unwrap_or_default()
}

/// Lines for the topic of rows, as two instances of the last stage write them of which the second
/// one skips every other instant.
#[derive(Default)]
struct Job {
    lines: String,
    skipped: BTreeMap<RowId, Row>,
    steps: usize,
    mark: Millis,
    open_from: Minute,
}

impl RefoldSink for Job {
    fn verdict(&mut self, _: &FinalVerdict) {}

    fn row(&mut self, row: &Row) {
        if of(row).is_multiple_of(2) {
            self.write(row);
        } else {
            self.skipped.insert(row.id(), row.clone());
        }
    }

    fn folded(&mut self, watermark: Millis, timeline: &Timeline) {
        let at = watermark.grid_floor();
        let mut open_from = Minute(at.minute().0 - 60);
        while timeline.sealing_starts(open_from).plus(LOOK_AHEAD_MS) <= at {
            open_from.0 += 1;
        }
        (self.mark, self.open_from) = (at, open_from);
        self.mark_of(0, 64);
        self.steps += 1;
        if self.steps.is_multiple_of(2) {
            self.go_by_skipped();
        }
        self.lines.push_str("pause\n");
    }
}

impl Job {
    fn go_by_skipped(&mut self) {
        for row in std::mem::take(&mut self.skipped).into_values() {
            self.write(&row);
        }
        self.mark_of(64, 128);
    }

    fn write(&mut self, row: &Row) {
        let all = encode_rows([row].into_iter());
        let mut value = all[size_of::<u64>()..].to_vec();
        value.push(1);
        let key = &value[..split_published(&value).unwrap()[0].key_len];
        let partition = of(row) / 2 % PARTITIONS;
        writeln!(self.lines, "{partition} {} {}", hex(key), hex(&value)).unwrap();
    }

    fn mark_of(&mut self, first: u8, end: u8) {
        let (at, open_from) = (self.mark.0.to_le_bytes(), self.open_from.0.to_le_bytes());
        let value = hex(&[&at[..], &open_from, &[1]].concat());
        for partition in 0..PARTITIONS {
            let key = hex(&[b'm', first, end]);
            writeln!(self.lines, "{partition} {key} {value}").unwrap();
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A number that is the same for every version of a row.
fn of(row: &Row) -> u32 {
    format!("{:?}", row.id()).bytes().fold(7, |sum, byte| (sum * 31 + u32::from(byte)) % 65_521)
}

/// A script that writes what a job would, at its pace, and the last mark of it.
fn play(dir: &Path, ledger: &Ledger) -> (PathBuf, Millis) {
    let mut settings = KafkaSettings::new(ledger.url().parse().unwrap());
    settings.allow_single_replica = true;
    let log = KafkaLog::open(settings, Patience::Whole, None).unwrap();
    let mut job = Job::default();
    let folded = refold(&log, 1, &mut job).unwrap();
    assert_eq!((folded.pending, folded.unread), (0, 0));
    job.go_by_skipped();
    let (script, lines) = (dir.join("play.py"), dir.join("play.py.lines"));
    std::fs::write(&script, PLAY).unwrap();
    std::fs::write(lines, &job.lines).unwrap();
    (script, job.mark)
}

const PLAY: &str = "
import sys, time
from confluent_kafka import Producer
producer = Producer({'bootstrap.servers': sys.argv[2], 'enable.idempotence': True})
lines = open(sys.argv[0] + '.lines').read().splitlines()
pause = 25 / max(1, lines.count('pause'))
for line in lines:
    if line == 'pause':
        producer.flush()
        time.sleep(pause)
        continue
    partition, key, value = line.split()
    producer.produce(sys.argv[1], bytes.fromhex(value), bytes.fromhex(key), int(partition))
    producer.poll(0)
producer.flush()
";

/// `clickledger post`, killed when it is dropped.
struct Post(Child);

impl Post {
    fn begin(ledger: &Ledger, stores: &str) -> Post {
        let mut command = Command::new(BIN);
        command.args(["post", "--log", ledger.url(), "--store", stores]).stdout(Stdio::null());
        Post(command.spawn().unwrap())
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        let ended = self.0.try_wait().unwrap();
        let _ = self.0.kill();
        let _ = self.0.wait();
        assert!(ended.is_none() || std::thread::panicking(), "a post has ended: {ended:?}");
    }
}

fn random() -> u32 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).unwrap();
    u32::from_le_bytes(bytes)
}
