//! Rows: content, versions and lateness (SPEC §5).

use click_sim::reference::{CLASSES, PlainRow, Reference};

use crate::door::{Click, HOUR, MINUTE, SECOND, T0, click, ledger, policy};

fn one_row(ledger: &Reference, at: u64) -> Option<PlainRow> {
    let rows = ledger.rows_by_ad(T0 + at);
    assert!(rows.len() <= 1, "one row expected");
    rows.into_values().next()
}

/// measured, pending, valid, sum, version after `T0`.
type Content = (u64, u64, u64, i128, u64);

fn content(row: &PlainRow) -> Content {
    let counted: u64 = row.counts.iter().sum();
    assert_eq!(row.measured, row.pending + counted, "conservation");
    (row.measured, row.pending, row.counts[13], row.sum, row.version_ms - T0)
}

#[test]
fn a_click_is_pending_and_then_final() {
    let ledger = ledger(&[click("c").at(500).into()]);
    let at = |at| one_row(&ledger, at).as_ref().map(content);
    assert_eq!(at(500), None);
    assert_eq!(at(501), Some((1, 1, 0, 0, 1_000)));
    assert_eq!(at(1_499), Some((1, 1, 0, 0, 1_000)));
    assert_eq!(at(1_500), Some((1, 0, 1, 7, 2_000)));
    assert_eq!(at(2_000), Some((1, 0, 1, 7, 2_000)));
}

#[test]
fn versions_are_the_grid_instant_of_the_last_change() {
    // A click's fold_time, and the versions as of the next instants of the grid.
    let cases = [(0, [1_000, 1_000]), (1, [1_000, 2_000]), (999, [1_000, 2_000])];
    for (at, versions) in cases {
        let ledger = ledger(&[click("c").at(at).into()]);
        let version = |grid| one_row(&ledger, grid).map(|row| content(&row).4);
        assert_eq!([version(1_000), version(2_000)], versions.map(Some), "click at {at}");
    }
    let two = ledger(&[click("c").at(0).into(), click("d").at(1_500).into()]);
    let at = |at| one_row(&two, at).as_ref().map(content);
    assert_eq!(at(1_000), Some((1, 0, 1, 7, 1_000)));
    assert_eq!(at(2_000), Some((2, 1, 1, 7, 2_000)));
    assert_eq!(at(3_000), Some((2, 0, 2, 14, 3_000)));
}

#[test]
fn only_valid_clicks_are_paid() {
    let ledger = ledger(&[click("c").into(), click("c").into()]);
    let row = one_row(&ledger, SECOND).unwrap();
    let by_class = |class| row.counts[CLASSES.iter().position(|c| *c == class).unwrap()];
    assert_eq!((by_class("V"), by_class("D1"), row.sum), (1, 1, 7));
}

#[test]
fn both_views_hold_the_same_counts() {
    let paid = click("c").with(|c| {
        (c.publisher_id, c.placement_id, c.payout_micros) = ("p".into(), "l".into(), 3);
    });
    let ledger = ledger(&[paid.into(), click("d").into()]);
    let rows = ledger.rows_by_publisher(T0 + SECOND);
    let minute = T0 / MINUTE;
    let sum = |publisher: &str, placement: &str| {
        let key = (publisher.into(), placement.into(), minute, None, "USD".into());
        rows.get(&key).map(|row| (row.measured, row.sum))
    };
    assert_eq!(sum("p", "l"), Some((1, 3)));
    assert_eq!(sum("", ""), Some((1, 0)));
    assert_eq!(rows.len(), 2);
}

/// Minute and posted minute of a click, counted from `T0`'s minute.
fn posted(entries: &[crate::door::Entry]) -> Vec<(u64, Option<u64>)> {
    let ledger = ledger(entries);
    let rows = ledger.rows_by_ad(ledger.watermark());
    let zero = T0 / MINUTE;
    rows.keys().map(|key| (key.1 - zero, key.2.map(|posted| posted - zero))).collect()
}

#[test]
fn late_from_seal_after_the_end_of_the_minute() {
    let spooled = |at| click("c").received(5).at(at).into();
    assert_eq!(posted(&[spooled(16 * MINUTE - 1)]), [(0, None)]);
    assert_eq!(posted(&[spooled(16 * MINUTE)]), [(0, Some(16))]);
    assert_eq!(posted(&[spooled(17 * MINUTE + 1)]), [(0, Some(17))]);
}

#[test]
fn the_minute_end_decides_which_seal_after() {
    let short = || policy(0, "short", |p| p.seal_after_ms = MINUTE);
    // In force from the end of minute 0 on, which counts for minute 0 already.
    let spooled = |received, at| [short(), click("c").received(received).at(at).into()];
    assert_eq!(posted(&spooled(5, 2 * MINUTE - 1)), [(0, None)]);
    assert_eq!(posted(&spooled(5, 2 * MINUTE)), [(0, Some(2))]);
    let late = || policy(1, "late", |p| p.seal_after_ms = MINUTE);
    let spooled = |at| [late(), click("c").received(5).at(at).into()];
    assert_eq!(posted(&spooled(2 * MINUTE)), [(0, None)]);
    assert_eq!(posted(&spooled(16 * MINUTE)), [(0, Some(16))]);
}

#[test]
fn sealed_a_second_after_the_last_that_can_come() {
    let ledger = ledger(&[]);
    let zero = T0 / MINUTE;
    assert_eq!(ledger.sealed_at(zero, None), T0 + 16 * MINUTE + SECOND);
    assert_eq!(ledger.sealed_at(zero, Some(zero + 20)), T0 + 21 * MINUTE + SECOND);
}

#[test]
fn keys_part_rows() {
    let base = || click("c").at(HOUR);
    let other = |set: fn(&mut click_sim::reference::PlainClick)| -> usize {
        let second: Click = base().with(set).with(|c| c.click_id = "d".into());
        let ledger = ledger(&[base().into(), second.into()]);
        ledger.rows_by_ad(ledger.watermark()).len()
    };
    assert_eq!(other(|_| ()), 1);
    assert_eq!(other(|c| c.publisher_id = "x".into()), 1);
    assert_eq!(other(|c| c.ad_id = "x".into()), 2);
    assert_eq!(other(|c| c.currency = "EUR".into()), 2);
    assert_eq!(other(|c| c.campaign_id = "x".into()), 2);
    assert_eq!(other(|c| c.advertiser_id = "x".into()), 2);
}
