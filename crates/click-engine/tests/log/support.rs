//! Shared by the log's tests.

use std::sync::Arc;

use click_engine::disk::MemDisk;
use click_engine::log::{EventLog, LogOptions, ManualClock, RecordBatch};

/// A start time, ms since 1970.
pub const START: u64 = 1_700_000_000_000;

/// Small segments, so that tests roll over.
pub fn small() -> LogOptions {
    LogOptions { segment_bytes: 128 * 1024, ..LogOptions::default() }
}

/// Small segments on a disk in memory, with a clock that stands still.
pub fn mem_options(disk: &MemDisk) -> LogOptions {
    LogOptions { disk: Arc::new(disk.clone()), clock: Arc::new(ManualClock::new(START)), ..small() }
}

/// Recognisable bytes of varying length, 8 to about 400.
pub fn payload(n: u64) -> Vec<u8> {
    let mut bytes = n.to_le_bytes().to_vec();
    let fill = u8::try_from(n % 251).unwrap();
    bytes.resize(8 + usize::try_from(n * 37 % 400).unwrap(), fill);
    bytes
}

/// All records of a partition, `max` bytes at a time.
pub fn read_all(log: &dyn EventLog, partition: u32, max: usize) -> Vec<(u64, u64, Vec<u8>)> {
    let range = log.range(partition);
    let (mut found, mut from) = (Vec::new(), range.start);
    let mut batch = RecordBatch::new();
    while from < range.end {
        batch.clear();
        log.read(partition, from, max, &mut batch).unwrap();
        assert_eq!(batch.get(0).unwrap().0, from, "no gap");
        found.extend(batch.iter().map(|(o, t, b)| (o, t, b.to_vec())));
        from = batch.last().unwrap().0 + 1;
    }
    found
}
