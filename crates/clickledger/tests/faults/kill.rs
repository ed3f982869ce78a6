//! Kill cycles: a load is running, the server dies by SIGKILL at a random instant, is started
//! again, and every acknowledged click must be in the ledger exactly once.
//!
//! `CLICKTEST_KILL_CYCLES` sets how many cycles (40). One ledger lives through all of them.

use std::time::{Duration, Instant};

use super::server::Server;
use super::visitors::Visitors;

const SECONDS: f64 = 0.5;

#[test]
fn nothing_acknowledged_is_lost_or_double() {
    let cycles = std::env::var("CLICKTEST_KILL_CYCLES").ok();
    let cycles: u32 = cycles.map_or(40, |text| text.parse().expect("a number of cycles"));
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (mut visitors, mut cut_short) = (Visitors::new(), 0);
    for cycle in 0..cycles {
        let begun = Instant::now();
        visitors.mint(&data, SECONDS);
        let server = Server::start(&data);
        let loading = visitors.begin(&server, SECONDS);
        let instant = 60 + u64::from(random() % 500);
        std::thread::sleep(Duration::from_millis(instant));
        server.kill();
        cut_short += u32::from(visitors.end(loading) < 1000);
        Server::start(&data).stop();
        let report = visitors.verify(&data);
        println!("cycle {cycle}: killed at {instant} ms, {:.2?}, {report}", begun.elapsed());
    }
    let acknowledged = visitors.acknowledged;
    println!(
        "{cycles} cycles, {acknowledged} acknowledged, {cut_short} loads cut short by the kill"
    );
    assert!(acknowledged > 0 && cut_short > 0, "the kills must hit running loads");
}

fn random() -> u32 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).unwrap();
    u32::from_le_bytes(bytes)
}
