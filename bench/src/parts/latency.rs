//! How long until a click is acknowledged, and until the page's stream shows it, at a fixed rate
//! that leaves the server idle most of the time. The whole product on one core, visitors and an
//! onlooker on another one; the disk's own flush right before and right after each run.

use super::http::{link, listening};
use crate::Settings;
use crate::clicks::Text;
use crate::machine::{Flushes, flushes};
use crate::measure::cpu_of;
use crate::process::{CLIENT_CORE, data_dir, field, output, worker};
use crate::report::{Figure, Line, Report, progress};
use crate::stats::Samples;
use crate::worker::AD;
use anyhow::{Context, Result};
use clickledger::keys::KeyStore;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PART: &str = "latency";
/// Clicks a second.
const RATE: u64 = 2_000;
/// What is promised from click to visible, 99 of 100, ms.
const PROMISE_MS: f64 = 300.0;
/// Time of one look at the disk.
const FLUSHING: Duration = Duration::from_millis(500);

/// What the runs gave.
#[derive(Default)]
struct Runs {
    answers: Vec<Value>,
    cpu: Samples,
    disk: Vec<Flushes>,
}

/// Lets visitors click on a fresh server, round by round.
pub fn run(settings: &Settings, report: &mut Report) -> Result<()> {
    let seconds = settings.seconds.unwrap_or(if settings.quick { 2 } else { 20 }).max(1);
    let mut runs = Runs::default();
    for _ in 0..settings.rounds() {
        runs.one(seconds * RATE)?;
    }
    write_lines(report, &runs)?;
    report.note(format!(
        "latency: {RATE} clicks/s for {seconds} s, each from the instant it was meant to be sent \
         and on an ad of its own; flushes right before and right after each run, one by one on \
         the idle disk"
    ));
    Ok(())
}

impl Runs {
    /// A server of its own each time, so that none inherits work from the one before.
    fn one(&mut self, clicks: u64) -> Result<()> {
        let dir = tempfile::tempdir_in(data_dir()?)?;
        let path = |path: &Path| path.to_str().map(str::to_owned).context("a name is not UTF-8");
        let (data, links) = (dir.path().join("data"), dir.path().join("links"));
        std::fs::create_dir_all(&data)?;
        std::fs::write(&links, paths(&data, clicks)?)?;
        self.disk.push(flushes(dir.path(), 4 << 10, FLUSHING)?);
        let (server, port) = listening(&["product", "--dir", &path(&data)?])?;
        let before = cpu_of(server.pid());
        let (port, rate, links) = (port.to_string(), RATE.to_string(), path(&links)?);
        let args = ["visitors", "--port", &port, "--rate", &rate, "--links", &links];
        let answer = output(&mut worker(Some(CLIENT_CORE), &args)?)?;
        self.cpu.push(cpu_of(server.pid()) - before);
        drop(server);
        self.disk.push(flushes(dir.path(), 4 << 10, FLUSHING)?);
        progress(&format!("latency: {answer}"));
        self.answers.push(answer);
        Ok(())
    }

    /// A figure of every run, in ms.
    fn ms(&self, what: &str, name: &str) -> Result<Samples> {
        let ms = |answer: &Value| Ok(field(&answer[what], name)? / 1000.0);
        self.answers.iter().map(ms).collect::<Result<Vec<f64>>>().map(Samples)
    }
}

/// Paths of signed links, a line each, each to an ad and from a user of its own.
fn paths(data: &Path, clicks: u64) -> Result<String> {
    let (store, _) = KeyStore::open(data)?;
    let (key, _) = store.minting_key()?.context("no signing key")?;
    let expires_s = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + 3600;
    let mut lines = String::new();
    for number in 0..clicks {
        let text = Text {
            click: format!("click-{number}"),
            user: format!("user-{number}"),
            ad: format!("{AD}{number}"),
            campaign: "campaign".into(),
            advertiser: "advertiser".into(),
            publisher: "publisher".into(),
        };
        lines += &link(&text, &key, expires_s)?;
        lines.push('\n');
    }
    Ok(lines)
}

fn write_lines(report: &mut Report, runs: &Runs) -> Result<()> {
    let mut line = |what: String, ours: Samples, other: Option<Figure>| {
        let ours = Figure::with_cpu("", ours, runs.cpu.clone());
        report.line(Line { part: PART, what, unit: "ms", ours, other });
    };
    for name in ["p50", "p90", "p99", "max"] {
        let promised = || Figure::new("promised at most", Samples(vec![PROMISE_MS]));
        let other = (name == "p99").then(promised);
        line(format!("click to visible on the stream, {name}"), runs.ms("visible", name)?, other);
    }
    let disk = |figure: fn(&Flushes) -> f64| runs.disk.iter().map(figure).collect::<Samples>();
    for (name, flushed) in [("p50", disk(|d| d.p50_ms)), ("p99", disk(|d| d.p99_ms))] {
        let other = Some(Figure::new(&format!("fdatasync of 4 KiB, {name}"), flushed));
        line(format!("durable acknowledgement, {name}"), runs.ms("acknowledged", name)?, other);
    }
    line("sent later than meant, p99".into(), runs.ms("late", "p99")?, None);
    Ok(())
}
