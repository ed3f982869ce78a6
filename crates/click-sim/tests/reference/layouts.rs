//! A log that gets one more partition, number 2, at an instant T (decision 18).

use crate::door::{Entry, MINUTE, T0, click, header, layout, open_ledger, tick};

const T: u64 = MINUTE;
const NEW: u32 = 2;

/// A log that moves at T, and these entries behind that.
fn moved<const N: usize>(entries: [Entry; N]) -> Vec<Entry> {
    [header(1), layout(T)].into_iter().chain(entries).collect()
}

#[test]
fn nothing_in_a_new_partition_is_before_it_began() {
    let fold_time = |entry: Entry| {
        let ledger = open_ledger(&moved([entry.on(NEW)]));
        ledger.fold_times()[&(NEW, 0)] - T0
    };
    assert_eq!(fold_time(tick(T - 1)), T);
    assert_eq!(fold_time(tick(T)), T);
    assert_eq!(fold_time(tick(T + 1)), T + 1);
    // A sender's clock does not decide either.
    assert_eq!(fold_time(click("c").at(T + 1).sent(0).into()), T + 1);
    assert_eq!(fold_time(click("c").at(T + 9 * MINUTE).sent(0).into()), 5 * MINUTE);
    assert_eq!(fold_time(click("c").at(T - 1).sent(0).into()), T);
}

#[test]
fn the_watermark_waits_for_it_from_then_on() {
    let watermark = |entries: Vec<Entry>| open_ledger(&entries).watermark() - T0;
    // The layout's own time is as far as it may go while the new partition is empty.
    assert_eq!(watermark(moved([tick(T).on(1)])), T);
    assert_eq!(watermark(moved([tick(T + 5), tick(T + 5).on(1)])), T);
    assert_eq!(watermark(moved([tick(T + 5), tick(T - 1).on(1)])), T - 1);
    let behind = |at| moved([tick(T + 5), tick(T + 5).on(1), tick(at).on(NEW)]);
    assert_eq!(watermark(behind(T - 1)), T);
    assert_eq!(watermark(behind(T)), T);
    assert_eq!(watermark(behind(T + 1)), T + 1);
    assert_eq!(watermark(behind(T + 9)), T + 5);
}

#[test]
fn one_click_before_and_after_is_a_duplicate() {
    let twice = |at: u64| {
        let (first, second) = (click("c").at(T - 1).on(1), click("c").at(at).on(NEW));
        let ticks = [0, 1, NEW].map(|partition| tick(at + MINUTE).on(partition));
        let entries = [moved([first.into(), second.into()]), ticks.to_vec()].concat();
        let ledger = open_ledger(&entries);
        let verdicts = ledger.verdicts(ledger.watermark());
        (verdicts[&(1, 0)].class.to_owned(), verdicts[&(NEW, 0)].class.to_owned())
    };
    for at in [T - 2, T, T + 1] {
        assert_eq!(twice(at), ("V".to_owned(), "D1".to_owned()), "{at}");
    }
}

#[test]
fn a_layout_elsewhere_or_out_of_turn_is_refused() {
    let refused = |entries: &[Entry]| {
        let ledger = open_ledger(entries);
        ledger.refused_layouts(T0 + T + 1)
    };
    assert_eq!(refused(&moved([tick(T + 1), tick(T + 1).on(1), tick(T + 1).on(NEW)])), []);
    // Said again it changes nothing, in partition 0.
    let again = [layout(T), tick(T + 1), tick(T + 1).on(1), tick(T + 1).on(NEW)];
    assert_eq!(refused(&moved(again)), []);
    let elsewhere = [header(1), layout(T).on(1), tick(T + 1), tick(T + 1).on(1)];
    assert_eq!(refused(&elsewhere), [(1, 0)]);
}
