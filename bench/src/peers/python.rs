//! Peers from PyPI, in an environment of their own under the build directory.

use crate::process::{data_dir, find};
use crate::report::progress;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Python that has a package; it is installed once.
pub fn python_with(package: &str, version: &str) -> Result<PathBuf> {
    let dir = data_dir()?.join("duckdb");
    let python = dir.join("bin/python");
    if !has(&python, package) {
        let system = find("python3").context("no python3: install it with its venv module")?;
        progress(&format!("installing {package} from PyPI"));
        run(Command::new(system).args(["-m", "venv"]).arg(&dir))?;
        let package = format!("{package}=={version}");
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", &package]))?;
    }
    Ok(python)
}

fn has(python: &Path, package: &str) -> bool {
    let check = Command::new(python).args(["-c", &format!("import {package}")]).output();
    check.is_ok_and(|out| out.status.success())
}

fn run(command: &mut Command) -> Result<()> {
    let name = format!("{:?}", command.get_program());
    let out = command.output().with_context(|| name.clone())?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{name} failed: {}", said.lines().last().unwrap_or_default());
    Ok(())
}
