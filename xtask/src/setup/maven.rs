//! Jars that Maven gets for a `pom.xml`, in a directory of their own below the build directory.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies";
/// Holds the jars, and beside them what they were got for.
pub(super) const LIBS: &str = "libs";
const GOT_FOR: &str = "libs/pom.xml";

/// Copies the jars below `dir`; they appear there all at once.
pub(super) fn copy(root: &Path, pom: &str, dir: &Path) -> Result<()> {
    println!("copying the jars of {pom} into {}", dir.display());
    let (libs, part) = (dir.join(LIBS), dir.join("part"));
    remove(&part)?;
    remove(&libs)?;
    let copy = Command::new("mvn")
        .args(["--quiet", "--batch-mode", "--file", pom, COPY, "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", part.display()))
        .current_dir(root)
        .stdin(Stdio::null())
        .status()
        .context("cannot start mvn")?;
    ensure!(copy.success(), "`mvn {COPY}` failed: {copy}");
    fs::copy(root.join(pom), part.join("pom.xml")).context("cannot note what Maven copied")?;
    fs::rename(&part, &libs).with_context(|| format!("cannot make {}", libs.display()))
}

/// Whether they are there, for this very `pom.xml`.
pub(super) fn is_current(root: &Path, pom: &str, dir: &Path) -> bool {
    let wanted = fs::read(root.join(pom)).ok();
    wanted.is_some() && wanted == fs::read(dir.join(GOT_FOR)).ok()
}

pub(super) fn remove(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    Ok(())
}
