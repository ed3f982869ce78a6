//! The bucket of the archive goes away under load, again and again, and comes back: nobody but the
//! archive notices, and then it has everything.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use click_sim::s3_server::S3Server;

use super::server::{BIN, Server, said};
use super::visitors::Visitors;

const SECONDS: f64 = 6.0;
const OUTAGES: u32 = 2;
/// Most time until the archive has noticed something.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn an_archive_whose_bucket_comes_back_has_everything() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut bucket) = S3Server::start(&dir.path().join("s3")) else { return };
    let (data, url) = (dir.path().join("data"), bucket.url("ledger"));
    let mut visitors = Visitors::new();
    visitors.rate = 500;
    start(&data, &bucket, &url).stop();
    visitors.mint(&data, SECONDS);
    let server = start(&data, &bucket, &url);
    let loading = visitors.begin(&server, SECONDS);
    for outage in 0..OUTAGES {
        let (manifests, link) = (count(&bucket), visitors.spare_link());
        // In the midst of writing, mostly: more is archived every five seconds.
        wait_until("something is archived", || {
            is_acknowledged(&server, &link);
            count(&bucket) > manifests
        });
        bucket.kill();
        wait_until("the outage is seen", || {
            is_acknowledged(&server, &link);
            metric(&server, "clickledger_archive_failing") == 1.0
        });
        if outage + 1 < OUTAGES {
            bucket.bring_back();
        }
    }
    visitors.end(loading);
    // Down for both the end of a server and the start of the next one.
    server.kill();
    let server = start(&data, &bucket, &url);
    assert!(server.becomes_ready(), "{}", server.readiness());
    is_acknowledged(&server, &visitors.spare_link().replace("/c?", "/b?"));
    bucket.bring_back();
    wait_until("it answers again", || metric(&server, "clickledger_archive_failing") == 0.0);
    server.stop();
    assert!(visitors.acknowledged > 0, "nothing was acknowledged");
    println!("{}", visitors.verify(&data));
    let store = format!("sqlite:{}", data.join("ledger.db").display());
    let data = data.to_str().unwrap();
    audit(&bucket, &["--archive", &url, "--data", data]);
    audit(&bucket, &["--archive", &url, "--store", &store]);
}

fn start(data: &Path, bucket: &S3Server, url: &str) -> Server {
    let mut command = Command::new(BIN);
    command.env("CLICKLEDGER_ARCHIVE__URL", url).envs(bucket.settings());
    // Long enough for an archiver on a busy machine to be live, and not to join its spans.
    command.env("CLICKLEDGER_ARCHIVE__INTERVAL_MS", "5000");
    Server::start_by(command, data)
}

fn count(bucket: &S3Server) -> usize {
    std::fs::read_dir(bucket.folder("ledger/manifest")).map_or(0, Iterator::count)
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn metric(server: &Server, name: &str) -> f64 {
    let answer = server.ask("GET", "/metrics");
    let line = answer.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().parse().unwrap_or(f64::NAN)
}

fn is_acknowledged(server: &Server, link: &str) {
    let method = if link.contains("/b?") { "POST" } else { "GET" };
    let answer = server.ask(method, link).to_ascii_lowercase();
    let is_taken = answer.starts_with("http/1.1 302") || answer.starts_with("http/1.1 204");
    assert!(is_taken && !answer.contains("x-click-logged: no"), "{answer}");
}

fn audit(bucket: &S3Server, args: &[&str]) {
    let audited = Command::new(BIN).arg("audit").args(args).envs(bucket.settings()).output();
    let audited = audited.unwrap();
    let said = said(&audited);
    assert!(audited.status.success() && said.contains("\n0 differences"), "{said}");
    println!("{said}");
}
