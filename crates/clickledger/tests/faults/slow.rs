//! A slow disk: every flush takes its time. What was acknowledged is there, and a visitor who
//! cannot be acknowledged in time is sent on all the same.

use std::time::{Duration, Instant};

use super::server::Server;
use super::strace::{self, FLUSHES, Inject};
use super::visitors::{Visitors, begin_trial};

const FAULT: &str = "slow-disk";
const SECONDS: f64 = 2.5;
/// The deadline of a redirect is 1 s; more is for a busy machine.
const NO_HANGING: Duration = Duration::from_millis(2500);

/// Flushes take so long, from the fortieth of a thread.
fn with_flushes_of(millis: u32) {
    let dir = tempfile::tempdir().unwrap();
    let (data, story) = (dir.path().join("data"), dir.path().join("story"));
    let what = format!("delay_enter={}:when=40+", millis * 1000);
    let inject = Inject { calls: FLUSHES, what: &what, paths: &[] };
    let Some(command) = strace::server(&inject, &story) else { return };
    begin_trial(FAULT);
    let mut visitors = Visitors::new();
    visitors.connections = 256;
    Server::start(&data).kill();
    visitors.mint(&data, SECONDS);
    let server = Server::start_by(command, &data);
    let loading = visitors.begin(&server, SECONDS);
    if millis > 1000 {
        is_sent_on_unlogged(&server, &visitors.spare_link());
    } else {
        std::thread::sleep(Duration::from_secs_f64(SECONDS));
    }
    // In the midst of a flush, mostly.
    server.kill();
    visitors.end(loading);
    assert!(visitors.acknowledged > 0, "the first flushes are fast");
    println!("{} flushes of {millis} ms", strace::struck(&story));
    assert!(strace::struck(&story) > 0, "no flush was slow");
    visitors.end_trial(FAULT, &data);
}

/// Within the deadline, though no flush returns before.
fn is_sent_on_unlogged(server: &Server, link: &str) {
    let target = |answer: &str| answer.contains("e.example");
    for _ in 0..40 {
        let begun = Instant::now();
        let answer = server.ask("GET", link);
        let took = begun.elapsed();
        assert!(took < NO_HANGING, "a visitor waited {took:?}");
        assert!(answer.starts_with("HTTP/1.1 302") && target(&answer), "{answer}");
        if answer.to_ascii_lowercase().contains("x-click-logged: no") {
            println!("sent on unlogged after {took:.2?}");
            return is_told_to_come_again(server, &link.replacen("/c?", "/b?", 1));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("every click was acknowledged in time");
}

fn is_told_to_come_again(server: &Server, beacon: &str) {
    let begun = Instant::now();
    let answer = server.ask("POST", beacon).to_ascii_lowercase();
    let took = begun.elapsed();
    assert!(took < NO_HANGING, "a beacon waited {took:?}");
    assert!(answer.starts_with("http/1.1 503") && answer.contains("retry-after: 1"), "{answer}");
}

#[test]
fn flushes_of_300_ms_delay_and_lose_nothing() {
    with_flushes_of(300);
}

#[test]
fn flushes_of_1500_ms_leave_visitors_unlogged_and_lose_nothing() {
    with_flushes_of(1500);
}
