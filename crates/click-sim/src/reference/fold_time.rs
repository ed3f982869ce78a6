//! Log time (SPEC §3): each record's `fold_time`, and the total order it gives.
//!
//! Must never look at anything but the record and the ones before it in its partition.

use std::collections::BTreeMap;

use super::SKEW_MS;
use super::record::{PlainClick, PlainPayload, PlainRecord, Position};

/// A record with its `fold_time`.
pub(super) struct Folded {
    pub(super) fold_time: u64,
    pub(super) record: PlainRecord,
}

impl Folded {
    pub(super) fn position(&self) -> Position {
        self.record.position()
    }

    /// The click that it holds, if it is one that can be decoded.
    pub(super) fn click(&self) -> Option<&PlainClick> {
        let PlainPayload::Click(click) = &self.record.payload else { return None };
        (!self.record.payload.is_undecodable()).then_some(click)
    }
}

/// All records by `(fold_time, partition, offset)`. Nothing in a partition is before the instant at
/// which it `begins`.
///
/// # Panics
/// If a record is in a partition that never begins.
pub(super) fn in_fold_order(
    records: Vec<PlainRecord>,
    begins: impl Fn(u32) -> Option<u64>,
) -> Vec<Folded> {
    let mut last: BTreeMap<u32, u64> = BTreeMap::new();
    let mut folded = Vec::new();
    for record in records {
        let before = last.get(&record.partition).copied().or(begins(record.partition));
        let before = before.expect("a partition that the log has");
        let fold_time = before.max(capped(&record));
        last.insert(record.partition, fold_time);
        folded.push(Folded { fold_time, record });
    }
    folded.sort_by_key(|f| (f.fold_time, f.record.partition, f.record.offset));
    folded
}

fn capped(record: &PlainRecord) -> u64 {
    match record.payload.sent_at() {
        Some(sent_at) => record.append_time.min(sent_at + SKEW_MS),
        None => record.append_time,
    }
}
