//! wrk: the load generator for all HTTP servers alike, on a core of its own.

use crate::process::{CLIENT_CORE, field, find, output, pinned};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

const SCRIPT: &str = include_str!("../../wrk.lua");

/// What one run brought.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Answers.
    pub requests: f64,
    /// How long it took.
    pub seconds: f64,
    /// 99th percentile of the time to the answer, ms.
    pub p99_ms: f64,
}

/// The generator and its files.
pub struct Wrk {
    program: PathBuf,
    script: PathBuf,
    paths: PathBuf,
}

impl Wrk {
    /// Writes its script and the paths to ask for into `dir`.
    pub fn prepare(dir: &Path, paths: &[String]) -> Result<Wrk> {
        let program = find("wrk").context("no wrk on this machine")?;
        let (script, file) = (dir.join("wrk.lua"), dir.join("paths"));
        std::fs::write(&script, SCRIPT)?;
        std::fs::write(&file, paths.join("\n"))?;
        Ok(Wrk { program, script, paths: file })
    }

    /// Asks the server on `port` as fast as it answers.
    pub fn run(&self, port: u16, connections: u32, seconds: u64) -> Result<Run> {
        let mut command = pinned(CLIENT_CORE, &self.program);
        command.args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "-s"]);
        command.arg(&self.script).arg(format!("http://127.0.0.1:{port}/")).arg("--");
        let answer = output(command.arg(&self.paths))?;
        let failed = field(&answer, "failed")?;
        ensure!(failed == 0.0, "{failed} requests failed: {answer}");
        Ok(Run {
            requests: field(&answer, "requests")?,
            seconds: field(&answer, "seconds")?,
            p99_ms: field(&answer, "p99_us")? / 1000.0,
        })
    }
}
