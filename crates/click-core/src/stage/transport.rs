//! Transport identity: each record once, and every hole in a sequence seen (SPEC §2).
//!
//! Keeps, per tracker and epoch of one partition, the intervals of seq numbers that arrived.

use super::parse::TrackerName;
use crate::hash::Map;
use crate::planted::{Bug, planted};
use crate::policy::Timeline;
use crate::types::Millis;
use alloc::string::String;
use alloc::vec::Vec;

/// Imported rows are numbered by their place in the file, not gaplessly per partition.
const IMPORT_PREFIX: &str = "import:";

/// What is known of one tracker and epoch in one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The tracker's name.
    pub name: String,
    /// Its epoch.
    pub epoch: u64,
    /// Seq numbers that arrived, as sorted, disjoint, half-open intervals.
    pub intervals: Vec<(u64, u64)>,
    /// Everything below it has been sent, as far as anyone said.
    pub next_seq: u64,
    /// Fold time of the tracker's last record here; `None` if only a successor spoke of it.
    pub last_record: Option<Millis>,
}

/// The transport state of one partition.
#[derive(Clone, Debug, Default)]
pub struct Transports {
    seen: Vec<Seen>,
    index: Map<u128, u32>,
    last_used: Option<(u128, u32)>,
    given_up: u64,
}

impl Seen {
    /// The numbers below `next_seq` that have not arrived, half-open.
    pub fn holes(&self) -> impl Iterator<Item = (u64, u64)> {
        let counted = !self.name.starts_with(IMPORT_PREFIX);
        let starts = core::iter::once(0).chain(self.intervals.iter().map(|(_, to)| *to));
        let ends = self.intervals.iter().map(|(from, _)| *from).chain([self.next_seq]);
        starts.zip(ends).filter(move |(from, to)| counted && from < to)
    }

    fn missing(&self) -> u64 {
        if self.name.starts_with(IMPORT_PREFIX) {
            return 0;
        }
        let arrived: u64 = self.intervals.iter().map(|(from, to)| to - from).sum();
        self.next_seq.saturating_sub(arrived)
    }

    /// Adds `seq`; false if it was there.
    fn add(&mut self, seq: u64) -> bool {
        match self.intervals.last_mut() {
            Some((_, end)) if *end == seq => *end += 1,
            Some((_, end)) if *end < seq => self.intervals.push((seq, seq + 1)),
            None => self.intervals.push((seq, seq + 1)),
            Some(_) => return self.add_inside(seq),
        }
        true
    }

    fn add_inside(&mut self, seq: u64) -> bool {
        let after = self.intervals.partition_point(|(from, _)| *from <= seq);
        if after > 0 && seq < self.intervals[after - 1].1 {
            return false;
        }
        let joins_before = after > 0 && self.intervals[after - 1].1 == seq;
        let joins_after = after < self.intervals.len() && self.intervals[after].0 == seq + 1;
        match (joins_before, joins_after) {
            (true, true) => {
                self.intervals[after - 1].1 = self.intervals[after].1;
                self.intervals.remove(after);
            }
            (true, false) => self.intervals[after - 1].1 += 1,
            (false, true) => self.intervals[after].0 = seq,
            (false, false) => self.intervals.insert(after, (seq, seq + 1)),
        }
        true
    }

    fn forgotten(&self, now: Millis, timeline: &Timeline) -> bool {
        self.last_record.is_some_and(|last| {
            let age = now.since(last) + u64::from(planted(Bug::IdentityForgottenEarly));
            age > timeline.least_horizon() && age > timeline.at(last).1.horizon_ms
        })
    }
}

impl Transports {
    /// Notes a numbered record; false if it is a repeat.
    pub(super) fn arrive(
        &mut self,
        tracker: &TrackerName,
        seq: u64,
        now: Millis,
        timeline: &Timeline,
    ) -> bool {
        let seen = self.state(tracker, now, timeline);
        seen.last_record = Some(now);
        seen.next_seq = seen.next_seq.max(seq + 1);
        seen.add(seq)
    }

    /// Notes a tracker's word that everything below `next_seq` has been sent.
    pub(super) fn heartbeat(
        &mut self,
        tracker: &TrackerName,
        next_seq: u64,
        now: Millis,
        timeline: &Timeline,
    ) {
        let seen = self.state(tracker, now, timeline);
        seen.last_record = Some(now);
        if !planted(Bug::HeartbeatForgotten) {
            seen.next_seq = seen.next_seq.max(next_seq);
        }
    }

    /// Notes a successor's word about its previous instance; does not prolong its memory.
    pub(super) fn mention(
        &mut self,
        tracker: &TrackerName,
        next_seq: u64,
        now: Millis,
        timeline: &Timeline,
    ) {
        let seen = self.state(tracker, now, timeline);
        seen.next_seq = seen.next_seq.max(next_seq);
    }

    /// Records known to be missing: in open gaps, and in gaps of trackers since forgotten.
    pub fn missing(&self) -> u64 {
        let add = |sum: u64, seen: &Seen| sum.saturating_add(seen.missing());
        self.seen.iter().fold(self.given_up, add)
    }

    /// Every tracker's state with the number of its missing records.
    pub fn open(&self) -> impl Iterator<Item = (&Seen, u64)> {
        self.seen.iter().map(|seen| (seen, seen.missing()))
    }

    /// Drops what has been forgotten. Changes no verdict; bounds memory.
    pub(super) fn sweep(&mut self, now: Millis, timeline: &Timeline) {
        let (mut kept, mut given_up) = (Vec::new(), 0);
        let mut identities: Vec<(u32, u128)> =
            self.index.iter().map(|(identity, slot)| (*slot, *identity)).collect();
        identities.sort_unstable();
        self.index.clear();
        for (seen, (_, identity)) in core::mem::take(&mut self.seen).into_iter().zip(identities) {
            if seen.forgotten(now, timeline) {
                given_up = seen.missing().saturating_add(given_up);
            } else {
                self.index.insert(identity, slot_number(kept.len()));
                kept.push(seen);
            }
        }
        self.seen = kept;
        self.given_up = self.given_up.saturating_add(given_up);
        self.last_used = None;
    }

    /// All state, for a snapshot: (identity, state) in order of first appearance, and given-up
    /// gaps.
    pub(crate) fn save(&self) -> (Vec<(u128, &Seen)>, u64) {
        let mut all: Vec<(u32, u128)> =
            self.index.iter().map(|(identity, slot)| (*slot, *identity)).collect();
        all.sort_unstable();
        let state = |(slot, identity): (u32, u128)| (identity, &self.seen[slot as usize]);
        (all.into_iter().map(state).collect(), self.given_up)
    }

    /// Takes what was saved; none if an identity is there twice.
    pub(crate) fn load(states: Vec<(u128, Seen)>, given_up: u64) -> Option<Transports> {
        let mut transports = Transports { given_up, ..Transports::default() };
        for (identity, seen) in states {
            let slot = slot_number(transports.seen.len());
            if transports.index.insert(identity, slot).is_some() {
                return None;
            }
            transports.seen.push(seen);
        }
        Some(transports)
    }

    #[inline]
    fn state(&mut self, tracker: &TrackerName, now: Millis, timeline: &Timeline) -> &mut Seen {
        let slot = match self.last_used {
            Some((identity, slot)) if identity == tracker.identity => slot,
            _ => self.slot(tracker),
        };
        self.last_used = Some((tracker.identity, slot));
        let seen = &mut self.seen[slot as usize];
        if seen.forgotten(now, timeline) {
            self.given_up = self.given_up.saturating_add(seen.missing());
            *seen = Seen { name: tracker.name.clone(), epoch: tracker.epoch, ..Seen::default() };
        }
        seen
    }

    fn slot(&mut self, tracker: &TrackerName) -> u32 {
        let new = slot_number(self.seen.len());
        let slot = *self.index.entry(tracker.identity).or_insert(new);
        if slot == new {
            let name = tracker.name.clone();
            self.seen.push(Seen { name, epoch: tracker.epoch, ..Seen::default() });
        }
        slot
    }
}

#[expect(clippy::cast_possible_truncation, reason = "trackers are few")]
const fn slot_number(index: usize) -> u32 {
    index as u32
}
