//! Transport repeats and gaps (SPEC §2).

use crate::door::{
    Click, Entry, H, HOUR, MINUTE, check, click, heartbeat, ledger, open_ledger, policy, tick,
};

fn c(id: &str, seq: u64) -> Click {
    click(id).seq("t", 0, seq)
}

#[test]
fn same_identity_is_the_same_record() {
    check([c("a", 0).into(), c("a", 0).at(5).into()], "V repeat");
    check([c("a", 0).into(), c("b", 0).at(5).into()], "V repeat");
    check([c("a", 0).into(), c("a", 1).at(5).into()], "V D1");
    check([c("a", 0).into(), c("b", 0).on(1).into()], "V V");
    check([c("a", 0).into(), click("b").seq("t", 1, 0).into()], "V V");
    check([c("a", 0).into(), click("b").seq("u", 0, 0).into()], "V V");
    check([click("a").into(), click("b").into()], "V V");
}

#[test]
fn remembered_for_the_horizon() {
    check([c("a", 0).into(), c("b", 0).at(H).into()], "V repeat");
    check([c("a", 0).into(), c("b", 0).at(H + 1).into()], "V V");
}

#[test]
fn any_record_of_the_tracker_refreshes() {
    let end = c("z", 0).at(H + 1);
    check([c("a", 0).into(), c("b", 1).at(1).into(), end.clone().into()], "V V repeat");
    check([c("a", 0).into(), c("a", 0).at(1).into(), end.clone().into()], "V repeat repeat");
    check([c("a", 0).into(), heartbeat(1, "t", 0, 1), end.clone().into()], "V repeat");
    check([c("a", 0).into(), heartbeat(1, "u", 0, 1), end.clone().into()], "V V");
    check([c("a", 0).into(), heartbeat(1, "t", 1, 1), end.into()], "V V");
}

#[test]
fn the_horizon_in_force_at_the_last_record_decides() {
    let short = || {
        policy(0, "short", |p| {
            (p.link_lifetime_ms, p.spool_limit_ms, p.horizon_ms) = (HOUR, HOUR, 3 * HOUR);
        })
    };
    let at = |id: &str, at| c(id, 0).at(at).into();
    check([short(), at("a", MINUTE - 1), at("b", 4 * HOUR)], "V repeat");
    check([short(), at("a", MINUTE), at("b", 3 * HOUR + MINUTE)], "V repeat");
    check([short(), at("a", MINUTE), at("b", 3 * HOUR + MINUTE + 1)], "V V");
}

#[test]
fn a_repeat_neither_claims_nor_counts() {
    let entries = [c("a", 0).into(), c("b", 0).at(1).into(), click("b").at(2).into()];
    check(entries.clone(), "V repeat V");
    let ledger = ledger(&entries);
    assert_eq!(ledger.repeats(ledger.watermark()), [(0, 1)]);
    assert!(ledger.rows_by_ad(ledger.watermark()).values().all(|row| row.measured == 2));
}

/// `expect`: tracker, epoch, partition and number of missing records, of all open gaps.
fn gaps<const N: usize>(entries: [Entry; N], expect: &[(&str, u64, u32, u64)]) {
    let ledger = ledger(&entries);
    let open = ledger.gaps(ledger.watermark());
    let open = open.iter().map(|((tracker, epoch, p), n)| (tracker.as_str(), *epoch, *p, *n));
    assert_eq!(open.collect::<Vec<_>>(), expect);
}

#[test]
fn a_hole_is_open_until_filled() {
    gaps([c("a", 0).into(), c("b", 1).into()], &[]);
    gaps([c("a", 0).into(), c("b", 2).into()], &[("t", 0, 0, 1)]);
    gaps([c("a", 2).into()], &[("t", 0, 0, 2)]);
    gaps([c("a", 0).into(), c("b", 2).into(), c("c", 1).into()], &[]);
    gaps([c("a", 1).on(1).into(), c("b", 3).into()], &[("t", 0, 0, 3), ("t", 0, 1, 1)]);
}

#[test]
fn a_heartbeat_tells_of_a_lost_tail_and_uses_no_seq() {
    gaps([c("a", 0).into(), heartbeat(1, "t", 0, 1)], &[]);
    gaps([c("a", 0).into(), heartbeat(1, "t", 0, 3)], &[("t", 0, 0, 2)]);
    gaps([c("a", 0).into(), heartbeat(1, "t", 0, 0)], &[]);
    gaps([heartbeat(0, "t", 0, 2), c("b", 0).into(), c("c", 1).into()], &[]);
}

#[test]
fn a_successor_tells_of_a_lost_tail() {
    let next = |n| click("z").seq("u", 0, 0).after("t", 0, n).at(1).into();
    gaps([c("a", 0).into(), next(1)], &[]);
    gaps([c("a", 0).into(), next(4)], &[("t", 0, 0, 3)]);
    gaps([c("a", 0).into(), next(4), c("b", 3).at(2).into()], &[("t", 0, 0, 2)]);
    gaps([next(2)], &[("t", 0, 0, 2)]);
}

#[test]
fn imports_promise_nothing() {
    gaps([click("a").seq("import:1", 0, 9).into()], &[]);
    let twice = [click("a").seq("import:1", 0, 9), click("a").seq("import:1", 0, 9)];
    check(twice.map(Entry::from), "V repeat");
}

#[test]
fn gaps_are_true_as_of_w() {
    let entries = [c("a", 0).into(), c("b", 2).at(10).into(), c("c", 1).at(20).into()];
    let ledger = ledger(&entries);
    let open = |w| ledger.gaps(crate::door::T0 + w).len();
    assert_eq!([open(10), open(11), open(20), open(21)], [0, 1, 1, 0]);
}

#[test]
fn a_forgotten_tracker_is_forgotten_with_its_gaps() {
    let at = |at| open_ledger(&[c("a", 1).into(), tick(at), tick(at).on(1)]);
    assert_eq!(at(H).gaps(at(H).watermark()).len(), 1);
    assert_eq!(at(H + 1).gaps(at(H + 1).watermark()).len(), 0);
}
