//! The cluster as its readers see it: partitions whose leaders stamp time by clocks of their own,
//! which are set at will. Must never lose or change what it has shown.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use click_core::record::{Header, Kind, Layout, Part, Record, restamp};
use click_core::types::Millis;
use click_engine::log::{
    Clock, Commit, CommitGroup, EventLog, LogError, LogHealth, LogId, ManualClock, Position,
    RecordBatch, Retention,
};

use super::link::Senders;
use super::plan::{ClusterPlan, Manners};
use crate::check::Dice;

/// Which log it is.
pub(super) const LOG_ID: LogId = LogId([9; 16]);
pub(super) const GENERATION: u16 = 1;

/// One partition of it.
#[derive(Default)]
struct Partition {
    /// `append_time` and payload, in offset order.
    records: Vec<(u64, Vec<u8>)>,
    /// Its leader's clock, less the true time, ms.
    clock: i64,
    /// Without their times of sending: what is there.
    has: BTreeSet<Vec<u8>>,
    /// The same of what was confirmed and lost, as planned.
    lost: BTreeSet<Vec<u8>>,
    /// So many of the next records are confirmed and lost.
    loses: u64,
}

/// The cluster itself.
pub(super) struct Inner {
    partitions: Vec<Partition>,
    /// Those that it began with, and those to which it moves.
    begun_with: u32,
    added: u32,
    /// The true time.
    clock: Arc<ManualClock>,
    pub(super) dice: Dice,
    pub(super) manners: Manners,
    pub(super) is_away: bool,
    pub(super) senders: Senders,
}

/// Clones are the same cluster.
#[derive(Clone)]
pub(super) struct Topic(Arc<Mutex<Inner>>);

/// A record but for its time of sending, which is each sending's own.
pub(super) fn timeless(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    restamp(payload, Millis(0), &mut out);
    out
}

impl Topic {
    pub(super) fn new(plan: &ClusterPlan, clock: Arc<ManualClock>) -> Topic {
        let mut inner = Inner {
            partitions: (0..plan.partitions).map(|_| Partition::default()).collect(),
            begun_with: plan.partitions,
            added: plan.added,
            clock,
            dice: Dice::new(plan.seed ^ 0x70_91c),
            manners: plan.manners,
            is_away: false,
            senders: Senders::default(),
        };
        let (log_id, partitions) = (LOG_ID.0, plan.partitions);
        let kind = Kind::Header(Header { log_id, generation: GENERATION, partitions });
        let header = Record { sent_at: None, transport: None, previous: None, kind };
        inner.append(0, &header.to_bytes());
        Topic(Arc::new(Mutex::new(inner)))
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log has more partitions from now on.
    pub(super) fn cutover(&self, now: u64) {
        let mut inner = self.inner();
        let (begun_with, added) = (inner.begun_with, inner.added);
        inner.partitions.extend((0..added).map(|_| Partition::default()));
        let part = |(topic, partitions): (&str, u32)| Part { topic: topic.into(), partitions };
        let parts = [("clicks", begun_with), ("more", added)].map(part).into();
        let kind = Kind::Layout(Layout { log_id: LOG_ID.0, number: 1, parts });
        let sent_at = Some(Millis(now));
        let record = Record { sent_at, transport: None, previous: None, kind };
        inner.append(0, &record.to_bytes());
    }

    /// Partitions that take new clicks.
    pub(super) fn newest_part(&self) -> Range<u32> {
        match (self.partitions(), self.begun_with()) {
            (all, begun_with) if all > begun_with => begun_with..all,
            (all, _) => 0..all,
        }
    }

    /// By partition: `append_time` and payload of all that is there.
    pub(super) fn records(&self) -> Vec<Vec<(u64, Vec<u8>)>> {
        self.inner().partitions.iter().map(|partition| partition.records.clone()).collect()
    }

    /// Whether a record is there, whenever it was sent.
    pub(super) fn has(&self, partition: u32, timeless: &[u8]) -> bool {
        self.inner().partitions[partition as usize].has.contains(timeless)
    }

    /// Whether a record is there, or was confirmed and lost as planned.
    pub(super) fn was_confirmed(&self, partition: u32, timeless: &[u8]) -> bool {
        let lost = self.inner().partitions[partition as usize].lost.contains(timeless);
        lost || self.has(partition, timeless)
    }

    pub(super) fn set_clock(&self, partition: usize, ms: i64) {
        self.inner().partitions[partition].clock += ms;
    }

    pub(super) fn loses(&self, partition: usize, count: u64) {
        self.inner().partitions[partition].loses += count;
    }

    /// All trouble ends, and all leaders have the true time.
    pub(super) fn behave(&self) {
        let mut inner = self.inner();
        (inner.manners, inner.is_away) = (Manners::FAIR, false);
        for partition in &mut inner.partitions {
            (partition.clock, partition.loses) = (0, 0);
        }
    }

    /// The newest time that a leader has given, ms.
    pub(super) fn newest_time(&self) -> u64 {
        let inner = self.inner();
        let times = inner.partitions.iter().flat_map(|partition| &partition.records);
        times.map(|(time, _)| *time).max().unwrap_or(0)
    }
}

impl Inner {
    /// Since the beginning, ms.
    pub(super) fn time(&self) -> u64 {
        self.clock.now().1 / 1000
    }

    pub(super) fn append(&mut self, partition: u32, payload: &[u8]) -> u64 {
        let now = self.clock.now().0 / 1000;
        let partition = &mut self.partitions[partition as usize];
        let time = now.saturating_add_signed(partition.clock);
        partition.has.insert(timeless(payload));
        partition.records.push((time, payload.to_vec()));
        time
    }

    /// Appends, unless the plan loses it.
    pub(super) fn take(&mut self, partition: u32, payload: &[u8]) -> u64 {
        let place = &mut self.partitions[partition as usize];
        if place.loses == 0 {
            return self.append(partition, payload);
        }
        place.loses -= 1;
        place.lost.insert(timeless(payload));
        self.clock.now().0 / 1000
    }
}

impl EventLog for Topic {
    fn log_id(&self) -> LogId {
        LOG_ID
    }

    fn generation(&self) -> u16 {
        GENERATION
    }

    fn partitions(&self) -> u32 {
        u32::try_from(self.inner().partitions.len()).unwrap_or(u32::MAX)
    }

    fn begun_with(&self) -> u32 {
        self.inner().begun_with
    }

    /// A tick: it is there at once, or refused.
    fn append(&self, partition: u32, payload: &[u8]) -> Result<Commit, LogError> {
        let mut inner = self.inner();
        if inner.is_away {
            return Err(LogError::kafka("away"));
        }
        let append_time = inner.append(partition, payload);
        let offset = inner.partitions[partition as usize].records.len() as u64 - 1;
        let group = CommitGroup::new();
        group.settle(Vec::new());
        Ok(group.commit(Position { partition, offset, append_time }))
    }

    fn append_at(&self, _: u32, _: u64, _: &[u8]) -> Result<Commit, LogError> {
        Err(LogError::topic("a topic stamps time by itself"))
    }

    fn append_batch(&self, _: u32, _: &[&[u8]]) -> Result<Commit, LogError> {
        Err(LogError::topic("nobody appends batches here"))
    }

    fn read(
        &self,
        partition: u32,
        from: u64,
        max_bytes: usize,
        batch: &mut RecordBatch,
    ) -> Result<(), LogError> {
        let inner = self.inner();
        let records = &inner.partitions[partition as usize].records;
        let skip = usize::try_from(from).unwrap_or(usize::MAX);
        let records = records.iter().skip(skip).map(|(time, payload)| (*time, payload.as_slice()));
        batch.fill(from, records, max_bytes);
        Ok(())
    }

    fn range(&self, partition: u32) -> Range<u64> {
        let inner = self.inner();
        let records = inner.partitions.get(partition as usize).map(|place| place.records.len());
        0..records.unwrap_or(0) as u64
    }

    fn last_append_time(&self, partition: u32) -> u64 {
        let inner = self.inner();
        let last = inner.partitions[partition as usize].records.last();
        last.map_or(0, |(time, _)| *time)
    }

    fn wait(&self, _: &[u64], _: Duration) -> bool {
        false
    }

    fn health(&self) -> LogHealth {
        LogHealth::Ok
    }

    fn truncate_before(&self, _: u32, _: u64) -> Result<u64, LogError> {
        Ok(0)
    }

    fn retain(&self, _: &Retention, _: &[u64]) -> Result<(), LogError> {
        Ok(())
    }
}
