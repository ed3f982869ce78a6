//! The Python whose packages tests call: the system's, or the one that `cargo xtask setup` makes.
//! Must never install anything.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A Python that has `module`; `None`, having said so, if there is none.
///
/// # Panics
/// If there is none and `CLICKTEST_CI` is set.
#[must_use]
#[expect(clippy::print_stdout, reason = "a test says why it skips")]
pub fn python_with(module: &str) -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    // Below the build directory that this program is in, however deep.
    let own = program.ancestors().map(|dir| dir.join("bench-data/duckdb/bin/python"));
    let found = own
        .filter(|python| python.is_file())
        .chain([PathBuf::from("python3")])
        .find(|python| has(python, module));
    if found.is_none() {
        let missing = format!("no Python with {module} is installed");
        assert!(std::env::var_os("CLICKTEST_CI").is_none(), "{missing}");
        println!("skipped: {missing}");
    }
    found
}

fn has(python: &Path, module: &str) -> bool {
    let out = Command::new(python).args(["-c", &format!("import {module}")]).output();
    out.is_ok_and(|out| out.status.success())
}
