//! What a cluster loses is sent again.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::ledger::{Ledger, count, metric, start, wait_drained, wait_until};
use crate::server::{BIN, Server, said};
use crate::visitors::{Visitors, begin_trial};

/// A spool that believes to have handed everything on, and a cluster that has not got it: the hole
/// is seen, told, asked for, and closes. `spool` is the folder of the part that takes new clicks.
pub fn sent_again(ledger: &Ledger, visitors: &mut Visitors, trial: &str, spool: &str) {
    begin_trial(trial);
    let (tracker, engine) = (ledger.tracker(""), ledger.engine());
    let mut taking = start(&tracker);
    visitors.mint(&tracker, 0.5);
    let loading = visitors.begin(&taking, 0.5);
    visitors.end(loading);
    wait_drained(&taking);
    taking.kill();
    forget_some(&tracker, spool);
    taking = start(&tracker);
    // A click to each partition names the instance before.
    visitors.mint(&tracker, 0.5);
    let loading = visitors.begin(&taking, 0.5);
    visitors.end(loading);
    let counting = start(&engine);
    wait_for_holes(&counting);
    let gaps = counting.ask("GET", "/v1/gaps");
    let (_, body) = gaps.split_once("\r\n\r\n").unwrap();
    let file = tracker.join("gaps.json");
    std::fs::write(&file, body).unwrap();
    let asked = Command::new(BIN)
        .args(["resend", "--data"])
        .arg(&tracker)
        .arg("--gaps")
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(asked.status.success(), "{}", said(&asked));
    println!("{}", said(&asked).trim());
    wait_until("the hole closes", || metric(&counting, "clickledger_records_missing") == 0.0);
    taking.stop();
    counting.stop();
    visitors.verify_trial(trial, &engine);
}

/// Until holes are seen, and for a while no further one: each partition has one of its own.
fn wait_for_holes(counting: &Server) {
    let mut seen = (String::new(), Instant::now());
    wait_until("the holes are seen", || {
        let missing = count(counting, "clickledger_records_missing");
        if missing != seen.0 {
            seen = (missing, Instant::now());
        }
        !matches!(seen.0.as_str(), "" | "0") && seen.1.elapsed() > Duration::from_secs(2)
    });
}

/// While the tracker is down, clicks that it has acknowledged from its spool are taken for handed
/// on: as if the cluster had confirmed and lost them.
fn forget_some(tracker: &Path, spool: &str) {
    let mut skipping = Command::new(BIN);
    skipping.env("CLICKLEDGER_LOG__URL", "kafka://127.0.0.1:1/clicks");
    skipping.env("CLICKLEDGER_ARCHIVE__URL", "");
    let offline = Server::start_by(skipping, tracker);
    let mut visitors = Visitors::new();
    visitors.mint(tracker, 0.2);
    let loading = visitors.begin(&offline, 0.2);
    visitors.end(loading);
    let at_risk = metric(&offline, "clickledger_spool_at_risk_records");
    assert!(at_risk > 0.0, "they are in the spool alone");
    offline.stop();
    let file = tracker.join(spool).join("forwarded.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut positions: serde_json::Value = serde_json::from_str(&text).unwrap();
    for position in positions["forwarded"].as_array_mut().unwrap() {
        // Beyond the end is the end.
        *position = (position.as_u64().unwrap() + 1_000_000).into();
    }
    std::fs::write(&file, positions.to_string()).unwrap();
}
