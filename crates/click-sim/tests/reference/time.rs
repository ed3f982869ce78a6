//! Log time, the watermark and dead letters (SPEC §3, §10).

use crate::door::{
    Click, Entry, MINUTE, SECOND, T0, click, ledger, open_ledger, tick, undecodable,
};

/// `expect`: `fold_time`s after `T0`, in offset order of partition 0.
fn fold_times<const N: usize>(entries: [Entry; N], expect: [u64; N]) {
    let times: Vec<u64> = open_ledger(&entries).fold_times().into_values().collect();
    assert_eq!(times, expect.map(|t| T0 + t));
}

fn at(at: u64) -> Click {
    click("c").at(at)
}

#[test]
fn append_time_capped_by_the_sender() {
    let cap = 5 * MINUTE;
    fold_times([at(cap - 1).sent(0).into()], [cap - 1]);
    fold_times([at(cap).sent(0).into()], [cap]);
    fold_times([at(cap + 1).sent(0).into()], [cap]);
    fold_times([at(50 * MINUTE).sent(0).into()], [cap]);
    fold_times([at(50 * MINUTE).into()], [50 * MINUTE]);
    fold_times([at(7).sent(50 * MINUTE).into()], [7]);
}

#[test]
fn never_back_and_by_every_record() {
    fold_times([at(9).into(), at(5).into(), at(10).into()], [9, 9, 10]);
    fold_times([tick(9), at(5).into()], [9, 9]);
    fold_times([undecodable(9), at(5).into()], [9, 9]);
    fold_times([at(9).seq("t", 0, 0).into(), at(20).seq("t", 0, 0).into(), tick(3)], [9, 20, 20]);
    fold_times([at(MINUTE).into(), at(20 * MINUTE).sent(0).into()], [MINUTE, 5 * MINUTE]);
}

#[test]
fn watermark_is_the_slowest_partition() {
    assert_eq!(open_ledger(&[tick(9)]).watermark(), 0);
    assert_eq!(open_ledger(&[tick(9), tick(7).on(1)]).watermark(), T0 + 7);
    assert_eq!(open_ledger(&[tick(9), tick(7).on(1), tick(8).on(1)]).watermark(), T0 + 8);
}

#[test]
fn click_time_is_never_beyond_fold_time() {
    let minute = |c: Click| {
        let ledger = ledger(&[c.into()]);
        let rows = ledger.rows_by_ad(ledger.watermark());
        rows.keys().map(|key| key.1 - T0 / MINUTE).collect::<Vec<_>>()
    };
    assert_eq!(minute(at(MINUTE - 1)), [0]);
    assert_eq!(minute(at(MINUTE)), [1]);
    assert_eq!(minute(at(MINUTE).received(MINUTE - 1)), [0]);
    assert_eq!(minute(at(MINUTE - 1).received(9 * MINUTE)), [0]);
}

#[test]
fn final_one_second_after() {
    let ledger = ledger(&[at(5).into()]);
    assert_eq!(ledger.verdicts(T0 + 5 + SECOND - 1).len(), 0);
    assert_eq!(ledger.verdicts(T0 + 5 + SECOND).len(), 1);
}

#[test]
fn undecodable_records_are_listed_and_no_more() {
    let bad_time = at(3).with(|c| c.expires_at = Some(253_402_300_800_000));
    let bad_price = at(4).with(|c| c.price_micros = (1 << 53) + 1);
    let good = at(5).with(|c| (c.expires_at, c.price_micros) = (None, 1 << 53));
    let ledger = ledger(&[undecodable(2), bad_time.into(), bad_price.into(), good.into()]);
    let w = ledger.watermark();
    assert_eq!(ledger.dead_letters(w), [(0, 0), (0, 1), (0, 2)]);
    assert_eq!(ledger.dead_letters(T0 + 3), [(0, 0)]);
    assert_eq!(ledger.verdicts(w).into_keys().collect::<Vec<_>>(), [(0, 3)]);
}
