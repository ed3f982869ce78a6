//! State as of the watermark, in parts, and back. The dedup set is either part of the key groups'
//! parts (a full snapshot) or left to the host's journal of claims (an incremental one).

use super::shard::shard_of;
use super::{Fold, Totals};
use crate::codec::{
    put_clicks, put_layouts, put_rows, put_sequence, put_timeline, put_users, take_clicks,
    take_journal, take_layouts, take_rows, take_sequence, take_timeline,
};
use crate::limits::KEY_GROUPS;
use crate::planted::{Bug, planted};
use crate::snapshot::{Reader, SnapshotError, Writer};
use crate::stage::event::{Facts, Slot};
use crate::stage::sequence::Sequence;
use crate::stage::user::Journal;
use crate::stage::window::RowId;
use crate::types::{Millis, Offset, Partition};
use alloc::vec::Vec;

/// A part of a snapshot; parts may be stored and moved on their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotPart {
    /// Watermark, policies, totals and the sequence stages.
    Common(Vec<u8>),
    /// The keyed stages of one key group.
    Group(u8, Vec<u8>),
}

impl SnapshotPart {
    /// What it holds.
    pub fn bytes(&self) -> &[u8] {
        match self {
            SnapshotPart::Common(bytes) | SnapshotPart::Group(_, bytes) => bytes,
        }
    }
}

/// What a restore says about where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The snapshot's watermark.
    pub watermark: Millis,
    /// Per partition the first offset to read.
    pub positions: Vec<Offset>,
}

impl Fold {
    /// All state as of the watermark. `with_claims` puts the dedup set into the groups' parts.
    pub fn snapshot(&mut self, with_claims: bool) -> Vec<SnapshotPart> {
        self.count_waiting();
        let mut parts = Vec::from([SnapshotPart::Common(self.save_common())]);
        if self.is_sequencing {
            return parts;
        }
        let mut waiting: Vec<Vec<&Facts>> = alloc::vec![Vec::new(); usize::from(KEY_GROUPS)];
        let mut rows: Vec<Vec<(Slot, RowId)>> = alloc::vec![Vec::new(); usize::from(KEY_GROUPS)];
        for shard in &self.shards {
            for click in shard.source.waiting().filter(|_| !planted(Bug::SnapshotForgetsWaiting)) {
                waiting[usize::from(click.source_stage_group())].push(click);
            }
            for (slot, id) in shard.window.slots() {
                rows[usize::from(self.keys.group(slot.key))].push((slot, id));
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "there are 128 groups")]
        for group in 0..KEY_GROUPS as u8 {
            let shard = &self.shards[shard_of(group, self.shards.len())];
            let at = usize::from(group);
            rows[at].sort_unstable_by(|a, b| self.by_key(a.0, b.0));
            let mut out = Writer::default();
            let users = with_claims.then_some(&shard.user);
            put_users(&mut out, users, group, self.watermark, &self.timeline);
            put_clicks(&mut out, &waiting[at], &self.keys);
            let rows = rows[at].iter().map(|(_, id)| shard.window.row_of(*id));
            put_rows(&mut out, rows, &self.keys);
            parts.push(SnapshotPart::Group(group, out.into_bytes()));
        }
        parts
    }

    fn by_key(&self, a: Slot, b: Slot) -> core::cmp::Ordering {
        let minutes = |slot: Slot| (slot.minute, slot.posted);
        self.keys.words(a.key).cmp(self.keys.words(b.key)).then(minutes(a).cmp(&minutes(b)))
    }

    /// Loads a snapshot into a fold that has just been made, of the same kind.
    pub fn restore(&mut self, parts: &[SnapshotPart]) -> Result<Restored, SnapshotError> {
        let is_whole = parts.iter().any(|part| matches!(part, SnapshotPart::Group(..)));
        if is_whole == self.is_sequencing {
            return Err(SnapshotError);
        }
        let common = parts.iter().find_map(|part| match part {
            SnapshotPart::Common(bytes) => Some(bytes),
            SnapshotPart::Group(..) => None,
        });
        self.load_common(common.ok_or(SnapshotError)?)?;
        let mut waiting: Vec<Vec<Facts>> = alloc::vec![Vec::new(); self.shards.len()];
        for part in parts {
            if let SnapshotPart::Group(group, bytes) = part {
                self.load_group(*group, bytes, &mut waiting)?;
            }
        }
        for (shard, mut clicks) in self.shards.iter_mut().zip(waiting) {
            clicks.sort_by_key(Facts::fold_order);
            shard.source.restore(&clicks, &self.timeline);
        }
        let positions = self.sequences.iter().map(Sequence::read_to).collect();
        Ok(Restored { watermark: self.watermark, positions })
    }

    /// Adds claims that were journalled before the snapshot's watermark, oldest first.
    pub fn restore_journal(&mut self, journal: &Journal) {
        let shards = self.shards.len();
        let mut split: Vec<Journal> = alloc::vec![Journal::default(); shards];
        for claim in &journal.claims {
            split[shard_of(claim.group, shards)].claims.push(*claim);
        }
        for pair in &journal.pairs {
            split[shard_of(pair.group, shards)].pairs.push(*pair);
        }
        for (shard, journal) in self.shards.iter_mut().zip(split) {
            shard.user.restore(&journal, self.watermark, &self.timeline);
        }
    }

    fn load_group(
        &mut self,
        group: u8,
        bytes: &[u8],
        waiting: &mut [Vec<Facts>],
    ) -> Result<(), SnapshotError> {
        if u16::from(group) >= KEY_GROUPS {
            return Err(SnapshotError);
        }
        let mut input = Reader::new(bytes);
        let journal = take_journal(&mut input, group)?;
        let shard = shard_of(group, self.shards.len());
        self.shards[shard].user.restore(&journal, self.watermark, &self.timeline);
        waiting[shard].extend(take_clicks(&mut input, &mut self.keys)?);
        for row in take_rows(&mut input, &mut self.keys)? {
            self.shards[shard].window.restore(&row, self.watermark);
        }
        input.end()
    }

    fn save_common(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u64(self.watermark.0);
        put_timeline(&mut out, &self.timeline);
        out.u64(self.totals.measured);
        self.totals.by_class.iter().for_each(|count| out.u64(*count));
        out.u64(self.totals.dead_letters);
        out.len(self.in_force().len());
        self.in_force().iter().for_each(|sequence| put_sequence(&mut out, &sequence.snapshot()));
        put_layouts(&mut out, &self.layouts);
        out.into_bytes()
    }

    fn load_common(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut input = Reader::new(bytes);
        self.watermark = Millis(input.u64()?);
        self.timeline = take_timeline(&mut input)?;
        let mut totals = Totals { measured: input.u64()?, ..Totals::default() };
        for count in &mut totals.by_class {
            *count = input.u64()?;
        }
        totals.dead_letters = input.u64()?;
        self.totals = totals;
        let partitions = input.len(8)?;
        self.sequences.clear();
        for number in (0..).take(partitions) {
            let state = take_sequence(&mut input)?;
            self.sequences.push(Sequence::restore(Partition(number), state));
        }
        take_layouts(&mut input, &mut self.layouts)?;
        if partitions != self.layouts.partitions() as usize {
            return Err(SnapshotError);
        }
        self.layouts_read = self.layouts.clone();
        input.end()
    }
}
