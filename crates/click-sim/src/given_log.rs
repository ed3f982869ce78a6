//! A log of given records that nobody appends to, whose `append_time` may step back, as a Kafka
//! topic's may. Must never give a record that it was not given.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use click_core::record::Header;
use click_engine::archive::{ArchiveConfig, ArchiveParts, Archived, Archiver, DiskObjects};
use click_engine::disk::{MemDisk, RealDisk};
use click_engine::log::{LogError, ManualClock, ReadOnlyLog, RecordBatch};

/// See the module.
pub struct GivenLog {
    header: Header,
    /// By partition: `append_time` and payload, in offset order.
    records: Vec<Vec<(u64, Vec<u8>)>>,
    /// In a hundred, how much of it is there already.
    percent: AtomicUsize,
}

impl GivenLog {
    /// As many partitions as `records` has entries; it began with those of the header.
    #[must_use]
    pub fn new(header: Header, records: Vec<Vec<(u64, Vec<u8>)>>) -> GivenLog {
        GivenLog { header, records, percent: AtomicUsize::new(100) }
    }

    /// From now on there is so much of each partition, in a hundred.
    pub fn grow_to(&self, percent: usize) {
        self.percent.store(percent.min(100), Ordering::Relaxed);
    }

    /// Archives all of it into a directory, in spans and files so small that there are many of
    /// both; how far it got, and the archive's objects.
    ///
    /// # Panics
    /// If the archiver fails.
    #[must_use]
    pub fn archive(self, dir: &Path) -> (Archived, Arc<DiskObjects>) {
        let objects = Arc::new(DiskObjects::new(Arc::new(RealDisk), dir));
        let parts = ArchiveParts {
            log: Arc::new(self),
            disk: Arc::new(MemDisk::new(0)),
            clock: Arc::new(ManualClock::new(0)),
            checkpoints: PathBuf::from("/state"),
            objects: objects.clone(),
            told: None,
        };
        let config = ArchiveConfig {
            rows_per_file: 300,
            interval_ms: 1_800_000,
            ..ArchiveConfig::default()
        };
        let archiver = Archiver::open(parts, config).expect("an archiver");
        (archiver.finish().expect("an archive"), objects)
    }

    fn grown(&self, partition: u32) -> usize {
        let all = self.records.get(partition as usize).map_or(0, Vec::len);
        // The header is there from the beginning.
        (all * self.percent.load(Ordering::Relaxed) / 100).max(1).min(all)
    }
}

impl ReadOnlyLog for GivenLog {
    fn header(&self) -> Header {
        self.header
    }

    fn all_partitions(&self) -> u32 {
        u32::try_from(self.records.len()).unwrap_or(u32::MAX)
    }

    fn end(&self, partition: u32) -> u64 {
        self.grown(partition) as u64
    }

    fn read_from(
        &self,
        partition: u32,
        from: u64,
        max_bytes: usize,
        batch: &mut RecordBatch,
    ) -> Result<(), LogError> {
        let records = &self.records[partition as usize][..self.grown(partition)];
        let skip = usize::try_from(from).unwrap_or(usize::MAX);
        let records = records.iter().skip(skip).map(|(time, payload)| (*time, payload.as_slice()));
        batch.fill(from, records, max_bytes);
        Ok(())
    }
}
