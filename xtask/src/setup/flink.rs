//! Apache Flink, in whose clusters tests run the hosted stages: the jars that Maven gets for
//! `flink-pom.xml`.

use super::maven;
use anyhow::Result;
use std::path::Path;

const POM: &str = "xtask/src/setup/flink-pom.xml";

/// Copies the jars below `dir`, unless they are there.
pub(super) fn install(root: &Path, dir: &Path) -> Result<()> {
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
