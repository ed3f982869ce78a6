//! The stages in Spark within one Java process, against the native fold: by 1, 2 and 4 tasks, with
//! stages kept open and restored for every batch, with batches done again, and by another number of
//! tasks.
//!
//! Needs a JDK and Spark's jars, which `cargo xtask setup` gets; skips without them, and fails
//! instead where `CLICKTEST_CI` is set. `CLICKTEST_SEED` takes another log.

#![expect(clippy::print_stdout, reason = "a test says what it saw")]

#[path = "split/java.rs"]
mod java;
#[path = "split/sink.rs"]
mod sink;

use java::Java;

/// Numbers of tasks, one after another; `open`: stages stay open between batches; `place`: tasks
/// read their partitions themselves, as they do a topic's.
const CHAINS: [&str; 8] = [
    "1",
    "open-2",
    "3-1-4-2",
    "open-2-3-2",
    "open-4-4",
    "place-1",
    "place-3-1-4-2",
    "place-open-2-3-2",
];

#[test]
fn spark_gives_the_rows_and_verdicts_of_the_native_fold() {
    let Some(java) = Java::of("spark") else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let (seed, world) = java::world();
    java::write_log(&world, dir.path());
    let seed = seed.to_string();
    let arguments = [&[dir.path().to_str().expect("a path"), &seed][..], &CHAINS].concat();
    java.run(dir.path(), "org.clickledger.spark.LocalRun", &arguments);
    for chain in CHAINS {
        println!("chain {chain}");
        java::compare(&world, &dir.path().join(chain), None);
    }
}
