//! A whole system in this process: log, engine, store, hub, tracker, API; and a client for it.

use click_core::link::{LinkSpec, SigningKey, Target, mint};
use click_engine::disk::RealDisk;
use click_engine::driver::{Engine, EngineConfig, EngineParts};
use click_engine::log::{DiskLog, EventLog, LogOptions, SystemClock};
use click_engine::store::{LedgerStore, SqliteReader, SqliteStore};
use clickledger::http::api::access::AccessRule;
use clickledger::http::api::{ApiState, Hooks, router};
use clickledger::http::live::{Live, LiveThread};
use clickledger::http::track::{
    ServeConfig, Server, Tracker, TrackerConfig, router_fallback, serve,
};
use clickledger::keys::KeyStore;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub const BROWSER: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0";

pub struct World {
    pub live: Arc<Live>,
    key: SigningKey,
    server: Option<Server>,
    stop: Arc<AtomicBool>,
    engine: Option<JoinHandle<()>>,
    _thread: LiveThread,
    _dir: tempfile::TempDir,
}

/// Status, head and body of an answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl World {
    pub fn new(access: AccessRule) -> World {
        World::with(access, |_| {})
    }

    pub fn with(access: AccessRule, change: impl FnOnce(&mut ApiState)) -> World {
        let dir = tempfile::tempdir().expect("a directory");
        let log: Arc<dyn EventLog> = Arc::new(
            DiskLog::open_or_create(&dir.path().join("log"), &LogOptions::default())
                .expect("a log"),
        );
        let db = dir.path().join("ledger.db");
        let log_id = log.log_id().to_string();
        let store = SqliteStore::open(&db, &log_id, log.generation()).expect("a store");
        let reader = SqliteReader::open(&db).expect("a reader");
        let (live, thread) = Live::start().expect("a hub");
        live.seed(&reader).expect("a seed");
        let (keys, _) = KeyStore::open(dir.path()).expect("keys");
        let (key, _) = keys.minting_key().expect("keys").expect("a signing key");
        let config = TrackerConfig {
            trusted_proxies: vec!["127.0.0.0/8".parse().expect("a net")],
            ..TrackerConfig::default()
        };
        let ring = keys.ring().expect("keys");
        let tracker = Arc::new(Tracker::new(config, log.clone(), ring).expect("a tracker"));
        let parts = EngineParts {
            log,
            disk: Arc::new(RealDisk),
            clock: Arc::new(SystemClock),
            checkpoints: dir.path().join("checkpoints"),
            dead_letters: dir.path().join("dead-letters"),
            store: Some(Box::new(store) as Box<dyn LedgerStore>),
            sink: Some(live.clone()),
            status: Arc::default(),
        };
        let (engine, store) = Engine::open(parts, EngineConfig::default()).expect("an engine");
        let mut state = ApiState::new(Arc::new(reader), live.clone(), engine.status(), access);
        state.hooks = Hooks::of_tracker(&tracker);
        change(&mut state);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let run = move || engine.run(store, &stopped).expect("the engine runs");
        let engine = Some(std::thread::spawn(run));
        let mut listen = ServeConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        listen.threads = 2;
        let fallback = router_fallback(router(state));
        let server = Some(serve(&listen, tracker, fallback).expect("a server"));
        World { live, key, server, stop, engine, _thread: thread, _dir: dir }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.as_ref().expect("a server").address()
    }

    /// The path of a link to an ad.
    pub fn link(&self, click_id: &str, user_id: &str, ad_id: &str) -> String {
        let spec = LinkSpec {
            click_id,
            user_id,
            ad_id,
            campaign_id: "campaign-1",
            advertiser_id: "advertiser-1",
            publisher_id: "publisher-1",
            price_micros: Some(250_000),
            payout_micros: Some(100_000),
            currency: "EUR",
            expires_s: Some(now_ms() / 1000 + 3600),
            target: Target::Url("https://shop.example/"),
            ..LinkSpec::default()
        };
        mint(&spec, &self.key).expect("a link")
    }

    pub fn click(&self, click_id: &str, user_id: &str, ad_id: &str) {
        let path = self.link(click_id, user_id, ad_id);
        let forwarded = format!("X-Forwarded-For: 8.8.{}.{}", click_id.len() % 250, user_id.len());
        let answer = self.get_with(&path, &[BROWSER, &forwarded]);
        assert_eq!(answer.status, 302, "{answer:?}");
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(15))).expect("a timeout");
        stream
    }

    pub fn send(&self, line: &str, headers: &[&str], body: &str) -> Answer {
        let host = headers.iter().any(|header| header.starts_with("Host:"));
        let host = if host { "" } else { "Host: localhost\r\n" };
        let mut request = format!("{line} HTTP/1.1\r\n{host}Connection: close\r\n");
        headers.iter().for_each(|header| request.push_str(&format!("{header}\r\n")));
        if line.starts_with("POST") {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        let mut stream = self.connect();
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).expect("a request sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
        Answer { status, head: head.to_lowercase(), body: unchunk(head, body) }
    }

    pub fn get_with(&self, path: &str, headers: &[&str]) -> Answer {
        self.send(&format!("GET {path}"), headers, "")
    }

    pub fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    /// Asks until the answer is as wanted.
    pub fn wait_for(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let answer = self.get(path).json();
            if wanted(&answer) {
                return answer;
            }
            assert!(began.elapsed() < Duration::from_secs(15), "{path} stays at {answer:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Opens a stream; its events follow.
    pub fn stream(&self, query: &str) -> Events {
        let mut stream = self.connect();
        let request = format!("GET /v1/stream{query} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("a request sent");
        let mut events = Events { lines: BufReader::new(stream) };
        assert!(events.line().contains("200"));
        events
    }
}

/// Events of a stream.
pub struct Events {
    lines: BufReader<TcpStream>,
}

impl Events {
    fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).expect("a line of the stream");
        assert!(read > 0, "the stream ended");
        line
    }

    /// Name and data of the next event.
    pub fn next(&mut self) -> (String, Value) {
        loop {
            let line = self.line();
            if let Some(name) = line.strip_prefix("event: ") {
                let data = self.line();
                let data = data.strip_prefix("data: ").expect("data after the event's name");
                let data = serde_json::from_str(data).expect("JSON");
                return (name.trim().to_string(), data);
            }
        }
    }

    /// The next changed rows.
    pub fn rows(&mut self) -> Value {
        for _ in 0..100 {
            if let (name, data) = self.next()
                && name == "rows"
            {
                return data;
            }
        }
        panic!("no rows came")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.live.close();
        if let Some(server) = self.server.take() {
            server.shutdown();
        }
        self.stop.store(true, Ordering::Relaxed);
        if let Some(engine) = self.engine.take()
            && engine.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the engine panicked");
        }
    }
}

/// Takes chunk sizes out of a body.
fn unchunk(head: &str, body: &str) -> String {
    if !head.to_lowercase().contains("transfer-encoding: chunked") {
        return body.into();
    }
    let (mut rest, mut whole) = (body, String::new());
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a chunk size");
        whole.push_str(&after[..size]);
        rest = after.get(size + 2..).unwrap_or_default();
    }
    whole
}

pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("a time")
}
