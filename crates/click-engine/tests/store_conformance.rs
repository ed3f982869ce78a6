//! What every store must do, run on the embedded store and on its in-memory twin.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

use click_core::row::{Counts, Row, RowKey};
use click_core::types::{Millis, Minute, Version};
use click_core::verdict::CLASSES;
use click_engine::store::{
    LedgerReader, LedgerStore, MemoryStore, Scan, ScanOrder, SqliteReader, SqliteStore, StoreError,
    View,
};

/// Runs a check on both stores, each empty and of generation 1.
fn on_both(check: impl Fn(&mut dyn LedgerStore, &dyn LedgerReader)) {
    let mut memory = MemoryStore::new(1);
    let reader = memory.clone();
    check(&mut memory, &reader);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let mut sqlite = SqliteStore::open(&path, "log", 1).unwrap();
    let reader = SqliteReader::open(&path).unwrap();
    check(&mut sqlite, &reader);
}

fn ad_row(ad: &str, minute: u32, measured: u64, at: u64) -> Row {
    let mut by_class = [0; CLASSES];
    by_class[CLASSES - 1] = measured;
    Row {
        key: RowKey::Ad {
            ad_id: ad.into(),
            currency: "USD".into(),
            campaign_id: "c".into(),
            advertiser_id: String::new(),
        }
        .into(),
        minute: Minute(minute),
        posted_minute: None,
        counts: Counts { measured, pending: 0, by_class, sum_micros: i128::from(measured) * 7 },
        version: Version::new(1, Millis(at)),
    }
}

fn publisher_row(publisher: &str, minute: u32, measured: u64, at: u64) -> Row {
    let key = RowKey::Publisher {
        publisher_id: publisher.into(),
        placement_id: String::new(),
        currency: "EUR".into(),
    };
    Row { key: key.into(), ..ad_row("", minute, measured, at) }
}

fn all(reader: &dyn LedgerReader, view: View) -> Vec<Row> {
    let mut rows = Vec::new();
    reader
        .scan(&Scan::all(view), &mut |row| {
            rows.push(row);
            true
        })
        .unwrap();
    rows
}

#[test]
fn rows_come_back_as_they_went_in() {
    on_both(|store, reader| {
        let mut late = ad_row("ä \"x\", y", 100, 3, 5000);
        late.posted_minute = Some(Minute(200));
        late.counts.sum_micros = i128::from(i64::MAX) * 1000 + 1;
        let mut negative = publisher_row("", 4_223_371_679, 1, 6000);
        negative.counts.sum_micros = i128::from(i64::MIN) - 1;
        store.upsert(&[late.clone(), negative.clone()]).unwrap();
        assert_eq!(all(reader, View::Ad), [late]);
        assert_eq!(all(reader, View::Publisher), [negative]);
    });
}

#[test]
fn the_higher_version_wins_in_any_order() {
    let versions: Vec<Row> =
        (1..=6).map(|n| ad_row("a", 1, n, n * 1000)).chain([ad_row("b", 1, 1, 1000)]).collect();
    on_both(|store, reader| {
        // Every rotation, forwards and backwards, with duplicates across and within batches.
        for turn in 0..versions.len() {
            let mut batch = versions.clone();
            batch.rotate_left(turn);
            store.upsert(&batch[..turn]).unwrap();
            batch.reverse();
            store.upsert(&batch).unwrap();
            store.upsert(&batch).unwrap();
            let rows = all(reader, View::Ad);
            assert_eq!(rows, [versions[5].clone(), versions[6].clone()]);
        }
    });
}

#[test]
fn an_old_writer_changes_nothing() {
    on_both(|store, reader| {
        store.publish(&[ad_row("a", 1, 9, 9000)], Millis(9000)).unwrap();
        store.publish(&[ad_row("a", 1, 4, 4000)], Millis(4000)).unwrap();
        assert_eq!(all(reader, View::Ad), [ad_row("a", 1, 9, 9000)]);
        assert_eq!(store.mark().unwrap(), Millis(9000));
        assert_eq!(reader.read_mark().unwrap(), Millis(9000));
    });
}

#[test]
fn two_contents_of_one_version_are_a_conflict_and_write_nothing() {
    on_both(|store, reader| {
        store.upsert(&[ad_row("a", 1, 5, 5000)]).unwrap();
        let batch = [ad_row("b", 1, 1, 5000), ad_row("a", 1, 6, 5000)];
        let error = store.upsert(&batch).unwrap_err();
        assert!(matches!(error, StoreError::Conflict { version, .. }
            if version == Version::new(1, Millis(5000)).0));
        let within = [ad_row("c", 1, 1, 5000), ad_row("c", 1, 2, 5000)];
        assert!(matches!(store.upsert(&within), Err(StoreError::Conflict { .. })));
        assert_eq!(all(reader, View::Ad), [ad_row("a", 1, 5, 5000)]);
    });
}

#[test]
fn a_row_of_another_generation_is_refused() {
    on_both(|store, reader| {
        let mut row = ad_row("a", 1, 5, 5000);
        row.version = Version::new(2, Millis(5000));
        assert!(matches!(store.upsert(&[row]), Err(StoreError::Refused(_))));
        assert!(all(reader, View::Ad).is_empty());
    });
}

#[test]
fn keys_differ_in_every_column_and_sort_bytewise() {
    on_both(|store, reader| {
        let mut rows = vec![ad_row("Z", 1, 1, 1000), ad_row("a", 1, 1, 1000)];
        rows.push(Row { posted_minute: Some(Minute(7)), ..ad_row("a", 1, 1, 1000) });
        rows.push(ad_row("a", 2, 1, 1000));
        rows.push(ad_row("aa", 1, 1, 1000));
        rows.push(ad_row("é", 1, 1, 1000));
        let mut shuffled = rows.clone();
        shuffled.rotate_left(3);
        shuffled.swap(0, 1);
        store.upsert(&shuffled).unwrap();
        assert_eq!(all(reader, View::Ad), rows);
    });
}

#[test]
fn a_scan_keeps_to_its_range_and_stops_when_told() {
    on_both(|store, reader| {
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
    });
}

#[test]
fn the_file_belongs_to_one_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    drop(SqliteStore::open(&path, "one", 1).unwrap());
    let error = SqliteStore::open(&path, "two", 1).err().unwrap();
    assert!(matches!(error, StoreError::OtherLog { ref found, .. } if found == "one"), "{error}");
    SqliteStore::open(&path, "one", 1).unwrap();
}

#[test]
fn a_new_generation_starts_empty_and_the_old_one_is_shut_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let mut old = SqliteStore::open(&path, "log", 1).unwrap();
    old.publish(&[ad_row("a", 1, 1, 1000)], Millis(1000)).unwrap();
    drop(old);
    let mut new = SqliteStore::open(&path, "log", 2).unwrap();
    assert_eq!(new.mark().unwrap(), Millis(0));
    assert!(all(&SqliteReader::open(&path).unwrap(), View::Ad).is_empty());
    assert!(matches!(SqliteStore::open(&path, "log", 1), Err(StoreError::Refused(_))));
}

#[test]
fn rows_and_mark_survive_a_reopen_and_are_readable_by_column_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let mut store = SqliteStore::open(&path, "log", 1).unwrap();
    let mut row = ad_row("a", 25_166_970, 2, 1000);
    row.counts.sum_micros = i128::from(u64::MAX);
    store.publish(&[row.clone()], Millis(2000)).unwrap();
    drop(store);
    assert_eq!(SqliteStore::open(&path, "log", 1).unwrap().mark().unwrap(), Millis(2000));
    let sql = "SELECT ad_id||'|'||minute||'|'||posted_minute||'|'||V||'|'||spend_micros \
               FROM ad_minutes_readable";
    let text: String =
        rusqlite::Connection::open(&path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(text, "a|2017-11-07T01:30Z||2|18446744073709551615");
}
