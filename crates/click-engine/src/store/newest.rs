//! Rows that come in any order and in several lanes, the newest of each: all that a store without
//! sums needs to know of them.

use super::Mark;
use click_core::limits::KEY_GROUPS;
use click_core::row::{Row, RowId};
use click_core::stage::window::PublishedRow;
use click_core::types::Millis;
use std::collections::BTreeMap;

/// Rows for a store without sums.
pub struct NewestRows {
    rows: BTreeMap<RowId, Row>,
    /// Of each key group, what all rows before have been read.
    lanes: Vec<Vec<Millis>>,
}

impl NewestRows {
    /// Of so many lanes.
    pub fn new(lanes: usize) -> NewestRows {
        let nothing = vec![Millis(0); usize::from(KEY_GROUPS)];
        NewestRows { rows: BTreeMap::new(), lanes: vec![nothing; lanes] }
    }

    /// Takes a row; one in which only undecided clicks are new is passed over, unless an older one
    /// with decided ones may have gone in favour of it.
    ///
    /// # Errors
    /// Two contents of one version, in words.
    pub fn put_row(&mut self, new: PublishedRow, lacks: bool) -> Result<(), String> {
        if !new.decided && !lacks {
            return Ok(());
        }
        let row = new.row;
        let newest = self.rows.entry(row.id()).or_insert_with(|| row.clone());
        if newest.version == row.version && *newest != row {
            return Err(format!("two contents of one version: {row:?}"));
        }
        if newest.version < row.version {
            *newest = row;
        }
        Ok(())
    }

    /// Takes a mark of a lane. Who goes back hands out again what it takes back.
    pub fn put_mark(&mut self, lane: usize, mark: Mark) {
        self.lanes[lane][usize::from(mark.first)..usize::from(mark.end)].fill(mark.at);
    }

    /// Takes out what came.
    pub fn take(&mut self) -> Vec<Row> {
        std::mem::take(&mut self.rows).into_values().collect()
    }

    /// All rows that changed before this have come, if that is known.
    pub fn mark(&self) -> Option<Millis> {
        self.lanes.iter().flatten().min().copied().filter(|mark| mark.0 > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_counts_for_its_groups() {
        let mut rows = NewestRows::new(2);
        let mut mark = |lane, first, end, at| {
            rows.put_mark(lane, Mark { first, end, at: Millis(at), open_from: None });
            rows.mark()
        };
        assert_eq!(mark(0, 0, 128, 9_000), None);
        assert_eq!(mark(1, 0, 127, 5_000), None, "one group has told nothing");
        assert_eq!(mark(1, 127, 128, 3_000), Some(Millis(3_000)));
        // Another number of instances, which begins again from before.
        assert_eq!(mark(1, 64, 128, 6_000), Some(Millis(5_000)));
        assert_eq!(mark(0, 0, 128, 2_000), Some(Millis(2_000)));
    }
}
