//! Apache Cassandra, of which tests start a node: the jars that Maven gets for
//! `cassandra-pom.xml`, and nothing else of its distribution.

use super::maven;
use anyhow::Result;
use std::path::Path;

const POM: &str = "xtask/src/setup/cassandra-pom.xml";

/// Copies the jars below `dir`, unless they are there.
pub(super) fn install(root: &Path, dir: &Path) -> Result<()> {
    match maven::is_current(root, POM, dir) {
        true => Ok(()),
        false => maven::copy(root, POM, dir),
    }
}

/// A line that names it, where it is not there or is an older one.
pub(super) fn missing(root: &Path, dir: &Path) -> Option<String> {
    let said = "  Cassandra's jars, by Maven (for the tests of Cassandra as a store)";
    (!maven::is_current(root, POM, dir)).then(|| said.to_owned())
}
