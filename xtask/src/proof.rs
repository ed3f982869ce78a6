//! The simulator, built for what is asked of it.

use crate::shell;
use anyhow::{Context, Result};
use std::path::Path;

const RUN: &str = "cargo run --quiet --release --locked -p click-sim --features full";
/// A build of its own: no other has planted bugs.
const RUN_PLANTED: &str = "cargo run --quiet --release --locked -p click-sim --features full,planted";

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
    shell::run(root, &format!("{RUN} -- {task} {}", arguments.join(" ")), &[])
}

/// Builds the fuzzer and lets it loose on every corpus.
pub(crate) fn guided(root: &Path, arguments: &[&str]) -> Result<()> {
    shell::run(root, BUILD_FUZZER, &[("RUSTFLAGS", COVERAGE)])?;
    let seconds = arguments.iter().position(|word| *word == "--seconds");
    let seconds = seconds.and_then(|place| arguments.get(place + 1)).context("--seconds N")?;
    let rest = arguments.join(" ");
    shell::run(root, &format!("{RUN} -- guided {seconds} {rest}"), &[])
}

/// Hunts every planted bug.
pub(crate) fn planted(root: &Path, arguments: &[&str]) -> Result<()> {
    shell::run(root, &format!("{RUN_PLANTED} -- planted {}", arguments.join(" ")), &[])
}
