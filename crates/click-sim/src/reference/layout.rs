//! Which partitions a log has, and from when on (decision 18): those that it was created with, and
//! those that layout records of partition 0 add.
//!
//! Owns which layout records count. Must never look at a click.

use std::collections::BTreeMap;

use super::fold_time::Folded;
use super::record::{PlainLayout, PlainPayload, PlainRecord, Position};

pub(super) struct Layouts {
    /// The instant from which each partition belongs to the log: 0 for those of the beginning.
    begins: BTreeMap<u32, u64>,
    /// Layout records that change nothing and should have.
    pub(super) refused: Vec<Position>,
}

impl Layouts {
    /// `folded` are all records with their `fold_time`s, of which those of partition 0 are right
    /// without knowing any layout; `partitions` is the log's P at its beginning.
    pub(super) fn read(folded: &[Folded], partitions: u32) -> Self {
        let begins = (0..partitions).map(|partition| (partition, 0)).collect();
        let mut all = Self { begins, refused: Vec::new() };
        let log_id = log_id(folded);
        let mut in_force: Option<PlainLayout> = None;
        for f in folded {
            let PlainPayload::Layout(layout) = &f.record.payload else { continue };
            if f.record.payload.is_undecodable() {
                continue;
            }
            let said = PlainLayout { sent_at: None, ..layout.clone() };
            if f.record.partition != 0 || layout.log_id != log_id {
                all.refused.push(f.position());
            } else if in_force.as_ref() == Some(&said) {
                // The same once more.
            } else if follows(in_force.as_ref(), &said, partitions) {
                let first = u32::try_from(all.begins.len()).expect("few partitions");
                let added = said.parts.last().map_or(0, |(_, count)| *count);
                all.begins.extend((first..first + added).map(|number| (number, f.fold_time)));
                in_force = Some(said);
            } else {
                all.refused.push(f.position());
            }
        }
        all
    }

    /// The instant from which the partition belongs to the log.
    pub(super) fn begin(&self, partition: u32) -> Option<u64> {
        self.begins.get(&partition).copied()
    }

    /// Each partition, and the instant from which it belongs to the log.
    pub(super) fn begins(&self) -> impl Iterator<Item = (u32, u64)> {
        self.begins.iter().map(|(partition, begin)| (*partition, *begin))
    }
}

/// The next number, the parts before unchanged, and one more behind them.
fn follows(in_force: Option<&PlainLayout>, next: &PlainLayout, partitions: u32) -> bool {
    let before = &next.parts[..next.parts.len() - 1];
    match in_force {
        Some(old) => next.number == old.number + 1 && before == &old.parts[..],
        None => next.number == 1 && before.len() == 1 && before[0].1 == partitions,
    }
}

/// That of the header; zeros without one.
fn log_id(folded: &[Folded]) -> [u8; 16] {
    let first = |f: &&Folded| f.position() == (0, 0);
    match folded.iter().find(first).map(|f| &f.record) {
        Some(PlainRecord { payload: PlainPayload::Header(header), .. }) => header.log_id,
        _ => [0; 16],
    }
}
