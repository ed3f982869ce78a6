//! Sends batches of clicks over a few connections, each as soon as the answer to the one before has
//! come. Every batch has click ids of its own: they are written into ready-made bodies.

use crate::clicks::{Clicks, LIFETIME_MS, PAYOUT, PLACEMENT, PRICE, USER_AGENT};
use crate::stats::percentile;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Ready-made bodies per connection.
const BODIES: u64 = 16;
/// Clicks of one batch.
const BATCH: usize = 1000;
/// Digits of a click id that tell the rounds apart.
const DIGITS: usize = 6;
/// Largest answer that is read, bytes.
const MAX_ANSWER: usize = 1 << 22;

#[derive(clap::Args)]
pub struct BatchArgs {
    #[arg(long)]
    port: u16,
    #[arg(long)]
    token: String,
    /// JSON in place of Protocol Buffers.
    #[arg(long)]
    json: bool,
    #[arg(long)]
    seconds: u64,
    #[arg(long)]
    connections: u64,
    /// First number of click ids; another one each time.
    #[arg(long)]
    seed: u64,
}

/// A body and where its click ids begin.
struct Body {
    bytes: Vec<u8>,
    ids: Vec<usize>,
}

impl Body {
    fn new(clicks: &mut Clicks, json: bool) -> Body {
        let mut body = Body { bytes: Vec::new(), ids: Vec::new() };
        let mut item = Vec::new();
        for index in 0..BATCH {
            clicks.advance();
            item.clear();
            if json {
                body.bytes.push(if index == 0 { b'[' } else { b',' });
                item.extend_from_slice(json_item(clicks).to_string().as_bytes());
            } else {
                clicks.encode_bare(&mut item);
                put_varint(&mut body.bytes, item.len());
            }
            let id = clicks.text().click.as_bytes();
            let at = item.windows(id.len()).position(|window| window == id).unwrap_or_default();
            body.ids.push(body.bytes.len() + at);
            body.bytes.extend_from_slice(&item);
        }
        if json {
            body.bytes.push(b']');
        }
        body
    }

    /// Gives every click another id.
    fn renew(&mut self, round: u64) {
        let digits = format!("{:0DIGITS$x}", round % (1 << (4 * DIGITS)));
        for at in &self.ids {
            self.bytes[*at..at + DIGITS].copy_from_slice(digits.as_bytes());
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "masked to seven bits")]
fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    while value > 0x7f {
        out.push(0x80 | (value & 0x7f) as u8);
        value >>= 7;
    }
    out.push(value as u8);
}

fn json_item(clicks: &Clicks) -> Value {
    let (text, ip) = (clicks.text(), std::net::Ipv4Addr::from(clicks.ip()));
    json!({
        "click_id": text.click,
        "user_id": text.user,
        "ad_id": text.ad,
        "campaign_id": text.campaign,
        "advertiser_id": text.advertiser,
        "publisher_id": text.publisher,
        "placement_id": PLACEMENT,
        "price_micros": PRICE,
        "payout_micros": PAYOUT,
        "currency": "USD",
        "expires_at": now_ms() + LIFETIME_MS,
        "ip": ip.to_string(),
        "user_agent": USER_AGENT,
        "method": "GET",
    })
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Sends for the given time; the time runs once all bodies are made.
pub fn run(args: &BatchArgs) -> Result<Value> {
    let bodies = (0..args.connections).map(|connection| {
        let seed = args.seed * 1000 + connection;
        let mut clicks = Clicks::new(seed, 1_000_000, 0).starting_at(now_ms()).numbered(seed << 32);
        (0..BODIES).map(|_| Body::new(&mut clicks, args.json)).collect::<Vec<_>>()
    });
    let bodies: Vec<Vec<Body>> = bodies.collect();
    let (begun, mut waits) = (Instant::now(), Vec::new());
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            bodies.into_iter().map(|bodies| scope.spawn(move || send(args, bodies))).collect();
        for thread in threads {
            let sent = thread.join().map_err(|_| anyhow::anyhow!("a connection panicked"))??;
            waits.extend(sent);
        }
        anyhow::Ok(())
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    waits.sort_unstable();
    Ok(json!({
        "clicks": waits.len() * BATCH,
        "seconds": seconds,
        "p50_us": percentile(&waits, 0.50),
        "p99_us": percentile(&waits, 0.99),
    }))
}

/// One connection; returns how long each batch took, microseconds.
fn send(args: &BatchArgs, mut bodies: Vec<Body>) -> Result<Vec<u64>> {
    let stream = TcpStream::connect(("127.0.0.1", args.port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let (mut reader, mut writer) = (BufReader::new(stream.try_clone()?), stream);
    let kind = if args.json { "application/json" } else { "application/x-protobuf" };
    let (begun, mut waits) = (Instant::now(), Vec::new());
    let count = bodies.len();
    while begun.elapsed() < Duration::from_secs(args.seconds) {
        let number = waits.len();
        let body = &mut bodies[number % count];
        body.renew((number / count) as u64);
        let head = format!(
            "POST /v1/clicks HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
             Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            args.token,
            body.bytes.len()
        );
        let sent = Instant::now();
        writer.write_all(head.as_bytes())?;
        writer.write_all(&body.bytes)?;
        let answer = read_answer(&mut reader)?;
        waits.push(u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX));
        let start = answer.get(..20).unwrap_or_default();
        ensure!(
            start.starts_with(format!("{{\"accepted\":{BATCH},").as_bytes()),
            "not all clicks were accepted: {}",
            String::from_utf8_lossy(answer.get(..300).unwrap_or(&answer))
        );
    }
    Ok(waits)
}

/// The body of a 200 answer.
fn read_answer(reader: &mut BufReader<TcpStream>) -> Result<Vec<u8>> {
    let (mut line, mut status, mut length) = (String::new(), String::new(), None);
    loop {
        line.clear();
        ensure!(reader.read_line(&mut line)? > 0, "the server closed the connection");
        if line.trim().is_empty() {
            break;
        }
        if status.is_empty() {
            status.clone_from(&line);
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = Some(value.trim().parse::<usize>()?);
        }
    }
    let mut body = vec![0; length.context("an answer without length")?.min(MAX_ANSWER)];
    reader.read_exact(&mut body)?;
    if !status.contains(" 200 ") {
        bail!("{}: {}", status.trim(), String::from_utf8_lossy(&body));
    }
    Ok(body)
}
