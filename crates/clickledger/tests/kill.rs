//! Kill cycles: a load is running, the server dies by SIGKILL at a random instant, is started
//! again, and every acknowledged click must be in the ledger exactly once.
//!
//! `CLICKTEST_KILL_CYCLES` sets how many cycles (40). One ledger lives through all of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const BIN: &str = env!("CARGO_BIN_EXE_clickledger");
const RATE: u64 = 2000;
const SECONDS: f64 = 0.5;
/// Most time that a start or a clean stop may take.
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(data: &Path) -> Server {
        let mut child = Command::new(BIN)
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--set",
                "engine.checkpoint_interval_ms=150",
            ])
            .arg("--data")
            .arg(data)
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().expect("a server that starts says where it is").unwrap();
        let url = line.split_whitespace().nth(1).unwrap();
        let url = url.strip_suffix("/c?...").unwrap().to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        Server { child, url }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "a clean stop ends with {status}");
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill();
        panic!("the server did not stop");
    }
}

fn run(args: &[&str], paths: &[(&str, &Path)]) -> Output {
    let mut command = Command::new(BIN);
    command.args(args);
    for (flag, path) in paths {
        if !flag.is_empty() {
            command.arg(flag);
        }
        command.arg(path);
    }
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

fn links(data: &Path, file: &Path) {
    let count = (RATE + RATE / 10).to_string();
    let fixed =
        ["link", "--base", "http://t", "--ad", "ad", "--to", "https://e.example/", "--count"];
    let made = run(&[&fixed[..], &[count.as_str()]].concat(), &[("--data", data)]);
    assert!(made.status.success(), "{}", text(&made));
    std::fs::write(file, made.stdout).unwrap();
}

fn load(url: &str, links: &Path, journal: &Path) -> Child {
    let (rate, seconds) = (RATE.to_string(), SECONDS.to_string());
    Command::new(BIN)
        .args(["load", "--rate", &rate, "--seconds", &seconds, "--connections", "32"])
        .arg("--links")
        .arg(links)
        .arg("--journal")
        .arg(journal)
        .arg(url)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn add_to(all: &Path, journal: &Path) -> usize {
    let lines = std::fs::read(journal).unwrap_or_default();
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(all).unwrap();
    file.write_all(&lines).unwrap();
    lines.iter().filter(|byte| **byte == b'\n').count()
}

#[test]
fn nothing_acknowledged_is_lost_or_double() {
    let cycles = std::env::var("CLICKTEST_KILL_CYCLES").ok();
    let cycles: u32 = cycles.map_or(40, |text| text.parse().expect("a number of cycles"));
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (data, all, journal, file) = (at("data"), at("all"), at("journal"), at("links"));
    let (mut acknowledged, mut cut_short) = (0, 0);
    for cycle in 0..cycles {
        let begun = Instant::now();
        links(&data, &file);
        let server = Server::start(&data);
        let mut loading = load(&server.url, &file, &journal);
        let instant = 60 + u64::from(random() % 500);
        std::thread::sleep(Duration::from_millis(instant));
        server.kill();
        loading.wait().unwrap();
        let added = add_to(&all, &journal);
        cut_short += u32::from(added < 1000);
        acknowledged += added;
        let again = Server::start(&data);
        again.stop();
        let verified = run(&["verify"], &[("--data", &data), ("", &all)]);
        let report = text(&verified);
        assert!(verified.status.success(), "cycle {cycle}, killed at {instant} ms:\n{report}");
        let took = begun.elapsed();
        println!("cycle {cycle}: killed at {instant} ms, {took:.2?}, {}", report.trim());
    }
    println!(
        "{cycles} cycles, {acknowledged} acknowledged, {cut_short} loads cut short by the kill"
    );
    assert!(acknowledged > 0 && cut_short > 0, "the kills must hit running loads");
}

fn random() -> u32 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).unwrap();
    u32::from_le_bytes(bytes)
}
