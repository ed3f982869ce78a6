//! Durable single-click requests, beside nginx with and without an access log, beside bytes
//! answered without parsing, and beside the disk's own flush. One core serves, another one asks.

use crate::Settings;
use crate::clicks::{Clicks, Text};
use crate::machine::{Flushes, flushes};
use crate::measure::cpu_of;
use crate::peers::{Nginx, Wrk};
use crate::process::{Running, SERVER_CORE, data_dir, worker};
use crate::report::{Figure, Line, Report, progress};
use crate::stats::{Samples, in_turns};
use anyhow::{Context, Result};
use click_core::link::{LinkSpec, SigningKey, Target, mint};
use clickledger::keys::KeyStore;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PART: &str = "http";
/// Different links that are clicked in turn; the throttle lets each pass 1,000 times an hour.
const LINKS: u64 = 100_000;

/// The peer that keeps something of each click, too.
const LOGGING: &str = "nginx, access log unbuffered";

/// A server under load, and what was measured of it.
struct Contender {
    name: &'static str,
    port: u16,
    pid: u32,
    rate: Samples,
    per_cpu: Samples,
    cpu: Samples,
    p99: Samples,
}

impl Contender {
    fn new(name: &'static str, port: u16, pid: u32) -> Contender {
        let none = Samples::default;
        Contender { name, port, pid, rate: none(), per_cpu: none(), cpu: none(), p99: none() }
    }

    fn run(&mut self, wrk: &Wrk, settings: &Settings) -> Result<()> {
        let before = cpu_of(self.pid);
        let run = wrk.run(self.port, settings.connections, settings.seconds())?;
        let cpu = cpu_of(self.pid) - before;
        progress(&format!("http: {}: {:.0} requests/s", self.name, run.requests / run.seconds));
        self.rate.push(run.requests / run.seconds);
        self.per_cpu.push(run.requests / cpu);
        self.cpu.push(cpu);
        self.p99.push(run.p99_ms);
        Ok(())
    }
}

/// A tracker of ours, started by this program.
pub struct OurServer {
    running: Running,
    /// Where it listens.
    pub port: u16,
}

impl OurServer {
    /// Starts it on the servers' core with its data in `dir`.
    pub fn start(dir: &Path, engine: bool) -> Result<OurServer> {
        let path = dir.to_str().context("the build directory's name is not UTF-8")?;
        let mut args = vec!["server", "--dir", path];
        args.extend(engine.then_some("--engine"));
        let (running, port) = listening(&args)?;
        Ok(OurServer { running, port })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }
}

/// Starts a worker on the servers' core; it says on which port it listens.
pub fn listening(args: &[&str]) -> Result<(Running, u16)> {
    let running = Running::start_and_listen(&mut worker(Some(SERVER_CORE), args)?)?;
    let said: Value = serde_json::from_str(running.first_line())?;
    let port = said["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    Ok((running, port.context("a worker named no port")?))
}

/// Starts all servers, asks each in turns, then ends them.
pub fn run(settings: &Settings, report: &mut Report) -> Result<()> {
    let dir = tempfile::tempdir_in(data_dir()?)?;
    let (alone, whole) = (dir.path().join("alone"), dir.path().join("whole"));
    let paths = links(&[&alone, &whole])?;
    let wrk = Wrk::prepare(dir.path(), &paths)?;
    let tracker = OurServer::start(&alone, false)?;
    let product = OurServer::start(&whole, true)?;
    let (answer, port) = listening(&["answer"])?;
    let mut contenders = vec![
        Contender::new("tracker and log", tracker.port, tracker.pid()),
        Contender::new("tracker, log, engine and SQLite", product.port, product.pid()),
        Contender::new("bytes answered, not parsed", port, answer.pid()),
    ];
    let nginx = Nginx::start(dir.path());
    match &nginx {
        Ok(nginx) => {
            let (logging, quiet) = (nginx.port_logging, nginx.port_quiet);
            contenders.push(Contender::new(LOGGING, logging, nginx.pid()));
            contenders.push(Contender::new("nginx, access log off", quiet, nginx.pid()));
        }
        Err(error) => report.skip(format!("nginx: {error:#}")),
    }
    let mut disk = Vec::new();
    let each = contenders.len() * 2;
    for (turn, index) in in_turns(contenders.len(), settings.rounds()).enumerate() {
        if turn % each == 0 {
            disk.push(flushes(dir.path(), 4 << 10, Duration::from_millis(500))?);
        }
        contenders[index].run(&wrk, settings)?;
    }
    write_lines(report, &contenders, &disk);
    report.note(format!("http: {} connections, one request each at a time", settings.connections));
    Ok(())
}

/// Paths of signed links that the servers of both directories believe: they share a key file.
fn links(dirs: &[&Path; 2]) -> Result<Vec<String>> {
    let [first, second] = dirs;
    std::fs::create_dir_all(first)?;
    std::fs::create_dir_all(second)?;
    let (store, _) = KeyStore::open(first)?;
    std::fs::copy(first.join("keys.json"), second.join("keys.json"))?;
    let (key, _) = store.minting_key()?.context("no signing key")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut clicks = Clicks::new(1, 50_000, 0);
    let next = |_| {
        clicks.advance();
        link(clicks.text(), &key, now + 3600)
    };
    (0..LINKS).map(next).collect()
}

/// Path of a signed link of a click with these texts.
pub fn link(text: &Text, key: &SigningKey, expires_s: u64) -> Result<String> {
    let spec = LinkSpec {
        click_id: &text.click,
        user_id: &text.user,
        ad_id: &text.ad,
        campaign_id: &text.campaign,
        advertiser_id: &text.advertiser,
        publisher_id: &text.publisher,
        price_micros: Some(crate::clicks::PRICE),
        currency: "USD",
        expires_s: Some(expires_s),
        target: Target::Url("https://shop.example/landing"),
        ..LinkSpec::default()
    };
    mint(&spec, key).map_err(|error| anyhow::anyhow!("cannot mint a link: {error}"))
}

fn write_lines(report: &mut Report, contenders: &[Contender], disk: &[Flushes]) {
    let (ours, others) = contenders.split_at(2);
    for our in ours {
        for other in others {
            line(report, our, other, "durable requests", "requests/s", |c| &c.rate);
        }
        for other in others {
            line(report, our, other, "per server CPU", "requests/CPU-s", |c| &c.per_cpu);
        }
        let flushed = Figure::new("fdatasync of 4 KiB, p99", samples(disk, |d| d.p99_ms));
        let ours = Figure::new("", our.p99.clone());
        let what = format!("p99, {}", our.name);
        report.line(Line { part: PART, what, unit: "ms", ours, other: Some(flushed) });
        for other in others.iter().filter(|other| other.name == LOGGING) {
            line(report, our, other, "p99", "ms", |c| &c.p99);
        }
        let ours = Figure::new("", our.rate.clone());
        let flushed =
            Figure::new("fdatasync of 4 KiB, one by one", samples(disk, |d| d.per_second));
        let what = format!("durable requests, {}", our.name);
        report.line(Line { part: PART, what, unit: "requests/s", ours, other: Some(flushed) });
    }
}

fn samples(disk: &[Flushes], figure: impl Fn(&Flushes) -> f64) -> Samples {
    disk.iter().map(figure).collect()
}

fn line(
    report: &mut Report,
    our: &Contender,
    other: &Contender,
    what: &str,
    unit: &'static str,
    figure: impl Fn(&Contender) -> &Samples,
) {
    let of = |contender: &Contender| {
        Figure::with_cpu(contender.name, figure(contender).clone(), contender.cpu.clone())
    };
    let what = format!("{what}, {}", our.name);
    report.line(Line { part: PART, what, unit, ours: of(our), other: Some(of(other)) });
}
