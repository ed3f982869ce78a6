//! Apache Spark's Kafka connector, for the tests of the hosted stages in Spark: the jars that Maven
//! gets for `spark-pom.xml`. Spark itself is a package of Python's.

use super::maven;
use anyhow::Result;
use std::path::Path;

const POM: &str = "xtask/src/setup/spark-pom.xml";

/// Copies the jars below `dir`, unless they are there.
pub(super) fn install(root: &Path, dir: &Path) -> Result<()> {
    match maven::is_current(root, POM, dir) {
        true => Ok(()),
        false => maven::copy(root, POM, dir),
    }
}

/// A line that names it, where it is not there or is an older one.
pub(super) fn missing(root: &Path, dir: &Path) -> Option<String> {
    let said = "  Spark's Kafka connector, by Maven (for the tests of the hosted stages)";
    (!maven::is_current(root, POM, dir)).then(|| said.to_owned())
}
