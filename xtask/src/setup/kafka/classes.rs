//! The classes that a broker loads, saved in the form in which Java maps them (class data
//! sharing): a broker starts in half the time so. One broker is run for it, and stopped.

use crate::shell;
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Beside the jars, whose paths and times it holds.
pub(super) const FILE: &str = "classes.jsa";
/// Most time that the broker may take to start and to stop.
const PATIENCE: Duration = Duration::from_secs(120);
const SERVES: &str = "Kafka Server started";
const LOGGING: &str = "\
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %m%n
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = out
";

/// Runs a broker on the jars below `dir` and saves what it loaded.
pub(super) fn save(root: &Path, dir: &Path) -> Result<()> {
    let run = dir.join("run");
    super::remove(&run)?;
    fs::create_dir_all(&run)?;
    fs::write(run.join("server.properties"), settings(&run)?)?;
    fs::write(run.join("log4j2.properties"), LOGGING)?;
    let format = ["kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAA", "-c"];
    let made = java(dir, &run).args(format).arg("server.properties").output()?;
    let said = String::from_utf8_lossy(&made.stderr);
    ensure!(made.status.success(), "a broker's directory cannot be made: {said}");
    let mut broker = java(dir, &run)
        .arg(format!("-XX:ArchiveClassesAtExit={}", dir.join(FILE).display()))
        .args(["kafka.Kafka", "server.properties"])
        .stdout(File::create(run.join("log"))?)
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start java")?;
    let served = serve_and_stop(root, &mut broker, &run.join("log"));
    if served.is_err() {
        // Not to be left behind; it may have ended by itself.
        _ = broker.kill();
    }
    broker.wait()?;
    served?;
    ensure!(dir.join(FILE).is_file(), "java did not save a broker's classes");
    super::remove(&run)
}

fn serve_and_stop(root: &Path, broker: &mut Child, log: &Path) -> Result<()> {
    let begun = Instant::now();
    let mut asked = false;
    while broker.try_wait()?.is_none() {
        if !asked && fs::read_to_string(log)?.contains(SERVES) {
            shell::run(root, &format!("kill -TERM {}", broker.id()), &[])?;
            asked = true;
        }
        ensure!(begun.elapsed() < PATIENCE, "a broker did not start and stop in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    if !asked {
        bail!("a broker ended at once:\n{}", fs::read_to_string(log)?);
    }
    Ok(())
}

fn java(dir: &Path, run: &Path) -> Command {
    let mut java = Command::new("java");
    java.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx384m"])
        .arg("-Dlog4j2.configurationFile=log4j2.properties")
        .arg("-cp")
        .arg(dir.join(super::LIBS).join("*"))
        .current_dir(run)
        .stdin(Stdio::null());
    java
}

fn settings(run: &Path) -> Result<String> {
    let (one, other) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    let (broker, controller) = (one.local_addr()?, other.local_addr()?);
    let data = run.join("data");
    Ok(format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{controller}
listeners=PLAINTEXT://{broker},CONTROLLER://{controller}
controller.listener.names=CONTROLLER
log.dirs={}
",
        data.display()
    ))
}
