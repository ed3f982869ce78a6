//! The whole dataflow in one place: log records in, rows and verdicts out. Used by the native
//! engine, the simulator, replays and audits; Flink and Spark run the stages one by one
//! ([`crate::hosted`]).
//!
//! Sharded by key group; what the shards do side by side is handed to a [`Parallel`], and the
//! result does not depend on how many there are.

pub(crate) mod bytes;
mod save;
mod shard;

pub use bytes::{JournalBytes, decode_journal, decode_rows, encode_journal, encode_rows};
pub use save::{Restored, SnapshotPart};
pub use shard::{groups_of, shard_of};

use crate::hash::Identity;
use crate::keys::KeyTable;
use crate::planted::{Bug, planted};
use crate::policy::{Policy, Timeline};
use crate::record::{Header, Layout};
use crate::stage::event::Event;
use crate::stage::layouts::Layouts;
use crate::stage::parse::{Chunk, parse};
use crate::stage::sequence::{DeadLetter, Drained, Sequence};
use crate::stage::source::Verdict;
use crate::stage::transport::Seen;
use crate::stage::user::Journal;
use crate::stage::window::{OpenRow, PublishedRow, in_words, is_sealed};
use crate::types::{Millis, Offset, Partition};
use crate::verdict::CLASSES;
use alloc::string::String;
use alloc::vec::Vec;
use shard::{Shard, Step};

/// Runs independent work, on as many threads as the host likes.
pub trait Parallel {
    /// Calls `f` once for each item, in any order, and returns when all are done.
    fn for_each<T: Send>(&self, items: &mut [T], f: impl Fn(usize, &mut T) + Sync);
}

/// Runs everything on the caller's thread.
pub struct Serial;

impl Parallel for Serial {
    fn for_each<T: Send>(&self, items: &mut [T], f: impl Fn(usize, &mut T) + Sync) {
        items.iter_mut().enumerate().for_each(|(index, item)| f(index, item));
    }
}

/// What a step of the fold brings about.
#[derive(Default)]
pub struct Effects {
    /// Rows as of the last grid instant, at most one per key.
    pub rows: Vec<PublishedRow>,
    /// Verdicts that became final, each click's exactly once.
    pub verdicts: Vec<Verdict>,
    /// Records that no click came of.
    pub dead_letters: Vec<DeadLetter>,
    /// What the dedup set remembered, by shard.
    pub journals: Vec<Journal>,
}

impl Effects {
    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.verdicts.clear();
        self.dead_letters.clear();
        for journal in &mut self.journals {
            journal.claims.clear();
            journal.pairs.clear();
        }
    }
}

/// Sums over everything below the watermark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Measured clicks.
    pub measured: u64,
    /// Final clicks by class.
    pub by_class: [u64; CLASSES],
    /// Records that no click came of.
    pub dead_letters: u64,
}

/// The fold of one log.
pub struct Fold {
    generation: u16,
    watermark: Millis,
    timeline: Timeline,
    keys: KeyTable,
    /// As of what has been read, and as of the watermark.
    layouts_read: Layouts,
    layouts: Layouts,
    sequences: Vec<Sequence>,
    shards: Vec<Shard>,
    totals: Totals,
    spare: Vec<Chunk>,
    /// Only the sequence stages are here: somebody else decides.
    is_sequencing: bool,
}

/// A hole in a tracker's sequence: records that it sent and the log lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where they are missing.
    pub partition: Partition,
    /// Who sent them.
    pub tracker_id: String,
    /// See `tracker_id`.
    pub epoch: u64,
    /// The first number that is missing.
    pub from: u64,
    /// The next one that is there, or has not been sent.
    pub to: u64,
}

impl Fold {
    /// At the beginning of the log that `header` names, cut into `shards` (1-128).
    pub fn new(header: &Header, shards: usize) -> Fold {
        let shards = shards.clamp(1, usize::from(crate::limits::KEY_GROUPS));
        Fold {
            keys: KeyTable::new(Identity::new(&header.log_id)),
            generation: header.generation,
            watermark: Millis(0),
            timeline: Timeline::default(),
            layouts_read: Layouts::new(header),
            layouts: Layouts::new(header),
            sequences: (0..header.partitions).map(|n| Sequence::new(Partition(n))).collect(),
            shards: (0..shards).map(|index| Shard::new(index, shards)).collect(),
            totals: Totals::default(),
            spare: Vec::new(),
            is_sequencing: false,
        }
    }

    /// The sequence stages alone: the verdict handed out of a click has only the reasons that its
    /// record alone decides, and nothing is remembered of it. There are no rows.
    pub fn sequencing(header: &Header) -> Fold {
        Fold { is_sequencing: true, ..Fold::new(header, 1) }
    }

    /// As [`Fold::new`], under this policy alone, whatever records say of policies.
    pub fn under(header: &Header, shards: usize, policy: Policy) -> Fold {
        Fold { timeline: Timeline::fixed(policy), ..Fold::new(header, shards) }
    }

    /// Remembers from now on which rows change, for [`Fold::take_touched`].
    pub fn watch(&mut self) {
        self.shards.iter_mut().for_each(|shard| shard.window.watch());
    }

    /// Memory for [`Fold::parse`], used before if there is any.
    pub fn spare_chunk(&mut self) -> Chunk {
        self.spare.pop().unwrap_or_default()
    }

    /// Parses consecutive records of a partition into a spare chunk. Needs no `&mut`: any thread
    /// may do it.
    pub fn parse<'a>(
        &self,
        partition: Partition,
        spare: Chunk,
        records: impl Iterator<Item = (Offset, Millis, &'a [u8])>,
    ) -> Chunk {
        parse(&self.keys, partition, spare, records)
    }

    /// Takes the next parsed records of a partition. A layout record among them adds partitions,
    /// which the watermark waits for from now on: it cannot have passed that record's fold time.
    pub fn push(&mut self, partition: Partition, chunk: Chunk) {
        let has_layouts = chunk.has_layouts();
        self.sequences[partition.0 as usize].push(chunk, &mut self.keys);
        if has_layouts {
            self.begin_partitions(partition);
        }
    }

    #[cold]
    fn begin_partitions(&mut self, partition: Partition) {
        let mut begun = Vec::new();
        for (layout, fold_time) in self.sequences[partition.0 as usize].layouts_read() {
            let from = if planted(Bug::PartFromTheBeginning) { Millis(0) } else { fold_time };
            let added = self.layouts_read.take(partition, layout, fold_time).unwrap_or_default();
            begun.extend(added.map(|number| Sequence::begun_at(Partition(number), from)));
        }
        self.sequences.extend(begun);
    }

    /// How many partitions are to be read: a layout record that has been read adds some.
    pub fn partitions(&self) -> u32 {
        self.layouts_read.partitions()
    }

    /// The newest layout that has been read; none while the log has the partitions that it began
    /// with.
    pub const fn layout(&self) -> Option<&Layout> {
        self.layouts_read.newest()
    }

    /// The watermark that the records pushed so far allow: the least of the partitions'.
    pub fn possible_watermark(&self) -> Millis {
        let ends = self.sequences.iter().map(Sequence::watermark);
        if planted(Bug::WatermarkIgnoresPartition) {
            return ends.max().unwrap_or_default();
        }
        ends.min().unwrap_or_default()
    }

    /// A partition's own watermark and next offset to read.
    pub fn read_position(&self, partition: Partition) -> (Millis, Offset) {
        let sequence = &self.sequences[partition.0 as usize];
        (sequence.watermark(), sequence.read_to())
    }

    /// Per partition the first offset with `fold_time` at or above the watermark, of those that the
    /// log has as of the watermark.
    pub fn positions(&self) -> Vec<Offset> {
        self.in_force().iter().map(Sequence::position).collect()
    }

    /// The partitions that the log has as of the watermark and did not begin with, each with the
    /// fold time at which it begins.
    pub fn added(&self) -> impl Iterator<Item = (Partition, Millis)> {
        self.layouts.added()
    }

    fn in_force(&self) -> &[Sequence] {
        &self.sequences[..self.layouts.partitions() as usize]
    }

    /// Folds everything below `w`, which is at most [`Fold::possible_watermark`]. Rows are handed
    /// out if `publish`; a host may skip instants, and rows that wait cost memory only.
    pub fn advance(
        &mut self,
        w: Millis,
        publish: bool,
        parallel: &impl Parallel,
        effects: &mut Effects,
    ) {
        assert!(w <= self.possible_watermark(), "nothing is known beyond the watermark");
        if w <= self.watermark {
            return;
        }
        self.watermark = w;
        effects.journals.resize_with(self.shards.len(), Journal::default);
        self.sequence(w, effects);
        if self.is_sequencing {
            self.hand_out(effects);
            return;
        }
        self.decide(w, publish, parallel, effects);
        self.collect(effects);
    }

    /// What the sequence stages let through, and say of it.
    fn hand_out(&mut self, effects: &mut Effects) {
        let events = self.shards.iter_mut().flat_map(|shard| shard.events.drain(..));
        effects.verdicts.extend(events.map(|event| event.facts.verdict()));
    }

    fn sequence(&mut self, w: Millis, effects: &mut Effects) {
        let dead_before = effects.dead_letters.len();
        let (shards, timeline) = (&mut self.shards, &mut self.timeline);
        for sequence in &self.sequences {
            sequence.announce(w, timeline, &mut effects.dead_letters);
            sequence.lay_out(w, &mut self.layouts, &mut effects.dead_letters);
        }
        let count = shards.len();
        let mut measured = 0;
        for sequence in &mut self.sequences {
            let mut click = |event: &Event| {
                measured += 1;
                shards[shard_of(event.facts.user_group, count)].events.push(*event);
            };
            let (dead, spare) = (&mut effects.dead_letters, &mut self.spare);
            let out = &mut Drained { click: &mut click, dead, spare };
            sequence.drain(w, timeline, out);
        }
        self.totals.measured += measured;
        self.totals.dead_letters += (effects.dead_letters.len() - dead_before) as u64;
        if self.sequences.len() > 1 {
            shards.iter_mut().for_each(Shard::sort_events);
        }
    }

    fn decide(
        &mut self,
        w: Millis,
        publish: bool,
        parallel: &impl Parallel,
        effects: &mut Effects,
    ) {
        let step = Step {
            w,
            timeline: &self.timeline,
            keys: &self.keys,
            generation: self.generation,
            shards: self.shards.len(),
            publish,
        };
        let mut pairs: Vec<(&mut Shard, &mut Journal)> =
            self.shards.iter_mut().zip(&mut effects.journals).collect();
        parallel.for_each(&mut pairs, |_, (shard, journal)| shard.users(&step, journal));
        drop(pairs);
        shard::exchange_clicks(&mut self.shards);
        parallel.for_each(&mut self.shards, |_, shard| shard.sources(&step));
        shard::exchange_partials(&mut self.shards, &self.keys);
        parallel.for_each(&mut self.shards, |_, shard| shard.windows(&step));
    }

    fn collect(&mut self, effects: &mut Effects) {
        for shard in &mut self.shards {
            for verdict in &shard.verdicts {
                self.totals.by_class[verdict.reasons.class() as usize] += 1;
            }
            hand_over(&mut effects.verdicts, &mut shard.verdicts);
            hand_over(&mut effects.rows, &mut shard.published);
        }
    }

    /// Brings the rows up to the watermark: a lone shard puts that off.
    fn count_waiting(&mut self) {
        if let [shard] = self.shards.as_mut_slice() {
            shard.count_waiting(self.watermark);
        }
    }

    /// W: all clicks with `fold_time` below it are folded.
    pub const fn watermark(&self) -> Millis {
        self.watermark
    }

    /// Sums over everything below the watermark.
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Clicks below the watermark whose verdict is not final.
    pub fn pending(&self) -> usize {
        self.shards.iter().map(|shard| shard.source.pending()).sum()
    }

    /// Clicks read beyond the watermark.
    pub fn arriving(&self) -> u64 {
        self.sequences.iter().map(Sequence::arriving).sum()
    }

    /// Records dropped because their transport identity was seen before.
    pub fn repeats(&self) -> u64 {
        self.sequences.iter().map(|sequence| sequence.repeats).sum()
    }

    /// Records known to be missing.
    pub fn gaps(&self) -> u64 {
        self.sequences.iter().map(|sequence| sequence.transports.missing()).sum()
    }

    /// The first `most` holes that are open, by partition.
    pub fn open_gaps(&self, most: usize) -> Vec<Gap> {
        let of_partition = |(partition, sequence): (u32, &Sequence)| {
            let holes = move |seen: &Seen| {
                let (tracker_id, epoch) = (seen.name.clone(), seen.epoch);
                let gap = move |(from, to)| Gap {
                    partition: Partition(partition),
                    tracker_id: tracker_id.clone(),
                    epoch,
                    from,
                    to,
                };
                seen.holes().map(gap).collect::<Vec<_>>()
            };
            sequence.transports.open().flat_map(|(seen, _)| holes(seen)).collect::<Vec<_>>()
        };
        (0..).zip(&self.sequences).flat_map(of_partition).take(most).collect()
    }

    /// The policies of the log.
    pub const fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Claims held by the dedup set.
    pub fn claims(&self) -> u64 {
        self.shards.iter().map(|shard| shard.user.claims()).sum()
    }

    /// Bytes of memory of the dedup set, and of D2's ten minutes.
    pub fn dedup_memory(&self) -> (usize, usize) {
        let users = || self.shards.iter().map(|shard| &shard.user);
        let claims = users().map(crate::stage::user::UserStage::claims_memory).sum();
        (claims, users().map(crate::stage::user::UserStage::pairs_memory).sum())
    }

    /// Rows that can still change.
    pub fn open_rows(&self) -> usize {
        self.shards.iter().map(|shard| shard.window.len()).sum()
    }

    /// Hands out every row that can still change, as of the watermark.
    pub fn for_each_open_row(&mut self, mut f: impl FnMut(crate::row::Row)) {
        self.count_waiting();
        for row in self.shards.iter().flat_map(|shard| shard.window.rows()) {
            f(in_words(&row, &self.keys, self.generation));
        }
    }

    /// Hands out the rows that changed since the last call, as of the watermark, and whether each
    /// is sealed.
    pub fn take_touched(&mut self, mut f: impl FnMut(crate::row::Row, bool)) {
        self.count_waiting();
        let (w, timeline, keys) = (self.watermark, &self.timeline, &self.keys);
        let generation = self.generation;
        let mut tell = |row: &OpenRow| {
            let end = row.slot.posted.minute().unwrap_or(row.slot.minute);
            let sealed = is_sealed(end, row.slot.posted.minute().is_some(), w, timeline);
            f(in_words(row, keys, generation), sealed);
        };
        self.shards.iter_mut().for_each(|shard| shard.window.take_touched(&mut tell));
    }
}

/// Moves everything to the end of `all`, without copying if that is empty.
fn hand_over<T>(all: &mut Vec<T>, some: &mut Vec<T>) {
    if all.is_empty() {
        core::mem::swap(all, some);
    } else {
        all.append(some);
    }
}
