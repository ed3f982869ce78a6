//! Sequence: one partition's records in order. Gives each its fold time, drops transport repeats,
//! attaches the policy in force and the stateless reasons.
//!
//! Reads ahead of the watermark, but all state that a snapshot holds is as of W: what was read
//! beyond it waits in parsed chunks and is read again after a restore.

use super::event::{Event, Facts, Posted};
use super::layouts::{LayoutError, Layouts};
use super::parse::{Chunk, Item, Parsed, TrackerName};
use super::transport::Transports;
use crate::keys::KeyTable;
use crate::limits::SKEW_ALLOWANCE_MS;
use crate::planted::{Bug, planted};
use crate::policy::{Policy, PolicyError, PolicyIndex, Timeline};
use crate::record::{DecodeError, Header, Layout};
use crate::rules::validity;
use crate::types::{Millis, Minute, Offset, Partition};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// A record's fold time, after a record of the same partition with that of `previous` (SPEC §3).
#[inline]
pub fn fold_time(previous: Millis, append_time: Millis, sent_at: Option<Millis>) -> Millis {
    let capped = match sent_at {
        Some(_) if planted(Bug::SkewNotCapped) => append_time,
        Some(sent_at) => append_time.min(sent_at.plus(SKEW_ALLOWANCE_MS)),
        None => append_time,
    };
    previous.max(capped)
}

/// A record that no click came of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Partition of the record.
    pub partition: Partition,
    /// Offset of the record.
    pub offset: Offset,
    /// Why.
    pub reason: DeadReason,
}

/// Why a record went to the dead-letter log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadReason {
    /// The payload cannot be decoded.
    Undecodable(DecodeError),
    /// The policy is refused; the one before stays in force.
    Policy(PolicyError),
    /// The layout is refused; the one before stays in force.
    Layout(LayoutError),
}

impl core::fmt::Display for DeadReason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            DeadReason::Undecodable(error) => f.write_str(error.code()),
            DeadReason::Policy(error) => write!(f, "policy refused: {error}"),
            DeadReason::Layout(error) => write!(f, "layout refused: {error}"),
        }
    }
}

/// The sequence stage of one partition.
#[derive(Clone)]
pub struct Sequence {
    partition: Partition,
    position: Offset,
    fold_time: Millis,
    ahead: VecDeque<Ahead>,
    read_time: Millis,
    read_to: Offset,
    arriving: u64,
    pub(crate) transports: Transports,
    pub(crate) repeats: u64,
    pub(crate) header: Option<Header>,
}

#[derive(Clone)]
struct Ahead {
    chunk: Chunk,
    next: usize,
}

/// What a partition's past amounts to: the part of a snapshot that this stage owns.
#[derive(Clone, Debug)]
pub struct SequenceState {
    /// First offset with `fold_time >= W`.
    pub position: Offset,
    /// Fold time of the record before it.
    pub fold_time: Millis,
    /// Repeats dropped so far.
    pub repeats: u64,
    /// The log's header, if it was in this partition.
    pub header: Option<Header>,
    /// Transport intervals.
    pub transports: Transports,
}

/// Where the records of one step go.
pub struct Drained<'a> {
    /// Receives each click, in fold order of the partition.
    pub click: &'a mut dyn FnMut(&Event),
    /// Receives each record that no click comes of.
    pub dead: &'a mut Vec<DeadLetter>,
    /// Receives the chunks that are done with, for their memory.
    pub spare: &'a mut Vec<Chunk>,
}

/// Chunks that are kept for their memory.
const MAX_SPARE_CHUNKS: usize = 16;
const SWEEP_EVERY_MS: u64 = 3_600_000;

impl Sequence {
    /// At the beginning of a partition that the log began with.
    pub fn new(partition: Partition) -> Sequence {
        Sequence::begun_at(partition, Millis(0))
    }

    /// At the beginning of a partition that a layout record of this fold time adds: nothing in it
    /// is before that.
    pub fn begun_at(partition: Partition, fold_time: Millis) -> Sequence {
        Sequence::restore(
            partition,
            SequenceState {
                position: Offset(0),
                fold_time,
                repeats: 0,
                header: None,
                transports: Transports::default(),
            },
        )
    }

    /// Where a snapshot left off.
    pub fn restore(partition: Partition, state: SequenceState) -> Sequence {
        Sequence {
            partition,
            position: state.position,
            fold_time: state.fold_time,
            ahead: VecDeque::new(),
            read_time: state.fold_time,
            read_to: state.position,
            arriving: 0,
            transports: state.transports,
            repeats: state.repeats,
            header: state.header,
        }
    }

    /// State as of the watermark last drained to.
    pub fn snapshot(&self) -> SequenceState {
        SequenceState {
            position: if planted(Bug::SnapshotBeyondWatermark) {
                self.read_to
            } else {
                self.position
            },
            fold_time: self.fold_time,
            repeats: self.repeats,
            header: self.header,
            transports: self.transports.clone(),
        }
    }

    /// The fold time of the last record read: the partition's watermark.
    pub const fn watermark(&self) -> Millis {
        self.read_time
    }

    /// The first offset that has not been drained.
    pub const fn position(&self) -> Offset {
        self.position
    }

    /// The next offset to read.
    pub const fn read_to(&self) -> Offset {
        self.read_to
    }

    /// Clicks read but not drained.
    pub const fn arriving(&self) -> u64 {
        self.arriving
    }

    /// Takes the next records of the partition and gives them their fold times.
    pub fn push(&mut self, mut chunk: Chunk, table: &mut KeyTable) {
        for record in &mut chunk.records {
            self.read_time = fold_time(self.read_time, record.time, record.sent_at.get());
            record.time = self.read_time;
        }
        if let Some(last) = chunk.records.last() {
            self.read_to = Offset(last.offset.0 + 1);
        }
        for (number, owner) in chunk.owners.drain(..).enumerate() {
            let id = table.intern(chunk.new_keys.get(number));
            let facts = &mut chunk.events[owner.event as usize].facts;
            let key = if owner.is_ad { &mut facts.ad_key } else { &mut facts.publisher_key };
            *key = id;
        }
        self.arriving += chunk.events.len() as u64;
        self.ahead.push_back(Ahead { chunk, next: 0 });
    }

    /// The layout records of the last chunk, with their fold times.
    pub(crate) fn layouts_read(&self) -> impl Iterator<Item = (&Layout, Millis)> {
        let last = self.ahead.back().filter(|ahead| ahead.chunk.has_layouts());
        let records = last.into_iter().flat_map(|ahead| &ahead.chunk.records);
        records.filter_map(|record| {
            let Item::Layout(layout) = &record.item else { return None };
            Some((&**layout, record.time))
        })
    }

    /// Brings the layout to what it is at `to`. To be called before the partition is drained to
    /// `to`.
    pub(crate) fn lay_out(&self, to: Millis, layouts: &mut Layouts, dead: &mut Vec<DeadLetter>) {
        let with_layouts = self.ahead.iter().filter(|ahead| ahead.chunk.has_layouts());
        let waiting = with_layouts.flat_map(|ahead| &ahead.chunk.records[ahead.next..]);
        for record in waiting.take_while(|record| record.time < to) {
            let Item::Layout(layout) = &record.item else { continue };
            if let Err(error) = layouts.take(self.partition, layout, record.time) {
                dead.push(DeadLetter {
                    partition: self.partition,
                    offset: record.offset,
                    reason: DeadReason::Layout(error),
                });
            }
        }
    }

    /// Adds the policies below `to` to the timeline: they bind other partitions' clicks that are
    /// drained in the same step. To be called before any partition is drained to `to`.
    pub fn announce(&self, to: Millis, timeline: &mut Timeline, dead: &mut Vec<DeadLetter>) {
        let with_policies = self.ahead.iter().filter(|ahead| ahead.chunk.policies > 0);
        let waiting = with_policies.flat_map(|ahead| &ahead.chunk.records[ahead.next..]);
        for record in waiting.take_while(|record| record.time < to) {
            let Item::Policy(policy) = &record.item else { continue };
            if let Err(error) = self.admit(policy, record.time, timeline) {
                dead.push(DeadLetter {
                    partition: self.partition,
                    offset: record.offset,
                    reason: DeadReason::Policy(error),
                });
            }
        }
    }

    fn admit(
        &self,
        policy: &Policy,
        fold_time: Millis,
        timeline: &mut Timeline,
    ) -> Result<(), PolicyError> {
        if self.partition != Partition(0) {
            return Err(PolicyError::WrongPartition);
        }
        timeline.add(policy.clone(), fold_time)
    }

    /// Hands out all records with `fold_time < to`.
    pub fn drain(&mut self, to: Millis, timeline: &Timeline, out: &mut Drained<'_>) {
        let mut judge = Judge::new(timeline);
        while let Some(mut ahead) = self.ahead.pop_front() {
            let Chunk { records, events, trackers, .. } = &mut ahead.chunk;
            while let Some(record) = records.get(ahead.next) {
                if record.time >= to {
                    self.ahead.push_front(ahead);
                    return;
                }
                self.take(record, events, trackers, &mut judge, out);
                ahead.next += 1;
            }
            if out.spare.len() < MAX_SPARE_CHUNKS {
                out.spare.push(ahead.chunk);
            }
        }
    }

    #[inline]
    fn take(
        &mut self,
        record: &Parsed,
        events: &mut [Event],
        trackers: &[TrackerName],
        judge: &mut Judge<'_>,
        out: &mut Drained<'_>,
    ) {
        let (now, timeline) = (record.time, judge.timeline);
        self.position = Offset(record.offset.0 + 1);
        // At hours of log time, so that a restored stage sweeps when any other does.
        if now.0 / SWEEP_EVERY_MS != self.fold_time.0 / SWEEP_EVERY_MS {
            self.transports.sweep(now, timeline);
        }
        self.fold_time = now;
        let tracker = |index: u32| &trackers[index as usize];
        if let Some(previous) = record.previous.filter(|_| !planted(Bug::PredecessorForgotten)) {
            self.transports.mention(tracker(previous.tracker), previous.seq, now, timeline);
        }
        match &record.item {
            Item::Click(index) => {
                self.arriving -= 1;
                let new = record.sender.is_none_or(|sender| {
                    self.transports.arrive(tracker(sender.tracker), sender.seq, now, timeline)
                });
                if new || planted(Bug::RepeatsCounted) {
                    let event = &mut events[*index as usize];
                    judge.judge(&mut event.facts, record);
                    (out.click)(event);
                } else {
                    self.repeats += 1;
                }
            }
            Item::Heartbeat(next_seq) => {
                if let Some(sender) = record.sender {
                    self.transports.heartbeat(tracker(sender.tracker), *next_seq, now, timeline);
                }
            }
            Item::Header(header) => self.header = self.header.or(Some(**header)),
            Item::Bad(error) => out.dead.push(DeadLetter {
                partition: self.partition,
                offset: record.offset,
                reason: DeadReason::Undecodable(*error),
            }),
            Item::Tick | Item::Policy(_) | Item::Layout(_) => {}
        }
    }
}

/// Attaches policy, lateness and stateless reasons, remembering what the last click needed.
struct Judge<'t> {
    timeline: &'t Timeline,
    policy: PolicyIndex,
    policy_until: Millis,
    minute: Minute,
    minute_seals: Millis,
}

impl<'t> Judge<'t> {
    fn new(timeline: &'t Timeline) -> Self {
        Judge {
            timeline,
            policy: 0,
            policy_until: Millis(0),
            minute: Minute(0),
            minute_seals: timeline.sealing_starts(Minute(0)),
        }
    }

    #[inline]
    fn judge(&mut self, click: &mut Facts, record: &Parsed) {
        let fold_time = record.time;
        if fold_time >= self.policy_until {
            self.policy = self.timeline.at(fold_time).0;
            self.policy_until = self.timeline.in_force_until(fold_time);
        }
        click.fold_time = fold_time;
        click.policy = self.policy;
        let minute = click.click_time().minute();
        if minute != self.minute {
            self.minute = minute;
            self.minute_seals = self.timeline.sealing_starts(minute);
        }
        let late = self.minute_seals.plus(u64::from(planted(Bug::LateTooLate))) <= fold_time;
        let late = late && !planted(Bug::LateClickForgotten);
        click.posted = Posted::to(late.then(|| fold_time.minute()));
        if let Some(policy) = self.timeline.get(self.policy) {
            click.reasons =
                validity::stateless(click, record.expires_at.get(), policy, self.timeline);
            #[expect(clippy::cast_possible_truncation, reason = "policies allow at most 100")]
            let burst_clicks = policy.burst_clicks as u8;
            click.burst_clicks = burst_clicks;
        }
    }
}
