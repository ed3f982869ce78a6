//! Combine: clicks to partial counts per row, so that only these travel to the window stage and a
//! hot ad is no hot spot.

use super::event::{Facts, Slot};
use crate::hash::Map;
use crate::types::Millis;
use crate::verdict::Class;
use alloc::vec::Vec;

/// What a number of clicks change about one row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Partial {
    /// Clicks that became known.
    pub measured: u64,
    /// Clicks that became pending.
    pub pending: u64,
    /// Clicks that became final.
    pub decided: u64,
    /// Clicks that became final, by class, and the sum of the valid ones.
    pub by_class: [u32; crate::verdict::CLASSES],
    /// Sum over the valid ones, in micro-units.
    pub sum_micros: i128,
    /// Grid instant of the last of these changes.
    pub changed: Millis,
}

impl Partial {
    /// Whether a verdict is part of the change.
    pub fn decides(&self) -> bool {
        self.by_class.iter().any(|count| *count > 0)
    }

    /// Both changes; none if that is beyond all bounds.
    pub fn plus(&self, other: &Partial) -> Option<Partial> {
        let mut by_class = self.by_class;
        for (count, more) in by_class.iter_mut().zip(other.by_class) {
            *count = count.checked_add(more)?;
        }
        Some(Partial {
            measured: self.measured.checked_add(other.measured)?,
            pending: self.pending.checked_add(other.pending)?,
            decided: self.decided.checked_add(other.decided)?,
            by_class,
            sum_micros: self.sum_micros.checked_add(other.sum_micros)?,
            changed: self.changed.max(other.changed),
        })
    }
}

/// Partial counts of one step, by row.
#[derive(Clone, Default)]
pub struct Partials {
    /// By key, the place in the list of its latest partial plus one: nearly always the one wanted.
    latest: Vec<u32>,
    /// The others, where a key has several minutes.
    index: Map<Slot, u32>,
    list: Vec<(Slot, Partial)>,
}

/// Where a tally keeps a click's two rows, so that they need not be looked for again; a hint only.
pub type Places = [u32; 2];

/// Nothing is known of where the rows are.
pub const NOWHERE: Places = [u32::MAX; 2];

/// What takes the changes of clicks, one by one: rows, or partial counts on their way to rows.
pub trait Tally {
    /// The click became known at `at` and waits for its verdict.
    fn count(&mut self, click: &Facts, at: Millis) -> Places;

    /// The verdict of a click that has been counted, at `places`, became final at `at`.
    fn decide(&mut self, click: &Facts, places: Places, at: Millis);

    /// The verdict of a click that has not been counted became final at `at`.
    fn count_decided(&mut self, click: &Facts, at: Millis);

    /// First of two hints that a click will be counted soon.
    fn hint_key(&self, click: &Facts);

    /// Second hint.
    fn hint_row(&self, click: &Facts);

    /// A hint that a click will be decided soon.
    fn hint_places(&self, places: Places);
}

impl Tally for Partials {
    #[inline]
    fn count(&mut self, click: &Facts, at: Millis) -> Places {
        for (slot, _) in click.rows() {
            let partial = self.entry(slot);
            partial.changed = partial.changed.max(at.grid_ceil());
            partial.measured += 1;
            partial.pending += 1;
        }
        NOWHERE
    }

    #[inline]
    fn decide(&mut self, click: &Facts, _: Places, at: Millis) {
        let class = click.reasons.class();
        for (slot, sum) in click.rows() {
            let partial = self.entry(slot);
            partial.changed = partial.changed.max(at.grid_ceil());
            partial.decided += 1;
            partial.by_class[class as usize] += 1;
            if class == Class::V {
                partial.sum_micros += i128::from(sum.0);
            }
        }
    }

    #[inline]
    fn count_decided(&mut self, click: &Facts, at: Millis) {
        let places = self.count(click, at);
        self.decide(click, places, at);
    }

    #[inline]
    fn hint_key(&self, click: &Facts) {
        if let Some(latest) = self.latest.get(click.ad_key as usize) {
            crate::prefetch::read(latest);
        }
    }

    #[inline]
    fn hint_row(&self, click: &Facts) {
        let Some(latest) = self.latest.get(click.ad_key as usize) else { return };
        if let Some((_, partial)) = self.list.get((*latest as usize).wrapping_sub(1)) {
            crate::prefetch::read(&partial.measured);
            crate::prefetch::read(&partial.changed);
        }
    }

    fn hint_places(&self, _: Places) {}
}

impl Partials {
    #[inline]
    fn entry(&mut self, slot: Slot) -> &mut Partial {
        let key = slot.key as usize;
        if key >= self.latest.len() {
            self.latest.resize((key + 1).next_power_of_two(), 0);
        }
        let latest = self.latest[key];
        let found = latest != 0 && self.list[latest as usize - 1].0 == slot;
        let at = if found { latest as usize - 1 } else { self.other_entry(slot, latest) };
        &mut self.list[at].1
    }

    /// A key's first partial, or one of several minutes.
    fn other_entry(&mut self, slot: Slot, latest: u32) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "fewer rows than clicks of a step")]
        let new = self.list.len() as u32;
        let mut at = new;
        if latest != 0 {
            let known = self.list[latest as usize - 1].0;
            self.index.insert(known, latest - 1);
            at = *self.index.entry(slot).or_insert(new);
        }
        if at == new {
            self.list.push((slot, Partial::default()));
        }
        self.latest[slot.key as usize] = at + 1;
        at as usize
    }

    /// The partials, in order of first appearance.
    pub fn iter(&self) -> impl Iterator<Item = &(Slot, Partial)> {
        self.list.iter()
    }

    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.index.clear();
        for (slot, _) in &self.list {
            if let Some(latest) = self.latest.get_mut(slot.key as usize) {
                *latest = 0;
            }
        }
        self.list.clear();
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
