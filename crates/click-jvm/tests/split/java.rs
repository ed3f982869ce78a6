//! Hosts on Java: their classes, compiled against jars that `cargo xtask setup` got, run over a
//! log in files, and what they have handed out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use click_core::hosted::put_record;
use click_core::record::{Kind as RecordKind, Record};
use click_core::types::{Millis, Offset};
use click_jvm::frames::{FrameReader, Port};
use click_sim::check::World;
use click_sim::generate::{GeneratorConfig, generate};

use crate::sink::Sink;

/// Where things of one host are.
pub struct Java {
    host: &'static str,
    library: PathBuf,
    /// Class path of the host's own jars.
    jars: String,
}

impl Java {
    /// For the host with this name; `None`, said once, where it is not installed.
    pub fn of(host: &'static str) -> Option<Java> {
        let test = std::env::current_exe().expect("a test is a file");
        let deps = test.parent().expect("in a directory");
        let data = deps.ancestors().nth(2).expect("of a build directory").join("bench-data");
        let mut folders = vec![data.join(host).join("libs")];
        if host == "spark" {
            folders.extend(pyspark(&data));
        }
        if folders.iter().all(|folder| folder.is_dir()) {
            let jars: Vec<_> = folders.iter().map(|dir| format!("{}/*", dir.display())).collect();
            let library = deps.join("libclick_jvm.so");
            return Some(Java { host, library, jars: jars.join(":") });
        }
        assert!(std::env::var_os("CLICKTEST_CI").is_none(), "run `cargo xtask setup`");
        println!("skipped: no {host} in {}; `cargo xtask setup` gets it", data.display());
        None
    }

    /// Compiles the host's classes below `dir`, and runs one of its tests' programs.
    pub fn run(&self, dir: &Path, program: &str, arguments: &[&str]) {
        let classes = dir.join("classes");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../jvm");
        let host = self.host;
        let mut javac = Command::new("javac");
        javac.args(["--release", "17", "-nowarn", "-proc:none", "-d"]).arg(&classes);
        javac.args(["-cp", &self.jars]);
        for folder in ["bridge/src/main", "kafka/src/main"] {
            javac.args(sources(&root.join(folder)));
        }
        for part in ["main", "test"] {
            javac.args(sources(&root.join(host).join("src").join(part)));
        }
        run(&mut javac);
        let mut java = Command::new("java");
        java.arg("-Xmx1g").arg(format!("-Dclickledger.library={}", self.library.display()));
        java.args(OPENS.map(|part| format!("--add-opens=java.base/{part}=ALL-UNNAMED")));
        java.args(["-cp", &format!("{}:{}", classes.display(), self.jars), program]);
        run(java.args(arguments));
    }
}

/// What the hosts use of Java though it is not for everybody.
const OPENS: [&str; 10] = [
    "java.lang",
    "java.lang.invoke",
    "java.lang.reflect",
    "java.io",
    "java.net",
    "java.nio",
    "java.util",
    "java.util.concurrent",
    "java.time",
    "sun.nio.ch",
];

/// Spark itself is a package of PyPI.
fn pyspark(data: &Path) -> Option<PathBuf> {
    let pythons = fs::read_dir(data.join("duckdb/lib")).ok()?;
    let jars = |python: fs::DirEntry| python.path().join("site-packages/pyspark/jars");
    pythons.filter_map(Result::ok).map(jars).find(|jars| jars.is_dir())
}

fn sources(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "java") {
            found.push(path);
        }
    }
    found
}

fn run(command: &mut Command) {
    let out = command.output().expect("a JDK");
    let said = [&out.stdout[..], &out.stderr].concat();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said));
    println!("{}", String::from_utf8_lossy(&out.stdout));
}

/// A generated log, and the seed that it was made of.
pub fn world() -> (u64, World) {
    let seed = std::env::var("CLICKTEST_SEED").map_or(7, |text| text.parse().expect("a number"));
    let config =
        GeneratorConfig { records: 4_000, partitions: 3, ..GeneratorConfig::from_seed(seed) };
    (seed, World::new(&generate(&config, seed), config.partitions))
}

/// A file for the header, and one for each partition.
pub fn write_log(world: &World, dir: &Path) {
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

/// What has come out is what the native fold says, and so are the gaps that a host has counted.
pub fn compare(world: &World, out: &Path, gaps: Option<u64>) -> Sink {
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
                    Port::Records | Port::Next | Port::Policies | Port::Mark | Port::Journal => {
                        panic!("inside only")
                    }
                }
            }
        }
    }
    sink.compare(world);
    sink.compare_end(world, gaps);
    sink
}
