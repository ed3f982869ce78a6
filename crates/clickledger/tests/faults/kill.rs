//! Kill cycles: a load is running, the server dies by SIGKILL at a random instant, is started
//! again, and every acknowledged click must be in the ledger exactly once.
//!
//! `CLICKTEST_KILL_CYCLES` sets how many cycles (40). One ledger lives through all of them. The
//! start of a cycle is the recovery from the kill before it; what was acknowledged is kept, and
//! all of it is looked for in the ledger every few cycles and at the end. `cargo xtask kills`
//! reads the lines that begin with `verified`.

use std::time::{Duration, Instant};

use super::server::Server;
use super::visitors::Visitors;

const SECONDS: f64 = 0.3;
/// Cycles between two looks at the ledger.
const VERIFY_EVERY: u32 = 10;

#[test]
fn nothing_acknowledged_is_lost_or_double() {
    let cycles = std::env::var("CLICKTEST_KILL_CYCLES").ok();
    let cycles: u32 = cycles.map_or(40, |text| text.parse().expect("a number of cycles"));
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (mut visitors, mut cut_short) = (Visitors::new(), 0);
    for cycle in 1..=cycles {
        let begun = Instant::now();
        visitors.mint(&data, SECONDS);
        let server = Server::start(&data);
        let loading = visitors.begin(&server, SECONDS);
        let instant = 30 + u64::from(random() % 300);
        std::thread::sleep(Duration::from_millis(instant));
        server.kill();
        let added = visitors.end(loading);
        cut_short += u32::from(added < Visitors::all_of(SECONDS));
        println!("cycle {cycle}: killed at {instant} ms, {added} more, {:.2?}", begun.elapsed());
        if cycle % VERIFY_EVERY == 0 || cycle == cycles {
            Server::start(&data).stop();
            let report = visitors.verify(&data);
            println!("audited: {}", visitors.audit(&data));
            let acknowledged = visitors.acknowledged;
            println!("verified {cycle} cycles, {acknowledged} acknowledged: {report}");
        }
    }
    println!("{cut_short} of {cycles} loads cut short by the kill");
    assert!(visitors.acknowledged > 0 && cut_short > 0, "the kills must hit running loads");
}

fn random() -> u32 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).unwrap();
    u32::from_le_bytes(bytes)
}
