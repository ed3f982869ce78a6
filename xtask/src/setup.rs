//! Installs what the tests need beyond a Rust toolchain and a C compiler.
//!
//! Idempotent: what is present is left alone. System packages need root or a `sudo` that asks
//! nothing; without either the message says what to install. Building and running the program
//! itself needs none of this.

mod cassandra;
mod flink;
mod kafka;
mod maven;
mod s3_server;
mod spark;

use crate::shell;
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that tests call.
struct Tool {
    /// Lines of which one has to succeed for the tool to count as present.
    questions: &'static [&'static str],
    /// Debian's packages for it.
    packages: &'static [&'static str],
    needed_for: &'static str,
}

const TOOLS: [Tool; 15] = [
    Tool {
        questions: &["chromium --version", "google-chrome --version"],
        packages: &["chromium"],
        needed_for: "the test of the page in a real browser",
    },
    Tool {
        questions: &["node --version"],
        packages: &["nodejs"],
        needed_for: "the JavaScript link snippet, the browser test and Azurite",
    },
    Tool {
        questions: &["python3 --version"],
        packages: &["python3"],
        needed_for: "the Python link snippet",
    },
    Tool {
        questions: &["python3 -m ensurepip --version"],
        packages: &["python3-venv"],
        needed_for: "the audit in SQL, the archive's readers and Kafka's Python client",
    },
    Tool {
        questions: &["go version"],
        packages: &["golang-go"],
        needed_for: "the Go link snippet",
    },
    Tool {
        questions: &["javac -version"],
        packages: &["default-jdk-headless"],
        needed_for: "the Java link snippet, Spark, Kafka and Flink",
    },
    Tool {
        questions: &["mvn --version"],
        packages: &["maven"],
        needed_for: "the jars of Kafka, Cassandra, Flink and Spark",
    },
    Tool {
        questions: &["openssl version"],
        packages: &["openssl"],
        needed_for: "the test of HTTPS",
    },
    Tool {
        questions: &["pkg-config --exists openssl"],
        packages: &["libssl-dev", "pkg-config"],
        needed_for: "Kafka over TLS, in a build with all features",
    },
    Tool { questions: &["curl --version"], packages: &["curl"], needed_for: "the test of HTTPS" },
    Tool {
        questions: &["strace -V"],
        packages: &["strace"],
        needed_for: "the tests of slow and failing disks",
    },
    Tool {
        questions: &["faketime --version"],
        packages: &["faketime"],
        needed_for: "the test of clocks that are set",
    },
    Tool {
        questions: &["protoc --version"],
        packages: &["protobuf-compiler"],
        needed_for: "the test of another client on the topic",
    },
    Tool {
        questions: &["redis-server --version"],
        packages: &["redis-server"],
        needed_for: "the tests of Redis as a store",
    },
    Tool { questions: &["git --version"], packages: &["git"], needed_for: "`cargo xtask tidy`" },
];

/// Installs what is missing, then checks that nothing is.
pub(crate) fn run(root: &Path) -> Result<()> {
    components(root)?;
    let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| !present(root, tool)).collect();
    if !missing.is_empty() {
        packages(root, &missing)?;
    }
    node_modules(root)?;
    python_packages(root)?;
    s3_server::install(root, &own_dir("versitygw")?)?;
    kafka::install(root, &own_dir("kafka")?)?;
    cassandra::install(root, &own_dir("cassandra")?)?;
    flink::install(root, &own_dir("flink")?)?;
    spark::install(root, &own_dir("spark")?)?;
    check(root)?;
    println!("everything the tests need is installed");
    Ok(())
}

/// Packages of PyPI that tests and benchmarks call, in the versions that they were written for:
/// the distribution, its version, and the module that it brings.
const PYTHON_PACKAGES: [(&str, &str, &str); 5] = [
    ("duckdb", "2.0.0", "duckdb"),
    ("pyarrow", "26.0.1", "pyarrow"),
    ("pyspark", "4.2.0", "pyspark"),
    ("confluent-kafka", "2.16.1", "confluent_kafka"),
    ("protobuf", "7.36.2", "google.protobuf"),
];

/// An error that names every tool that is not there.
pub(crate) fn check(root: &Path) -> Result<()> {
    let mut missing: Vec<String> = TOOLS
        .iter()
        .filter(|tool| !present(root, tool))
        .map(|tool| format!("  {} (for {})", tool.packages.join(", "), tool.needed_for))
        .collect();
    let python = own_dir("duckdb")?.join("bin/python");
    let absent = PYTHON_PACKAGES.iter().filter(|(.., module)| !has_module(&python, module));
    let tests = "the tests of the archive and of brokers";
    missing.extend(absent.map(|(name, ..)| format!("  {name} of PyPI (for {tests})")));
    missing.extend(s3_server::missing(root, &own_dir("versitygw")?));
    missing.extend(kafka::missing(root, &own_dir("kafka")?));
    missing.extend(cassandra::missing(root, &own_dir("cassandra")?));
    missing.extend(flink::missing(root, &own_dir("flink")?));
    missing.extend(spark::missing(root, &own_dir("spark")?));
    if !missing.is_empty() {
        bail!("not installed:\n{}\nrun `cargo xtask setup` as root", missing.join("\n"));
    }
    Ok(())
}

fn present(root: &Path, tool: &Tool) -> bool {
    tool.questions.iter().any(|question| shell::succeeds(root, question))
}

/// rustfmt and clippy, where the toolchain came without them.
fn components(root: &Path) -> Result<()> {
    for (question, name) in [("cargo fmt --version", "rustfmt"), ("cargo clippy -V", "clippy")] {
        if !shell::succeeds(root, question) {
            shell::run(root, &format!("rustup component add {name}"), &[])?;
        }
    }
    Ok(())
}

fn packages(root: &Path, missing: &[&Tool]) -> Result<()> {
    let names: Vec<&str> = missing.iter().flat_map(|tool| tool.packages).copied().collect();
    let names = names.join(" ");
    if !shell::succeeds(root, "apt-get --version") {
        bail!("this system has no apt-get; please install: {names}");
    }
    let before = if shell::read(root, "id -u")?.trim() == "0" {
        ""
    } else if shell::succeeds(root, "sudo -n true") {
        "sudo -n "
    } else {
        bail!("installing packages needs root; please run: apt-get install {names}");
    };
    let quiet = [("DEBIAN_FRONTEND", "noninteractive")];
    shell::run(root, &format!("{before}apt-get -qq update"), &quiet)?;
    let install = format!("{before}apt-get -qq install -y --no-install-recommends {names}");
    shell::run(root, &install, &quiet)
}

/// `npm ci` in each folder that commits a lock file and does not hold what it asks for.
fn node_modules(root: &Path) -> Result<()> {
    for lock in shell::read(root, "git ls-files -- *package-lock.json")?.lines() {
        let lock = root.join(lock);
        let folder: PathBuf = lock.parent().unwrap_or(root).to_owned();
        // npm's own record of what is installed; older than the lock file means out of date.
        if changed(&folder.join("node_modules/.package-lock.json")) < changed(&lock) {
            let line = "npm ci --no-audit --no-fund --ignore-scripts";
            println!("in {}:", folder.display());
            shell::run(&folder, line, &[])?;
        }
    }
    Ok(())
}

/// Readers of the archive and clients of brokers from PyPI, in an environment of their own under
/// the build directory, named after the first package that it held; the benchmarks use it too.
fn python_packages(root: &Path) -> Result<()> {
    let dir = own_dir("duckdb")?;
    let python = dir.join("bin/python");
    let missing: Vec<String> = PYTHON_PACKAGES
        .iter()
        .filter(|(.., module)| !has_module(&python, module))
        .map(|(name, version, _)| format!("{name}=={version}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {} into {}", missing.join(", "), dir.display());
    let make = Command::new("python3").args(["-m", "venv"]).arg(&dir).current_dir(root).status()?;
    ensure!(make.success(), "`python3 -m venv` failed: {make}");
    let pip = ["-m", "pip", "install", "--quiet", "--no-cache-dir"];
    let install = Command::new(&python).args(pip).args(&missing).status()?;
    ensure!(install.success(), "`pip install {}` failed: {install}", missing.join(" "));
    Ok(())
}

fn has_module(python: &Path, module: &str) -> bool {
    let out = Command::new(python).args(["-c", &format!("import {module}")]).output();
    out.is_ok_and(|out| out.status.success())
}

/// Where a tool of the project's own is: in the build directory that this program is in.
fn own_dir(tool: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).context("xtask is not in a build directory")?;
    Ok(target.join("bench-data").join(tool))
}

fn changed(path: &Path) -> Option<std::time::SystemTime> {
    path.metadata().and_then(|data| data.modified()).ok()
}
