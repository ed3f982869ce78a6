//! Transport identity over restarts, durability that does not come, shutdown under load.

use super::world::{World, each_record, now_ms};
use click_core::record::Kind;
use click_engine::log::{
    Commit, CommitGroup, EventLog, LogError, LogHealth, LogId, Position, RecordBatch, Retention,
};
use clickledger::http::track::{ServeConfig, TlsFiles, no_fallback, serve};
use std::io::{Read, Write};
use std::ops::Range;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn a_restart_draws_a_new_identity_and_names_the_one_before() {
    let world = World::new();
    for n in 0..3 {
        assert_eq!(world.get(&world.link(&format!("a{n}")), &[]).status, 302);
    }
    let (dir, log) = world.stop();
    let world = World::over(dir, log, |_| {});
    assert_eq!(world.get(&world.link("b0"), &[]).status, 302);
    let (_dir, log) = world.stop();
    let mut seen = Vec::new();
    each_record(&*log, |record| {
        let Some(transport) = record.transport else { return };
        let beat = matches!(record.kind, Kind::Heartbeat { .. });
        let previous = record.previous.map(|p| (p.tracker_id.to_owned(), p.next_seq));
        seen.push((transport.tracker_id.to_owned(), transport.seq, beat, previous));
    });
    let (first, second) = (seen[0].0.clone(), seen[4].0.clone());
    assert_ne!(first, second);
    assert_eq!(first.len(), "tracker-".len() + 32);
    let expected = [
        (first.clone(), 0, false, None),
        (first.clone(), 1, false, None),
        (first.clone(), 2, false, None),
        (first.clone(), 3, true, None),
        (second.clone(), 0, false, Some((first, 3))),
        (second, 1, true, None),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn everything_acknowledged_before_a_shutdown_is_in_the_log() {
    let world = World::new();
    let links: Vec<String> = (0..400).map(|n| world.link(&format!("c{n}"))).collect();
    let address = world.address();
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = links
        .chunks(100)
        .map(|part| {
            let (part, acknowledged) = (part.to_vec(), Arc::clone(&acknowledged));
            std::thread::spawn(move || click_until_refused(address, &part, &acknowledged))
        })
        .collect();
    while acknowledged.load(Ordering::Relaxed) < 50 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let (_dir, log) = world.stop();
    threads.into_iter().for_each(|thread| thread.join().expect("a client"));
    let mut recorded = 0;
    each_record(&*log, |record| recorded += usize::from(matches!(record.kind, Kind::Click(_))));
    let acknowledged = acknowledged.load(Ordering::Relaxed);
    assert!(recorded >= acknowledged, "{recorded} recorded, {acknowledged} acknowledged");
}

/// Clicks over one connection, counting every 302, until the server closes it.
fn click_until_refused(
    address: std::net::SocketAddr,
    links: &[String],
    acknowledged: &AtomicUsize,
) {
    let Ok(mut stream) = std::net::TcpStream::connect(address) else { return };
    let mut buffer = [0; 4096];
    for link in links {
        let request = format!("GET {link} HTTP/1.1\r\nHost: t\r\n\r\n");
        if stream.write_all(request.as_bytes()).is_err() {
            return;
        }
        match stream.read(&mut buffer) {
            Ok(n) if buffer[..n].starts_with(b"HTTP/1.1 302") => {
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            _ => return,
        }
    }
}

/// A log whose flush never returns, or which refuses everything.
struct StuckLog {
    group: Arc<CommitGroup>,
    poisoned: AtomicBool,
}

impl EventLog for StuckLog {
    fn log_id(&self) -> LogId {
        LogId([1; 16])
    }
    fn generation(&self) -> u16 {
        1
    }
    fn partitions(&self) -> u32 {
        1
    }
    fn append(&self, partition: u32, _: &[u8]) -> Result<Commit, LogError> {
        if self.poisoned.load(Ordering::Relaxed) {
            return Err(LogError::Poisoned { reason: "the disk is gone".into() });
        }
        let append_time = now_ms() + 90_000;
        Ok(self.group.commit(Position { partition, offset: 0, append_time }))
    }
    fn append_at(&self, partition: u32, _: u64, payload: &[u8]) -> Result<Commit, LogError> {
        self.append(partition, payload)
    }
    fn append_batch(&self, partition: u32, payloads: &[&[u8]]) -> Result<Commit, LogError> {
        self.append(partition, payloads[0])
    }
    fn read(&self, _: u32, _: u64, _: usize, _: &mut RecordBatch) -> Result<(), LogError> {
        Ok(())
    }
    fn range(&self, _: u32) -> Range<u64> {
        0..0
    }
    fn last_append_time(&self, _: u32) -> u64 {
        0
    }
    fn wait(&self, _: &[u64], _: Duration) -> bool {
        false
    }
    fn health(&self) -> LogHealth {
        LogHealth::Ok
    }
    fn truncate_before(&self, _: u32, _: u64) -> Result<u64, LogError> {
        Ok(0)
    }
    fn retain(&self, _: &Retention, _: &[u64]) -> Result<(), LogError> {
        Ok(())
    }
}

#[test]
fn a_visitor_is_not_kept_waiting_and_nothing_is_acknowledged() {
    let group = CommitGroup::new();
    let log = Arc::new(StuckLog { group: Arc::clone(&group), poisoned: AtomicBool::new(false) });
    let dir = tempfile::tempdir().unwrap();
    let world = World::over(dir, Arc::<StuckLog>::clone(&log), |config| {
        config.redirect_deadline = Duration::from_millis(100);
        config.batch_deadline = Duration::from_millis(100);
    });
    for poisoned in [false, true] {
        log.poisoned.store(poisoned, Ordering::Relaxed);
        let answer = world.get(&world.link("c1"), &[]);
        assert_eq!((answer.status, answer.header("x-click-logged")), (302, Some("no")));
        let path = world.link("c2");
        let answer = world.send(&format!("POST {path}"), &[], b"");
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
        let beacon = path.replacen("/c?", "/b?", 1);
        assert_eq!(world.send(&format!("POST {beacon}"), &[], b"").status, 503);
        let body = format!("[{{\"link\":\"{path}\"}}]");
        let kind = ["Content-Type: application/json"];
        assert_eq!(world.send("POST /v1/clicks", &kind, body.as_bytes()).status, 503);
    }
    let unlogged = world.tracker.metrics().unlogged.get();
    assert_eq!(unlogged, [("deadline", 1), ("poisoned", 1)]);
    let readiness = world.tracker.readiness();
    assert!(!readiness.is_ready(), "clocks are 90 s apart: {readiness:?}");
    log.poisoned.store(true, Ordering::Relaxed);
    world.stop();
}

/// Runs `openssl` for a certificate; without the tool the test says that it is skipped.
fn certificate(dir: &std::path::Path) -> Option<TlsFiles> {
    let files = TlsFiles { certificates: dir.join("cert.pem"), private_key: dir.join("key.pem") };
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/CN=localhost", "-days", "2", "-keyout"])
        .arg(&files.private_key)
        .arg("-out")
        .arg(&files.certificates)
        .output();
    made.is_ok_and(|out| out.status.success()).then_some(files)
}

#[test]
fn certificate_files_give_https() {
    let dir = tempfile::tempdir().unwrap();
    let curl = Command::new("curl").arg("--version").output().is_ok();
    let Some(files) = certificate(dir.path()).filter(|_| curl) else {
        let ci = std::env::var_os("CLICKTEST_CI").is_some();
        assert!(!ci, "openssl or curl is not installed");
        return println!("skipped: openssl or curl is not installed");
    };
    let world = World::new();
    let mut listen = ServeConfig::new(([127, 0, 0, 1], 0).into());
    listen.tls = Some(files.clone());
    let server = serve(&listen, Arc::clone(&world.tracker), no_fallback()).unwrap();
    let url = format!("https://localhost:{}{}", server.address().port(), world.link("c1"));
    let out = Command::new("curl")
        .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "10", "--cacert"])
        .arg(&files.certificates)
        .args(["--resolve", &format!("localhost:{}:127.0.0.1", server.address().port()), &url])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "302");
    server.shutdown();
    assert_eq!(world.click_ids(), ["c1"]);
    listen.tls = Some(TlsFiles { certificates: dir.path().join("none.pem"), ..files });
    let refused = serve(&listen, Arc::clone(&world.tracker), no_fallback());
    assert!(refused.is_err_and(|error| error.to_string().contains("none.pem")));
    world.stop();
}
