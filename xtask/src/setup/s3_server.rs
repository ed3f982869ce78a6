//! versitygw, the S3 server that the tests of the archive in a bucket start, built by Go.
//!
//! Its source asks for a newer Go than some systems have as a package. No other one is fetched for
//! it: then those tests skip.

use crate::shell;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

const MODULE: &str = "github.com/versity/versitygw/cmd/versitygw@v1.8.0";
/// The oldest Go that builds it: 1 and this.
const GO: u32 = 25;
const NEEDED_FOR: &str = "the tests of the archive in a bucket";

/// Builds it below `dir`, unless it is there.
pub(super) fn install(root: &Path, dir: &Path) -> Result<()> {
    if program(dir).is_file() {
        return Ok(());
    }
    let Some(go) = go(root) else {
        println!("no Go 1.{GO} or newer here: {NEEDED_FOR} will skip; install one from go.dev");
        return Ok(());
    };
    println!("building {MODULE} into {}", dir.display());
    let install = Command::new(go)
        .args(["install", MODULE])
        .env("GOBIN", dir.join("bin"))
        .env("GOTOOLCHAIN", "local")
        .current_dir(root)
        .status()
        .with_context(|| format!("cannot start {go}"))?;
    ensure!(install.success(), "`go install {MODULE}` failed: {install}");
    Ok(())
}

/// A line that names it, where it could be built and is not.
pub(super) fn missing(root: &Path, dir: &Path) -> Option<String> {
    let is_missing = !program(dir).is_file() && go(root).is_some();
    is_missing.then(|| format!("  versitygw, built by Go (for {NEEDED_FOR})"))
}

fn program(dir: &Path) -> PathBuf {
    dir.join("bin/versitygw")
}

/// A Go that is new enough, wherever it was put.
fn go(root: &Path) -> Option<&'static str> {
    let fits = |go: &&str| {
        let said = shell::read(root, &format!("{go} version")).unwrap_or_default();
        minor(&said).is_some_and(|minor| minor >= GO)
    };
    ["go", "/usr/local/go/bin/go"].into_iter().find(fits)
}

/// The 26 of `go version go1.26.8 linux/amd64`.
fn minor(said: &str) -> Option<u32> {
    said.split_whitespace().nth(2)?.strip_prefix("go1.")?.split('.').next()?.parse().ok()
}
