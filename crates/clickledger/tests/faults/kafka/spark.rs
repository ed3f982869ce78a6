//! The stages in Spark on the same topic as the native engine, on a local cluster of two executors
//! that share state by files, with speculation on: executors and drivers are killed, drivers also
//! while files are being written and between the end of a batch and Spark's note of it, and each
//! driver goes on with another number of tasks, with and without stages kept open. In the end the
//! rows that came of it, in SQLite and, with sums by advertiser, in Redis, are the native engine's,
//! version for version.
//!
//! `CLICKTEST_SPARK_SECONDS` says for how long executors and drivers are killed (20).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use click_sim::hosted::{Jars, package};
use click_sim::kafka::Kafka;
use click_sim::redis::Redis;
use click_sim::spark::{Driver, Spark, SparkJob};

use super::alone;
use super::hosted::{Archiving, library, post, show, wait_counted};
use super::ledger::{Ledger, start, stored, wait_until};
use crate::visitors::{Visitors, begin_trial};

const TRIAL: &str = "spark";
const RATE: u32 = 500;
/// Most time until a driver has done its first batch, or an executor has been replaced.
const PATIENCE: Duration = Duration::from_secs(120);
/// Numbers of tasks and whether stages stay open, of one driver after the other.
const SHAPES: [(&str, &str); 3] = [("2", "true"), ("3", "false"), ("1", "true")];

#[test]
fn spark_that_is_killed_and_rescaled_gives_the_native_rows() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let Some(kafka) = Kafka::start(dir.path(), 1) else { return };
    let Some(spark) = Spark::find(dir.path()) else { return };
    let ledger = Ledger::new(dir.path(), &kafka, "clicks");
    ledger.make_outputs(3);
    begin_trial(TRIAL);
    let seconds = std::env::var("CLICKTEST_SPARK_SECONDS").ok();
    let seconds: u64 = seconds.map_or(20, |text| text.parse().expect("a number of seconds"));
    let Some(redis) = Redis::start(&dir.path().join("native")) else { return };
    let Some(other) = Redis::start(&dir.path().join("posted")) else { return };
    let stores = format!("[store]\nurl = \"sqlite:ledger.db {}\"\n", redis.url());
    let (tracker, engine) = (ledger.tracker(""), ledger.data("engine", &["engine"], &stores));
    let (taking, native) = (start(&tracker), start(&engine));
    let mut visitors = Visitors::new();
    (visitors.rate, visitors.ads) = (RATE, 20);
    #[expect(clippy::cast_precision_loss, reason = "few")]
    let long = (seconds + 60) as f64;
    visitors.mint(&tracker, long);
    let posted = dir.path().join("posted.db");
    let archiving = Archiving::begin(&ledger);
    let posting = post(&ledger, &format!("sqlite:{} {}", posted.display(), other.url()));
    let loading = visitors.begin(&taking, long);
    let mut job = Job::new(&spark, &kafka, dir.path());
    let begun = Instant::now();
    while job.drivers < SHAPES.len() || begun.elapsed() < Duration::from_secs(seconds) {
        let mut driver = job.start();
        job.kill_executor(&driver);
        job.twice += driver.log().matches("as speculatable").count();
        match job.drivers % 2 {
            0 => job.kill_while_writing(&mut driver),
            _ => job.kill_before_the_note(&mut driver),
        }
        println!("driver {} killed after {:?}: {}", job.drivers, begun.elapsed(), job.told());
    }
    let last = job.start();
    visitors.end(loading);
    let wanted = visitors.acknowledged;
    wait_counted(&taking, &native, wanted);
    // A stop writes what the engine has counted and its store has not yet.
    native.stop();
    let truth = show(&engine, &format!("sqlite:{}", engine.join("ledger.db").display()));
    let store = format!("sqlite:{}", posted.display());
    let begun = Instant::now();
    wait_until("Spark has everything", || {
        assert!(job.is_alive(&last), "{}", last.tail());
        show(&engine, &store) == truth
    });
    wait_until("Spark's sums are there", || stored(&other.url()) == stored(&redis.url()));
    println!("{}, equal {:?} after the end", job.told(), begun.elapsed());
    assert!(job.again > 0, "no batch was done again after its writes: {}", job.told());
    assert!(job.twice > 0, "no task was speculated: {}", job.told());
    posting.stop();
    taking.stop();
    println!("Spark's rows: {}", archiving.audit(&store));
    visitors.verify_trial(TRIAL, &engine);
}

/// One query, by one driver after the other.
struct Job<'a> {
    spark: &'a Spark,
    bootstrap: String,
    jars: Jars,
    dir: PathBuf,
    drivers: usize,
    executors: usize,
    /// Drivers killed whose last batch has a manifest and no note of Spark's.
    again: usize,
    /// Drivers killed with files of state that no manifest names.
    torn: usize,
    /// Tasks that were begun a second time while they ran.
    twice: usize,
}

impl<'a> Job<'a> {
    fn new(spark: &'a Spark, kafka: &Kafka, dir: &Path) -> Job<'a> {
        let (bootstrap, jars) = (kafka.bootstrap(), package(&library(), "spark"));
        let dir = dir.join("query");
        let (drivers, executors, again, torn, twice) = (0, 0, 0, 0, 0);
        Job { spark, bootstrap, jars, dir, drivers, executors, again, torn, twice }
    }

    fn told(&self) -> String {
        let Job { drivers, executors, again, torn, twice, .. } = self;
        format!(
            "{drivers} drivers, {executors} executors killed; {torn} with files half written, \
             {again} behind the manifest; {twice} tasks speculated"
        )
    }

    fn url(&self, part: &str) -> String {
        format!("file://{}", self.dir.join(part).display())
    }

    /// Starts the next driver, and waits until it has done a batch.
    fn start(&mut self) -> Driver {
        let (tasks, open) = SHAPES[self.drivers % SHAPES.len()];
        self.drivers += 1;
        let bridge = self.jars.bridge.display();
        let settings = [
            format!("spark.driver.extraClassPath={bridge}"),
            format!("spark.executor.extraClassPath={bridge}"),
            "spark.executor.memory=512m".to_owned(),
            "spark.task.maxFailures=100".to_owned(),
            // Half of all tasks begin twice.
            "spark.speculation=true".to_owned(),
            "spark.speculation.interval=20ms".to_owned(),
            "spark.speculation.quantile=0.1".to_owned(),
            "spark.speculation.multiplier=1.01".to_owned(),
            "spark.speculation.minTaskRuntime=1ms".to_owned(),
        ];
        let (state, checkpoint) = (self.url("state"), self.url("checkpoint"));
        let arguments = [
            ["--bootstrap", &self.bootstrap],
            ["--topic", "clicks"],
            ["--state", &state],
            ["--checkpoint", &checkpoint],
            ["--tasks", tasks],
            ["--keep-open", open],
            ["--trigger-ms", "100"],
            ["--keep-batches", "2"],
            ["--sums", "true"],
        ];
        let job = SparkJob {
            master: "local-cluster[2,2,1024]".to_owned(),
            settings: settings.to_vec(),
            memory: "768m".to_owned(),
            environment: Vec::new(),
            jar: self.jars.job.clone(),
            class: "org.clickledger.spark.ClickJob".to_owned(),
            arguments: arguments.as_flattened().iter().map(|&text| text.to_owned()).collect(),
        };
        let driver = self.spark.submit(&format!("driver-{}", self.drivers), &job);
        self.wait_batch(&driver);
        driver
    }

    fn is_alive(&self, driver: &Driver) -> bool {
        Path::new(&format!("/proc/{}", driver.id())).exists()
    }

    /// Waits until another batch is done.
    fn wait_batch(&self, driver: &Driver) {
        let before = driver.log().matches("batch ").count();
        let begun = Instant::now();
        while driver.log().matches("batch ").count() <= before {
            let late = begun.elapsed() > PATIENCE || !self.is_alive(driver);
            assert!(!late, "no batch:\n{}", driver.tail());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills one of the two, and waits until batches are done again.
    fn kill_executor(&mut self, driver: &Driver) {
        let all = driver.executors();
        let Some(&one) = all.get(self.drivers % all.len().max(1)) else {
            panic!("no executors:\n{}", driver.tail());
        };
        driver.kill_executor(one);
        self.executors += 1;
        self.wait_batch(driver);
    }

    /// The newest batch of which there is a file in a folder.
    fn newest(&self, folder: &str) -> Option<u64> {
        let files = fs::read_dir(self.dir.join(folder)).into_iter().flatten();
        let number = |name: String| {
            let digits: String = name.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        };
        files.filter_map(|file| number(file.ok()?.file_name().into_string().ok()?)).max()
    }

    /// Kills the driver, and all executors with it, once files of the next batch appear.
    fn kill_while_writing(&mut self, driver: &mut Driver) {
        let done = self.newest("state/manifests");
        let begun = Instant::now();
        while self.newest("state/data") <= done {
            assert!(begun.elapsed() < PATIENCE, "no file:\n{}", driver.tail());
        }
        driver.kill();
        self.torn += usize::from(self.newest("state/data") > self.newest("state/manifests"));
    }

    /// Kills it once a manifest appears, before Spark has noted that the batch is done.
    fn kill_before_the_note(&mut self, driver: &mut Driver) {
        let done = self.newest("state/manifests");
        let begun = Instant::now();
        while self.newest("state/manifests") <= done {
            assert!(begun.elapsed() < PATIENCE, "no manifest:\n{}", driver.tail());
        }
        driver.kill();
        self.again +=
            usize::from(self.newest("state/manifests") > self.newest("checkpoint/commits"));
    }
}
