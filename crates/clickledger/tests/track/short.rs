//! The short way of clicks on connections that stay open, beside hyper's, which every request with
//! `Connection: close` takes: the same answers and the same records, whatever comes between.

use super::world::World;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Sends in one piece, and reads so many answers without bodies: their heads.
fn ask(stream: &mut TcpStream, request: &[u8], answers: usize) -> Vec<String> {
    stream.write_all(request).expect("an open connection");
    let (mut got, mut byte) = (Vec::new(), [0]);
    let mut heads = Vec::new();
    while heads.len() < answers {
        assert_eq!(stream.read(&mut byte).expect("an answer"), 1, "closed after {heads:?}");
        got.push(byte[0]);
        if got.ends_with(b"\r\n\r\n") {
            heads.push(String::from_utf8(std::mem::take(&mut got)).expect("text"));
        }
    }
    heads
}

fn request(method: &str, path: &str, headers: &[&str]) -> Vec<u8> {
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nHost: t\r\n{lines}\r\n").into_bytes()
}

/// Lines of a head in one order, without those that say when, or whether the connection stays.
fn lines(head: &str) -> Vec<&str> {
    let passing = |line: &&str| line.starts_with("date: ") || line.starts_with("connection: ");
    let mut lines: Vec<&str> = head.trim_end().lines().filter(|line| !passing(line)).collect();
    lines.sort_unstable();
    lines
}

const HEADERS: [&[&str]; 9] = [
    &[],
    &["Connection: Keep-Alive", "user-agent: Firefox"],
    &["User-Agent:"],
    &["User-Agent: one", "User-Agent: two", "Referer: https://n.example/a?b=c"],
    &["X-Forwarded-For: 9.9.9.9, 8.8.8.8", "Cookie: a=b", "Accept-Language: de"],
    &["X-Forwarded-For: 9.9.9.9", "X-Forwarded-For: 7.7.7.7"],
    &["Forwarded: for=\"[2001:db8::2]:80\";proto=http"],
    &["Referer:  \t padded \t "],
    &["X-Moz: something", "User-Agent: by hyper"],
];

#[test]
fn answers_and_records_are_those_of_the_long_way() {
    let world = World::new();
    let mut open = world.connect();
    for (number, headers) in HEADERS.iter().enumerate() {
        let path = format!("{}&gclid={number}%20x", world.link(&format!("c{number}")));
        let long = world.get(&path, headers);
        let short = ask(&mut open, &request("GET", &path, headers), 1);
        assert_eq!(lines(&short[0]), lines(&long.head), "{headers:?}");
        assert!(short[0].contains("\r\ndate: "), "{short:?}");
    }
    let mut seen = Vec::new();
    world.each_click(|click| {
        let what = (click.click_id, click.ip, click.user_agent, click.referrer, click.extras);
        let how = (click.capture, click.method, click.purpose, click.peer_ip, click.source_key);
        seen.push(format!("{what:?} {how:?}"));
    });
    assert_eq!(seen.len(), 2 * HEADERS.len());
    seen.sort_unstable();
    for pair in seen.chunks(2) {
        assert_eq!(pair[0], pair[1]);
    }
    world.stop();
}

#[test]
fn a_connection_may_ask_in_pieces_at_once_and_for_something_else() {
    let world = World::new();
    let ids: Vec<String> = (0..8).map(|n| format!("c{n}")).collect();
    let get = |n: usize| request("GET", &world.link(&ids[n]), &[]);
    let mut open = world.connect();
    let first = get(0);
    for byte in &first[..first.len() - 1] {
        open.write_all(&[*byte]).expect("an open connection");
    }
    assert!(ask(&mut open, &first[first.len() - 1..], 1)[0].starts_with("HTTP/1.1 302 "));
    // Two and a half, then the rest of the third.
    let third = get(3);
    let (begin, end) = third.split_at(40);
    assert_eq!(ask(&mut open, &[&get(1)[..], &get(2), begin].concat(), 2).len(), 2);
    assert!(ask(&mut open, end, 1)[0].starts_with("HTTP/1.1 302 "));
    // Something else right behind a click, and a click behind that.
    let head = request("HEAD", &world.link(&ids[5]), &[]);
    let heads = ask(&mut open, &[get(4), head, get(6)].concat(), 3);
    assert!(heads.iter().all(|head| head.starts_with("HTTP/1.1 302 ")), "{heads:?}");
    let mut forged = world.link(&ids[7]);
    forged.insert(10, 'x');
    let long = request("GET", &format!("{forged}&{}", "y".repeat(9_000)), &[]);
    let mut other = world.connect();
    assert!(ask(&mut other, &request("GET", &forged, &[]), 1)[0].starts_with("HTTP/1.1 4"));
    let mut other = world.connect();
    assert!(ask(&mut other, &long, 1)[0].starts_with("HTTP/1.1 4"));
    assert_eq!(world.click_ids(), ids[..7]);
    world.stop();
}

#[test]
fn idle_connections_and_slow_heads_end_after_ten_seconds() {
    let world = World::new();
    let (mut idle, mut slow) = (world.connect(), world.connect());
    ask(&mut idle, &request("GET", &world.link("c1"), &[]), 1);
    let begun = Instant::now();
    slow.write_all(b"GET /c?a=").expect("an open connection");
    std::thread::sleep(Duration::from_secs(6));
    slow.write_all(b"b").expect("six seconds are not too many");
    for stream in [&mut slow, &mut idle] {
        assert_eq!(stream.read(&mut [0]).expect("the end"), 0);
        assert!((9..13).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    }
    world.stop();
}

#[test]
fn open_connections_do_not_hold_up_a_shutdown() {
    let world = World::new();
    let mut open = world.connect();
    ask(&mut open, &request("GET", &world.link("c1"), &[]), 1);
    let begun = Instant::now();
    world.stop();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(open.read(&mut [0]).expect("the end"), 0);
}
