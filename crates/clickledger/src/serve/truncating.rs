//! Addresses in the archive truncated beside the archiver: now and then, a span at a time, and only
//! when there is nothing to archive. Must never end the archiver: what is wrong is said and tried
//! again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use click_core::types::Millis;
use click_engine::archive::{ArchiveError, Objects, Truncation};

use super::archiver::ArchiveStatus;

/// Time between two looks for what has grown old; the store is asked when there is something.
const PERIOD: Duration = Duration::from_secs(10);
/// Time until an archive that did not answer is asked again.
const RETRY: Duration = Duration::from_secs(60);
/// Time until what a person has to mend is tried again.
const MENDED: Duration = Duration::from_secs(3600);
const HOUR_MS: u64 = 3_600_000;

/// The archive's truncation.
pub struct Truncating {
    truncation: Truncation,
    age_ms: u64,
    due: Instant,
    status: Arc<Mutex<ArchiveStatus>>,
    /// Since something was last said.
    spans: u64,
}

impl Truncating {
    /// Of what is older than so many hours of log time; due at once.
    pub fn new(
        objects: Arc<dyn Objects>,
        hours: u64,
        status: Arc<Mutex<ArchiveStatus>>,
    ) -> Truncating {
        let (truncation, age_ms) = (Truncation::new(objects), hours.saturating_mul(HOUR_MS));
        Truncating { truncation, age_ms, due: Instant::now(), status, spans: 0 }
    }

    /// Truncates a span, if it is time to and there is one; whether there may be more.
    pub fn step(&mut self, log_time: Millis) -> bool {
        if Instant::now() < self.due {
            return false;
        }
        match self.truncation.step(Millis(log_time.0.saturating_sub(self.age_ms))) {
            Ok(Some(done)) => {
                self.spans += done.spans;
                true
            }
            Ok(None) => {
                if self.spans > 0 {
                    tracing::info!("archive: addresses of {} spans truncated", self.spans);
                }
                self.spans = 0;
                self.wait(PERIOD, None)
            }
            Err(error) => {
                let is_away = matches!(error, ArchiveError::Objects { .. });
                tracing::error!("archive: addresses cannot be truncated: {error}");
                self.wait(if is_away { RETRY } else { MENDED }, Some(error.to_string()))
            }
        }
    }

    fn wait(&mut self, time: Duration, problem: Option<String>) -> bool {
        self.due = Instant::now() + time;
        self.status.lock().unwrap_or_else(PoisonError::into_inner).untruncated = problem;
        false
    }
}
