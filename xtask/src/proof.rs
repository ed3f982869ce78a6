//! The simulator, built for what is asked of it.

use crate::shell;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::{Command, Stdio};

/// As a part of the whole workspace: of libraries whose features packages disagree about there is
/// one build then, that of `ci`.
const BUILD: &str =
    "cargo build --quiet --release --locked --workspace --features full --bin click-sim";
/// A build of its own: no other has planted bugs.
const BUILD_PLANTED: &str =
    "cargo build --quiet --release --locked --workspace --features full,planted --bin click-sim";

/// A build of its own, with a counter for each branch: the flags are those of cargo-fuzz, without
/// a sanitizer. With a target named, build scripts and macros are left as they are.
const BUILD_FUZZER: &str = "cargo build --quiet --release --locked --manifest-path fuzz/Cargo.toml \
    --target x86_64-unknown-linux-gnu --target-dir target/fuzz";
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0";

/// Runs a task of the simulator.
pub(crate) fn sim(root: &Path, task: &str, arguments: &[&str]) -> Result<()> {
    play(root, BUILD, &[&[task][..], arguments].concat())
}

/// Builds the fuzzer and lets it loose on every corpus.
pub(crate) fn guided(root: &Path, arguments: &[&str]) -> Result<()> {
    shell::run(root, BUILD_FUZZER, &[("RUSTFLAGS", COVERAGE)])?;
    let seconds = arguments.iter().position(|word| *word == "--seconds");
    let seconds = seconds.and_then(|place| arguments.get(place + 1)).context("--seconds N")?;
    play(root, BUILD, &[&["guided", *seconds][..], arguments].concat())
}

/// Hunts every planted bug.
pub(crate) fn planted(root: &Path, arguments: &[&str]) -> Result<()> {
    play(root, BUILD_PLANTED, &[&["planted"][..], arguments].concat())
}

/// Builds it and runs it: it is beside this program.
fn play(root: &Path, build: &str, arguments: &[&str]) -> Result<()> {
    shell::run(root, build, &[])?;
    println!("$ click-sim {}", arguments.join(" "));
    let program = std::env::current_exe()?.with_file_name("click-sim");
    let mut command = Command::new(program);
    let status = command.args(arguments).current_dir(root).stdin(Stdio::null()).status()?;
    ensure!(status.success(), "`click-sim {}` failed: {status}", arguments.join(" "));
    Ok(())
}
