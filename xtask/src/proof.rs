//! The simulator, built for what is asked of it.

use crate::shell;
use anyhow::Result;
use std::path::Path;

const RUN: &str = "cargo run --quiet --release --locked -p click-sim";
/// A build of its own: no other has planted bugs.
const RUN_PLANTED: &str = "cargo run --quiet --release --locked -p click-sim --features planted";

/// Runs a task of the simulator.
pub(crate) fn sim(root: &Path, task: &str, arguments: &[&str]) -> Result<()> {
    shell::run(root, &format!("{RUN} -- {task} {}", arguments.join(" ")), &[])
}

/// Hunts every planted bug.
pub(crate) fn planted(root: &Path, arguments: &[&str]) -> Result<()> {
    shell::run(root, &format!("{RUN_PLANTED} -- planted {}", arguments.join(" ")), &[])
}
