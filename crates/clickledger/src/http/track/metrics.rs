//! What the tracker counts about itself. Plain atomics; rendering is the metrics page's business.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counts by a stable, compiled-in word, so that no request can make the map grow.
#[derive(Debug, Default)]
pub struct CountBy(Mutex<BTreeMap<&'static str, u64>>);

impl CountBy {
    pub(super) fn add(&self, word: &'static str, count: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(word).or_default() += count;
    }

    /// The counts so far, sorted by word.
    pub fn get(&self) -> Vec<(&'static str, u64)> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.iter().map(|(word, count)| (*word, *count)).collect()
    }

    /// Sum over all words.
    pub fn total(&self) -> u64 {
        self.get().iter().map(|(_, count)| count).sum()
    }
}

/// Durations in powers of two of a microsecond: bucket `n` holds those below `2^n` µs.
#[derive(Debug, Default)]
pub struct Histogram {
    pub buckets: [AtomicU64; 32],
    pub sum_micros: AtomicU64,
}

impl Histogram {
    pub(super) fn record(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = (64 - micros.leading_zeros()).min(31) as usize;
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }
}

/// All counters since the start of the process.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Clicks appended and acknowledged, by how they came.
    pub redirects: AtomicU64,
    pub beacons: AtomicU64,
    pub batch_clicks: AtomicU64,
    /// Batches answered with 200.
    pub batches: AtomicU64,
    /// Genuine clicks not appended because one link came too often.
    pub throttled: AtomicU64,
    /// Genuine clicks whose visitor went on without a durable record, by reason.
    pub unlogged: CountBy,
    /// Requests and batches answered with 503 because the log did not take them, by reason.
    pub unavailable: CountBy,
    /// Requests and batch items that are no clicks, by reason.
    pub refused: CountBy,
    /// Time from a request's arrival to its durable record.
    pub durable: Histogram,
    /// Open connections.
    pub connections: AtomicU64,
    /// Connections closed at once because there were too many.
    pub connections_refused: AtomicU64,
    /// Last seen log clock minus tracker clock, ms.
    pub clock_difference_ms: AtomicI64,
    /// Dead-letter entries left out of the sample.
    pub dead_letters_dropped: AtomicU64,
}

impl Metrics {
    pub(super) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}
