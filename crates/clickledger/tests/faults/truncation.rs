//! A server that truncates addresses in its archive as they grow old, killed while it does: in the
//! end the old ones are gone, the recent ones are there, and no number has changed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::server::{BIN, Server, said};
use super::visitors::Visitors;

/// 2017-11-07T09:30Z.
const T0: u64 = 1_510_047_000_000;
const HOUR_MS: u64 = 3_600_000;
const HOURS: u64 = 60;
/// Most time until everything is truncated.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn old_addresses_go_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let (data, clicks) = (dir.path().join("data"), dir.path().join("clicks.csv"));
    let mut csv = "click_id,user_id,ad_id,received_at,append_time,ip,user_agent\n".to_owned();
    for n in 0..HOURS * 20 {
        let at = T0 + n / 20 * HOUR_MS + n % 20 * 1_000;
        writeln!(csv, "c{n},u{},a,{at},{at},203.0.113.{},Mozilla/5.0", n % 7, n % 3 + 77).unwrap();
    }
    std::fs::write(&clicks, csv).unwrap();
    good(Command::new(BIN).arg("import").arg(&clicks).arg("--data").arg(&data));
    let visitors = Visitors::new();
    start(&data, 0).stop();
    visitors.mint(&data, 1.0);
    let archive = data.join("archive");
    assert!(mentions(&archive, "203.0.113.77") && mentions(&archive, "Mozilla"));
    let mut kills = 0;
    // As soon as something is truncated, and again when more is.
    for revisions in [1, 5] {
        let server = start(&data, 97);
        wait_until("something is truncated", || count(&archive) >= revisions);
        server.kill();
        kills += u64::from(count(&archive) < HOURS);
    }
    let server = start(&data, 97);
    let answer = server.ask("GET", &visitors.spare_link());
    assert!(answer.starts_with("HTTP/1.1 302"), "{answer}");
    wait_until("all is truncated", || !mentions(&archive, "203.0.113.7"));
    wait_until("it has said so", || {
        let metrics = server.ask("GET", "/metrics");
        metrics.contains("\nclickledger_archive_truncation_failing 0")
    });
    // Old files are removed one by one, behind the revisions that replace them.
    wait_until("nothing else is there", || !mentions(&archive, "Mozilla"));
    server.stop();
    assert!(kills > 0, "it was never killed while it truncated");
    assert!(mentions(&archive, "203.0.113.0"));
    let report = good(Command::new(BIN).args(["audit", "--data"]).arg(&data));
    assert!(report.contains("\n0 differences"), "{report}");
    assert!(report.contains("without what tells of persons"), "{report}");
    // The audit has archived the last clicks, too: those of today are whole.
    assert!(mentions(&archive, "user_agent: \"test\""));
    println!("killed {kills} times; {report}");
}

fn start(data: &Path, hours: u64) -> Server {
    let mut command = Command::new(BIN);
    command.env("CLICKLEDGER_ARCHIVE__TRUNCATE_AFTER_HOURS", hours.to_string());
    Server::start_by(command, data)
}

fn good(command: &mut Command) -> String {
    let output: Output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    said(&output)
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How many revisions there are.
fn count(archive: &Path) -> u64 {
    let names = std::fs::read_dir(archive.join("manifest")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| u64::from(name.contains('-'))).sum()
}

/// Whether any cell of the archived clicks, also of files that go in this moment, has this text.
fn mentions(archive: &Path, text: &str) -> bool {
    files(&archive.join("clicks")).iter().any(|path| {
        let Ok(file) = std::fs::File::open(path) else { return false };
        let Ok(rows) = parquet::file::reader::SerializedFileReader::new(file) else { return false };
        rows.into_iter().any(|row| row.is_ok_and(|row| row.to_string().contains(text)))
    })
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).map(|entries| entries.flatten().collect::<Vec<_>>());
    let mut found = Vec::new();
    for path in entries.unwrap_or_default().into_iter().map(|entry| entry.path()) {
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
