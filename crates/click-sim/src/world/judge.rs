//! What must hold when a story is over, by the reference alone.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use click_engine::driver::Engine;

use super::stage::Stage;
use super::store::TroubledStore;
use crate::bridge::{PlainKey, plain_record, plain_row};
use crate::check::History;
use crate::reference::{PlainPayload, PlainRecord, PlainRow};

/// Compares log, store and engine with the promises and the reference.
///
/// # Panics
/// If any differs.
pub(super) fn judge(stage: &Stage, engine: &Engine) {
    promises_are_kept(stage);
    let partitions = u32::try_from(stage.seen.len()).expect("few");
    ledger_is_true(&stage.seen, partitions, &stage.store, engine);
}

/// Compares store and engine with the reference's ledger of a log, which is given by partition as
/// `append_time` and payload; it began with `partitions`.
///
/// # Panics
/// If any differs.
pub(super) fn ledger_is_true(
    log: &[Vec<(u64, Vec<u8>)>],
    partitions: u32,
    store: &TroubledStore,
    engine: &Engine,
) {
    let records = records(log);
    let history = History::new(&records, partitions);
    let w = history.reference.watermark();
    assert_eq!(engine.watermark().0, w, "the watermark");
    let rows = rows_are_the_reference(store, &history);
    all_that_was_written_was_true(store, &history);
    each_click_counts_once(&records, &history, &rows, w);
    status_is_true(engine, &history, w);
}

/// What was answered is in the log, where and as the answer said.
fn promises_are_kept(stage: &Stage) {
    for promise in &stage.promises {
        let position = promise.position;
        let offset = usize::try_from(position.offset).expect("few records");
        let found = stage.seen[position.partition as usize].get(offset);
        let (time, payload) = found.unwrap_or_else(|| panic!("{position:?} is lost"));
        assert_eq!(*time, position.append_time, "time of {position:?}");
        assert!(*payload == promise.payload, "{position:?} is another record");
    }
}

fn records(log: &[Vec<(u64, Vec<u8>)>]) -> Vec<PlainRecord> {
    let mut records = Vec::new();
    for (partition, seen) in (0..).zip(log) {
        let of_partition = (0..).zip(seen);
        records
            .extend(of_partition.map(|(offset, (time, payload))| {
                plain_record((partition, offset), *time, payload)
            }));
    }
    records
}

/// The store's rows are the reference's, with their versions.
fn rows_are_the_reference(
    store: &TroubledStore,
    history: &History,
) -> BTreeMap<PlainKey, PlainRow> {
    let at = history.reference.last_grid_instant();
    history.agrees_at(at);
    let expected: BTreeMap<_, _> =
        history.rows_at(at).map(|(key, row)| (key.clone(), row.clone())).collect();
    let store: BTreeMap<_, _> = store.rows().iter().map(plain_row).collect();
    for (key, row) in &expected {
        let held = store.get(key);
        assert_eq!(held, Some(row), "row {key:?} in the store, then in the reference");
    }
    assert_eq!(store.len(), expected.len(), "the store has rows of nothing");
    store
}

/// Also what was replaced since: true as of its version.
fn all_that_was_written_was_true(store: &TroubledStore, history: &History) {
    for ((key, version), row) in store.written() {
        assert_eq!(Some(&row), history.row_at(&key, version), "{key:?} as of {version}");
    }
}

/// By the records alone, without any rule: as many clicks as there are transport identities.
fn each_click_counts_once(
    records: &[PlainRecord],
    history: &History,
    store: &BTreeMap<PlainKey, PlainRow>,
    w: u64,
) {
    let mut identities = BTreeSet::new();
    for record in records {
        let in_time = history.fold_times[&record.position()] < w;
        if let PlainPayload::Click(click) = &record.payload
            && let (Some(identity), true) = (&click.identity, in_time)
        {
            identities.insert((
                &identity.tracker_id,
                identity.epoch,
                record.partition,
                identity.seq,
            ));
        }
    }
    for by_ad in [true, false] {
        let of_view = store.iter().filter(|(key, _)| matches!(key, PlainKey::Ad(_)) == by_ad);
        let measured: u64 = of_view.map(|(_, row)| row.measured).sum();
        assert_eq!(measured, identities.len() as u64, "clicks counted, clicks made");
    }
    for (key, row) in store {
        let decided: u64 = row.counts.iter().sum();
        assert_eq!(row.measured, row.pending + decided, "conservation of {key:?}");
    }
}

fn status_is_true(engine: &Engine, history: &History, w: u64) {
    let status = engine.status();
    let status = status.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let repeats = history.known(history.repeats.iter(), w, 1);
    let dead = history.known(history.dead_letters.iter(), w, 1);
    assert_eq!(status.repeats, repeats as u64, "repeats");
    assert_eq!(status.dead_letters, dead as u64, "dead letters");
    let gaps: u64 = history.reference.gaps(w).values().sum();
    assert_eq!(status.gaps, gaps, "gaps");
}

/// Two engines of one log, whatever each went through, say the same.
///
/// # Panics
/// If they do not.
pub(super) fn engines_agree(first: &Engine, second: &Engine) {
    let facts = |engine: &Engine| {
        let status = engine.status();
        let s = status.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (s.watermark, s.measured, s.by_class, s.repeats, s.gaps, s.dead_letters)
    };
    assert_eq!(facts(first), facts(second), "the engines");
}

/// Over the log and all that was ever written to the store.
pub(super) fn fingerprint(log: &[Vec<(u64, Vec<u8>)>], store: &TroubledStore) -> u64 {
    let mut hasher = DefaultHasher::new();
    log.hash(&mut hasher);
    format!("{:?}", store.written()).hash(&mut hasher);
    hasher.finish()
}
