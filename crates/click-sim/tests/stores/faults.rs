//! Trouble: answers that get lost, batches that were written in part, in any order and more than
//! once, an old writer that comes back, a store that is away for a while. Whatever happened, what
//! is there in the end is the highest version of each row.

use super::checks::Check;
use super::places::Place;
use super::rows::{ad_row, all, publisher_row};
use click_core::row::{Row, RowId};
use click_core::types::Millis;
use click_engine::store::{LedgerStore, StoreError, View};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// What a row holds follows from its key and version: all are true.
fn true_row(dice: &mut Dice, latest: u64) -> Row {
    let (owner, minute) = (dice.below(20), u32::try_from(dice.below(90)).unwrap());
    let at = 1 + dice.below(latest);
    let measured = at * 3 + owner;
    match dice.below(2) {
        0 => ad_row(&format!("ad{owner}"), minute, measured, at * 1000),
        _ => publisher_row(&format!("p{owner}"), minute, measured, at * 1000),
    }
}

/// The highest version of each.
#[derive(Default)]
struct Truth(BTreeMap<RowId, Row>);

impl Truth {
    fn add(&mut self, rows: &[Row]) {
        for row in rows {
            let kept = self.0.entry(row.id()).or_insert_with(|| row.clone());
            if kept.version < row.version {
                *kept = row.clone();
            }
        }
    }

    fn check(&self, place: &dyn Place) {
        let reader = place.reader();
        let mut found: Vec<Row> = all(&*reader, View::Ad);
        found.extend(all(&*reader, View::Publisher));
        found.sort_by_key(Row::id);
        let wanted: Vec<_> = self.0.values().cloned().collect();
        assert_eq!(found.len(), wanted.len(), "{}", place.name());
        assert!(found == wanted, "{}: rows differ", place.name());
    }
}

/// Parts of batches, batches twice, from two writers of which one is behind, in any order.
fn any_order_and_any_part(place: &mut dyn Place) {
    let (mut dice, mut truth) = (Dice(0x9e37_79b9), Truth::default());
    let mut writers = [place.store(), place.store()];
    let mut batches: Vec<Vec<Row>> = Vec::new();
    for round in 1..=30 {
        let size = 1 + dice.below(80);
        batches.push((0..size).map(|_| true_row(&mut dice, round * 2)).collect());
    }
    // Parts of all of them, from the last to the first: their answers got lost.
    for batch in batches.iter().rev() {
        let part = usize::try_from(dice.below(batch.len() as u64 + 1)).unwrap();
        writers[1].upsert(&batch[..part]).unwrap();
    }
    for _ in 0..60 {
        let some = usize::try_from(dice.below(30)).unwrap();
        let writer = usize::try_from(dice.below(2)).unwrap();
        writers[writer].upsert(&batches[some]).unwrap();
        truth.add(&batches[some]);
    }
    for batch in &batches {
        writers[0].upsert(batch).unwrap();
        truth.add(batch);
    }
    truth.check(place);
    writers[0].set_mark(Millis(90_000)).unwrap();
    // The old one knows of an older mark, and of older rows.
    writers[1].publish(&batches[3], Millis(8_000)).unwrap();
    assert_eq!(place.store().mark().unwrap(), Millis(90_000));
    truth.check(place);
}

/// Taken away in the midst of writing and brought back, again and again.
fn away_and_back(place: &mut dyn Place) {
    let (mut dice, mut truth) = (Dice(0xdead_beef), Truth::default());
    let mut store = place.store();
    let mut rows: Vec<Row> = Vec::new();
    for turn in 0..4 {
        // All that was ever written: what may be lost is still there, as in the engine.
        rows.extend((0..200).map(|_| true_row(&mut dice, 50 + turn as u64)));
        truth.add(&rows);
        if !place.take_away(turn) {
            store.upsert(&rows).unwrap();
            continue;
        }
        let gone = store.upsert(&rows);
        assert!(matches!(gone, Err(StoreError::Unavailable(_))), "{gone:?}");
        place.bring_back(turn);
        retry(&mut *store, &rows);
    }
    while let Err(error) = store.set_mark(Millis(77_000)) {
        assert!(matches!(error, StoreError::Lost { .. }), "{error}");
        retry(&mut *store, &rows);
    }
    truth.check(place);
    assert_eq!(place.reader().read_mark().unwrap(), Millis(77_000));
}

/// As the engine does: until it is confirmed.
fn retry(store: &mut dyn LedgerStore, rows: &[Row]) {
    let begun = Instant::now();
    while let Err(error) = store.upsert(rows) {
        let again = matches!(error, StoreError::Unavailable(_) | StoreError::Lost { .. });
        assert!(again, "{error}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{error}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub const ALL: &[Check] =
    &[("any order, any part", any_order_and_any_part), ("away and back", away_and_back)];

/// A Redis that lost its last writes and their mark together says so at the next write, and takes
/// the rows again.
#[cfg(feature = "redis")]
pub fn fell_back(mut place: super::places::OnRedis) {
    let mut store = place.store();
    store.publish(&[ad_row("a", 1, 1, 1000), ad_row("b", 1, 1, 1000)], Millis(1000)).unwrap();
    place.servers.keep_copy(0);
    let newer = [ad_row("a", 1, 2, 2000), ad_row("c", 1, 1, 2000)];
    retry(&mut *store, &newer);
    store.set_mark(Millis(2000)).unwrap();
    place.servers.fall_back_to_copy(0);
    assert_eq!(place.store().mark().unwrap(), Millis(1000));
    let next = [ad_row("d", 1, 1, 3000)];
    let lost = loop {
        match store.publish(&next, Millis(3000)) {
            Err(StoreError::Unavailable(_)) => {}
            other => break other,
        }
    };
    let Err(StoreError::Lost { mark, confirmed }) = lost else { panic!("{lost:?}") };
    assert_eq!((mark, confirmed), (Millis(1000), Millis(2000)));
    assert_eq!(place.reader().read_mark().unwrap(), Millis(1000), "the mark is not raised");
    store.publish(&[&newer[..], &next].concat(), Millis(3000)).unwrap();
    let mut truth = Truth::default();
    truth.add(&[&newer[..], &next, &[ad_row("b", 1, 1, 1000)]].concat());
    truth.check(&place);
}
