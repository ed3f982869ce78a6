//! The system's clock is set by an hour, forward and back, under load and between two runs. The
//! log's time never goes back, no click is lost or double, and the server says that clocks differ
//! for as long as they do.
//!
//! libfaketime stands between the server and its C library and reads the step from a file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use click_engine::log::{DiskLog, EventLog as _, LogOptions, RecordBatch};

use super::server::{BIN, Server};
use super::visitors::{Visitors, begin_trial};

const FAULT: &str = "clock-step";
const SECONDS: f64 = 0.8;
const HOUR: i64 = 3600;

/// The clock of a server, and all else of a trial.
struct Stage {
    dir: tempfile::TempDir,
    library: String,
    visitors: Visitors,
}

impl Stage {
    /// `None`, and said, without libfaketime.
    fn set() -> Option<Stage> {
        let asked =
            Command::new("faketime").args(["-m", "-f", "+0", "printenv", "LD_PRELOAD"]).output();
        let asked = asked.ok().filter(|output| output.status.success());
        let Some(asked) = asked else {
            assert!(std::env::var_os("CLICKTEST_CI").is_none(), "faketime is not installed");
            println!("skipped: faketime is not installed");
            return None;
        };
        begin_trial(FAULT);
        let library = String::from_utf8(asked.stdout).unwrap().trim().to_owned();
        let dir = tempfile::tempdir().unwrap();
        let stage = Stage { dir, library, visitors: Visitors::new() };
        // The first start makes the keys that links are signed with.
        stage.start(0).kill();
        Some(stage)
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Sets the clock to so many seconds ahead of the true time.
    fn step(&self, seconds: i64) {
        // Renamed, as the server reads it with every look at the clock.
        let (new, step) = (self.dir.path().join("new"), self.dir.path().join("step"));
        std::fs::write(&new, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(new, step).unwrap();
    }

    /// A server whose clock has been set so.
    fn start(&self, seconds: i64) -> Server {
        self.step(seconds);
        let mut command = Command::new(BIN);
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", self.dir.path().join("step"))
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1");
        Server::start_by(command, &self.data())
    }

    /// A load in the midst of which the clock is set.
    fn click(&mut self, server: &Server, seconds: i64) {
        let data = self.data();
        self.visitors.mint(&data, SECONDS);
        let loading = self.visitors.begin(server, SECONDS);
        std::thread::sleep(Duration::from_secs_f64(SECONDS / 2.0));
        self.step(seconds);
        assert!(self.visitors.end(loading) > 0, "it takes no clicks: {}", server.readiness());
    }

    /// A server with a true clock has everything, once, and time did not go back.
    fn end(mut self) {
        let data = self.data();
        let server = Server::start(&data);
        println!("with the true clock: {}", last_line(&server.readiness()));
        server.stop();
        let (records, first, last) = times(&data);
        println!("{records} records over {} s of log time", (last - first) / 1000);
        self.visitors.verify_trial(FAULT, &data);
    }
}

fn last_line(answer: &str) -> &str {
    answer.lines().last().unwrap_or_default()
}

fn says_that_clocks_differ(server: &Server) {
    let readiness = server.readiness();
    println!("{}", last_line(&readiness));
    assert!(readiness.starts_with("HTTP/1.1 503") && readiness.contains("clocks"), "{readiness}");
}

/// Number of records and the first and last `append_time`, ms; they never go back. The log's header
/// has none.
fn times(data: &Path) -> (usize, u64, u64) {
    let log = DiskLog::open_readonly(&data.join("log"), &LogOptions::default()).unwrap();
    let (mut records, mut batch) = (Vec::new(), RecordBatch::new());
    let range = log.range(0);
    let mut from = range.start;
    while from < range.end {
        batch.clear();
        log.read(0, from, 1 << 20, &mut batch).unwrap();
        records.extend(batch.iter().map(|(_, append_time, _)| append_time));
        from = batch.last().unwrap().0 + 1;
    }
    assert!(records.is_sorted(), "append_time goes back");
    (records.len(), records[1], records[records.len() - 1])
}

/// Set wrong under load, and right again.
fn steps_and_is_set_right(seconds: i64) {
    let Some(mut stage) = Stage::set() else { return };
    let server = stage.start(0);
    stage.click(&server, seconds);
    says_that_clocks_differ(&server);
    stage.click(&server, 0);
    assert!(server.becomes_ready(), "not ready with a true clock: {}", server.readiness());
    stage.click(&server, 0);
    server.kill();
    stage.end();
}

#[test]
fn a_clock_that_leaps_ahead_under_load_loses_nothing() {
    steps_and_is_set_right(HOUR);
}

#[test]
fn a_clock_that_falls_back_under_load_loses_nothing() {
    steps_and_is_set_right(-HOUR);
}

#[test]
fn a_clock_that_is_set_back_while_stopped_loses_nothing() {
    let Some(mut stage) = Stage::set() else { return };
    let server = stage.start(0);
    stage.click(&server, 0);
    server.kill();
    let server = stage.start(-HOUR);
    // Log time goes on from where it was.
    stage.click(&server, -HOUR);
    says_that_clocks_differ(&server);
    stage.click(&server, 0);
    assert!(server.becomes_ready(), "not ready with a true clock: {}", server.readiness());
    server.kill();
    stage.end();
}

/// Log time is an hour ahead then, and can only wait for the clock.
#[test]
fn a_clock_that_is_set_ahead_while_stopped_loses_nothing() {
    let Some(mut stage) = Stage::set() else { return };
    let server = stage.start(0);
    stage.click(&server, 0);
    server.kill();
    let server = stage.start(HOUR);
    assert!(server.becomes_ready(), "not ready: {}", server.readiness());
    stage.click(&server, 0);
    says_that_clocks_differ(&server);
    stage.click(&server, -HOUR);
    stage.click(&server, 0);
    server.kill();
    // They wait in the log, and are counted when their instant has come.
    println!("while they wait: {}", stage.visitors.verify(&stage.data()));
    let server = stage.start(HOUR);
    assert!(server.becomes_ready(), "not ready an hour later: {}", server.readiness());
    std::thread::sleep(Duration::from_secs(2));
    server.stop();
    stage.end();
}
