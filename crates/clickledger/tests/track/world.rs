//! A running tracker with its log and keys, and an HTTP client that shows every byte.

use click_core::link::{LinkSpec, SigningKey, Target, mint};
use click_core::record::{Click, Kind, Record};
use click_engine::log::{DiskLog, EventLog, LogOptions, RecordBatch};
use clickledger::http::track::{ServeConfig, Server, Tracker, TrackerConfig, no_fallback, serve};
use clickledger::keys::{KeyStore, NewKey, Right};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

pub const SHOP: &str = "https://shop.example/";

pub struct World {
    pub dir: TempDir,
    pub log: Arc<dyn EventLog>,
    pub tracker: Arc<Tracker>,
    pub store: KeyStore,
    pub key: SigningKey,
    server: Server,
}

/// Status, head and body of an answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }
}

pub fn open_log(dir: &Path) -> Arc<dyn EventLog> {
    Arc::new(DiskLog::open_or_create(&dir.join("log"), &LogOptions::default()).expect("a log"))
}

impl World {
    pub fn new() -> World {
        World::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut TrackerConfig)) -> World {
        let dir = tempfile::tempdir().expect("a directory");
        let log = open_log(dir.path());
        World::over(dir, log, change)
    }

    pub fn over(
        dir: TempDir,
        log: Arc<dyn EventLog>,
        change: impl FnOnce(&mut TrackerConfig),
    ) -> World {
        let (store, _) = KeyStore::open(dir.path()).expect("keys");
        let (key, _) = store.minting_key().expect("keys").expect("a signing key");
        let mut config = TrackerConfig {
            dir: Some(dir.path().to_owned()),
            key_store: Some(store.clone()),
            trusted_proxies: vec!["127.0.0.0/8".parse().expect("a net")],
            ..TrackerConfig::default()
        };
        change(&mut config);
        let ring = store.ring().expect("keys");
        let tracker = Tracker::new(config, Arc::clone(&log), ring).expect("a tracker");
        let tracker = Arc::new(tracker);
        let mut listen = ServeConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        listen.threads = 2;
        let server = serve(&listen, Arc::clone(&tracker), no_fallback()).expect("a server");
        World { dir, log, tracker, store, key, server }
    }

    pub fn edge_key(&self, ip_optional: bool) -> NewKey {
        let key = self.store.create("edge-issuer", Right::Edge { ip_optional }).expect("a key");
        self.tracker.set_keys(self.store.ring().expect("keys"));
        key
    }

    pub fn spec<'a>(&self, click_id: &'a str) -> LinkSpec<'a> {
        LinkSpec {
            click_id,
            user_id: "u1",
            ad_id: "ad1",
            price_micros: Some(1_000_000),
            currency: "EUR",
            expires_s: Some(now_ms() / 1000 + 3600),
            target: Target::Url(SHOP),
            ..LinkSpec::default()
        }
    }

    /// The path of a fresh link.
    pub fn link(&self, click_id: &str) -> String {
        mint(&self.spec(click_id), &self.key).expect("a link")
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(15))).expect("a timeout");
        stream
    }

    /// Sends bytes, reads until the server closes.
    pub fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(bytes);
        let mut out = Vec::new();
        let _ = stream.read_to_end(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    pub fn send(&self, line: &str, headers: &[&str], body: &[u8]) -> Answer {
        let mut head = format!("{line} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n");
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        if !body.is_empty() || line.starts_with("POST") {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let text = self.raw(&[head.as_bytes(), body].concat());
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub fn get(&self, path: &str, headers: &[&str]) -> Answer {
        self.send(&format!("GET {path}"), headers, b"")
    }

    /// Hands every click in the log to `look`, in order.
    pub fn each_click(&self, mut look: impl FnMut(&Click<'_>)) {
        each_record(&*self.log, |record| {
            if let Kind::Click(click) = &record.kind {
                look(click);
            }
        });
    }

    pub fn click_ids(&self) -> Vec<String> {
        let mut ids = Vec::new();
        self.each_click(|click| ids.push(click.click_id.to_owned()));
        ids
    }

    /// Stops the server; what is left can be started again.
    pub fn stop(self) -> (TempDir, Arc<dyn EventLog>) {
        self.server.shutdown();
        (self.dir, self.log)
    }
}

pub fn each_record(log: &dyn EventLog, mut look: impl FnMut(&Record<'_>)) {
    for partition in 0..log.partitions() {
        let range = log.range(partition);
        let mut at = range.start;
        while at < range.end {
            let mut batch = RecordBatch::new();
            log.read(partition, at, 1 << 20, &mut batch).expect("a readable log");
            for (offset, _, payload) in &batch {
                look(&Record::decode(payload).expect("a record"));
                at = offset + 1;
            }
        }
    }
}

pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("a time")
}
