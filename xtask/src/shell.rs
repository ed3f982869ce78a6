//! Starting other programs: each is shown before it runs, and its failure names it.
//!
//! Standard input is always empty, so that no tool can wait for an answer.

use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};

/// A command given as one line of words; no shell, no quoting.
pub(crate) fn command(root: &Path, line: &str) -> Command {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).current_dir(root).stdin(Stdio::null());
    command
}

/// Runs a line with its output shown; an error if it fails.
pub(crate) fn run(root: &Path, line: &str, environment: &[(&str, &str)]) -> Result<()> {
    println!("$ {line}");
    let mut command = command(root, line);
    command.envs(environment.iter().copied());
    let status = command.status().with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed: {status}");
    }
    Ok(())
}

/// Runs a line and returns what it printed.
pub(crate) fn read(root: &Path, line: &str) -> Result<String> {
    let out = command(root, line).output().with_context(|| format!("cannot start `{line}`"))?;
    if !out.status.success() {
        bail!("`{line}` failed: {}: {}", out.status, String::from_utf8_lossy(&out.stderr));
    }
    Ok(String::from_utf8(out.stdout)?)
}

/// Whether a line runs and succeeds; its output is dropped.
pub(crate) fn succeeds(root: &Path, line: &str) -> bool {
    let mut command = command(root, line);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
