//! The stages in a Flink cluster within one Java process, against the native fold: at parallelism
//! 1, 2 and 4, and through deaths, restores and rescalings; with rows as of every instant, and with
//! instants leapt over. Gaps are those of Flink's metrics.
//!
//! Needs a JDK and Flink's jars, which `cargo xtask setup` gets; skips without them, and fails
//! instead where `CLICKTEST_CI` is set. `CLICKTEST_SEED` takes another log.

#![expect(clippy::print_stdout, reason = "a test says what it saw")]

#[path = "split/instants.rs"]
mod instants;
#[path = "split/java.rs"]
mod java;
#[path = "split/sink.rs"]
mod sink;

use std::fs;

use java::Java;

/// What Flink finds reporters of metrics by.
const REPORTERS: &str = "org.apache.flink.metrics.reporter.MetricReporterFactory";

/// Parallelisms, each but the last of a chain to its death.
const CHAINS: [&str; 8] =
    ["1", "2", "4", "2-4-1-2", "every-1", "every-2", "every-4", "every-2-4-1-2"];

#[test]
fn a_flink_cluster_gives_the_rows_and_verdicts_of_the_native_fold() {
    let Some(java) = Java::of("flink") else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let (_, world) = java::world();
    java::write_log(&world, dir.path());
    let stops = instants::of(&world);
    let bytes: Vec<u8> = stops.iter().flat_map(|at| at.to_le_bytes()).collect();
    fs::write(dir.path().join("instants"), bytes).expect("a file");
    let services = dir.path().join("classes/META-INF/services");
    fs::create_dir_all(&services).expect("a folder");
    fs::write(services.join(REPORTERS), "org.clickledger.flink.Gaps$Factory").expect("a file");
    let arguments = [&[dir.path().to_str().expect("a path")][..], &CHAINS].concat();
    java.run(dir.path(), "org.clickledger.flink.LocalRun", &arguments);
    for chain in CHAINS {
        let out = dir.path().join(chain);
        let gaps = fs::read_to_string(out.join("gaps")).expect("it has run");
        let gaps = gaps.parse().expect("a number");
        let sink = java::compare(&world, &out, Some(gaps));
        let (handed_out, skipped) = instants::handed_out(&sink, &world, &stops);
        println!(
            "chain {chain}: {handed_out} rows as of their instants, {skipped} not, {gaps} gaps"
        );
        assert!(skipped == 0 || !chain.starts_with("every"), "{chain}: {skipped} are missing");
    }
}
