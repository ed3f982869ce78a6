//! Apache Flink, in whose clusters tests run the hosted stages: the jars that Maven gets for
//! `flink-pom.xml`.

use super::maven;
use crate::shell;
use anyhow::Result;
use std::path::Path;

const POM: &str = "xtask/src/setup/flink-pom.xml";
/// Ours, whose making is tried once, so that Maven has what it takes for the tests.
const JOBS: [&str; 2] = ["jvm/flink/target/classes", "jvm/spark/target/classes"];

/// Copies the jars below `dir`, unless they are there.
pub(super) fn install(root: &Path, dir: &Path) -> Result<()> {
    if !JOBS.iter().all(|job| root.join(job).is_dir()) {
        shell::run(root, "mvn --quiet --batch-mode --file jvm/pom.xml package", &[])?;
    }
    if maven::is_current(root, POM, dir) {
        return Ok(());
    }
    maven::copy(root, POM, dir)
}

/// A line that names it, where it is not there or is an older one.
pub(super) fn missing(root: &Path, dir: &Path) -> Option<String> {
    let said = "  Flink's jars, by Maven (for the tests of the hosted stages)";
    (!maven::is_current(root, POM, dir)).then(|| said.to_owned())
}
