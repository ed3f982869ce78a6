//! What must hold of everything that a run hands out, and of its state between steps.

use std::collections::BTreeMap;

use click_core::types::Partition;

use super::run::Run;
use crate::bridge::{PlainKey, plain_row};
use crate::reference::{LOOK_AHEAD_MS, PlainRow};

impl Run<'_> {
    pub(super) fn take_touched(&mut self, touched: Vec<((PlainKey, PlainRow), bool)>) {
        let w = self.fold.watermark().0;
        for ((key, row), sealed) in touched {
            assert_eq!(sealed, self.world.history.sealed_at(&key) <= w, "sealing of {key:?}");
            self.seen.live.insert(key, row);
        }
    }

    /// Compares the whole state as of W.
    pub(super) fn look(&mut self) {
        self.tell_live();
        let (w, history) = (self.fold.watermark().0, &self.world.history);
        self.look_at_positions();
        self.look_at_totals();
        let rows: BTreeMap<_, _> =
            history.rows_at(w).map(|(key, row)| (key.clone(), row.clone())).collect();
        assert_eq!(rows, self.seen.live, "the live view as of {w}");
        let mut open = BTreeMap::new();
        self.fold.for_each_open_row(|row| {
            let (key, plain) = plain_row(&row);
            assert!(open.insert(key.clone(), plain).is_none(), "{key:?} is open twice");
        });
        for (key, row) in &rows {
            match open.remove(key) {
                Some(open) => assert_eq!(row, &open, "open row {key:?} as of {w}"),
                None => assert!(history.sealed_at(key) <= w, "{key:?} is let go of too soon"),
            }
        }
        assert!(open.is_empty(), "rows of nothing: {open:?}");
        self.look_at_the_store();
    }

    /// Nothing is missing as of the last instant that was published whole.
    fn look_at_the_store(&self) {
        for (key, row) in self.world.history.rows_at(self.complete_at) {
            let held = self.store.get(key);
            let held = held.unwrap_or_else(|| panic!("{key:?} is missing: {row:?}"));
            assert!(held.version_ms >= row.version_ms, "{key:?} is behind as of {held:?}");
        }
    }

    fn look_at_positions(&self) {
        let (w, history) = (self.fold.watermark().0, &self.world.history);
        let positions = self.fold.positions();
        assert_eq!(positions.len(), history.reference.partitions(w), "partitions as of {w}");
        for (partition, position) in (0..).zip(positions) {
            let of_partition = history.fold_times.range((partition, 0)..(partition + 1, 0));
            let below = of_partition.filter(|(_, time)| **time < w).count() as u64;
            assert_eq!(position.0, below, "first offset at or above W of {partition}");
            assert!(self.fold.read_position(Partition(partition)).1 >= position);
        }
    }

    fn look_at_totals(&self) {
        let (w, history, totals) =
            (self.fold.watermark().0, &self.world.history, self.fold.totals());
        let known = history.known(history.verdicts.keys(), w, 1);
        let decided = history.known(history.verdicts.keys(), w, LOOK_AHEAD_MS);
        assert_eq!(self.seen.told.verdicts.len(), decided, "verdicts as of {w}");
        assert_eq!(totals.measured, known as u64, "clicks as of {w}");
        assert_eq!(self.fold.pending(), known - decided, "pending as of {w}");
        assert_eq!(totals.by_class.iter().sum::<u64>(), decided as u64, "classes as of {w}");
        let dead = history.known(history.dead_letters.iter(), w, 1);
        assert_eq!(self.seen.told.dead_letters.len(), dead, "dead letters as of {w}");
        assert_eq!(totals.dead_letters, dead as u64);
        let repeats = history.known(history.repeats.iter(), w, 1);
        assert_eq!(self.fold.repeats(), repeats as u64, "repeats as of {w}");
        self.look_at_gaps();
    }

    /// The fold counts the gaps of trackers that have been forgotten, too.
    fn look_at_gaps(&self) {
        let (w, history) = (self.fold.watermark().0, &self.world.history);
        let open: u64 = history.reference.gaps(w).values().sum();
        let start = history.fold_times.values().min().copied().unwrap_or(0);
        if w - start.min(w) <= history.least_horizon_ms {
            assert_eq!(self.fold.gaps(), open, "gaps as of {w}");
        } else {
            assert!(self.fold.gaps() >= open, "gaps as of {w}");
        }
    }

    /// The store holds the last rows, in both views, and both add up to the same counts.
    pub(super) fn compare_end(&self) {
        let at = self.fold.watermark().grid_floor().0;
        let history = &self.world.history;
        history.agrees_at(at);
        let rows: BTreeMap<_, _> =
            history.rows_at(at).map(|(key, row)| (key.clone(), row.clone())).collect();
        if self.complete_at < at {
            // The last instant was skipped, as a log that ends between two of them may have it.
            return;
        }
        assert_eq!(rows, self.store, "the store at the end");
        let mut balance: BTreeMap<(u64, Option<u64>, String), [i128; 16]> = BTreeMap::new();
        for (key, row) in &self.store {
            let (at, sign) = match key {
                PlainKey::Ad(k) => ((k.1, k.2, k.3.clone()), 1),
                PlainKey::Publisher(k) => ((k.2, k.3, k.4.clone()), -1),
            };
            let counts = [row.measured, row.pending].into_iter().chain(row.counts);
            let sums = balance.entry(at).or_default();
            sums.iter_mut().zip(counts).for_each(|(sum, n)| *sum += sign * i128::from(n));
            assert_eq!(row.measured, row.pending + row.counts.iter().sum::<u64>(), "{key:?}");
        }
        assert!(balance.values().all(|sums| *sums == [0; 16]), "the views do not add up");
    }
}
