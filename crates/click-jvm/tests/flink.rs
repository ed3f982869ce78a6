//! The stages in a Flink cluster within one Java process, against the native fold: at parallelism
//! 1, 2 and 4, and through deaths, restores and rescalings.
//!
//! Needs a JDK and Flink's jars, which `cargo xtask setup` gets; skips without them, and fails
//! instead where `CLICKTEST_CI` is set. `CLICKTEST_SEED` takes another log.

#![expect(clippy::print_stdout, reason = "a test says what it saw")]

#[path = "split/sink.rs"]
mod sink;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use click_core::hosted::put_record;
use click_core::record::{Kind as RecordKind, Record};
use click_core::types::{Millis, Offset};
use click_jvm::frames::{FrameReader, Port};
use click_sim::check::World;
use click_sim::generate::{GeneratorConfig, generate};
use sink::Sink;

/// Parallelisms, each but the last of a chain to its death.
const CHAINS: [&str; 4] = ["1", "2", "4", "2-4-1-2"];

/// This crate's build: the native library, and where the jars are.
fn built() -> (PathBuf, PathBuf) {
    let test = std::env::current_exe().expect("a test is a file");
    let deps = test.parent().expect("in a directory");
    let target = deps.ancestors().nth(2).expect("of a build directory");
    (deps.join("libclick_jvm.so"), target.join("bench-data/flink/libs"))
}

#[test]
fn a_flink_cluster_gives_the_rows_and_verdicts_of_the_native_fold() {
    let (library, jars) = built();
    if !jars.is_dir() {
        assert!(std::env::var_os("CLICKTEST_CI").is_none(), "run `cargo xtask setup`");
        println!("skipped: no Flink in {}; `cargo xtask setup` gets it", jars.display());
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let seed = std::env::var("CLICKTEST_SEED").map_or(7, |text| text.parse().expect("a number"));
    let config =
        GeneratorConfig { records: 4_000, partitions: 3, ..GeneratorConfig::from_seed(seed) };
    let world = World::new(&generate(&config, seed), config.partitions);
    write_log(&world, dir.path());
    let classes = dir.path().join("classes");
    compile(&classes, &jars);
    let class_path = format!("{}:{}/*", classes.display(), jars.display());
    let mut java = Command::new("java");
    java.arg("-Xmx1g").arg(format!("-Dclickledger.library={}", library.display()));
    for package in ["java.lang", "java.util", "java.time"] {
        java.arg(format!("--add-opens=java.base/{package}=ALL-UNNAMED"));
    }
    java.args(["-cp", &class_path, "org.clickledger.flink.LocalRun"]).arg(dir.path()).args(CHAINS);
    run(&mut java);
    for chain in CHAINS {
        println!("chain {chain}");
        compare(&world, &dir.path().join(chain));
    }
}

fn write_log(world: &World, dir: &Path) {
    let kind = RecordKind::Header(world.header);
    let header = Record { sent_at: None, transport: None, previous: None, kind }.to_bytes();
    fs::write(dir.join("header"), header).expect("a file");
    for (number, log) in (0_u32..).zip(&world.log) {
        let mut bytes = Vec::new();
        for (offset, (time, payload)) in (0..).zip(log) {
            let mut record = number.to_le_bytes().to_vec();
            put_record(&mut record, Offset(offset), Millis(*time), payload);
            let length = u32::try_from(record.len()).expect("a small record");
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend(record);
        }
        fs::write(dir.join(format!("log-{number}")), bytes).expect("a file");
    }
}

fn compile(classes: &Path, jars: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../jvm");
    let folders = ["bridge/src/main", "flink/src/main", "flink/src/test"];
    let mut javac = Command::new("javac");
    javac.args(["--release", "17", "-nowarn", "-proc:none", "-d"]).arg(classes);
    javac.arg("-cp").arg(format!("{}/*", jars.display()));
    for folder in folders {
        let package = if folder.starts_with("bridge") { "bridge" } else { "flink" };
        let folder = root.join(folder).join("java/org/clickledger").join(package);
        for file in fs::read_dir(folder).expect("sources") {
            javac.arg(file.expect("a source").path());
        }
    }
    run(&mut javac);
}

fn run(command: &mut Command) {
    let out = command.output().expect("a JDK");
    let said = [&out.stdout[..], &out.stderr].concat();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said));
    println!("{}", String::from_utf8_lossy(&out.stdout));
}

fn compare(world: &World, out: &Path) {
    let mut sink = Sink::default();
    for folder in ["rows", "verdicts", "dead-letters"] {
        for file in fs::read_dir(out.join(folder)).expect("it has run") {
            let bytes = fs::read(file.expect("a file").path()).expect("a file");
            for frame in FrameReader::new(&bytes) {
                let frame = frame.expect("whole frames");
                match frame.port {
                    Port::Row => sink.take_row(frame.payload),
                    Port::Verdicts => sink.take_verdicts(frame.payload),
                    Port::DeadLetters => sink.take_dead_letters(frame.payload),
                    Port::Records | Port::Next | Port::Policies | Port::Mark => {
                        panic!("inside only")
                    }
                }
            }
        }
    }
    sink.compare(world);
    sink.compare_end(world, None);
}
