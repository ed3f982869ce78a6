//! Spare files: space for the next segment is taken before it is needed, by a thread of its own, so
//! that a full disk is known before anything is accepted that would not fit (SPEC §10).
//!
//! Must never touch a file that has become a segment.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::disk::DiskFile;

/// How long a failed preparation rests before it is tried again.
const RETRY: Duration = Duration::from_secs(1);

pub(crate) struct Spares {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    slots: Vec<Slot>,
    retry_now: bool,
    closed: bool,
}

enum Slot {
    Empty,
    Wanted { bytes: u64 },
    Ready { file: Arc<dyn DiskFile> },
    Failed { bytes: u64, reason: Arc<str> },
}

/// A spare to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    pub partition: u32,
    pub bytes: u64,
}

impl Spares {
    pub fn new(partitions: u32) -> Self {
        let slots = (0..partitions).map(|_| Slot::Empty).collect();
        let state = State { slots, retry_now: false, closed: false };
        Spares { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Asks for a spare unless one is there or on its way.
    pub fn want(&self, partition: u32, bytes: u64) {
        let mut state = self.lock();
        let slot = &mut state.slots[partition as usize];
        if matches!(slot, Slot::Empty) {
            *slot = Slot::Wanted { bytes };
            self.changed.notify_all();
        }
    }

    /// Takes the spare, waiting while it is being made; the reason if it cannot be made.
    pub fn take(&self, partition: u32, bytes: u64) -> Result<Arc<dyn DiskFile>, Arc<str>> {
        self.want(partition, bytes);
        let mut state = self.lock();
        loop {
            let slot = &mut state.slots[partition as usize];
            match slot {
                Slot::Failed { reason, .. } => return Err(Arc::clone(reason)),
                Slot::Ready { file } => {
                    let file = Arc::clone(file);
                    *slot = Slot::Empty;
                    return Ok(file);
                }
                Slot::Empty | Slot::Wanted { .. } => {}
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next spare to make; blocks until there is one. `None` once closed.
    pub fn next_job(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.job(|slot| matches!(slot, Slot::Wanted { .. })) {
                return Some(job);
            }
            let failed = state.job(|slot| matches!(slot, Slot::Failed { .. }));
            let Some(job) = failed else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let waited = self.changed.wait_timeout(state, RETRY);
            let (next, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = next;
            if !state.closed && (timeout.timed_out() || std::mem::take(&mut state.retry_now)) {
                return Some(job);
            }
        }
    }

    /// All spares that are wanted or failed before, without waiting.
    pub fn due_jobs(&self) -> Vec<Job> {
        let job = |(partition, slot): (u32, &Slot)| slot.job(partition);
        (0..).zip(&self.lock().slots).filter_map(job).collect()
    }

    pub fn finish(&self, job: Job, result: Result<Arc<dyn DiskFile>, Arc<str>>) {
        let mut state = self.lock();
        state.slots[job.partition as usize] = match result {
            Ok(file) => Slot::Ready { file },
            Err(reason) => Slot::Failed { bytes: job.bytes, reason },
        };
        self.changed.notify_all();
    }

    /// Space may have become free.
    pub fn retry(&self) {
        self.lock().retry_now = true;
        self.changed.notify_all();
    }

    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// What is left to do for it.
    fn job(&self, partition: u32) -> Option<Job> {
        match self {
            Slot::Wanted { bytes } | Slot::Failed { bytes, .. } => {
                Some(Job { partition, bytes: *bytes })
            }
            Slot::Empty | Slot::Ready { .. } => None,
        }
    }
}

impl State {
    fn job(&self, wanted: impl Fn(&Slot) -> bool) -> Option<Job> {
        let (partition, slot) = (0..).zip(&self.slots).find(|(_, slot)| wanted(slot))?;
        slot.job(partition)
    }
}
