//! Engine and tracker on one real broker of Apache Kafka, beside its own consumer and producer on
//! the same records. The broker's CPU time is nobody's; all share the machine's cores with it.

use crate::Settings;
use crate::contend::{Contender, compete};
use crate::measure::{cpu_of, cpu_of_children};
use crate::process::{CLIENT_CORE, data_dir, field, output, worker};
use crate::report::{Figure, Line, Report, progress};
use crate::stats::Samples;
use crate::worker::kafka::{PARTITIONS, settings};
use anyhow::{Context, Result, ensure};
use click_engine::kafka::{KafkaSettings, TopicSpec, create};
use click_sim::kafka::Kafka;
use clickledger::keys::{KeyStore, Right};
use serde_json::{Value, json};
use std::cell::Cell;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::fold::path;
use super::http::listening;

const PART: &str = "kafka";
/// Connections of the load generator, each with one batch under way.
const CONNECTIONS: &str = "4";

/// Fills a spool once, then lets producers and consumers run in turns.
pub fn run(settings: &Settings, report: &mut Report) -> Result<()> {
    let dir = tempfile::tempdir_in(data_dir()?)?;
    let Some(kafka) = Kafka::start(&dir.path().join("brokers"), 1) else {
        report.skip("Kafka is not installed: cargo xtask setup".into());
        return Ok(());
    };
    let clicks = settings.clicks() / 5;
    let bench = Bench { kafka, clicks, topics: Cell::new(0) };
    let spool = dir.path().join("spool");
    progress(&format!("kafka: writing {clicks} clicks to a spool"));
    let args = ["write-spool", "--dir", path(&spool)?, "--clicks", &clicks.to_string()];
    let written = output(&mut worker(None, &args)?)?;
    let bytes = field(&written, "payload_bytes")?;
    bench.produce(settings, report, &spool, bytes)?;
    bench.consume(settings, report, dir.path())?;
    bench.acknowledge(settings, report)?;
    report.note(format!(
        "kafka: {clicks} clicks of {:.0} bytes, {PARTITIONS} partitions, one broker on the same \
         machine, whose CPU time is not counted",
        bytes / rate(clicks)
    ));
    Ok(())
}

struct Bench {
    kafka: Kafka,
    clicks: u64,
    topics: Cell<u32>,
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
pub(super) fn rate(count: u64) -> f64 {
    count as f64
}

/// Makes a topic of one replica and, if asked, those of a job's rows, of so many partitions.
pub(super) fn make_topic(url: &str, outputs: Option<u32>) -> Result<KafkaSettings> {
    let settings = settings(url)?;
    let spec = TopicSpec {
        partitions: PARTITIONS,
        replication: 1,
        min_insync: 1,
        outputs,
        ..TopicSpec::default()
    };
    create(&settings, &spec)?;
    Ok(settings)
}

impl Bench {
    /// A new topic of ours; its URL.
    fn topic(&self) -> Result<String> {
        self.topics.set(self.topics.get() + 1);
        let url = format!("kafka://{}/clicks{}", self.kafka.bootstrap(), self.topics.get());
        make_topic(&url, None)?;
        Ok(url)
    }

    fn produce(
        &self,
        settings: &Settings,
        report: &mut Report,
        spool: &Path,
        bytes: f64,
    ) -> Result<()> {
        let spool = path(spool)?;
        let ours =
            || output(&mut worker(None, &["forward", "--dir", spool, "--url", &self.topic()?])?);
        let theirs = || self.producer(bytes / rate(self.clicks));
        let mut contenders = [
            Contender::new("from the spool, confirmed", ours),
            Contender::new("ProducerPerformance, acks=all, lz4, as many bytes", theirs),
        ];
        compete(PART, settings.rounds(), &mut contenders, "records")?;
        self.lines(report, "handed on to Kafka", &contenders);
        Ok(())
    }

    fn consume(&self, settings: &Settings, report: &mut Report, dir: &Path) -> Result<()> {
        let url = format!("kafka://{}/clicks1", self.kafka.bootstrap());
        let checkpoints = dir.join("engine");
        let ours = || {
            // Left by the run before, if there was one.
            let _ = std::fs::remove_dir_all(&checkpoints);
            std::fs::create_dir_all(&checkpoints)?;
            output(&mut worker(None, &["topic", "--dir", path(&checkpoints)?, "--url", &url])?)
        };
        let theirs = || self.consumer("clicks1");
        let mut contenders = [
            Contender::new("engine, checkpoints on", ours),
            Contender::new("ConsumerPerformance, which only reads", theirs),
        ];
        compete(PART, settings.rounds(), &mut contenders, "records")?;
        self.lines(report, "folded from Kafka", &contenders);
        Ok(())
    }

    fn lines(&self, report: &mut Report, what: &str, contenders: &[Contender<'_>; 2]) {
        let [ours, theirs] = contenders;
        let clicks = rate(self.clicks);
        let mut line = |what: String, unit, ours: Figure, other: Figure| {
            report.line(Line { part: PART, what, unit, ours, other: Some(other) });
        };
        let per_cpu = (ours.per_cpu(clicks), theirs.per_cpu(clicks));
        line(format!("clicks {what}"), "clicks/CPU-s", per_cpu.0, per_cpu.1);
        let clock = (ours.by_the_clock(clicks), theirs.by_the_clock(clicks));
        line(format!("clicks {what}, by the clock"), "clicks/s", clock.0, clock.1);
    }

    /// Kafka's own producer, with records of our size that do not compress.
    fn producer(&self, size: f64) -> Result<Value> {
        let mut tool = self.kafka.tool("org.apache.kafka.tools.ProducerPerformance");
        let url = self.topic()?;
        let topic = url.rsplit('/').next().context("a topic")?;
        tool.args(["--topic", topic, "--throughput", "-1", "--num-records"]);
        tool.arg(self.clicks.to_string()).arg("--record-size").arg(format!("{size:.0}"));
        tool.args(["--producer-props", "acks=all", "linger.ms=1", "compression.type=lz4"]);
        self.measured(tool.arg(format!("bootstrap.servers={}", self.kafka.bootstrap())))
    }

    /// Kafka's own consumer on a topic of ours: the header is a record, too.
    fn consumer(&self, topic: &str) -> Result<Value> {
        let mut tool = self.kafka.tool("org.apache.kafka.tools.ConsumerPerformance");
        tool.args(["--topic", topic, "--timeout", "60000", "--num-records"]);
        tool.arg((self.clicks + 1).to_string());
        self.measured(tool.args(["--bootstrap-server", &self.kafka.bootstrap()]))
    }

    fn measured(&self, tool: &mut Command) -> Result<Value> {
        let (begun, before) = (Instant::now(), cpu_of_children());
        let done = tool.output()?;
        let (wall, cpu) = (begun.elapsed().as_secs_f64(), cpu_of_children() - before);
        let said = String::from_utf8_lossy(&done.stdout);
        ensure!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
        Ok(json!({ "cpu": cpu, "wall": wall, "records": self.clicks }))
    }

    /// Batches to a tracker that is nothing else: durable in Kafka before the answer.
    fn acknowledge(&self, settings: &Settings, report: &mut Report) -> Result<()> {
        let (mut by_clock, mut per_cpu, mut cpus) =
            (Samples::default(), Samples::default(), Samples::default());
        for seed in 1..=settings.rounds() {
            let dir = tempfile::tempdir_in(data_dir()?)?;
            let (keys, _) = KeyStore::open(dir.path())?;
            let token = keys.create("bench", Right::Edge { ip_optional: false })?.secret;
            let log = format!("log.url={}", self.topic()?);
            let sets = ["--set", "roles=tracker", "--set", "kafka.allow_single_replica=true"];
            let product = ["product", "--dir", path(dir.path())?, "--set", &log];
            let (server, port) = listening(&[&product[..], &sets].concat())?;
            let before = cpu_of(server.pid());
            let (port, seed, seconds) =
                (port.to_string(), seed.to_string(), settings.seconds().to_string());
            let args = ["batches", "--port", &port, "--token", &token, "--seed", &seed];
            let more = ["--seconds", &seconds, "--connections", CONNECTIONS];
            let answer = output(&mut worker(Some(CLIENT_CORE), &[&args[..], &more].concat())?)?;
            let cpu = cpu_of(server.pid()) - before;
            let (clicks, seconds) = (field(&answer, "clicks")?, field(&answer, "seconds")?);
            by_clock.push(clicks / seconds);
            per_cpu.push(clicks / cpu);
            cpus.push(cpu);
        }
        let figure = |value| Figure::with_cpu("", value, cpus.clone());
        let mut line = |what: &str, unit, value| {
            let (what, ours) = (what.into(), figure(value));
            report.line(Line { part: PART, what, unit, ours, other: None });
        };
        line("acknowledged by a tracker, batches of 1,000, by the clock", "clicks/s", by_clock);
        line("acknowledged by a tracker, batches of 1,000", "clicks/CPU-s", per_cpu);
        Ok(())
    }
}
