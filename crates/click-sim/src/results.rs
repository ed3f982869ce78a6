//! Results of long runs: a committed file, a line each, keyed by commit, that adds up.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Stories of the simulated machine.
    Simulation,
    /// Planted bugs; what failed is what was missed.
    Planted,
    /// Kills of the real binary under load.
    Kills,
    /// Mutations of the corpora.
    Mutations,
    /// Mutations guided by coverage.
    Guided,
    /// Real faults of the real binary under load.
    Fault(Fault),
}

/// A kind of real fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    FullDisk,
    FailingDevice,
    SlowDisk,
    FailingLog,
    FailingCheckpoint,
    FailingLedger,
    MemoryLimit,
    ClockStep,
    KafkaLeaderKilled,
    KafkaFrozen,
    KafkaStopped,
    KafkaTrackerKilled,
    KafkaSentAgain,
    KafkaCutover,
    KafkaEngineFrozen,
    KafkaSiteKilled,
    KafkaSiteCut,
    KafkaSpoolCopied,
}

impl Fault {
    /// All, by the name that the tests say.
    pub(crate) const ALL: [(Fault, &str); 18] = [
        (Fault::FullDisk, "full-disk"),
        (Fault::FailingDevice, "failing-device"),
        (Fault::SlowDisk, "slow-disk"),
        (Fault::FailingLog, "failing-log"),
        (Fault::FailingCheckpoint, "failing-checkpoint"),
        (Fault::FailingLedger, "failing-ledger"),
        (Fault::MemoryLimit, "memory-limit"),
        (Fault::ClockStep, "clock-step"),
        (Fault::KafkaLeaderKilled, "kafka-leader-killed"),
        (Fault::KafkaFrozen, "kafka-frozen"),
        (Fault::KafkaStopped, "kafka-stopped"),
        (Fault::KafkaTrackerKilled, "kafka-tracker-killed"),
        (Fault::KafkaSentAgain, "kafka-sent-again"),
        (Fault::KafkaCutover, "kafka-cutover"),
        (Fault::KafkaEngineFrozen, "kafka-engine-frozen"),
        (Fault::KafkaSiteKilled, "kafka-site-killed"),
        (Fault::KafkaSiteCut, "kafka-site-cut"),
        (Fault::KafkaSpoolCopied, "kafka-spool-copied"),
    ];
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Saved {
    pub(crate) kind: Kind,
    pub(crate) commit: String,
    /// The first seed.
    pub(crate) from: u64,
    pub(crate) trials: u64,
    pub(crate) failed: u64,
    pub(crate) seconds: f64,
    /// More numbers, by name.
    pub(crate) details: Vec<(String, u64)>,
}

/// A file of the repository.
pub(crate) fn path(of: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(of)
}

const FILE: &str = "docs/reliability-results.jsonl";

/// All results so far, oldest first.
pub(crate) fn all() -> Result<Vec<Saved>, String> {
    let path = path(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let line = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| format!("{FILE} line {}: {error}", number + 1))
    };
    text.lines().enumerate().map(line).collect()
}

/// Appends a result.
pub(crate) fn save(result: &Saved) -> Result<(), String> {
    let line = serde_json::to_string(result).map_err(|error| error.to_string())?;
    let file = std::fs::File::options().append(true).create(true).open(path(FILE));
    let written = file.and_then(|mut file| writeln!(file, "{line}"));
    written.map_err(|error| format!("{FILE}: {error}"))
}

/// Behind the last seed that was saved.
pub(crate) fn next_seed() -> Result<u64, String> {
    next_of(Kind::Simulation)
}

/// Behind the last mutation that was saved.
pub(crate) fn next_mutation() -> Result<u64, String> {
    next_of(Kind::Mutations)
}

fn next_of(kind: Kind) -> Result<u64, String> {
    let of_kind = all()?.into_iter().filter(|result| result.kind == kind);
    Ok(of_kind.map(|result| result.from + result.trials).max().unwrap_or(0))
}

/// The commit that is checked out; changed files are said, but for the results themselves: a run
/// that goes on where another was stopped is of the same code.
pub(crate) fn commit() -> Result<String, String> {
    let hash = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "-uno", "--", ".", ":!docs/reliability*"])?;
    Ok(if changed.is_empty() { hash } else { format!("{hash}-dirty") })
}

fn git(arguments: &[&str]) -> Result<String, String> {
    let asked = Command::new("git").args(arguments).current_dir(path(".")).output();
    let asked = asked.map_err(|error| format!("git: {error}"))?;
    if !asked.status.success() {
        return Err(format!("git: {}", String::from_utf8_lossy(&asked.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&asked.stdout).trim().to_owned())
}
