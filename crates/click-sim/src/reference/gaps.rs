//! Transport (SPEC §2): which records are repeats, and which are missing.
//!
//! Owns the memory of sequence numbers per tracker, epoch and partition. Must never look at
//! what a click says.

use std::collections::{BTreeMap, BTreeSet};

use super::fold_time::Folded;
use super::policy::Policies;
use super::record::{PlainClick, PlainIdentity, PlainPayload, Position};

/// `tracker_id`, epoch, partition.
pub type TrackerKey = (String, u64, u32);

/// Trackers named so promise no gapless `seq`.
const IMPORT: &str = "import:";

/// What is remembered of one tracker, epoch and partition.
struct Memory {
    seqs: BTreeSet<u64>,
    /// The highest next `seq` that anybody has told of.
    next: u64,
    last_fold_time: u64,
    /// H in force at the last record.
    horizon_ms: u64,
}

impl Memory {
    fn is_forgotten(&self, instant: u64) -> bool {
        instant.saturating_sub(self.last_fold_time) > self.horizon_ms
    }

    fn missing(&self) -> u64 {
        self.next - self.seqs.len() as u64
    }
}

/// The `fold_time` and position of each dropped record, in fold order.
pub(super) fn repeats(folded: &[Folded], policies: &Policies) -> Vec<(u64, Position)> {
    walk(folded, policies, u64::MAX).repeats
}

/// What is missing as of `w`, where anything is and the tracker is not forgotten.
pub(super) fn open_gaps(
    folded: &[Folded],
    policies: &Policies,
    w: u64,
) -> BTreeMap<TrackerKey, u64> {
    let promised = |key: &TrackerKey| !key.0.starts_with(IMPORT);
    let memories = walk(folded, policies, w).memories.into_iter();
    let open = memories.filter(|(key, memory)| promised(key) && !memory.is_forgotten(w));
    open.map(|(key, memory)| (key, memory.missing())).filter(|(_, missing)| *missing > 0).collect()
}

struct Walk<'a> {
    policies: &'a Policies,
    memories: BTreeMap<TrackerKey, Memory>,
    repeats: Vec<(u64, Position)>,
}

fn walk<'a>(folded: &[Folded], policies: &'a Policies, w: u64) -> Walk<'a> {
    let mut walk = Walk { policies, memories: BTreeMap::new(), repeats: Vec::new() };
    for f in folded.iter().filter(|f| f.fold_time < w) {
        if let Some(click) = f.click() {
            walk.click(f, click);
        } else if let PlainPayload::Heartbeat(h) = &f.record.payload
            && !f.record.payload.is_undecodable()
        {
            let key = (h.tracker_id.clone(), h.epoch, f.record.partition);
            let memory = walk.refreshed(key, f.fold_time);
            memory.next = memory.next.max(h.next_seq);
        }
    }
    walk
}

impl Walk<'_> {
    fn click(&mut self, f: &Folded, click: &PlainClick) {
        if let Some(identity) = &click.identity
            && !self.is_new(f, identity)
        {
            self.repeats.push((f.fold_time, f.position()));
            return;
        }
        // A repeat is the record that has told this already.
        if let Some(previous) = &click.previous {
            let key = (previous.tracker_id.clone(), previous.epoch, f.record.partition);
            let memory = self.remembered(key, f.fold_time);
            memory.next = memory.next.max(previous.next_seq);
        }
    }

    fn is_new(&mut self, f: &Folded, identity: &PlainIdentity) -> bool {
        let key = (identity.tracker_id.clone(), identity.epoch, f.record.partition);
        let memory = self.refreshed(key, f.fold_time);
        memory.next = memory.next.max(identity.seq.saturating_add(1));
        memory.seqs.insert(identity.seq)
    }

    /// For a record of the tracker itself, a repeat too: it is remembered for H from here.
    fn refreshed(&mut self, key: TrackerKey, fold_time: u64) -> &mut Memory {
        let horizon_ms = self.policies.at(fold_time).horizon_ms;
        let memory = self.remembered(key, fold_time);
        memory.last_fold_time = fold_time;
        memory.horizon_ms = horizon_ms;
        memory
    }

    /// The memory of `key`, an empty one if there is none or it is forgotten.
    fn remembered(&mut self, key: TrackerKey, fold_time: u64) -> &mut Memory {
        let horizon_ms = self.policies.at(fold_time).horizon_ms;
        let fresh =
            || Memory { seqs: BTreeSet::new(), next: 0, last_fold_time: fold_time, horizon_ms };
        let memory = self.memories.entry(key).or_insert_with(fresh);
        if memory.is_forgotten(fold_time) {
            *memory = fresh();
        }
        memory
    }
}
