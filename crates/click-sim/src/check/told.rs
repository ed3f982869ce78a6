//! What leaves a fold, however it is spread: each verdict, dead letter and row is compared with the
//! reference as it comes.

use std::collections::{BTreeMap, BTreeSet};

use click_core::policy::Timeline;
use click_core::row::Row;
use click_core::stage::source::Verdict;

use super::{History, World};
use crate::bridge::{PlainKey, plain_row, plain_verdict};
use crate::reference::{LOOK_AHEAD_MS, PlainRow, Position};

/// What a store holds; survives crashes.
pub(super) type Store = BTreeMap<PlainKey, PlainRow>;

/// What has been told so far, as far as a crash undoes it.
#[derive(Clone, Default)]
pub(super) struct Told {
    pub(super) verdicts: BTreeSet<Position>,
    pub(super) dead_letters: BTreeSet<Position>,
    /// The last version handed out of each row.
    versions: BTreeMap<PlainKey, u64>,
}

impl Told {
    /// A click's verdict is the reference's, once, and not before it is final.
    pub(super) fn take_verdict(
        &mut self,
        verdict: &Verdict,
        history: &History,
        timeline: &Timeline,
        w: u64,
    ) {
        let (position, plain) = plain_verdict(verdict, timeline);
        assert_eq!(Some(&plain), history.verdicts.get(&position), "verdict of {position:?}");
        assert_eq!(verdict.fold_time.0, history.fold_times[&position], "of {position:?}");
        assert!(verdict.fold_time.0 + LOOK_AHEAD_MS <= w, "not final");
        assert!(self.verdicts.insert(position), "{position:?} is judged twice");
    }

    pub(super) fn take_dead_letter(&mut self, position: Position, history: &History) {
        assert!(history.dead_letters.contains(&position), "{position:?} is a good record");
        assert!(self.dead_letters.insert(position), "{position:?} is told twice");
    }

    /// A row that is handed out is true as of its version, which is reached and rises.
    pub(super) fn take_row(&mut self, row: &Row, world: &World, w: u64, store: &mut Store) {
        let (key, plain) = plain_row(row);
        let version = plain.version_ms;
        assert_eq!(row.version.generation(), world.header.generation);
        assert!(version <= w, "{key:?} is published before its instant");
        assert_eq!(Some(&plain), world.history.row_at(&key, version), "row {key:?}");
        let before = self.versions.insert(key.clone(), version);
        assert!(before.is_none_or(|before| before < version), "{key:?} goes back to {version}");
        let held = store.entry(key).or_default();
        if held.version_ms <= version {
            *held = plain;
        }
    }
}
