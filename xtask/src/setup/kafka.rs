//! Apache Kafka, whose brokers tests start: the jars that Maven gets for `kafka-pom.xml`, and
//! nothing else of its distribution.

mod classes;

use super::maven::{self, LIBS};
use anyhow::Result;
use std::path::Path;

const POM: &str = "xtask/src/setup/kafka-pom.xml";

/// Copies the jars below `dir`, unless they are there; they appear there all at once.
pub(super) fn install(root: &Path, dir: &Path) -> Result<()> {
    if is_current(root, dir) {
        return Ok(());
    }
    maven::copy(root, POM, dir)?;
    classes::save(root, dir)
}

/// A line that names it, where it is not there or is an older one.
pub(super) fn missing(root: &Path, dir: &Path) -> Option<String> {
    let said = "  Kafka's jars, by Maven (for the tests with real brokers)";
    (!is_current(root, dir)).then(|| said.to_owned())
}

fn is_current(root: &Path, dir: &Path) -> bool {
    maven::is_current(root, POM, dir) && dir.join(classes::FILE).is_file()
}

fn remove(dir: &Path) -> Result<()> {
    maven::remove(dir)
}
