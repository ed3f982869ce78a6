//! The hosted stages in an Apache Flink cluster beside an ordinary Flink job of the same rules,
//! with its state on the heap and in RocksDB: same topic, same rows, checkpoints every 10 s.
//!
//! Each round is two runs in one TaskManager, over a short topic and over a long one; the
//! difference is what the further clicks took, start and warm-up taken out.

use crate::Settings;
use crate::contend::{Contender, compete};
use crate::measure::cpu_of;
use crate::process::{Running, data_dir, field, output, worker};
use crate::report::{Figure, Line, Report, progress};
use crate::stats::Samples;
use crate::worker::kafka::{PACE, PARTITIONS};
use anyhow::{Context, Result, bail, ensure};
use click_sim::flink::{Flink, FlinkSetup};
use click_sim::kafka::Kafka;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::fold::path;
use super::kafka::make_topic;
use super::stock::{COMPARE, OUTPUTS, fill, lines, same_rows, stock};

const PART: &str = "flink";
/// Tasks of each stage.
const PARALLELISM: usize = 2;
/// The short topic has a click for so many of the long one.
const SHORT: u64 = 10;
/// Checkpoints of a job that has caught up of which the stops are told.
const CHECKPOINTS_AT_REST: usize = 3;
/// Bytes of a claim in a checkpoint.
const CLAIM_BYTES: u64 = 24;
/// Longest run of one job.
const PATIENCE: Duration = Duration::from_secs(900);

/// Fills both topics once, then lets the jobs run in turns.
pub fn run(settings: &Settings, report: &mut Report) -> Result<()> {
    let dir = tempfile::tempdir_in(data_dir()?)?;
    let Some(kafka) = Kafka::start(&dir.path().join("brokers"), 1) else {
        report.skip("Kafka is not installed: cargo xtask setup".into());
        return Ok(());
    };
    let clicks = settings.clicks();
    let bytes = fill(PART, &kafka, dir.path(), "short", clicks / SHORT)?;
    fill(PART, &kafka, dir.path(), "long", clicks)?;
    // What suits the heap job best: no collector beside the tasks, room for what stays, and no page
    // that is touched first by whichever job comes first.
    let heap = "-Xms10g -Xmn2500m -XX:+UseParallelGC -XX:+AlwaysPreTouch";
    let setup = FlinkSetup {
        workers: 1,
        slots: PARALLELISM,
        java: heap.split(' ').map(str::to_owned).collect(),
        heap_mib: 10_240,
        managed_mib: 1536,
        checkpoint_ms: 10_000,
        checkpoints: None,
        // Flink's own: a collection of garbage must not end a job that is measured.
        heartbeat_s: 50,
        more: "execution.checkpointing.timeout: 10 min\n".to_owned(),
    };
    let library = std::env::current_exe()?.with_file_name("libclick_jvm.so");
    let Some(flink) = Flink::start(dir.path(), &library, &setup) else {
        report.skip("Flink is not installed: cargo xtask setup".into());
        return Ok(());
    };
    let (topics, last) = (Cell::new(0), RefCell::default());
    let bench = Bench { kafka, flink, clicks, stock: stock(PART)?, topics, last };
    let mut contenders = [
        Contender::new("hosted core", || bench.round(None)),
        Contender::new("stock job, heap", || bench.round(Some("hashmap"))),
        Contender::new("stock job, RocksDB", || bench.round(Some("rocksdb"))),
    ];
    bench.warm_up()?;
    compete(PART, settings.rounds(), &mut contenders, "clicks")?;
    lines(PART, report, &contenders, bench.measured());
    for contender in &contenders {
        let told = &contender.answer()["checkpoints"];
        report.note(format!("flink: {}: checkpoints: {told}", contender.name()));
    }
    drop(contenders);
    bench.compare(report)?;
    bench.at_rest(report)?;
    bench.latency(settings, report, dir.path())?;
    report.note(format!(
        "flink: {} of {clicks} clicks of {bytes:.0} bytes, {PARTITIONS} partitions, one \
         TaskManager with {PARALLELISM} slots, rows at least once by all; only the TaskManager's \
         CPU time is counted",
        bench.measured()
    ));
    Ok(())
}

struct Bench {
    kafka: Kafka,
    flink: Flink,
    clicks: u64,
    stock: PathBuf,
    topics: Cell<u32>,
    /// Where the stock job wrote its rows last.
    last: RefCell<String>,
}

impl Bench {
    /// Clicks of the long topic beyond the short one.
    fn measured(&self) -> u64 {
        self.clicks - self.clicks / SHORT
    }

    /// Each job once over the short topic: what Java translates then is translated for all.
    fn warm_up(&self) -> Result<()> {
        [None, Some("hashmap"), Some("rocksdb")].into_iter().try_for_each(|backend| {
            self.job("short", backend)?;
            Ok(())
        })
    }

    /// The job over both topics; a stock job by its state backend.
    fn round(&self, backend: Option<&str>) -> Result<Value> {
        let (short_cpu, short_wall, _) = self.job("short", backend)?;
        let (long_cpu, long_wall, checkpoints) = self.job("long", backend)?;
        let (cpu, wall) = (long_cpu - short_cpu, long_wall - short_wall);
        let clicks = self.measured();
        Ok(json!({ "cpu": cpu, "wall": wall, "clicks": clicks, "checkpoints": checkpoints }))
    }

    /// CPU and wall seconds of one job, from its submission to its end, and its checkpoints.
    fn job(&self, topic: &str, backend: Option<&str>) -> Result<(f64, f64, Value)> {
        let bootstrap = self.kafka.bootstrap();
        let given = ["--bootstrap", &bootstrap, "--topic", topic, "--bounded", "true"];
        let out = self.out(topic);
        let more = ["--out", &out, "--backend", backend.unwrap_or_default()];
        let [worker] = self.flink.workers()[..] else { bail!("one TaskManager") };
        let before = cpu_of(worker);
        let job = match backend {
            None => self.flink.submit(self.flink.job(), PARALLELISM, None, &given),
            Some(_) => {
                self.kafka.create_topic(&out, OUTPUTS.cast_signed(), &[]);
                self.last.replace(out.clone());
                let arguments = [&given[..], &more].concat();
                self.flink.submit(&self.stock, PARALLELISM, None, &arguments)
            }
        };
        let begun = Instant::now();
        while !self.flink.has_finished(&job) {
            ensure!(begun.elapsed() < PATIENCE, "a job takes too long:\n{}", self.flink.tail());
            std::thread::sleep(Duration::from_millis(100));
        }
        let (cpu, wall) = (cpu_of(worker) - before, begun.elapsed().as_secs_f64());
        let checkpoints = self.checkpoints(&job)?;
        progress(&format!(
            "{PART}: {topic}, {backend:?}: {cpu:.1} CPU-s, {wall:.1} s, checkpoints {checkpoints}"
        ));
        self.topics.set(self.topics.get() + 1);
        Ok((cpu, wall, checkpoints))
    }

    /// Bytes of the greatest state and of the greatest checkpoint of a job, and the longest that a
    /// task of any of them stood still, ms.
    fn checkpoints(&self, job: &str) -> Result<Value> {
        let all = self.asked(&format!("/jobs/{job}/checkpoints"))?;
        ensure!(all["counts"]["restored"] == 0, "a job failed and began again: {all}");
        let mut pause = 0;
        for taken in all["history"].as_array().into_iter().flatten() {
            pause = pause.max(self.pause_of(job, &taken["id"])?);
        }
        let summary = &all["summary"];
        let greatest = |of: &str| summary[of]["max"].clone();
        Ok(json!({
            "count": all["counts"]["completed"],
            "state": greatest("state_size"),
            "written": greatest("checkpointed_size"),
            "pause_ms": pause,
        }))
    }

    /// The longest that a task stood still for a checkpoint, ms.
    fn pause_of(&self, job: &str, checkpoint: &Value) -> Result<u64> {
        let details = format!("/jobs/{job}/checkpoints/details/{checkpoint}");
        let tasks = self.asked(&details)?["tasks"].take();
        let mut pause = 0;
        for task in tasks.as_object().into_iter().flat_map(|tasks| tasks.keys()) {
            let told = self.asked(&format!("{details}/subtasks/{task}"))?;
            let sync = &told["summary"]["checkpoint_duration"]["sync"]["max"];
            pause = pause.max(sync.as_u64().unwrap_or(0));
        }
        Ok(pause)
    }

    /// Stops of a hosted job that has caught up: it holds the ids of all clicks, and has little
    /// else to do.
    fn at_rest(&self, report: &mut Report) -> Result<()> {
        let bootstrap = self.kafka.bootstrap();
        let given = ["--bootstrap", &bootstrap, "--topic", "long"];
        let job = self.flink.submit(self.flink.job(), PARALLELISM, None, &given);
        let (mut pauses, mut bytes) = (Vec::new(), 0);
        let (mut newest, mut latest) = (Value::Null, 0);
        let begun = Instant::now();
        while pauses.len() < CHECKPOINTS_AT_REST {
            ensure!(begun.elapsed() < PATIENCE, "it takes too long:\n{}", self.flink.tail());
            std::thread::sleep(Duration::from_secs(1));
            let all = self.asked(&format!("/jobs/{job}/checkpoints"))?;
            let completed = &all["latest"]["completed"];
            if completed["id"] == newest || completed.is_null() {
                continue;
            }
            newest = completed["id"].clone();
            let size = completed["state_size"].as_u64().unwrap_or(0);
            // All claims, and about as much as before: nothing new has come.
            if size > self.clicks * CLAIM_BYTES && size.abs_diff(latest) < size / 100 {
                pauses.push(self.pause_of(&job, &newest)?);
                bytes = size;
            }
            latest = size;
        }
        self.flink.cancel(&job);
        let clicks = self.clicks;
        report.note(format!(
            "flink: hosted core with the ids of {clicks} clicks, caught up: checkpoints of {bytes} \
             bytes, longest stop of a task {pauses:?} ms"
        ));
        Ok(())
    }

    fn asked(&self, path: &str) -> Result<Value> {
        self.flink.told(path).with_context(|| format!("no answer of the JobManager: {path}"))
    }

    /// Topic of a stock job's rows.
    fn out(&self, topic: &str) -> String {
        format!("stock-{topic}-{}", self.topics.get())
    }

    /// The newest rows of the hosted core and of the last stock job are the same.
    fn compare(&self, report: &mut Report) -> Result<()> {
        let tool = self.flink.tool(&self.stock, COMPARE);
        same_rows(PART, tool, &self.kafka, &self.last.borrow(), report)
    }

    /// How long after the instant that a row is true as of it can be read from its topic, while
    /// clicks come at a fixed rate.
    fn latency(&self, settings: &Settings, report: &mut Report, dir: &Path) -> Result<()> {
        let topics = [("pace-hosted", false), ("pace-stock", true)];
        let mut found = Vec::new();
        for (topic, stock) in topics {
            let (bootstrap, out) = (self.kafka.bootstrap(), format!("{topic}.rows"));
            let url = format!("kafka://{bootstrap}/{topic}");
            make_topic(&url, Some(OUTPUTS))?;
            let given = ["--bootstrap", &bootstrap, "--topic", topic];
            let more = ["--out", &out, "--exactly-once", "true"];
            let arguments = [&given[..], if stock { &more } else { &[] }].concat();
            let jar = if stock { &self.stock } else { self.flink.job() };
            let job = self.flink.submit(jar, PARALLELISM, None, &arguments);
            self.flink.wait_running(&job);
            let seconds = (settings.seconds() * 12).to_string();
            let spool = dir.join(topic);
            let pace = ["pace", "--dir", path(&spool)?, "--url", &url, "--clicks", &seconds];
            let pace = Running::start_and_listen(&mut worker(None, &pace)?)?;
            let mut watch = self.flink.tool(&self.stock, "org.clickledger.stock.RowLatency");
            found.push(output(watch.args([&bootstrap, &out, &seconds]))?);
            drop(pace);
            self.flink.cancel(&job);
        }
        for (what, of) in [("median", "p50"), ("99th percentile", "p99")] {
            let mut figures = found.iter().map(|told| field(told, of).map(Samples::one));
            let (Some(ours), Some(theirs)) = (figures.next(), figures.next()) else { continue };
            report.line(Line {
                part: PART,
                what: format!("row readable after its instant, {PACE} clicks/s, {what}"),
                unit: "ms",
                ours: Figure::new("hosted core", ours?),
                other: Some(Figure::new("stock job, heap, exactly-once sink", theirs?)),
            });
        }
        Ok(())
    }
}
