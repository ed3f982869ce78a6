//! The stages in a Flink cluster within one Java process, against the native fold: at parallelism
//! 1, 2 and 4, and through deaths, restores and rescalings.
//!
//! Needs a JDK and Flink's jars, which `cargo xtask setup` gets; skips without them, and fails
//! instead where `CLICKTEST_CI` is set. `CLICKTEST_SEED` takes another log.

#![expect(clippy::print_stdout, reason = "a test says what it saw")]

#[path = "split/java.rs"]
mod java;
#[path = "split/sink.rs"]
mod sink;

use java::Java;

/// Parallelisms, each but the last of a chain to its death.
const CHAINS: [&str; 4] = ["1", "2", "4", "2-4-1-2"];

#[test]
fn a_flink_cluster_gives_the_rows_and_verdicts_of_the_native_fold() {
    let Some(java) = Java::of("flink") else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let (_, world) = java::world();
    java::write_log(&world, dir.path());
    let arguments = [&[dir.path().to_str().expect("a path")][..], &CHAINS].concat();
    java.run(dir.path(), "org.clickledger.flink.LocalRun", &arguments);
    for chain in CHAINS {
        println!("chain {chain}");
        java::compare(&world, &dir.path().join(chain));
    }
}
