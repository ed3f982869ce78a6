//! What the parts share that compare the hosted core with an ordinary job: topics filled once, that
//! job's jar, and what is reported of both.

use crate::contend::Contender;
use crate::process::{field, output, worker};
use crate::report::{Figure, Line, Report, progress};
use crate::worker::kafka::PARTITIONS;
use anyhow::{Context, Result, ensure};
use click_core::record::Record;
use click_core::types::Millis;
use click_engine::kafka::{KafkaLog, Patience};
use click_engine::log::{Clock, EventLog, SystemClock};
use click_sim::kafka::Kafka;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::fold::path;
use super::kafka::{make_topic, rate};

/// Partitions of the rows.
pub(super) const OUTPUTS: u32 = 2;

/// The program that compares rows.
pub(super) const COMPARE: &str = "org.clickledger.stock.CompareRows";

/// Clicks a second at which a topic is filled: so many are in a second of its time.
const FILL: u64 = 100_000;

/// Makes a topic of so many clicks, each partition closed by a tick; bytes of a click.
pub(super) fn fill(part: &str, kafka: &Kafka, dir: &Path, topic: &str, clicks: u64) -> Result<f64> {
    let spool = dir.join(format!("spool-{topic}"));
    progress(&format!("{part}: writing {clicks} clicks to topic {topic}"));
    let count = clicks.to_string();
    let args = ["write-spool", "--dir", path(&spool)?, "--clicks", &count];
    let written = output(&mut worker(None, &args)?)?;
    let url = format!("kafka://{}/{topic}", kafka.bootstrap());
    let settings = make_topic(&url, Some(OUTPUTS))?;
    let most = FILL.to_string();
    let forward = ["forward", "--dir", path(&spool)?, "--url", &url, "--rate", &most];
    output(&mut worker(None, &forward)?)?;
    std::fs::remove_dir_all(&spool)?;
    // All verdicts are final as of a tick so long after the last click.
    std::thread::sleep(Duration::from_millis(2500));
    let log = KafkaLog::open(settings, Patience::Live, None)?;
    for partition in 0..PARTITIONS {
        let tick = Record::tick(Millis(SystemClock.now().0 / 1000)).to_bytes();
        log.append(partition, &tick)?.wait()?;
    }
    Ok(field(&written, "payload_bytes")? / rate(clicks))
}

/// Clicks of a topic to rows, by the first contender beside each of the others.
pub(super) fn lines(
    part: &'static str,
    report: &mut Report,
    contenders: &[Contender<'_>],
    clicks: u64,
) {
    let clicks = rate(clicks);
    let [ours, others @ ..] = contenders else { return };
    for other in others {
        let mut line = |what: &str, unit, ours: Figure, other: Figure| {
            let what = what.to_owned();
            report.line(Line { part, what, unit, ours, other: Some(other) });
        };
        let unit = "clicks/CPU-s";
        line("clicks of a topic to rows", unit, ours.per_cpu(clicks), other.per_cpu(clicks));
        let clock = (ours.by_the_clock(clicks), other.by_the_clock(clicks));
        line("clicks of a topic to rows, by the clock", "clicks/s", clock.0, clock.1);
    }
}

/// Fails unless the newest rows of the hosted core and of a stock job's topic are the same; `tool`
/// is a host's way to run [`COMPARE`].
pub(super) fn same_rows(
    part: &str,
    mut tool: Command,
    kafka: &Kafka,
    stock: &str,
    report: &mut Report,
) -> Result<()> {
    let told = output(tool.args([&kafka.bootstrap(), "long.rows", stock]))?;
    ensure!(told["differing"] == 0, "other rows: {told}");
    report.note(format!("{part}: rows compared, of the hosted core's runs and one stock: {told}"));
    Ok(())
}

/// The jar of the ordinary job for a host.
pub(super) fn stock(host: &str) -> Result<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("stock").join(host);
    let mvn = ["--quiet", "--batch-mode", "package"];
    let built = Command::new("mvn").args(mvn).current_dir(&dir).status().context("mvn")?;
    ensure!(built.success(), "`mvn package` in {}: {built}", dir.display());
    let version = env!("CARGO_PKG_VERSION");
    Ok(dir.join(format!("target/stock-{host}-{version}.jar")))
}
