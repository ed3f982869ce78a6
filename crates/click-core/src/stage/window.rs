//! Window stage, keyed by ad (and by publisher): absolute rows, their versions, sealing.
//!
//! A row is published as of grid instants only; between them its content runs ahead for live
//! views. A row that can no longer change is let go once it has been published.

use super::event::{Facts, Slot};
use super::open_rows::OpenRows;
use super::partial::{Partial, Places, Tally};
use crate::keys::KeyTable;
use crate::limits::LOOK_AHEAD_MS;
use crate::planted::{Bug, planted};
use crate::policy::Timeline;
use crate::row::Row;
use crate::types::{Millis, Minute, Version};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

pub use super::open_rows::OpenRow;
pub(crate) use super::open_rows::RowId;

/// A published row, and whether more than its `pending` changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedRow {
    /// The row.
    pub row: Row,
    /// A verdict is among the changes.
    pub decided: bool,
}

/// Rows that are asked for ahead.
const BLOCK: usize = 64;

/// The window stage of some key groups.
#[derive(Clone, Default)]
pub struct WindowStage {
    rows: OpenRows,
    /// Rows by the minute whose sealing ends them: `(posted, minute)`.
    by_end: BTreeMap<(bool, Minute), Vec<RowId>>,
    unpublished: Vec<RowId>,
    published_to: Millis,
    live: Option<Live>,
}

/// What live views have not been told.
#[derive(Clone, Default)]
struct Live {
    touched: Vec<RowId>,
    is_touched: Vec<bool>,
    /// Touched rows that have been let go of since.
    ended: Vec<OpenRow>,
}

impl Live {
    fn touch(&mut self, id: RowId) {
        let at = id as usize;
        if self.is_touched.len() <= at {
            self.is_touched.resize(at + 1, false);
        }
        if !self.is_touched[at] {
            self.is_touched[at] = true;
            self.touched.push(id);
        }
    }

    fn end(&mut self, id: RowId, row: impl FnOnce() -> OpenRow) {
        if let Some(touched @ true) = self.is_touched.get_mut(id as usize) {
            *touched = false;
            self.ended.push(row());
        }
    }
}

impl WindowStage {
    /// From now on remembers which rows change, for `take_touched`.
    pub fn watch(&mut self) {
        self.live.get_or_insert_default();
    }

    /// Applies partial counts, a block at a time, its rows asked for beforehand.
    pub fn apply(&mut self, partials: &[(Slot, Partial)]) {
        for block in partials.chunks(BLOCK) {
            block.iter().for_each(|(slot, _)| self.rows.hint_key(slot.key));
            block.iter().for_each(|(slot, _)| self.rows.hint_row(slot.key));
            for (slot, partial) in block {
                let id = self.row(*slot);
                let first = self.rows.apply(id, partial);
                self.touch(id, first);
            }
        }
    }

    /// Whether these partial counts, one of each row, can follow what the rows hold.
    pub fn can_take(&self, partials: &[(Slot, Partial)]) -> bool {
        partials.iter().all(|(slot, partial)| self.rows.can_take(*slot, partial))
    }

    #[inline]
    fn row(&mut self, slot: Slot) -> RowId {
        let (id, new) = self.rows.of(slot);
        if new {
            self.by_end.entry(slot.end()).or_default().push(id);
        }
        id
    }

    #[inline]
    fn touch(&mut self, id: RowId, first: bool) {
        if first {
            self.unpublished.push(id);
        }
        if let Some(live) = &mut self.live {
            live.touch(id);
        }
    }

    /// Publishes the rows as of the grid instant `grid`, if it is a new one: all changes up to it
    /// and none after it have been applied, unless a host skipped instants.
    pub fn publish(&mut self, grid: Millis, publish: &mut Publish<'_>) {
        if grid > self.published_to {
            self.published_to = grid;
            self.publish_changed(grid, publish);
            self.let_go(grid, publish.timeline);
        }
    }

    /// A row that has changed since `grid`, as a skipped step may have it, waits for the next one.
    fn publish_changed(&mut self, grid: Millis, publish: &mut Publish<'_>) {
        let rows = &mut self.rows;
        let all = core::mem::take(&mut self.unpublished);
        for (place, id) in all.iter().enumerate() {
            if let Some(ahead) = all.get(place + BLOCK) {
                rows.hint(*ahead);
            }
            if rows.changed(*id) > grid && !planted(Bug::PublishedTooSoon) {
                self.unpublished.push(*id);
                continue;
            }
            let row = rows.get(*id);
            assert!(row.counts.conserved(), "a row's classes and pending do not add up");
            let decided = row.decided;
            let row = in_words(&row, publish.keys, publish.generation);
            publish.rows.push(PublishedRow { row, decided });
            rows.set_published(*id);
        }
    }

    /// Lets go of rows that were final at `grid`, and hence have been published.
    fn let_go(&mut self, grid: Millis, timeline: &Timeline) {
        // Not in the order of their minutes: policies may differ in their seal delays.
        let at = if planted(Bug::RowLetGoTooSoon) { grid.plus(1_000) } else { grid };
        let sealed = |(posted, minute): &(bool, Minute)| is_sealed(*minute, *posted, at, timeline);
        let ends: Vec<_> = self.by_end.keys().copied().filter(sealed).collect();
        for id in ends.iter().filter_map(|end| self.by_end.remove(end)).flatten() {
            if let Some(live) = &mut self.live {
                live.end(id, || self.rows.get(id));
            }
            self.rows.remove(id);
        }
    }

    /// Whether rows that changed up to the instant of the last publishing wait for a later one.
    pub const fn owes(&self) -> bool {
        !self.unpublished.is_empty()
    }

    /// Hands out the rows that changed since the last call, as of the watermark.
    pub fn take_touched(&mut self, mut f: impl FnMut(&OpenRow)) {
        let Some(live) = &mut self.live else { return };
        live.ended.drain(..).for_each(|row| f(&row));
        for id in live.touched.drain(..) {
            if core::mem::take(&mut live.is_touched[id as usize]) {
                f(&self.rows.get(id));
            }
        }
    }

    /// The rows that can still change, in no particular order.
    pub fn rows(&self) -> impl Iterator<Item = OpenRow> {
        self.by_end.values().flatten().map(|id| self.rows.get(*id))
    }

    /// The same by their numbers, which are good until rows change again.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (Slot, RowId)> {
        self.by_end.values().flatten().map(|id| (self.rows.slot(*id), *id))
    }

    /// One of them.
    pub(crate) fn row_of(&self, id: RowId) -> OpenRow {
        self.rows.get(id)
    }

    /// How many rows can still change.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row can change.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 0
    }

    /// Takes a row out of a snapshot that was taken at `w`.
    pub fn restore(&mut self, row: &OpenRow, w: Millis) {
        self.published_to = self.published_to.max(w.grid_floor());
        let id = self.rows.restore(row);
        self.by_end.entry(row.slot.end()).or_default().push(id);
        if row.unpublished {
            self.unpublished.push(id);
        }
    }
}

impl Tally for WindowStage {
    #[inline]
    fn count(&mut self, click: &Facts, at: Millis) -> Places {
        click.rows().map(|(slot, _)| {
            let id = self.row(slot);
            let first = self.rows.count(id, at.grid_ceil());
            self.touch(id, first);
            id
        })
    }

    #[inline]
    fn decide(&mut self, click: &Facts, places: Places, at: Millis) {
        let class = click.reasons.class();
        for ((slot, sum), place) in click.rows().into_iter().zip(places) {
            let id = if self.rows.is(place, slot) { place } else { self.row(slot) };
            let first = self.rows.decide(id, class, sum, at.grid_ceil());
            self.touch(id, first);
        }
    }

    #[inline]
    fn count_decided(&mut self, click: &Facts, at: Millis) {
        let class = click.reasons.class();
        for (slot, sum) in click.rows() {
            let id = self.row(slot);
            let first = self.rows.count_decided(id, class, sum, at.grid_ceil());
            self.touch(id, first);
        }
    }

    #[inline]
    fn hint_key(&self, click: &Facts) {
        self.rows.hint_key(click.ad_key);
        self.rows.hint_key(click.publisher_key);
    }

    #[inline]
    fn hint_row(&self, click: &Facts) {
        self.rows.hint_row(click.ad_key);
        self.rows.hint_row(click.publisher_key);
    }

    #[inline]
    fn hint_places(&self, places: Places) {
        places.into_iter().for_each(|id| self.rows.hint(id));
    }
}

/// Where published rows go, and what their words are.
pub struct Publish<'a> {
    /// Generation of the log.
    pub generation: u16,
    /// Row keys.
    pub keys: &'a KeyTable,
    /// Policies, for sealing.
    pub timeline: &'a Timeline,
    /// Receives the rows.
    pub rows: &'a mut Vec<PublishedRow>,
}

/// A row in words, at the version of its last change.
pub fn in_words(row: &OpenRow, keys: &KeyTable, generation: u16) -> Row {
    Row {
        key: keys.row_key(row.slot.key),
        minute: row.slot.minute,
        posted_minute: row.slot.posted.minute(),
        counts: row.counts,
        version: Version::new(generation, row.changed),
    }
}

/// Whether rows that end with `minute` can no longer change at `w`: ordinary rows when their
/// minute is sealed, rows of late clicks when their posting minute is final.
pub fn is_sealed(minute: Minute, posted: bool, w: Millis, timeline: &Timeline) -> bool {
    let last_click = if posted { minute.end() } else { timeline.sealing_starts(minute) };
    w >= last_click.plus(LOOK_AHEAD_MS)
}
