//! Counts arrivals over all parts of a log, so that nobody has to look for them again and again.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

#[derive(Default)]
pub(super) struct Arrivals {
    count: Mutex<u64>,
    moved: Condvar,
}

impl Arrivals {
    pub(super) fn note(&self) {
        *self.lock() += 1;
        self.moved.notify_all();
    }

    /// How many there have been.
    pub(super) fn seen(&self) -> u64 {
        *self.lock()
    }

    /// Waits until more than `seen` have come; false after `until`.
    pub(super) fn wait_beyond(&self, seen: u64, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        let waits = |count: &mut u64| *count <= seen;
        let result = self.moved.wait_timeout_while(self.lock(), left, waits);
        !result.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
