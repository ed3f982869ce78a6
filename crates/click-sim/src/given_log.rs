//! A log of given records that nobody appends to, whose `append_time` may step back, as a Kafka
//! topic's may. Must never give a record that it was not given.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use click_core::record::Header;
use click_engine::log::{Commit, EventLog, LogError, LogHealth, LogId, RecordBatch, Retention};

/// See the module.
pub struct GivenLog {
    header: Header,
    /// By partition: `append_time` and payload, in offset order.
    records: Vec<Vec<(u64, Vec<u8>)>>,
    /// In a hundred, how much of it is there already.
    grown: AtomicUsize,
}

impl GivenLog {
    /// As many partitions as `records` has entries.
    #[must_use]
    pub fn new(header: Header, records: Vec<Vec<(u64, Vec<u8>)>>) -> GivenLog {
        GivenLog { header, records, grown: AtomicUsize::new(100) }
    }

    /// From now on there is so much of each partition, in a hundred.
    pub fn grow_to(&self, percent: usize) {
        self.grown.store(percent.min(100), Ordering::Relaxed);
    }

    fn end(&self, partition: u32) -> usize {
        let all = self.records.get(partition as usize).map_or(0, Vec::len);
        // The header is there from the beginning.
        (all * self.grown.load(Ordering::Relaxed) / 100).max(1).min(all)
    }
}

impl EventLog for GivenLog {
    fn log_id(&self) -> LogId {
        LogId(self.header.log_id)
    }

    fn generation(&self) -> u16 {
        self.header.generation
    }

    fn partitions(&self) -> u32 {
        self.header.partitions
    }

    fn append(&self, _: u32, _: &[u8]) -> Result<Commit, LogError> {
        Err(LogError::ReadOnly)
    }

    fn append_at(&self, _: u32, _: u64, _: &[u8]) -> Result<Commit, LogError> {
        Err(LogError::ReadOnly)
    }

    fn append_batch(&self, _: u32, _: &[&[u8]]) -> Result<Commit, LogError> {
        Err(LogError::ReadOnly)
    }

    fn read(
        &self,
        partition: u32,
        from: u64,
        max_bytes: usize,
        batch: &mut RecordBatch,
    ) -> Result<(), LogError> {
        let records = &self.records[partition as usize][..self.end(partition)];
        let skip = usize::try_from(from).unwrap_or(usize::MAX);
        let mut left = max_bytes;
        for (offset, (time, payload)) in (from..).zip(records.iter().skip(skip)) {
            if offset > from && payload.len() > left {
                break;
            }
            left = left.saturating_sub(payload.len());
            batch.push(offset, *time, payload);
        }
        Ok(())
    }

    fn range(&self, partition: u32) -> Range<u64> {
        0..self.end(partition) as u64
    }

    fn last_append_time(&self, partition: u32) -> u64 {
        let last = self.end(partition).checked_sub(1);
        last.map_or(0, |last| self.records[partition as usize][last].0)
    }

    fn wait(&self, ends: &[u64], _: Duration) -> bool {
        (0..).zip(ends).any(|(partition, end)| self.range(partition).end > *end)
    }

    fn health(&self) -> LogHealth {
        LogHealth::Ok
    }

    fn truncate_before(&self, _: u32, _: u64) -> Result<u64, LogError> {
        Err(LogError::ReadOnly)
    }

    fn retain(&self, _: &Retention, _: &[u64]) -> Result<(), LogError> {
        Ok(())
    }
}
