//! Window stage, keyed by ad (and by publisher): absolute rows, their versions, sealing.
//!
//! A row is published as of grid instants only; between them its content runs ahead for live
//! views. A row that can no longer change is let go once it has been published.

use super::partial::{Partial, Slot};
use crate::hash::Map;
use crate::keys::KeyTable;
use crate::limits::LOOK_AHEAD_MS;
use crate::policy::Timeline;
use crate::row::{Counts, Row};
use crate::types::{Millis, Minute, Version};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// A row that can still change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenRow {
    /// Which row.
    pub slot: Slot,
    /// Its content.
    pub counts: Counts,
    /// Grid instant of its last change.
    pub changed: Millis,
    /// Changed since it was last published.
    pub unpublished: bool,
    /// A verdict is among these changes.
    pub decided: bool,
    /// Has not been let go.
    pub(crate) alive: bool,
}

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
    rows: Vec<OpenRow>,
    free: Vec<u32>,
    index: Map<Slot, u32>,
    /// By key, the row that changed last: nearly always the one wanted.
    latest: Vec<u32>,
    /// Rows by the minute whose sealing ends them: `(posted, minute)`.
    by_end: BTreeMap<(bool, Minute), Vec<u32>>,
    unpublished: Vec<u32>,
    published_to: Millis,
    live: Option<Live>,
}

/// What live views have not been told.
#[derive(Clone, Default)]
struct Live {
    touched: Vec<u32>,
    is_touched: Vec<bool>,
    /// Touched rows that have been let go of since.
    ended: Vec<OpenRow>,
}

impl Live {
    fn touch(&mut self, id: u32) {
        let at = id as usize;
        if self.is_touched.len() <= at {
            self.is_touched.resize(at + 1, false);
        }
        if !self.is_touched[at] {
            self.is_touched[at] = true;
            self.touched.push(id);
        }
    }

    fn end(&mut self, id: u32, row: &OpenRow) {
        if let Some(touched @ true) = self.is_touched.get_mut(id as usize) {
            *touched = false;
            self.ended.push(*row);
        }
    }
}

impl WindowStage {
    /// From now on remembers which rows change, for `take_touched`.
    pub fn watch(&mut self) {
        self.live.get_or_insert_default();
    }

    /// Applies changes up to `w` and, if due, publishes the rows as of the last grid instant at or
    /// before it. `settled` holds the changes up to that instant, `open` those after it.
    pub fn apply<'a>(
        &mut self,
        settled: impl Iterator<Item = &'a (Slot, Partial)>,
        open: impl Iterator<Item = &'a (Slot, Partial)>,
        w: Millis,
        publish: &mut Publish<'_>,
    ) {
        self.change_all(settled);
        let grid = w.grid_floor();
        if publish.due && grid > self.published_to {
            self.published_to = grid;
            self.publish(grid, publish);
            self.let_go(grid, publish.timeline);
        }
        self.change_all(open);
    }

    /// A block at a time, its rows asked for beforehand.
    fn change_all<'a>(&mut self, mut partials: impl Iterator<Item = &'a (Slot, Partial)>) {
        let mut block: Vec<(&Slot, &Partial)> = Vec::with_capacity(BLOCK);
        loop {
            block.clear();
            block.extend(partials.by_ref().take(BLOCK).map(|(slot, partial)| (slot, partial)));
            if block.is_empty() {
                return;
            }
            for (slot, _) in &block {
                if let Some(row) = self.latest.get(slot.key as usize)
                    && let Some(row) = self.rows.get(*row as usize)
                {
                    crate::prefetch::read(&row.slot);
                    crate::prefetch::read(&row.counts.by_class[6]);
                    crate::prefetch::read(&row.changed);
                }
            }
            for (slot, partial) in &block {
                self.change(**slot, partial);
            }
        }
    }

    fn change(&mut self, slot: Slot, partial: &Partial) {
        let id = self.row(slot);
        let row = &mut self.rows[id as usize];
        partial.apply(&mut row.counts);
        row.changed = row.changed.max(partial.changed);
        row.decided |= partial.decides();
        if !row.unpublished {
            row.unpublished = true;
            self.unpublished.push(id);
        }
        if let Some(live) = &mut self.live {
            live.touch(id);
        }
    }

    fn row(&mut self, slot: Slot) -> u32 {
        let key = slot.key as usize;
        if key >= self.latest.len() {
            self.latest.resize((key + 1).next_power_of_two(), u32::MAX);
        }
        let latest = self.latest[key];
        if self.rows.get(latest as usize).is_some_and(|row| row.alive && row.slot == slot) {
            return latest;
        }
        let id = self.other_row(slot);
        self.latest[key] = id;
        id
    }

    fn other_row(&mut self, slot: Slot) -> u32 {
        if let Some(id) = self.index.get(&slot) {
            return *id;
        }
        let id = self.add(OpenRow {
            slot,
            counts: Counts::default(),
            changed: Millis(0),
            unpublished: false,
            decided: false,
            alive: true,
        });
        self.index.insert(slot, id);
        id
    }

    fn add(&mut self, row: OpenRow) -> u32 {
        let end = (row.slot.posted.minute().is_some(), end_minute(row.slot));
        let id = if let Some(id) = self.free.pop() {
            self.rows[id as usize] = row;
            id
        } else {
            self.rows.push(row);
            #[expect(clippy::cast_possible_truncation, reason = "memory ends before 2^32 rows")]
            let id = self.rows.len() as u32 - 1;
            id
        };
        self.by_end.entry(end).or_default().push(id);
        id
    }

    /// A row that has changed since `grid`, as a skipped step may have it, waits for the next one.
    fn publish(&mut self, grid: Millis, publish: &mut Publish<'_>) {
        let rows = &mut self.rows;
        self.unpublished.retain(|id| {
            let row = &mut rows[*id as usize];
            if row.changed > grid {
                return true;
            }
            assert!(row.counts.conserved(), "a row's classes and pending do not add up");
            publish.rows.push(PublishedRow {
                row: in_words(row, publish.keys, publish.generation),
                decided: row.decided,
            });
            row.unpublished = false;
            row.decided = false;
            false
        });
    }

    /// Lets go of rows that were final at `grid`, and hence have been published.
    fn let_go(&mut self, grid: Millis, timeline: &Timeline) {
        // Not in the order of their minutes: policies may differ in their seal delays.
        let sealed =
            |(posted, minute): &(bool, Minute)| is_sealed(*minute, *posted, grid, timeline);
        let ends: Vec<_> = self.by_end.keys().copied().filter(sealed).collect();
        for id in ends.iter().filter_map(|end| self.by_end.remove(end)).flatten() {
            let row = &mut self.rows[id as usize];
            row.alive = false;
            self.index.remove(&row.slot);
            if let Some(live) = &mut self.live {
                live.end(id, row);
            }
            self.free.push(id);
        }
    }

    /// Hands out the rows that changed since the last call, as of the watermark.
    pub fn take_touched(&mut self, mut f: impl FnMut(&OpenRow)) {
        let Some(live) = &mut self.live else { return };
        live.ended.drain(..).for_each(|row| f(&row));
        for id in live.touched.drain(..) {
            if core::mem::take(&mut live.is_touched[id as usize]) {
                f(&self.rows[id as usize]);
            }
        }
    }

    /// The rows that can still change, in no particular order.
    pub fn rows(&self) -> impl Iterator<Item = &OpenRow> {
        self.by_end.values().flatten().map(|id| &self.rows[*id as usize])
    }

    /// How many rows can still change.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no row can change.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Takes a row out of a snapshot that was taken at `w`.
    pub fn restore(&mut self, row: OpenRow, w: Millis) {
        self.published_to = self.published_to.max(w.grid_floor());
        let id = self.add(row);
        self.index.insert(row.slot, id);
        if row.unpublished {
            self.unpublished.push(id);
        }
    }
}

/// Where published rows go, and what their words are.
pub struct Publish<'a> {
    /// Whether to publish at all: a host may skip instants.
    pub due: bool,
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

const fn end_minute(slot: Slot) -> Minute {
    match slot.posted.minute() {
        Some(minute) => minute,
        None => slot.minute,
    }
}

/// Whether rows that end with `minute` can no longer change at `w`: ordinary rows when their
/// minute is sealed, rows of late clicks when their posting minute is final.
pub fn is_sealed(minute: Minute, posted: bool, w: Millis, timeline: &Timeline) -> bool {
    let last_click = if posted { minute.end() } else { timeline.sealing_starts(minute) };
    w >= last_click.plus(LOOK_AHEAD_MS)
}
