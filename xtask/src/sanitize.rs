//! AddressSanitizer: the core's unsafe code, and what parses bytes from outside, run with every
//! access of memory checked.
//!
//! The stable compiler has the sanitizer behind a switch for unstable options, so this is a build
//! of its own in `target/sanitize`, and no part of `ci`: a later compiler may change the switch.

use crate::shell;
use anyhow::{Result, ensure};
use std::path::Path;

/// The core's own tests, folds against the reference, and damaged inputs of all that parses. With
/// a target named, build scripts and macros are left as they are.
const RUN: &str = "cargo test --release --locked --target x86_64-unknown-linux-gnu \
    --target-dir target/sanitize -p click-core -p click-sim --lib --test corpus --test fold";

const ENVIRONMENT: [(&str, &str); 5] = [
    ("RUSTC_BOOTSTRAP", "1"),
    ("RUSTFLAGS", "-Zsanitizer=address"),
    // What lives as long as the process is no leak.
    ("ASAN_OPTIONS", "detect_leaks=0"),
    // A sample of what the ordinary tests try: each access costs more.
    ("CLICKTEST_SEEDS", "200"),
    ("CLICKTEST_MUTATIONS", "500"),
];

/// Builds and runs it; an access outside of what was allocated ends the run with its place.
pub(crate) fn run(root: &Path) -> Result<()> {
    let here = cfg!(all(target_arch = "x86_64", target_os = "linux"));
    ensure!(here, "the sanitizer is set up for Linux on x86-64");
    shell::run(root, RUN, &ENVIRONMENT)
}
