//! Which policy judges a click (SPEC §8).

use click_sim::reference::PlainPolicy;

use crate::door::{Entry, HOUR, MINUTE, T0, click, header, ledger, policy, tick};

/// The policy id of a click at `at`, after `entries`.
fn judged_by(entries: &[Entry], at: u64) -> String {
    let log: Vec<Entry> = entries.iter().cloned().chain([click("c").at(at).into()]).collect();
    let ledger = ledger(&log);
    let verdicts = ledger.verdicts(ledger.watermark());
    verdicts.into_values().map(|v| v.policy).collect()
}

fn from(at: u64, id: &str, effective: u64) -> Entry {
    policy(at, id, |p| p.effective_from = T0 + effective)
}

#[test]
fn in_force_from_a_minute_after_it_is_known() {
    let entries = [policy(5, "p", |_| ())];
    assert_eq!(judged_by(&entries, MINUTE + 4), "default");
    assert_eq!(judged_by(&entries, MINUTE + 5), "p");
}

#[test]
fn in_force_from_the_stated_time_if_later() {
    let entries = [from(5, "p", HOUR)];
    assert_eq!(judged_by(&entries, HOUR - 1), "default");
    assert_eq!(judged_by(&entries, HOUR), "p");
}

#[test]
fn its_own_fold_time_counts_not_its_append_time() {
    let entries = [tick(MINUTE), policy(5, "p", |_| ())];
    assert_eq!(judged_by(&entries, 2 * MINUTE - 1), "default");
    assert_eq!(judged_by(&entries, 2 * MINUTE), "p");
}

#[test]
fn the_last_to_come_into_force_wins() {
    let entries = [from(0, "late", 2 * HOUR), from(1, "early", HOUR)];
    assert_eq!(judged_by(&entries, 2 * HOUR - 1), "early");
    assert_eq!(judged_by(&entries, 2 * HOUR), "late");
    let tie = [from(0, "first", HOUR), from(1, "second", HOUR)];
    assert_eq!(judged_by(&tie, HOUR), "second");
}

#[test]
fn only_partition_zero_counts() {
    assert_eq!(judged_by(&[policy(0, "p", |_| ()).on(1)], HOUR), "default");
}

#[test]
fn limits_at_and_beyond() {
    let accepted = |set: fn(&mut PlainPolicy)| {
        let entries = [header(1), policy(0, "p", set)];
        let ledger = ledger(&entries);
        let refused = ledger.refused_policies(ledger.watermark());
        let in_force = judged_by(&entries, HOUR) == "p";
        assert_eq!(refused.is_empty(), in_force);
        in_force
    };
    assert!(accepted(|p| p.horizon_ms = 96 * HOUR + 5 * MINUTE));
    assert!(!accepted(|p| p.horizon_ms = 96 * HOUR + 5 * MINUTE - 1));
    assert!(accepted(|p| p.horizon_ms = 30 * 24 * HOUR));
    assert!(!accepted(|p| p.horizon_ms = 30 * 24 * HOUR + 1));
    assert!(!accepted(|p| p.spool_limit_ms = u64::MAX));
    assert!(accepted(|p| p.burst_clicks = 1));
    assert!(accepted(|p| p.burst_clicks = 100));
    assert!(!accepted(|p| p.burst_clicks = 0));
    assert!(!accepted(|p| p.burst_clicks = 101));
    assert!(accepted(|p| p.seal_after_ms = 0));
    assert!(accepted(|p| p.seal_after_ms = 30 * 24 * HOUR));
    assert!(!accepted(|p| p.seal_after_ms = 30 * 24 * HOUR + 1));
}
