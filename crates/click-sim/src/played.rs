//! Playing tests of the real binary: they do the work, somebody here listens and adds up.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitStatus, Stdio};

use crate::results;

/// With the features that `cargo xtask ci` builds, so that nothing is compiled again.
const TEST: [&str; 10] = [
    "test",
    "--quiet",
    "--release",
    "--locked",
    "--workspace",
    "--features",
    "full",
    "--test",
    "faults",
    "--",
];

/// Runs tests of `faults` with more arguments and settings; every line is shown, and heard.
///
/// # Errors
/// If they cannot be run, or what `hear` says of a line.
pub(crate) fn play(
    arguments: &[&str],
    settings: &[(&str, String)],
    mut hear: impl FnMut(&str) -> Result<(), String>,
) -> Result<ExitStatus, String> {
    let mut test = Command::new("cargo")
        .args(TEST)
        .arg("--nocapture")
        .args(arguments)
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .current_dir(results::path("."))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cargo: {error}"))?;
    let output = test.stdout.take().ok_or("cargo has no output")?;
    for line in BufReader::new(output).lines() {
        let line = line.map_err(|error| format!("cargo: {error}"))?;
        println!("{line}");
        hear(&line)?;
    }
    test.wait().map_err(|error| format!("cargo: {error}"))
}
