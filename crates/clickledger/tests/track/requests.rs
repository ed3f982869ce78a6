//! Damaged requests over real sockets: every connection ends with whole answers or is closed,
//! never with a 500, the server goes on, and the log holds the clicks that were acknowledged.
//!
//! A client that has got no answer for a while says that it will send no more, which ends a
//! request that is cut short. Whether such a request has left clicks nobody can tell it, so the
//! log may hold those beyond what was acknowledged, and no others. `CLICKTEST_REQUESTS` sets how
//! many requests are sent (3,000).

use super::world::World;
use click_core::record::{Click, Kind, Record};
use click_sim::fuzz;
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const REQUESTS: u64 = 3_000;
const CLIENTS: u64 = 8;
/// The longest time without an answer before a client ends its request.
const PATIENCE: Duration = Duration::from_millis(400);
/// The server gives up a request's head and its body after ten seconds each.
const LIMIT: Duration = Duration::from_secs(30);
/// Clicks in each batch; damage may repeat some of them.
const ITEMS: usize = 3;

#[test]
fn damaged_requests_are_answered_or_closed_and_count_once() {
    let asked = std::env::var("CLICKTEST_REQUESTS").ok();
    let requests = asked.map_or(REQUESTS, |asked| asked.parse().expect("a number"));
    let world = World::with(|config| {
        config.records_per_link_hour = u32::MAX;
        config.redirect_deadline = LIMIT;
        config.batch_deadline = LIMIT;
    });
    let whole = whole_requests(&world);
    let known: u64 = whole.iter().map(|request| send(&world, request).acknowledged).sum();
    assert_eq!(known, 3 + 4 * ITEMS as u64, "all of them are good");
    let (next, sum) = (AtomicU64::new(0), Totals::default());
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let numbers = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
                for seed in numbers.take_while(|seed| *seed < requests) {
                    sum.add(&send(&world, &fuzz::input(&whole, seed)));
                }
            });
        }
    });
    assert_eq!(send(&world, &whole[0]).acknowledged, 1, "the server goes on");
    let [answered, acknowledged, unanswered] = sum.get();
    let mut found = 0;
    world.each_click(|_| found += 1);
    let expected = known + acknowledged + 1;
    println!("{answered} answers, {acknowledged} clicks acknowledged, {unanswered} not answered");
    println!("{found} clicks in the log, {expected} acknowledged in all");
    assert!(answered > requests / 2 && acknowledged > requests / 20, "damage leaves something");
    assert!(found >= expected, "{} acknowledged clicks are not in the log", expected - found);
    assert!(found <= expected + unanswered, "{} clicks of no one's", found - expected);
    world.stop();
}

/// What came of a connection.
#[derive(Default)]
struct Outcome {
    answers: u64,
    acknowledged: u64,
    /// Clicks at most of a request that was closed without an answer.
    unanswered: u64,
}

#[derive(Default)]
struct Totals([AtomicU64; 3]);

impl Totals {
    fn add(&self, outcome: &Outcome) {
        let counts = [outcome.answers, outcome.acknowledged, outcome.unanswered];
        for (sum, count) in self.0.iter().zip(counts) {
            sum.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn get(&self) -> [u64; 3] {
        self.0.each_ref().map(|sum| sum.load(Ordering::Relaxed))
    }
}

/// A request of every kind that is a click.
fn whole_requests(world: &World) -> Vec<Vec<u8>> {
    let key = world.edge_key(true).secret;
    let head = "Host: t\r\nConnection: close\r\nUser-Agent: Mozilla/5.0 (X11; Linux)\r\n\
        X-Forwarded-For: 10.0.0.1, 2001:db8::1\r\nReferer: https://news.example/a?b=c\r\n";
    let link = world.link("c1");
    let beacon = world.link("c2").replacen("/c?", "/b?", 1);
    let batch = |kind: &str, body: &[u8]| {
        let head = format!(
            "POST /v1/clicks HTTP/1.1\r\n{head}Authorization: Bearer {key}\r\n\
             Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let item = |n: usize| format!(r#"{{"click_id":"b{n}","ad_id":"a","ip":"10.0.0.{n}"}}"#);
    let items: Vec<String> = (0..ITEMS).map(item).collect();
    let lines = items.join("\n");
    let chunked = format!(
        "POST /v1/clicks HTTP/1.1\r\n{head}Authorization: Bearer {key}\r\n\
         Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{lines}\r\n0\r\n\r\n",
        lines.len()
    );
    let open = head.replace("Connection: close\r\n", "");
    vec![
        format!("GET {link} HTTP/1.1\r\n{head}\r\n").into_bytes(),
        format!("GET {link} HTTP/1.1\r\n{open}\r\n").into_bytes(),
        format!("POST {beacon} HTTP/1.1\r\n{head}Content-Length: 4\r\n\r\nPING").into_bytes(),
        batch("application/json", format!("[{}]", items.join(",")).as_bytes()),
        batch("application/x-ndjson", lines.as_bytes()),
        batch("application/x-protobuf", &records()),
        chunked.into_bytes(),
    ]
}

fn records() -> Vec<u8> {
    let click = Click { click_id: "p1", ad_id: "x", ip: &[1, 2, 3, 4], ..Click::default() };
    let kind = Kind::Click(click);
    let record = Record { sent_at: None, transport: None, previous: None, kind }.to_bytes();
    let len = u8::try_from(record.len()).expect("a short record");
    [&[len][..], &record].concat().repeat(ITEMS)
}

fn send(world: &World, request: &[u8]) -> Outcome {
    let mut stream = world.connect();
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(request);
    let bytes = read_all(&mut stream, request);
    let text = String::from_utf8_lossy(request);
    let mut outcome = Outcome::default();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let answer = take_answer(&mut rest);
        let (status, body) = answer.unwrap_or_else(|| panic!("{bytes:?}\nto {text:?}"));
        assert_ne!(status, 500, "{text:?}");
        outcome.answers += 1;
        outcome.acknowledged += match status {
            302 | 204 => 1,
            200 => accepted(body),
            _ => 0,
        };
    }
    if outcome.answers == 0 {
        // An item is longer than this in every format.
        outcome.unanswered = request.len() as u64 / 10;
    }
    outcome
}

/// Everything until the server closes; its patience ends before ours.
fn read_all(stream: &mut TcpStream, request: &[u8]) -> Vec<u8> {
    let begun = Instant::now();
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return bytes,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let text = || String::from_utf8_lossy(request).into_owned();
                assert!(begun.elapsed() < LIMIT, "neither answered nor closed: {:?}", text());
                let _ = stream.shutdown(Shutdown::Write);
            }
            // Closed with bytes of ours unread.
            Err(_) => return bytes,
        }
    }
}

/// Takes a whole answer off `bytes`: status and body.
fn take_answer<'a>(bytes: &mut &'a [u8]) -> Option<(u16, &'a [u8])> {
    let end = bytes.windows(4).position(|part| part == b"\r\n\r\n")?;
    let (head, rest) = (str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 4..]);
    let (line, headers) = head.split_once("\r\n")?;
    let line = line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 "))?;
    let status: u16 = line.get(..3)?.parse().ok()?;
    let mut len = 0;
    for header in headers.split("\r\n") {
        let (name, value) = header.split_once(": ")?;
        match name.to_ascii_lowercase().as_str() {
            "content-length" => len = value.parse().ok()?,
            "x-click-logged" => panic!("a log without trouble refuses a click: {head}"),
            _ => {}
        }
    }
    let (body, rest) = rest.split_at_checked(len)?;
    *bytes = rest;
    (100..600).contains(&status).then_some((status, body))
}

fn accepted(body: &[u8]) -> u64 {
    let answer: Value = serde_json::from_slice(body).expect("a JSON answer");
    answer["accepted"].as_u64().expect("a number of clicks")
}
