//! The hosted stages in Apache Spark beside an ordinary job in Structured Streaming, with its state
//! in RocksDB: same topic, same rows, batches of a million records.
//!
//! Each round is two drivers, one over a short topic and one over a long one; the difference is
//! what the further clicks took, start and warm-up taken out.

use crate::Settings;
use crate::contend::{Contender, compete};
use crate::measure::cpu_of_children;
use crate::process::{Running, data_dir, field, output, worker};
use crate::report::{Figure, Line, Report, progress};
use crate::stats::Samples;
use crate::worker::kafka::{PACE, PARTITIONS};
use anyhow::{Result, ensure};
use click_sim::hosted::{Jars, package};
use click_sim::kafka::Kafka;
use click_sim::spark::{Driver, Spark, SparkJob};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::fold::path;
use super::kafka::make_topic;
use super::stock::{COMPARE, OUTPUTS, fill, lines, same_rows, stock};

const PART: &str = "spark";
/// Where tasks run, and how many at once.
const MASTER: &str = "local[2]";
const TASKS: &str = "2";
/// Heap of a driver, and its collector: none beside the tasks.
const MEMORY: &str = "8g";
const JAVA: &str = "spark.driver.extraJavaOptions=-XX:+UseParallelGC";
/// Records of a batch.
const BATCH: &str = "1000000";
/// The short topic has a click for so many of the long one.
const SHORT: u64 = 10;
/// Times between triggers whose latency is told, ms; 0 is as soon as a batch is done.
const TRIGGERS_MS: [u64; 3] = [0, 200, 1000];
/// Longest run of one driver.
const PATIENCE: Duration = Duration::from_secs(900);

/// Who reads the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Hosted,
    Stock,
    /// By Spark's own operators.
    Operators,
}

/// Fills both topics once, then lets the drivers run in turns.
pub fn run(settings: &Settings, report: &mut Report) -> Result<()> {
    let dir = tempfile::tempdir_in(data_dir()?)?;
    let Some(kafka) = Kafka::start(&dir.path().join("brokers"), 1) else {
        report.skip("Kafka is not installed: cargo xtask setup".into());
        return Ok(());
    };
    let Some(spark) = Spark::find(dir.path()) else {
        report.skip("Spark is not installed: cargo xtask setup".into());
        return Ok(());
    };
    let clicks = settings.clicks();
    let library = std::env::current_exe()?.with_file_name("libclick_jvm.so");
    let (hosted, stock) = (package(&library, PART), stock(PART)?);
    let bytes = fill(PART, &kafka, dir.path(), "short", clicks / SHORT)?;
    fill(PART, &kafka, dir.path(), "long", clicks)?;
    let (runs, last, dir) = (Cell::new(0), RefCell::default(), dir.path().to_owned());
    let bench = Bench { kafka, spark, clicks, hosted, stock, dir, runs, last };
    let mut contenders = [
        Contender::new("hosted core", || bench.round(Who::Hosted)),
        Contender::new("stock job, RocksDB", || bench.round(Who::Stock)),
        Contender::new("Spark's operators, RocksDB", || bench.round(Who::Operators)),
    ];
    compete(PART, settings.rounds(), &mut contenders, "clicks")?;
    lines(PART, report, &contenders, bench.measured());
    drop(contenders);
    bench.compare(report)?;
    bench.latency(settings, report)?;
    report.note(format!(
        "spark: {} of {clicks} clicks of {bytes:.0} bytes, {PARTITIONS} partitions, {MASTER}, \
         batches of {BATCH} records, rows at least once by both; the driver's CPU time",
        bench.measured()
    ));
    Ok(())
}

struct Bench {
    kafka: Kafka,
    spark: Spark,
    clicks: u64,
    hosted: Jars,
    stock: PathBuf,
    dir: PathBuf,
    runs: Cell<u32>,
    /// Where the stock job wrote its rows last.
    last: RefCell<String>,
}

impl Bench {
    /// Clicks of the long topic beyond the short one.
    fn measured(&self) -> u64 {
        self.clicks - self.clicks / SHORT
    }

    /// The job over both topics.
    fn round(&self, who: Who) -> Result<Value> {
        let (short_cpu, short_wall) = self.drained("short", who)?;
        let (long_cpu, long_wall) = self.drained("long", who)?;
        let (cpu, wall) = (long_cpu - short_cpu, long_wall - short_wall);
        Ok(json!({ "cpu": cpu, "wall": wall, "clicks": self.measured() }))
    }

    /// CPU and wall seconds of one driver over a topic, from its start to its end.
    fn drained(&self, topic: &str, who: Who) -> Result<(f64, f64)> {
        let out = format!("stock-{topic}-{}", self.runs.get());
        if who != Who::Hosted {
            self.kafka.create_topic(&out, OUTPUTS.cast_signed(), &[]);
        }
        if who == Who::Stock {
            self.last.replace(out.clone());
        }
        let (begun, before) = (Instant::now(), cpu_of_children());
        let (mut driver, own) = self.submit(who, topic, &out, &["--bounded", "true"])?;
        let status = driver.wait(PATIENCE);
        ensure!(status.success(), "a driver failed, {status}:\n{}", driver.tail());
        let (cpu, wall) = (cpu_of_children() - before, begun.elapsed().as_secs_f64());
        std::fs::remove_dir_all(own)?;
        progress(&format!("{PART}: {topic}, {who:?}: {cpu:.1} CPU-s, {wall:.1} s"));
        Ok((cpu, wall))
    }

    /// Starts a driver with a directory of its own for state and checkpoints; both.
    fn submit(&self, who: Who, topic: &str, out: &str, more: &[&str]) -> Result<(Driver, PathBuf)> {
        self.runs.set(self.runs.get() + 1);
        let own = self.dir.join(format!("run-{}", self.runs.get()));
        let (state, checkpoint) = (own.join("state"), own.join("checkpoint"));
        std::fs::create_dir_all(&state)?;
        let bootstrap = self.kafka.bootstrap();
        let given = ["--bootstrap", &bootstrap, "--topic", topic, "--tasks", TASKS];
        let given = [&given[..], &["--checkpoint", path(&checkpoint)?], more].concat();
        let given = [&given[..], &["--max-offsets", BATCH]].concat();
        let name = format!("{who:?}-{topic}-{}", self.runs.get());
        let job = match who {
            Who::Hosted => self.hosted(&given, path(&state)?),
            Who::Stock => self.ordinary("SparkJob", &given, out),
            Who::Operators => self.ordinary("OperatorsJob", &given, out),
        };
        Ok((self.spark.submit(&name, &job), own))
    }

    fn hosted(&self, given: &[&str], state: &str) -> SparkJob {
        let bridge = self.hosted.bridge.display();
        let class_path = |of: &str| format!("spark.{of}.extraClassPath={bridge}");
        SparkJob {
            settings: vec![JAVA.to_owned(), class_path("driver"), class_path("executor")],
            ..driver(&self.hosted.job, "org.clickledger.spark.ClickJob", given, &["--state", state])
        }
    }

    fn ordinary(&self, class: &str, given: &[&str], out: &str) -> SparkJob {
        driver(&self.stock, &format!("org.clickledger.stock.{class}"), given, &["--out", out])
    }

    /// The newest rows of the hosted core and of the last stock job are the same.
    fn compare(&self, report: &mut Report) -> Result<()> {
        let tool = self.spark.tool(&self.stock, COMPARE);
        same_rows(PART, tool, &self.kafka, &self.last.borrow(), report)
    }

    /// How long after the instant that a row is true as of it can be read from its topic, while
    /// clicks come at a fixed rate.
    fn latency(&self, settings: &Settings, report: &mut Report) -> Result<()> {
        for trigger in TRIGGERS_MS {
            let ours = self.paced(settings, trigger, Who::Hosted)?;
            let theirs = self.paced(settings, trigger, Who::Stock)?;
            for (what, of) in [("median", "p50"), ("99th percentile", "p99")] {
                let figure = |name, told: &Value| -> Result<Figure> {
                    Ok(Figure::new(name, Samples::one(field(told, of)?)))
                };
                report.line(Line {
                    part: PART,
                    what: format!(
                        "row readable after its instant, {PACE} clicks/s, a batch each {trigger} \
                         ms, {what}"
                    ),
                    unit: "ms",
                    ours: figure("hosted core", &ours)?,
                    other: Some(figure("stock job, RocksDB", &theirs)?),
                });
            }
        }
        Ok(())
    }

    fn paced(&self, settings: &Settings, trigger: u64, who: Who) -> Result<Value> {
        let topic = format!("pace-{who:?}-{trigger}").to_lowercase();
        let (bootstrap, out) = (self.kafka.bootstrap(), format!("{topic}.rows"));
        let url = format!("kafka://{bootstrap}/{topic}");
        make_topic(&url, Some(OUTPUTS))?;
        let trigger = trigger.to_string();
        let (mut driver, own) = self.submit(who, &topic, &out, &["--trigger-ms", &trigger])?;
        wait_for_a_batch(&mut driver, &own)?;
        let seconds = (settings.seconds() * 12).to_string();
        let spool = self.dir.join(&topic);
        let pace = ["pace", "--dir", path(&spool)?, "--url", &url, "--clicks", &seconds];
        let pace = Running::start_and_listen(&mut worker(None, &pace)?)?;
        let mut watch = self.spark.tool(&self.stock, "org.clickledger.stock.RowLatency");
        let told = output(watch.args([&bootstrap, &out, &seconds]))?;
        drop(pace);
        ensure!(!driver.has_ended(), "a driver ended:\n{}", driver.tail());
        driver.kill();
        std::fs::remove_dir_all(own)?;
        progress(&format!("{PART}: {topic}: {told}"));
        Ok(told)
    }
}

/// What both jobs have in common.
fn driver(jar: &Path, class: &str, given: &[&str], more: &[&str]) -> SparkJob {
    SparkJob {
        master: MASTER.to_owned(),
        settings: vec![JAVA.to_owned()],
        memory: MEMORY.to_owned(),
        environment: Vec::new(),
        jar: jar.to_owned(),
        class: class.to_owned(),
        arguments: given.iter().chain(more).map(|word| (*word).to_owned()).collect(),
    }
}

/// The topic's header is a first batch: since then it reads what comes.
fn wait_for_a_batch(driver: &mut Driver, own: &Path) -> Result<()> {
    let begun = Instant::now();
    while !own.join("checkpoint/commits/0").is_file() {
        let is_well = begun.elapsed() < PATIENCE && !driver.has_ended();
        ensure!(is_well, "no first batch:\n{}", driver.tail());
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
