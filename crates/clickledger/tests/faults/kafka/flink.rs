//! The stages in a Flink cluster on the same topic as the native engine, checkpoints in a bucket of
//! a real S3 server, savepoints on the file system: TaskManagers are killed,
//! the job is stopped, goes on with more and fewer instances, and from an older savepoint. In the
//! end the rows that came of it, in SQLite and, with sums by advertiser, in Redis, are the native
//! engine's, version for version; an archive of its verdicts is the native fold's, too.
//!
//! `CLICKTEST_FLINK_SECONDS` says for how long TaskManagers are killed (10).

use std::time::{Duration, Instant};

use click_sim::flink::{Flink, FlinkSetup};
use click_sim::kafka::Kafka;
use click_sim::redis::Redis;
use click_sim::s3_server::S3Server;

use super::alone;
use super::hosted::{Archiving, library, post, show, wait_counted};
use super::ledger::{Ledger, start, stored, wait_until};
use crate::visitors::{Visitors, begin_trial};

const TRIAL: &str = "flink";
/// Time between two kills.
const EVERY: Duration = Duration::from_secs(20);
const RATE: u32 = 500;

#[test]
fn a_flink_cluster_that_is_killed_and_rescaled_gives_the_native_rows() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let Some(kafka) = Kafka::start(dir.path(), 1) else { return };
    let ledger = Ledger::new(dir.path(), &kafka, "clicks");
    ledger.make_outputs(3);
    let Some(bucket) = S3Server::start(&dir.path().join("buckets")) else { return };
    let setup = FlinkSetup {
        checkpoints: Some(bucket.url("checkpoints")),
        more: s3_settings(&bucket),
        ..FlinkSetup::default()
    };
    let Some(mut flink) = Flink::start(dir.path(), &library(), &setup) else { return };
    begin_trial(TRIAL);
    let seconds = std::env::var("CLICKTEST_FLINK_SECONDS").ok();
    let seconds: u64 = seconds.map_or(10, |text| text.parse().expect("a number of seconds"));
    let (one, two) = (dir.path().join("native"), dir.path().join("posted"));
    let Some(redis) = Redis::start(&one) else { return };
    let Some(other) = Redis::start(&two) else { return };
    let stores = format!("[store]\nurl = \"sqlite:ledger.db {}\"\n", redis.url());
    let (tracker, engine) = (ledger.tracker(""), ledger.data("engine", &["engine"], &stores));
    let (taking, native) = (start(&tracker), start(&engine));
    let mut visitors = Visitors::new();
    (visitors.rate, visitors.ads) = (RATE, 20);
    #[expect(clippy::cast_precision_loss, reason = "few")]
    let long = (seconds + 40) as f64;
    visitors.mint(&tracker, long);
    let posted = dir.path().join("posted.db");
    let archiving = Archiving::begin(&ledger);
    let posting = post(&ledger, &format!("sqlite:{} {}", posted.display(), other.url()));
    let arguments = ["--bootstrap", &kafka.bootstrap(), "--topic", "clicks", "--sums", "true"];
    let loading = visitors.begin(&taking, long);
    let mut job = flink.run(2, None, &arguments);
    let begun = Instant::now();
    let mut kills = 0;
    while begun.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(EVERY.min(Duration::from_secs(seconds / 2)));
        flink.kill_under(&job);
        kills += 1;
        println!("killed a TaskManager, running again after {:?}", begun.elapsed());
    }
    let first = flink.stop(&job);
    job = flink.run(4, Some(&first), &arguments);
    let second = flink.stop(&job);
    job = flink.run(1, Some(&second), &arguments);
    // All that it has done since is done again from before.
    flink.cancel(&job);
    let _job = flink.run(2, Some(&first), &arguments);
    visitors.end(loading);
    let wanted = visitors.acknowledged;
    wait_counted(&taking, &native, wanted);
    // A stop writes what the engine has counted and its store has not yet.
    native.stop();
    let shown = |store: &str| show(&engine, store);
    let truth = shown(&format!("sqlite:{}", engine.join("ledger.db").display()));
    let store = format!("sqlite:{}", posted.display());
    let begun = Instant::now();
    wait_until("the cluster has everything", || shown(&store) == truth);
    wait_until("the cluster's sums are there", || stored(&other.url()) == stored(&redis.url()));
    println!("{kills} kills, 3 restores, equal {:?} after the end", begun.elapsed());
    posting.stop();
    taking.stop();
    println!("the cluster's rows: {}", archiving.audit(&store));
    visitors.verify_trial(TRIAL, &engine);
}

/// Lines for Flink, whose checkpoints are in a bucket. Savepoints are not. Markers of directories
/// stay: this server does not let go of one with something in it, and the client asks for long.
fn s3_settings(bucket: &S3Server) -> String {
    let [(_, key), (_, secret), _, (_, endpoint), _] = bucket.settings();
    format!(
        "s3.endpoint: {endpoint}
s3.path.style.access: true
s3.directory.marker.retention: keep
s3.access-key: {key}
s3.secret-key: {secret}
"
    )
}
