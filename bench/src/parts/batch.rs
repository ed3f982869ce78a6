//! Durable clicks through `POST /v1/clicks` in batches of 1,000, Protocol Buffers and JSON, beside
//! what the disk takes. One core serves, another one sends.

use super::http::OurServer;
use crate::Settings;
use crate::machine::flushes;
use crate::measure::cpu_of;
use crate::process::{CLIENT_CORE, data_dir, field, output, worker};
use crate::report::{Figure, Line, Report, progress};
use crate::stats::{Samples, in_turns};
use anyhow::Result;
use clickledger::keys::{KeyStore, Right};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

const PART: &str = "batch";
/// Block that is flushed for comparison: about one batch in the log.
const BLOCK: usize = 256 << 10;
/// Clicks in it.
const BATCH: f64 = 1000.0;
/// Senders.
const CONNECTIONS: &str = "4";

/// A way to send, and what was measured of it.
struct Contender {
    name: &'static str,
    json: bool,
    engine: bool,
    rate: Samples,
    per_cpu: Samples,
    cpu: Samples,
    p99: Samples,
}

impl Contender {
    fn new(name: &'static str, json: bool, engine: bool) -> Contender {
        let none = Samples::default;
        Contender { name, json, engine, rate: none(), per_cpu: none(), cpu: none(), p99: none() }
    }

    /// A server of its own each time, so that none inherits work from the one before.
    fn run(&mut self, settings: &Settings, seed: usize) -> Result<()> {
        let dir = tempfile::tempdir_in(data_dir()?)?;
        let (keys, _) = KeyStore::open(dir.path())?;
        let token = keys.create("bench", Right::Edge { ip_optional: false })?.secret;
        let server = OurServer::start(dir.path(), self.engine)?;
        let before = cpu_of(server.pid());
        let answer = self.send(settings, server.port, &token, seed)?;
        let cpu = cpu_of(server.pid()) - before;
        let (clicks, seconds) = (field(&answer, "clicks")?, field(&answer, "seconds")?);
        progress(&format!("batch: {}: {:.0} clicks/s", self.name, clicks / seconds));
        self.rate.push(clicks / seconds);
        self.per_cpu.push(clicks / cpu);
        self.cpu.push(cpu);
        self.p99.push(field(&answer, "p99_us")? / 1000.0);
        Ok(())
    }

    fn send(&self, settings: &Settings, port: u16, token: &str, seed: usize) -> Result<Value> {
        let (port, seed) = (port.to_string(), seed.to_string());
        let seconds = settings.seconds().to_string();
        let mut args = vec!["batches", "--port", &port, "--token", token, "--seed", &seed];
        args.extend(["--seconds", &seconds, "--connections", CONNECTIONS]);
        args.extend(self.json.then_some("--json"));
        output(&mut worker(Some(CLIENT_CORE), &args)?)
    }
}

/// Sends in turns.
pub fn run(settings: &Settings, report: &mut Report) -> Result<()> {
    let mut contenders = [
        Contender::new("Protocol Buffers, tracker and log", false, false),
        Contender::new("Protocol Buffers, engine and SQLite too", false, true),
        Contender::new("JSON, tracker and log", true, false),
        Contender::new("JSON, engine and SQLite too", true, true),
    ];
    let mut disk = Samples::default();
    for (turn, index) in in_turns(contenders.len(), settings.rounds()).enumerate() {
        contenders[index].run(settings, turn + 1)?;
        disk.push(clicks_flushed(data_dir()?.as_path())?);
    }
    for contender in &contenders {
        write_lines(report, contender, &disk);
    }
    report.note("batch: 4 connections; the answer comes once all 1,000 clicks are durable".into());
    Ok(())
}

fn clicks_flushed(dir: &Path) -> Result<f64> {
    let dir = tempfile::tempdir_in(dir)?;
    Ok(flushes(dir.path(), BLOCK, Duration::from_millis(200))?.per_second * BATCH)
}

fn write_lines(report: &mut Report, contender: &Contender, disk: &Samples) {
    let ours = |samples: &Samples| Figure::with_cpu("", samples.clone(), contender.cpu.clone());
    let limit = Figure::new("fdatasync of 256 KiB, one by one", disk.clone());
    let what = |what: &str| format!("{what}, {}", contender.name);
    report.line(Line {
        part: PART,
        what: what("durable clicks"),
        unit: "clicks/s",
        ours: ours(&contender.rate),
        other: Some(limit),
    });
    report.line(Line {
        part: PART,
        what: what("per server CPU"),
        unit: "clicks/CPU-s",
        ours: ours(&contender.per_cpu),
        other: None,
    });
    report.alone(PART, &what("p99 of a batch"), "ms", contender.p99.clone());
}
