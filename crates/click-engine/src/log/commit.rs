//! The promise that a record is durable: a future without a runtime, and a blocking wait. All
//! records of one flush share one [`CommitGroup`]; the writer settles it once.
//!
//! Must never resolve `Ok` before the flush that covers the record has returned.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::{LogError, Position};

/// Nothing is known yet.
const OPEN: u8 = 0;
/// All records are where they were promised to be: nothing of [`Inner`] need be looked at.
const PROMISED: u8 = 1;
/// [`Inner`] knows.
const TOLD: u8 = 2;

/// Shared by all commits of one flush. Public so that other logs (tests, Kafka) can settle commits.
#[derive(Debug, Default)]
pub struct CommitGroup {
    state: AtomicU8,
    inner: Mutex<Inner>,
    settled_signal: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    /// Records of `partition` from `from` on failed with the error.
    failures: Vec<(u32, u64, LogError)>,
    /// Everything failed.
    failed: Option<LogError>,
    /// Where the group's one record has come to be, if that was not known before.
    placed: Option<Position>,
    wakers: Vec<Waker>,
    sleepers: usize,
}

impl Inner {
    /// All records are well, and where they were promised to be.
    fn is_as_promised(&self) -> bool {
        self.failures.is_empty() && self.failed.is_none() && self.placed.is_none()
    }
}

impl CommitGroup {
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// A commit for one record of this group.
    pub fn commit(self: &Arc<Self>, position: Position) -> Commit {
        Commit { group: Arc::clone(self), position, waker_slot: None }
    }

    /// Resolves all commits: those at `(partition, from..)` with the error, all others `Ok`. Once.
    pub fn settle(&self, failures: Vec<(u32, u64, LogError)>) {
        self.finish(failures, None);
    }

    /// Resolves all commits with the error, unless they are resolved already.
    pub fn fail(&self, error: LogError) {
        if self.state() == OPEN {
            self.finish(Vec::new(), Some(error));
        }
    }

    /// Resolves the group's one commit with the place that its record was given meanwhile.
    pub fn settle_at(&self, position: Position) {
        self.lock().placed = Some(position);
        self.finish(Vec::new(), None);
    }

    fn finish(&self, failures: Vec<(u32, u64, LogError)>, failed: Option<LogError>) {
        let mut inner = self.lock();
        assert!(self.state() == OPEN, "a commit group is settled once");
        inner.failures = failures;
        inner.failed = failed;
        let state = if inner.is_as_promised() { PROMISED } else { TOLD };
        self.state.store(state, Ordering::Release);
        let wakers = std::mem::take(&mut inner.wakers);
        let sleepers = inner.sleepers;
        drop(inner);
        if sleepers > 0 {
            self.settled_signal.notify_all();
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    fn state(&self) -> u8 {
        self.state.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn result(&self, position: Position) -> Result<Position, LogError> {
        if self.state() == PROMISED {
            return Ok(position);
        }
        let inner = self.lock();
        if let Some(error) = &inner.failed {
            return Err(error.clone());
        }
        let position = inner.placed.unwrap_or(position);
        let hit = |f: &&(u32, u64, LogError)| f.0 == position.partition && position.offset >= f.1;
        inner.failures.iter().find(hit).map_or(Ok(position), |f| Err(f.2.clone()))
    }
}

/// Resolves once the record is durable, or failed. Dropping it does not withdraw the record.
#[derive(Debug)]
#[must_use = "a record is durable only once its commit has resolved"]
pub struct Commit {
    group: Arc<CommitGroup>,
    position: Position,
    waker_slot: Option<usize>,
}

impl Commit {
    /// Where the record will be once durable; not yet a promise. A log that others keep gives its
    /// records their places: only the commit's outcome knows them.
    pub fn position(&self) -> Position {
        self.position
    }

    /// True once [`wait`](Self::wait) would return at once.
    pub fn is_settled(&self) -> bool {
        self.group.state() != OPEN
    }

    /// The outcome, once there is one.
    pub fn outcome(&self) -> Option<Result<Position, LogError>> {
        self.is_settled().then(|| self.group.result(self.position))
    }

    /// Blocks until durable or failed.
    pub fn wait(self) -> Result<Position, LogError> {
        if !self.is_settled() {
            let mut inner = self.group.lock();
            inner.sleepers += 1;
            while !self.is_settled() {
                let woken = self.group.settled_signal.wait(inner);
                inner = woken.unwrap_or_else(PoisonError::into_inner);
            }
            inner.sleepers -= 1;
        }
        self.group.result(self.position)
    }

    fn register(&mut self, waker: &Waker, inner: &mut Inner) {
        match self.waker_slot {
            Some(slot) => inner.wakers[slot].clone_from(waker),
            None => {
                self.waker_slot = Some(inner.wakers.len());
                inner.wakers.push(waker.clone());
            }
        }
    }
}

impl Future for Commit {
    type Output = Result<Position, LogError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.is_settled() {
            let group = Arc::clone(&self.group);
            let mut inner = group.lock();
            if !self.is_settled() {
                self.register(context.waker(), &mut inner);
                return Poll::Pending;
            }
        }
        Poll::Ready(self.group.result(self.position))
    }
}
