//! What every store must do.

use super::places::Place;
use super::rows::{ad_row, all, publisher_row};
use click_core::row::Row;
use click_core::types::{Millis, Minute, Version};
use click_engine::store::{LedgerReader, Scan, ScanOrder, StoreError, View, summary_id};

pub type Check = (&'static str, fn(&mut dyn Place));

fn rows_come_back_as_they_went_in(place: &mut dyn Place) {
    let (mut store, reader) = (place.store(), place.reader());
    let mut late = ad_row("ä \"x\", y", 100, 3, 5000);
    late.posted_minute = Some(Minute(200));
    late.counts.sum_micros = i128::from(i64::MAX) * 1000 + 1;
    let mut negative = publisher_row("", 4_223_371_679, 1, 6000);
    negative.counts.sum_micros = i128::from(i64::MIN) - 1;
    store.upsert(&[late.clone(), negative.clone()]).unwrap();
    assert_eq!(all(&*reader, View::Ad), [late]);
    assert_eq!(all(&*reader, View::Publisher), [negative]);
}

fn the_higher_version_wins_in_any_order(place: &mut dyn Place) {
    let versions: Vec<Row> =
        (1..=6).map(|n| ad_row("a", 1, n, n * 1000)).chain([ad_row("b", 1, 1, 1000)]).collect();
    let (mut store, reader) = (place.store(), place.reader());
    // Every rotation, forwards and backwards, with duplicates across and within batches.
    for turn in 0..versions.len() {
        let mut batch = versions.clone();
        batch.rotate_left(turn);
        store.upsert(&batch[..turn]).unwrap();
        batch.reverse();
        store.upsert(&batch).unwrap();
        store.upsert(&batch).unwrap();
        let rows = all(&*reader, View::Ad);
        assert_eq!(rows, [versions[5].clone(), versions[6].clone()]);
    }
}

fn an_old_writer_changes_nothing(place: &mut dyn Place) {
    let (mut store, reader) = (place.store(), place.reader());
    store.publish(&[ad_row("a", 1, 9, 9000)], Millis(9000)).unwrap();
    store.publish(&[ad_row("a", 1, 4, 4000)], Millis(4000)).unwrap();
    assert_eq!(all(&*reader, View::Ad), [ad_row("a", 1, 9, 9000)]);
    assert_eq!(store.mark().unwrap(), Millis(9000));
    assert_eq!(reader.read_mark().unwrap(), Millis(9000));
}

fn two_contents_of_one_version_are_a_conflict(place: &mut dyn Place) {
    let (mut store, reader) = (place.store(), place.reader());
    store.upsert(&[ad_row("a", 1, 5, 5000)]).unwrap();
    let batch = [ad_row("b", 1, 1, 5000), ad_row("a", 1, 6, 5000)];
    let error = store.upsert(&batch).unwrap_err();
    assert!(matches!(error, StoreError::Conflict { version, .. }
        if version == Version::new(1, Millis(5000)).0));
    let within = [ad_row("c", 1, 1, 5000), ad_row("c", 1, 2, 5000)];
    assert!(matches!(store.upsert(&within), Err(StoreError::Conflict { .. })));
    let rows = all(&*reader, View::Ad);
    // What conflicts is not written; what does not may be.
    assert!(rows.contains(&ad_row("a", 1, 5, 5000)), "{rows:?}");
    assert!(!place.is_atomic() || rows.len() == 1, "{rows:?}");
}

fn a_row_of_another_generation_is_refused(place: &mut dyn Place) {
    let (mut store, reader) = (place.store(), place.reader());
    let mut row = ad_row("a", 1, 5, 5000);
    row.version = Version::new(2, Millis(5000));
    assert!(matches!(store.upsert(&[row]), Err(StoreError::Refused(_))));
    assert!(all(&*reader, View::Ad).is_empty());
}

fn keys_differ_in_every_column_and_sort_bytewise(place: &mut dyn Place) {
    let (mut store, reader) = (place.store(), place.reader());
    let mut rows = vec![ad_row("Z", 1, 1, 1000), ad_row("a", 1, 1, 1000)];
    rows.push(Row { posted_minute: Some(Minute(7)), ..ad_row("a", 1, 1, 1000) });
    rows.push(ad_row("a", 2, 1, 1000));
    rows.push(ad_row("aa", 1, 1, 1000));
    rows.push(ad_row("é", 1, 1, 1000));
    let mut shuffled = rows.clone();
    shuffled.rotate_left(3);
    shuffled.swap(0, 1);
    store.upsert(&shuffled).unwrap();
    assert_eq!(all(&*reader, View::Ad), rows);
}

fn a_scan_keeps_to_its_range_and_stops_when_told(place: &mut dyn Place) {
    let (mut store, reader) = (place.store(), place.reader());
    let rows: Vec<_> = (0..10).map(|minute| ad_row("a", minute, 1, 1000)).collect();
    store.upsert(&rows).unwrap();
    store.upsert(&[ad_row("b", 4, 1, 1000), publisher_row("a", 4, 1, 1000)]).unwrap();
    let scan = Scan { view: View::Ad, minutes: 3..6, only: Some("a"), order: ScanOrder::Key };
    let mut seen = Vec::new();
    reader
        .scan(&scan, &mut |row| {
            seen.push(row);
            seen.len() < 2
        })
        .unwrap();
    assert_eq!(seen, rows[3..5]);
}

fn a_store_belongs_to_one_log(place: &mut dyn Place) {
    if !place.has_owner() {
        return;
    }
    drop(place.open("one", 1).unwrap());
    let error = place.open("two", 1).err().unwrap();
    assert!(matches!(error, StoreError::OtherLog { ref found, .. } if found == "one"), "{error}");
    place.open("one", 1).unwrap();
}

fn a_new_generation_starts_empty_and_the_old_one_is_shut_out(place: &mut dyn Place) {
    if !place.has_owner() {
        return;
    }
    let mut old = place.open("log", 1).unwrap();
    old.publish(&[ad_row("a", 1, 1, 1000), publisher_row("p", 1, 1, 1000)], Millis(1000)).unwrap();
    let mut new = place.open("log", 2).unwrap();
    assert_eq!(new.mark().unwrap(), Millis(0));
    if place.keeps_older() {
        let served = all(&*place.reader(), View::Ad);
        assert_eq!(served, [ad_row("a", 1, 1, 1000)], "served until the new one has caught up");
        let late = old.upsert(&[ad_row("a", 1, 2, 2000)]);
        assert!(matches!(late, Err(StoreError::Refused(_))), "{late:?}");
    }
    drop(old);
    assert!(matches!(place.open("log", 1), Err(StoreError::Refused(_))));
    let mut row = ad_row("b", 1, 1, 1000);
    row.version = Version::new(2, Millis(1000));
    new.publish(&[row.clone()], Millis(1000)).unwrap();
    assert_eq!(all(&*place.reader(), View::Ad), [row]);
    assert!(all(&*place.reader(), View::Publisher).is_empty());
}

fn rows_and_mark_survive_a_reopen(place: &mut dyn Place) {
    let mut row = ad_row("a", 25_166_970, 2, 1000);
    row.counts.sum_micros = i128::from(u64::MAX);
    place.store().publish(std::slice::from_ref(&row), Millis(2000)).unwrap();
    assert_eq!(place.store().mark().unwrap(), Millis(2000));
    let reader = place.reader();
    assert_eq!(all(&*reader, View::Ad), [row]);
    assert_eq!(reader.read_mark().unwrap(), Millis(2000));
}

fn rows_of_many_owners_and_hours_are_all_found(place: &mut dyn Place) {
    let (mut store, reader) = (place.store(), place.reader());
    let ad = |n: u32| ad_row(&format!("ad-{:03}", n % 300), 1_000 * (n / 300), 1, 1000);
    let rows: Vec<Row> = (0..3_000).map(ad).collect();
    let publishers: Vec<Row> =
        (0..3_000).map(|n| publisher_row(&format!("p{}", n % 7), n, 1, 1000)).collect();
    store.upsert(&[rows.clone(), publishers].concat()).unwrap();
    let mut wanted = rows.clone();
    wanted.sort_by_key(|row| (format!("{:?}", row.key), row.minute));
    assert_eq!(all(&*reader, View::Ad), wanted);
    let by_publisher = all(&*reader, View::Publisher);
    assert_eq!(by_publisher.len(), 3_000);
    assert!(by_publisher.is_sorted_by_key(|row| (format!("{:?}", row.key), row.minute)));
    let scan = Scan { view: View::Ad, minutes: 0..9_001, only: Some("ad-007"), ..any() };
    assert_eq!(count(&*reader, &scan), 10);
    let scan = Scan { view: View::Ad, minutes: 3_000..4_001, only: None, ..any() };
    assert_eq!(count(&*reader, &scan), 600);
    let scan = Scan { view: View::Publisher, minutes: 0..700, only: Some("p3"), ..any() };
    assert_eq!(count(&*reader, &scan), 100);
}

fn sums_of_an_advertiser_lie_ready_and_apart(place: &mut dyn Place) {
    let (mut store, reader) = (place.store(), place.reader());
    if !store.wants_summaries() {
        return;
    }
    let id = summary_id("adv");
    let sums = [ad_row(&id, 60, 5, 2000), ad_row(&id, 61, 3, 2000)];
    store.upsert(&[&sums[..], &[ad_row("a", 60, 5, 2000)]].concat()).unwrap();
    store.upsert(&[ad_row(&id, 60, 1, 1000)]).unwrap();
    assert_eq!(all(&*reader, View::Ad), [ad_row("a", 60, 5, 2000)]);
    let scan = Scan { only: Some(&id), ..Scan::all(View::Ad) };
    let mut found = Vec::new();
    reader
        .scan(&scan, &mut |row| {
            found.push(row);
            true
        })
        .unwrap();
    assert_eq!(found, sums);
}

fn any() -> Scan<'static> {
    Scan { order: ScanOrder::Any, ..Scan::all(View::Ad) }
}

fn count(reader: &dyn LedgerReader, scan: &Scan<'_>) -> usize {
    let mut rows = 0;
    reader
        .scan(scan, &mut |_| {
            rows += 1;
            true
        })
        .unwrap();
    rows
}

pub const ALL: &[Check] = &[
    ("as they went in", rows_come_back_as_they_went_in),
    ("the higher version wins", the_higher_version_wins_in_any_order),
    ("an old writer", an_old_writer_changes_nothing),
    ("conflict", two_contents_of_one_version_are_a_conflict),
    ("another generation", a_row_of_another_generation_is_refused),
    ("keys", keys_differ_in_every_column_and_sort_bytewise),
    ("range", a_scan_keeps_to_its_range_and_stops_when_told),
    ("one log", a_store_belongs_to_one_log),
    ("new generation", a_new_generation_starts_empty_and_the_old_one_is_shut_out),
    ("reopen", rows_and_mark_survive_a_reopen),
    ("sums", sums_of_an_advertiser_lie_ready_and_apart),
    ("many owners", rows_of_many_owners_and_hours_are_all_found),
];
