//! The window stage of some key groups.

use super::effects::put_published;
use super::pieces::Pieces;
use super::route::Router;
use super::{Common, GroupSnapshot, HostError, own};
use crate::codec::{Delta, put_delta, put_rows, take_delta, take_rows};
use crate::limits::{LOOK_AHEAD_MS, MAX_HORIZON_MS, MINUTE_MS};
use crate::record::Header;
use crate::snapshot::{Reader, Writer};
use crate::stage::event::Slot;
use crate::stage::partial::Partial;
use crate::stage::window::{Publish, RowId, WindowStage, is_sealed};
use crate::types::{Millis, Minute};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Range;

/// The window stage of some key groups.
pub struct WindowHost {
    groups: Range<u8>,
    common: Common,
    stage: WindowStage,
    /// Counts of which nothing is to be published yet.
    waiting: Vec<Delta>,
    pieces: Pieces,
    whole: Whole,
    /// Nobody has been told of `whole`.
    is_news: bool,
}

/// An instant as of which a stage has handed out every row that changed until then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// The instant, of the publishing grid.
    pub at: Millis,
    /// Ordinary rows of the minutes before this one do not change after it.
    pub open_from: Minute,
}

impl WindowHost {
    /// For these key groups, with the policies so far, empty or where snapshots were taken.
    pub fn open(
        header: &Header,
        groups: Range<u8>,
        policies: Option<&[u8]>,
        snapshots: &[GroupSnapshot<'_>],
    ) -> Result<WindowHost, HostError> {
        let mut common = Common::with(header, policies)?;
        let (mut stage, mut waiting) = (WindowStage::default(), Vec::new());
        let mut known = BTreeSet::new();
        for (group, mut input) in common.open_snapshots(&groups, snapshots)? {
            let here = group..group + 1;
            for row in take_rows(&mut input, &mut common.keys)? {
                own(&here, common.keys.group(row.slot.key))?;
                if !known.insert(row.slot) {
                    return Err(HostError::Contradiction);
                }
                stage.restore(&row, common.watermark);
            }
            while !input.is_empty() {
                waiting.push(common.take_delta(&mut input, &here)?);
            }
        }
        let (pieces, whole) = (Pieces::default(), Whole::default());
        Ok(WindowHost { groups, common, stage, waiting, pieces, whole, is_news: false })
    }

    /// Takes counts of the source stages.
    pub fn apply(&mut self, counts: &[u8]) -> Result<(), HostError> {
        self.pieces.forget();
        let mut input = Reader::new(counts);
        while !input.is_empty() {
            self.waiting.push(self.common.take_delta(&mut input, &self.groups)?);
        }
        Ok(())
    }

    /// Takes announced policies.
    pub fn learn(&mut self, policies: &[u8]) -> Result<(), HostError> {
        self.common.learn(policies)
    }

    /// Hands out the rows that changed up to the last grid instant at or before `w`, true as of it.
    /// A row whose source stages ran ahead without a stop at that instant waits for the next one.
    ///
    /// # Errors
    /// If the counts contradict each other: they did not come of this log's clicks.
    pub fn advance(&mut self, w: Millis) -> Result<Vec<u8>, HostError> {
        self.pieces.forget();
        let mut out = Writer::default();
        if !self.common.reach(w) {
            return Ok(out.into_bytes());
        }
        let grid = w.grid_floor();
        let due = add_up(self.waiting.extract_if(.., |delta| delta.since <= grid))?;
        if !self.stage.can_take(&due) {
            return Err(HostError::Contradiction);
        }
        self.stage.apply(&due);
        let Common { generation, keys, timeline, .. } = &self.common;
        let mut rows = Vec::new();
        let generation = *generation;
        self.stage.publish(grid, &mut Publish { generation, keys, timeline, rows: &mut rows });
        rows.iter().for_each(|row| put_published(&mut out, row));
        self.note_whole(grid);
        Ok(out.into_bytes())
    }

    /// The instant of the last `advance`, if everything was handed out as of it and this was not
    /// told before.
    pub const fn take_whole(&mut self) -> Option<Whole> {
        if core::mem::replace(&mut self.is_news, false) { Some(self.whole) } else { None }
    }

    fn note_whole(&mut self, grid: Millis) {
        if grid <= self.whole.at || self.stage.owes() {
            return;
        }
        let longest = MAX_HORIZON_MS + LOOK_AHEAD_MS + MINUTE_MS;
        let surely = Millis(grid.0.saturating_sub(longest)).minute();
        let mut open_from = self.whole.open_from.max(surely);
        while is_sealed(open_from, false, grid, &self.common.timeline) {
            open_from = Minute(open_from.0 + 1);
        }
        self.whole = Whole { at: grid, open_from };
        self.is_news = true;
    }

    /// State of a key group as of the watermark.
    pub fn snapshot(&self, group: u8) -> Result<Vec<u8>, HostError> {
        own(&self.groups, group)?;
        let mut out = self.common.begin_snapshot();
        out.part(self.pieces.of(group, || self.write()));
        Ok(out.into_bytes())
    }

    /// Rows and counts by key group.
    fn write(&self) -> Vec<Vec<u8>> {
        let mut router = Router::new();
        let keys = &self.common.keys;
        let group = |slot: &Slot| keys.group(slot.key);
        let mut rows: Vec<Vec<RowId>> = Vec::new();
        rows.resize_with(self.groups.len(), Vec::new);
        let here = |slot: Slot| usize::from(group(&slot) - self.groups.start);
        self.stage.slots().for_each(|(slot, id)| rows[here(slot)].push(id));
        for (group, rows) in self.groups.clone().zip(&rows) {
            let rows = rows.iter().map(|id| self.stage.row_of(*id));
            put_rows(router.to(group), rows, keys);
        }
        for delta in &self.waiting {
            put_delta(router.to(group(&delta.slot)), delta, keys);
        }
        router.into_pieces()
    }
}

/// What the counts of each row come to: batches are joined in any order, so a click may be decided
/// by one before it is counted by the next.
fn add_up(due: impl Iterator<Item = Delta>) -> Result<Vec<(Slot, Partial)>, HostError> {
    let mut sums: BTreeMap<Slot, Partial> = BTreeMap::new();
    for delta in due {
        let sum = sums.entry(delta.slot).or_default();
        *sum = sum.plus(&delta.partial).ok_or(HostError::Contradiction)?;
    }
    Ok(sums.into_iter().collect())
}

impl Common {
    /// Counts for one of `groups` that are not of the past.
    fn take_delta(
        &mut self,
        input: &mut Reader<'_>,
        groups: &Range<u8>,
    ) -> Result<Delta, HostError> {
        let delta = take_delta(input, &mut self.keys)?;
        own(groups, self.keys.group(delta.slot.key))?;
        self.in_time(delta.since)?;
        Ok(delta)
    }
}
