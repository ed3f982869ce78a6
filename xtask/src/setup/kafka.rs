//! Apache Kafka, whose brokers tests start: the jars that Maven gets for `kafka-pom.xml`, and
//! nothing else of its distribution.

mod classes;

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const POM: &str = "xtask/src/setup/kafka-pom.xml";
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies";
/// Holds the jars, and beside them what they were got for.
const LIBS: &str = "libs";
const GOT_FOR: &str = "libs/pom.xml";

/// Copies the jars below `dir`, unless they are there; they appear there all at once.
pub(super) fn install(root: &Path, dir: &Path) -> Result<()> {
    if is_current(root, dir) {
        return Ok(());
    }
    println!("copying Kafka's jars into {}", dir.display());
    let (libs, part) = (dir.join(LIBS), dir.join("part"));
    remove(&part)?;
    remove(&libs)?;
    let copy = Command::new("mvn")
        .args(["--quiet", "--batch-mode", "--file", POM, COPY, "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", part.display()))
        .current_dir(root)
        .stdin(Stdio::null())
        .status()
        .context("cannot start mvn")?;
    ensure!(copy.success(), "`mvn {COPY}` failed: {copy}");
    fs::copy(root.join(POM), part.join("pom.xml")).context("cannot note what Maven copied")?;
    fs::rename(&part, &libs).with_context(|| format!("cannot make {}", libs.display()))?;
    classes::save(root, dir)
}

/// A line that names it, where it is not there or is an older one.
pub(super) fn missing(root: &Path, dir: &Path) -> Option<String> {
    let said = "  Kafka's jars, by Maven (for the tests with real brokers)";
    (!is_current(root, dir)).then(|| said.to_owned())
}

fn is_current(root: &Path, dir: &Path) -> bool {
    let wanted = fs::read(root.join(POM)).ok();
    wanted.is_some()
        && wanted == fs::read(dir.join(GOT_FOR)).ok()
        && dir.join(classes::FILE).is_file()
}

fn remove(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    Ok(())
}
