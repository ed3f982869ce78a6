//! The sequence stages of some partitions. That of partition 0 *leads*: the policies are in it, so
//! it goes first and tells all others, who never go beyond the watermark that it has told.
//!
//! A host's source does not go back to where a snapshot was taken, so what was read beyond the
//! watermark is kept as it came, and is part of the snapshot.

use crate::error::StageError;
use crate::frames::{Frame, Frames, Port};
use crate::stage::{Work, pieces, put_piece, put_to_all};
use click_core::hosted::{HostError, Routed, SequenceHost};
use click_core::limits::KEY_GROUPS;
use click_core::record::Header;
use click_core::types::{Millis, Offset, Partition};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

/// See the module.
pub(crate) struct Sequences {
    partitions: BTreeMap<u32, Reading>,
    groups: Range<u8>,
    reached: Millis,
}

/// A partition, and its records that have not been handed out whole: the offset behind each
/// batch, and the batch.
struct Reading {
    host: SequenceHost,
    kept: VecDeque<(Offset, Vec<u8>)>,
}

/// The key group that a partition's stage belongs to: the last bits of its number in reverse, so
/// that neighbours are far apart and few partitions are spread over all instances.
#[must_use]
pub fn group_of(partition: u32) -> u8 {
    let low = u8::try_from(partition % u32::from(KEY_GROUPS)).unwrap_or_default();
    low.reverse_bits() >> (u8::BITS - KEY_GROUPS.ilog2())
}

impl Sequences {
    /// Those of `groups`: partition 0 if they `lead`, else all others.
    pub(crate) fn open(
        header: &Header,
        groups: Range<u8>,
        lead: bool,
        snapshots: &[(u8, Vec<u8>)],
    ) -> Result<Sequences, StageError> {
        let numbers = if lead { 0..1 } else { 1..header.partitions };
        let mut partitions = BTreeMap::new();
        for number in numbers.filter(|number| groups.contains(&group_of(*number))) {
            partitions.insert(number, Reading::open(header, number, None)?);
        }
        for (group, snapshot) in snapshots {
            for kept in &pieces(snapshot)? {
                let (number, kept) = partition_of(kept)?;
                if group_of(number) != *group || !partitions.contains_key(&number) {
                    return Err(HostError::OtherGroup.into());
                }
                partitions.insert(number, Reading::open(header, number, Some(kept))?);
            }
        }
        Ok(Sequences { partitions, groups, reached: Millis(0) })
    }

    fn announce(&mut self, w: Millis, out: &mut Frames) -> Result<(), StageError> {
        for reading in self.partitions.values_mut() {
            let announced = reading.host.announce(w)?;
            put_dead_letters(out, &announced.dead_letters);
            if let Some(policies) = announced.policies {
                put_to_all(out, &policies);
            }
        }
        Ok(())
    }
}

/// A number of 4 bytes, and what follows it.
fn partition_of(bytes: &[u8]) -> Result<(u32, &[u8]), StageError> {
    let (number, rest) = bytes.split_first_chunk::<4>().ok_or(StageError::Frames)?;
    Ok((u32::from_le_bytes(*number), rest))
}

fn put_dead_letters(out: &mut Frames, letters: &[u8]) {
    if !letters.is_empty() {
        out.put(Port::DeadLetters, 0, &[letters]);
    }
}

/// Hands batches to the stage that follows.
pub(crate) fn put_next(out: &mut Frames, batches: &Routed) {
    batches.iter().for_each(|(group, batch)| out.put(Port::Next, *group, &[batch]));
}

impl Work for Sequences {
    fn apply(&mut self, frame: Frame<'_>, _: &mut Frames) -> Result<(), StageError> {
        match frame.port {
            Port::Records => {
                let (number, records) = partition_of(frame.payload)?;
                let reading = self.partitions.get_mut(&number).ok_or(HostError::OtherGroup)?;
                reading.apply(records)
            }
            Port::Policies => {
                let mut hosts = self.partitions.values_mut();
                Ok(hosts.try_for_each(|reading| reading.host.learn(frame.payload))?)
            }
            Port::Next
            | Port::Row
            | Port::Verdicts
            | Port::DeadLetters
            | Port::Mark
            | Port::Journal => Err(StageError::Frames),
        }
    }

    fn advance(&mut self, w: Millis, out: &mut Frames) -> Result<Millis, StageError> {
        let ends = self.partitions.values().map(|reading| reading.host.watermark());
        let to = ends.fold(w, Millis::min);
        if to > self.reached {
            self.reached = to;
            self.announce(to, out)?;
            for reading in self.partitions.values_mut() {
                let sequenced = reading.host.advance(to)?;
                put_dead_letters(out, &sequenced.dead_letters);
                put_next(out, &sequenced.clicks);
                reading.let_go();
            }
        }
        Ok(self.reached)
    }

    fn snapshot(&self, group: u8, out: &mut Vec<u8>) -> Result<(), StageError> {
        if !self.groups.contains(&group) {
            return Err(HostError::OtherGroup.into());
        }
        for (number, reading) in self.partitions.iter().filter(|(n, _)| group_of(**n) == group) {
            let snapshot = reading.snapshot();
            put_piece(out, &[&number.to_le_bytes(), &snapshot]);
        }
        Ok(())
    }

    fn gaps(&self) -> u64 {
        self.partitions.values().map(|reading| reading.host.gaps()).sum()
    }
}

impl Reading {
    fn open(header: &Header, number: u32, kept: Option<&[u8]>) -> Result<Reading, StageError> {
        let kept = kept.map(pieces).transpose()?.unwrap_or_default();
        let (snapshot, records) = match kept.as_slice() {
            [] => (None, None),
            [snapshot, records] => (Some(*snapshot), Some(*records)),
            _ => return Err(StageError::Frames),
        };
        let host = SequenceHost::open(header, Partition(number), snapshot)?;
        let mut reading = Reading { host, kept: VecDeque::new() };
        records.map_or(Ok(()), |records| reading.apply(records))?;
        Ok(reading)
    }

    fn apply(&mut self, records: &[u8]) -> Result<(), StageError> {
        let before = self.host.read_to();
        self.host.apply(records)?;
        if self.host.read_to() > before {
            self.kept.push_back((self.host.read_to(), records.to_vec()));
        }
        Ok(())
    }

    /// Forgets batches that have been handed out whole.
    fn let_go(&mut self) {
        let position = self.host.position();
        while self.kept.front().is_some_and(|(end, _)| *end <= position) {
            self.kept.pop_front();
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_piece(&mut out, &[&self.host.snapshot()]);
        // Those handed out already are passed over when they are read again.
        let records: Vec<&[u8]> = self.kept.iter().map(|(_, batch)| batch.as_slice()).collect();
        put_piece(&mut out, &records);
        out
    }
}
