//! The rows that can still change, a cache line each: what nearly every click touches lies
//! together, the counts of other classes elsewhere.

use super::event::Slot;
use super::partial::Partial;
use crate::hash::Map;
use crate::planted::{Bug, planted};
use crate::row::Counts;
use crate::types::{Micros, Millis};
use crate::verdict::{CLASSES, Class};
use alloc::vec::Vec;

/// Number of a row while it is open.
pub(crate) type RowId = u32;

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
}

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line {
    slot: Slot,
    alive: bool,
    unpublished: bool,
    decided: bool,
    /// Clicks that wait; each takes memory, so 32 bits do.
    pending: u32,
    /// Number of the counts of other classes plus one, 0 for none.
    others: u32,
    measured: u64,
    valid: u64,
    changed: Millis,
    sum_micros: i128,
}

const _: () = assert!(size_of::<Line>() == 64, "a row is a cache line");

impl Line {
    /// Notes a change; true if the row had been published until then.
    #[inline]
    fn change(&mut self, at: Millis) -> bool {
        if self.changed.0 == 0 || !planted(Bug::VersionNotRaised) {
            self.changed = self.changed.max(at);
        }
        !core::mem::replace(&mut self.unpublished, true)
    }
}

/// Counts of the classes before V.
type Others = [u64; CLASSES - 1];

/// All open rows of a stage.
#[derive(Clone, Default)]
pub(super) struct OpenRows {
    lines: Vec<Line>,
    free: Vec<RowId>,
    others: Vec<Others>,
    free_others: Vec<u32>,
    index: Map<Slot, RowId>,
    /// By key, the row that changed last plus one: nearly always the one wanted.
    latest: Vec<u32>,
}

impl OpenRows {
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether `id` is the row of `slot`.
    #[inline]
    pub(super) fn is(&self, id: RowId, slot: Slot) -> bool {
        self.lines.get(id as usize).is_some_and(|row| row.slot == slot && row.alive)
    }

    /// The row of `slot`, and whether it is new.
    #[inline]
    pub(super) fn of(&mut self, slot: Slot) -> (RowId, bool) {
        let key = slot.key as usize;
        let latest = self.latest.get(key).map_or(0, |latest| *latest).wrapping_sub(1);
        if self.is(latest, slot) { (latest, false) } else { self.of_other(slot) }
    }

    /// A row that did not change last among those of its key.
    fn of_other(&mut self, slot: Slot) -> (RowId, bool) {
        let key = slot.key as usize;
        if key >= self.latest.len() {
            self.latest.resize((key + 1).next_power_of_two(), 0);
        }
        let (id, new) = match self.index.get(&slot) {
            Some(id) => (*id, false),
            None => (self.insert(slot), true),
        };
        self.latest[key] = id + 1;
        (id, new)
    }

    fn insert(&mut self, slot: Slot) -> RowId {
        let line = Line {
            slot,
            alive: true,
            unpublished: false,
            decided: false,
            pending: 0,
            others: 0,
            measured: 0,
            valid: 0,
            changed: Millis(0),
            sum_micros: 0,
        };
        let id = place(&mut self.lines, &mut self.free, line);
        self.index.insert(slot, id);
        id
    }

    /// Takes a whole row, which must not be there.
    pub(super) fn restore(&mut self, row: &OpenRow) -> RowId {
        let id = self.insert(row.slot);
        let line = &mut self.lines[id as usize];
        (line.unpublished, line.decided) = (row.unpublished, row.decided);
        (line.changed, line.sum_micros) = (row.changed, row.counts.sum_micros);
        line.measured = row.counts.measured;
        line.pending = narrow(row.counts.pending);
        for class in Class::ALL {
            self.add(id, class, row.counts.of(class));
        }
        id
    }

    /// Lets go of a row.
    pub(super) fn remove(&mut self, id: RowId) {
        let line = &mut self.lines[id as usize];
        line.alive = false;
        if let Some(others) = line.others.checked_sub(1) {
            self.free_others.push(others);
        }
        self.index.remove(&self.lines[id as usize].slot);
        self.free.push(id);
    }

    /// The row as a whole.
    pub(super) fn get(&self, id: RowId) -> OpenRow {
        let line = &self.lines[id as usize];
        let mut by_class = [0; CLASSES];
        if let Some(others) = line.others.checked_sub(1) {
            by_class[..CLASSES - 1].copy_from_slice(&self.others[others as usize]);
        }
        by_class[Class::V as usize] = line.valid;
        OpenRow {
            slot: line.slot,
            counts: Counts {
                measured: line.measured,
                pending: u64::from(line.pending),
                by_class,
                sum_micros: line.sum_micros,
            },
            changed: line.changed,
            unpublished: line.unpublished,
            decided: line.decided,
        }
    }

    /// Which row it is.
    pub(super) fn slot(&self, id: RowId) -> Slot {
        self.lines[id as usize].slot
    }

    /// When the row changed last.
    pub(super) fn changed(&self, id: RowId) -> Millis {
        self.lines[id as usize].changed
    }

    /// Counts a click that waits; true if the row had been published until then.
    #[inline]
    pub(super) fn count(&mut self, id: RowId, at: Millis) -> bool {
        let line = &mut self.lines[id as usize];
        line.measured += 1;
        line.pending += 1;
        line.change(at)
    }

    /// Decides a click that has been counted; true if the row had been published until then.
    #[inline]
    pub(super) fn decide(&mut self, id: RowId, class: Class, sum: Micros, at: Millis) -> bool {
        let line = &mut self.lines[id as usize];
        line.pending -= u32::from(!planted(Bug::PendingNotCleared));
        self.settle(id, class, sum, at)
    }

    /// Counts a click that is decided; true if the row had been published until then.
    #[inline]
    pub(super) fn count_decided(
        &mut self,
        id: RowId,
        class: Class,
        sum: Micros,
        at: Millis,
    ) -> bool {
        self.lines[id as usize].measured += 1;
        self.settle(id, class, sum, at)
    }

    #[inline]
    fn settle(&mut self, id: RowId, class: Class, sum: Micros, at: Millis) -> bool {
        let line = &mut self.lines[id as usize];
        line.decided = true;
        let first = line.change(at);
        if class == Class::V {
            line.valid += 1;
            line.sum_micros += i128::from(sum.0);
        } else {
            if planted(Bug::InvalidClicksPaid) {
                line.sum_micros += i128::from(sum.0);
            }
            self.add(id, class, 1);
        }
        first
    }

    /// Applies the changes of many clicks; true if the row had been published until then.
    pub(super) fn apply(&mut self, id: RowId, partial: &Partial) -> bool {
        let line = &mut self.lines[id as usize];
        let first = line.change(partial.changed);
        line.decided |= partial.decides();
        line.measured += partial.measured;
        line.pending = narrow(u64::from(line.pending) + partial.pending - partial.decided);
        line.sum_micros += partial.sum_micros;
        for class in Class::ALL {
            self.add(id, class, u64::from(partial.by_class[class as usize]));
        }
        first
    }

    /// Whether the row can change like this: no more clicks decided than known, and no number
    /// beyond its bounds. Classes need no look, as they add up to what is known.
    pub(super) fn can_take(&self, slot: Slot, partial: &Partial) -> bool {
        let counts = self.index.get(&slot).map_or_else(Counts::default, |id| self.get(*id).counts);
        let pending = counts.pending.checked_add(partial.pending);
        let pending = pending.and_then(|pending| pending.checked_sub(partial.decided));
        pending.is_some_and(|pending| u32::try_from(pending).is_ok())
            && counts.measured.checked_add(partial.measured).is_some()
            && counts.sum_micros.checked_add(partial.sum_micros).is_some()
    }

    fn add(&mut self, id: RowId, class: Class, clicks: u64) {
        let line = &mut self.lines[id as usize];
        if clicks == 0 {
            return;
        }
        if class == Class::V {
            line.valid += clicks;
            return;
        }
        if line.others == 0 {
            line.others = place(&mut self.others, &mut self.free_others, [0; CLASSES - 1]) + 1;
        }
        self.others[line.others as usize - 1][class as usize] += clicks;
    }

    /// Notes that the row has been published.
    pub(super) fn set_published(&mut self, id: RowId) {
        let line = &mut self.lines[id as usize];
        (line.unpublished, line.decided) = (false, false);
    }

    /// Asks for the way to a key's row.
    #[inline]
    pub(super) fn hint_key(&self, key: u32) {
        if let Some(latest) = self.latest.get(key as usize) {
            crate::prefetch::read(latest);
        }
    }

    /// Asks for a key's row.
    #[inline]
    pub(super) fn hint_row(&self, key: u32) {
        if let Some(latest) = self.latest.get(key as usize) {
            self.hint(latest.wrapping_sub(1));
        }
    }

    /// Asks for a row.
    #[inline]
    pub(super) fn hint(&self, id: RowId) {
        if let Some(line) = self.lines.get(id as usize) {
            crate::prefetch::read(line);
        }
    }
}

/// Puts `item` into a free place or behind all others.
fn place<T>(items: &mut Vec<T>, free: &mut Vec<u32>, item: T) -> u32 {
    if let Some(id) = free.pop() {
        items[id as usize] = item;
        return id;
    }
    items.push(item);
    #[expect(clippy::cast_possible_truncation, reason = "memory ends before 2^32 rows")]
    let id = items.len() as u32 - 1;
    id
}

/// # Panics
/// If more clicks wait than there is memory for: what comes from outside is checked before.
fn narrow(pending: u64) -> u32 {
    u32::try_from(pending).unwrap_or_else(|_| panic!("{pending} clicks cannot be pending"))
}
