//! When a flush costs nobody time: those who append say that they wait for something to do.
//!
//! Gathering records before a flush is worth it only while there are more to come. A server's
//! thread that sleeps has queued all that it was asked for. Must never decide whether a record is
//! flushed, only how soon.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How many of those who append to a log rest, and the writer that wants to know.
#[derive(Debug, Default)]
pub struct Lull {
    resting: AtomicUsize,
    /// Anybody has ever said so.
    is_told: AtomicBool,
    writer: OnceLock<Thread>,
}

/// One who appends rests until this is dropped.
#[derive(Debug)]
pub struct Rest(Arc<Lull>);

impl Lull {
    /// One who appends has nothing to do now.
    #[must_use = "the rest ends when it is dropped"]
    pub fn begin(self: &Arc<Lull>) -> Rest {
        self.resting.fetch_add(1, Ordering::SeqCst);
        self.is_told.store(true, Ordering::Relaxed);
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
        Rest(Arc::clone(self))
    }

    /// Whether anybody ever says when they rest.
    pub(super) fn is_told(&self) -> bool {
        self.is_told.load(Ordering::Relaxed)
    }

    /// Blocks the writer until somebody rests, or until `end`.
    pub(super) fn wait(&self, end: Instant) {
        self.writer.get_or_init(std::thread::current);
        while self.resting.load(Ordering::SeqCst) == 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return;
            }
            std::thread::park_timeout(left);
        }
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.0.resting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_rest_ends_the_wait_whenever_it_begins() {
        let lull = Arc::new(Lull::default());
        assert!(!lull.is_told());
        let begun = Instant::now();
        let waiting = Arc::clone(&lull);
        let writer = std::thread::spawn(move || waiting.wait(Instant::now() + LONG));
        while lull.writer.get().is_none() {
            std::thread::yield_now();
        }
        let _rest = lull.begin();
        assert!(lull.is_told());
        writer.join().expect("a wait that begins before the rest");
        lull.wait(begun + LONG);
        assert!(begun.elapsed() < LONG);
    }

    #[test]
    fn without_a_rest_the_wait_ends_in_time() {
        let lull = Arc::new(Lull::default());
        drop(lull.begin());
        let begun = Instant::now();
        lull.wait(begun + Duration::from_millis(20));
        assert!(begun.elapsed() >= Duration::from_millis(20));
    }
}
