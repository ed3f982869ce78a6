//! System calls that fail under load: on the log, on checkpoints, on the ledger. The server ends,
//! stops acknowledging or goes on, and what it acknowledged is there after a healthy start.
//!
//! Where only derived state fails, the log goes on taking clicks: that is checked, too.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::server::{BIN, Server};
use super::strace::{self, FLUSHES, Inject};
use super::visitors::{Visitors, begin_trial};

/// Segments that are soon full.
const SMALL: &[(&str, &str)] = &[("CLICKLEDGER_LOG__SEGMENT_BYTES", "1048576")];
const WRITES: &str = "pwrite64";

/// What the server is to do afterwards.
enum Then {
    /// End by itself: nothing more can be made durable.
    Ends,
    /// Take clicks; what is derived may have stopped.
    Lives,
    /// Be as well as before, by itself.
    Recovers,
}

struct Trial {
    fault: &'static str,
    calls: &'static str,
    what: String,
    paths: fn(&Path) -> Vec<PathBuf>,
    /// Of the load.
    seconds: f64,
    rate: u32,
    then: Then,
    /// Settings of both starts.
    env: &'static [(&'static str, &'static str)],
}

impl Trial {
    fn play(&self) {
        let dir = tempfile::tempdir().unwrap();
        let (data, story) = (dir.path().join("data"), dir.path().join("story"));
        let mut visitors = Visitors::new();
        visitors.rate = self.rate;
        let mut first = Command::new(BIN);
        first.envs(self.env.iter().copied());
        Server::start_by(first, &data).kill();
        let paths = (self.paths)(&data);
        let inject = Inject { calls: self.calls, what: &self.what, paths: &paths };
        let Some(mut command) = strace::server(&inject, &story) else { return };
        command.envs(self.env.iter().copied());
        begin_trial(self.fault);
        visitors.mint(&data, self.seconds);
        let server = Server::start_by(command, &data);
        let loading = visitors.begin(&server, self.seconds);
        visitors.end(loading);
        let struck = strace::struck(&story);
        println!("{} {}: {struck} calls, {}", self.calls, self.what, visitors.acknowledged);
        assert!(struck > 0, "no call failed");
        self.look_at(server, &mut visitors, &data);
        assert!(visitors.acknowledged > 0, "the first calls succeed");
        visitors.end_trial(self.fault, &data);
    }

    fn look_at(&self, mut server: Server, visitors: &mut Visitors, data: &Path) {
        if matches!(self.then, Then::Ends) {
            assert!(server.ends(), "it goes on: {}", server.readiness());
            return;
        }
        if matches!(self.then, Then::Recovers) {
            assert!(server.becomes_ready(), "not ready again: {}", server.readiness());
        }
        visitors.mint(data, 0.2);
        let loading = visitors.begin(&server, 0.2);
        assert!(visitors.end(loading) > 0, "it takes no more: {}", server.readiness());
        match self.then {
            // A clean stop is one after which everything is in the ledger.
            Then::Recovers => server.stop(),
            Then::Lives | Then::Ends => server.kill(),
        }
    }
}

fn log(data: &Path) -> Vec<PathBuf> {
    vec![data.join("log/p0000/00000000000000000000.seg")]
}

fn spare(data: &Path) -> Vec<PathBuf> {
    vec![data.join("log/p0000/spare.tmp")]
}

fn checkpoints(data: &Path) -> Vec<PathBuf> {
    let dir = data.join("checkpoints");
    (0..4).map(|run| dir.join(format!("claims-{run:012}.run"))).collect()
}

fn ledger(data: &Path) -> Vec<PathBuf> {
    ["ledger.db", "ledger.db-wal"].map(|name| data.join(name)).into()
}

/// From its `nth` call on, something that the log needs fails.
fn a_log_ends_the_server(calls: &'static str, error: &str, nth: u32) {
    Trial {
        fault: "failing-log",
        calls,
        what: format!("error={error}:when={nth}+"),
        paths: log,
        seconds: 0.5,
        rate: 2000,
        then: Then::Ends,
        env: &[],
    }
    .play();
}

#[test]
fn a_log_that_cannot_be_flushed_ends_the_server() {
    for nth in [5, 9, 17, 28, 40] {
        a_log_ends_the_server(FLUSHES, "EIO", nth);
    }
}

#[test]
fn a_log_that_cannot_be_written_ends_the_server() {
    for (error, nth) in [("EIO", 5), ("ENOSPC", 23), ("EIO", 40)] {
        a_log_ends_the_server(WRITES, error, nth);
    }
}

/// No room for the next segment, and then there is. Room is looked for at every checkpoint.
#[test]
fn a_log_that_cannot_grow_waits_for_room() {
    let (fault, calls, what) = ("failing-log", "fallocate", "error=ENOSPC:when=1..16".into());
    Trial {
        fault,
        calls,
        what,
        paths: spare,
        seconds: 3.5,
        rate: 5000,
        then: Then::Recovers,
        env: SMALL,
    }
    .play();
}

#[test]
fn a_failing_checkpoint_stops_no_click() {
    for (calls, what, then) in [
        (FLUSHES, "error=EIO:when=1+", Then::Lives),
        (WRITES, "error=EIO:when=2+", Then::Lives),
        (WRITES, "error=ENOSPC:when=2..4", Then::Recovers),
    ] {
        let (fault, what) = ("failing-checkpoint", what.to_owned());
        Trial { fault, calls, what, paths: checkpoints, seconds: 1.0, rate: 2000, then, env: &[] }
            .play();
    }
}

#[test]
fn a_failing_ledger_stops_no_click() {
    for (calls, what, then) in [
        (FLUSHES, "error=EIO:when=2..3", Then::Recovers),
        (WRITES, "error=EIO:when=3+", Then::Lives),
        (WRITES, "error=EIO:when=3..4", Then::Recovers),
        (WRITES, "error=ENOSPC:when=3..4", Then::Recovers),
    ] {
        let (fault, what) = ("failing-ledger", what.to_owned());
        Trial { fault, calls, what, paths: ledger, seconds: 3.2, rate: 2000, then, env: &[] }
            .play();
    }
}
