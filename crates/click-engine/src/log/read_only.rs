//! Logs that nobody appends to, such as an archive: they say what they hold, and are an
//! [`EventLog`] by that. Must never take a record.

use std::ops::Range;
use std::time::Duration;

use click_core::record::Header;

use super::{Commit, EventLog, LogError, LogHealth, LogId, RecordBatch, Retention};

/// A log that has its records from offset 0 on, and takes none.
pub trait ReadOnlyLog: Send + Sync {
    /// Which log it is, and with how many partitions it began.
    fn header(&self) -> Header;

    /// All its partitions, those of layout records included.
    fn all_partitions(&self) -> u32 {
        self.header().partitions
    }

    /// Behind the last record of a partition; 0 for an unknown one.
    fn end(&self, partition: u32) -> u64;

    /// See [`EventLog::read`].
    ///
    /// # Errors
    /// As there.
    fn read_from(
        &self,
        partition: u32,
        from: u64,
        max_bytes: usize,
        batch: &mut RecordBatch,
    ) -> Result<(), LogError>;
}

impl<T: ReadOnlyLog> EventLog for T {
    fn log_id(&self) -> LogId {
        LogId(self.header().log_id)
    }

    fn generation(&self) -> u16 {
        self.header().generation
    }

    fn partitions(&self) -> u32 {
        self.all_partitions()
    }

    fn begun_with(&self) -> u32 {
        self.header().partitions
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
        let (partitions, end) = (self.partitions(), self.end(partition));
        if partition >= partitions {
            return Err(LogError::NoPartition { partition, partitions });
        }
        if from > end {
            return Err(LogError::BeyondEnd { partition, from, end });
        }
        self.read_from(partition, from, max_bytes, batch)
    }

    fn range(&self, partition: u32) -> Range<u64> {
        0..self.end(partition)
    }

    fn last_append_time(&self, partition: u32) -> u64 {
        let mut batch = RecordBatch::default();
        let last = self.end(partition).checked_sub(1);
        let read = last.map(|last| self.read_from(partition, last, 1, &mut batch));
        read.and(batch.last()).map_or(0, |(_, time, _)| time)
    }

    fn wait(&self, ends: &[u64], _: Duration) -> bool {
        (0..).zip(ends).any(|(partition, end)| self.end(partition) > *end)
    }

    fn health(&self) -> LogHealth {
        LogHealth::Ok
    }

    fn truncate_before(&self, _: u32, _: u64) -> Result<u64, LogError> {
        Err(LogError::ReadOnly)
    }

    fn retain(&self, _: &Retention, _: &[u64]) -> Result<(), LogError> {
        Err(LogError::ReadOnly)
    }
}
