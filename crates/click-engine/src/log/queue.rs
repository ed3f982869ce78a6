//! Where appends wait for the writer: the one lock that callers take. Owns offsets, `append_time`
//! and admission; callers only copy bytes here, checksums and I/O are the writer's.
//!
//! Must never accept a record after a failed write, or one for which no space was reserved.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::format::{RECORD_HEADER, push_record};
use super::{
    AppendClock, Commit, CommitGroup, LogError, LogHealth, MAX_PAYLOAD, MAX_TIME, Position,
};

/// Buffers above this are not kept for reuse.
const KEEP_BUFFER: usize = 8 * 1024 * 1024;

pub(crate) struct Queue {
    inner: Mutex<Inner>,
    work: Condvar,
    limit: usize,
}

/// `(partition, from, error)`: commits of that partition at `from` and above fail.
pub(crate) type Failure = (u32, u64, LogError);

struct Inner {
    clock: AppendClock,
    parts: Vec<Part>,
    /// Partitions with queued frames.
    dirty: Vec<u32>,
    queued: usize,
    group: Arc<CommitGroup>,
    failures: Vec<Failure>,
    state: State,
    writer_sleeps: bool,
}

enum State {
    Open,
    Poisoned(Arc<str>),
    Closed,
    ReadOnly,
}

/// Admission state of a partition.
pub(crate) struct Part {
    next: u64,
    last_time: u64,
    frames: Vec<u8>,
    /// Bytes left in the newest segment behind all that was accepted.
    room: u64,
    /// Why there is no spare segment; appends that fit in `room` are still taken.
    no_spare: Option<Arc<str>>,
    /// Accepted records were rejected for want of space. Cleared only when a new group begins, as
    /// commits of the old one must not be mistaken for later ones at the same offsets.
    refused: Option<Arc<str>>,
}

impl Part {
    pub fn new(next: u64, last_time: u64, room: u64) -> Self {
        Part { next, last_time, frames: Vec::new(), room, no_spare: None, refused: None }
    }

    fn admit(&self, need: u64) -> Result<(), LogError> {
        let full = |reason: &Arc<str>| Err(LogError::Full { reason: Arc::clone(reason) });
        match (&self.refused, &self.no_spare) {
            (Some(reason), _) => full(reason),
            (None, Some(reason)) if need > self.room => full(reason),
            (None, _) => Ok(()),
        }
    }
}

/// What the writer took; reused from group to group.
pub(crate) struct Work {
    pub group: Arc<CommitGroup>,
    pub failures: Vec<Failure>,
    pub frames: Vec<(u32, Vec<u8>)>,
    pool: Vec<Vec<u8>>,
}

impl Work {
    pub fn new() -> Self {
        let (failures, frames, pool) = (Vec::new(), Vec::new(), Vec::new());
        Work { group: CommitGroup::new(), failures, frames, pool }
    }

    /// Takes the buffers back once they are written.
    pub fn recycle(&mut self) {
        for (_, mut buffer) in self.frames.drain(..) {
            if buffer.capacity() <= KEEP_BUFFER {
                buffer.clear();
                self.pool.push(buffer);
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Work,
    /// Nothing came within the time given.
    Idle,
    Closed,
}

impl Queue {
    pub fn new(clock: AppendClock, parts: Vec<Part>, limit: usize, read_only: bool) -> Self {
        let state = if read_only { State::ReadOnly } else { State::Open };
        let (dirty, failures, group) = (Vec::new(), Vec::new(), CommitGroup::new());
        let writer_sleeps = false;
        let inner = Inner { clock, parts, dirty, queued: 0, group, failures, state, writer_sleeps };
        Queue { inner: Mutex::new(inner), work: Condvar::new(), limit }
    }

    /// Queues payloads at consecutive offsets; `now` is read by the caller, outside the lock.
    pub fn append(
        &self,
        partition: u32,
        time: Option<u64>,
        now: (u64, u64),
        payloads: &[&[u8]],
    ) -> Result<Commit, LogError> {
        let need = frames_size(payloads)?;
        if need > self.limit {
            return Err(LogError::BatchSize { size: need, limit: self.limit });
        }
        let mut inner = self.lock();
        inner.check_open()?;
        if inner.queued + need > self.limit {
            return Err(LogError::Busy { queued: inner.queued, limit: self.limit });
        }
        let position = inner.push(partition, time, now, payloads, need)?;
        let commit = inner.group.commit(position);
        let wake = std::mem::take(&mut inner.writer_sleeps);
        drop(inner);
        if wake {
            self.work.notify_one();
        }
        Ok(commit)
    }

    /// Hands all that is queued to the writer; waits for something, at most `patience`.
    pub fn take(&self, patience: Option<Duration>, work: &mut Work) -> Taken {
        let mut inner = self.lock();
        loop {
            let some = !inner.dirty.is_empty() || !inner.failures.is_empty();
            if some {
                inner.hand_over(work);
            }
            inner.readmit();
            if some {
                return Taken::Work;
            }
            if !matches!(inner.state, State::Open) {
                return Taken::Closed;
            }
            inner.writer_sleeps = true;
            let Some(patience) = patience else {
                inner = self.work.wait(inner).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let woken = self.work.wait_timeout(inner, patience);
            let (next, timeout) = woken.unwrap_or_else(PoisonError::into_inner);
            inner = next;
            if timeout.timed_out() && inner.dirty.is_empty() {
                inner.writer_sleeps = false;
                return Taken::Idle;
            }
        }
    }

    /// The writer moved on to a segment with `left` bytes behind what it holds of this partition.
    pub fn set_room(&self, partition: u32, left: u64) {
        let mut inner = self.lock();
        let part = &mut inner.parts[partition as usize];
        part.room = left.saturating_sub(part.frames.len() as u64);
    }

    /// Records of a partition from `next` on did not fit: forgets the queued ones and fails them.
    pub fn reject(&self, partition: u32, next: u64, last_time: u64, reason: &Arc<str>) {
        let mut inner = self.lock();
        let part = &mut inner.parts[partition as usize];
        let dropped = part.frames.len();
        part.frames.clear();
        (part.next, part.last_time) = (next, last_time);
        part.refused = Some(Arc::clone(reason));
        inner.queued -= dropped;
        inner.dirty.retain(|p| *p != partition);
        let error = LogError::Full { reason: Arc::clone(reason) };
        inner.failures.push((partition, next, error));
    }

    /// Notes whether a partition has a spare segment.
    pub fn note_spare(&self, partition: u32, problem: Option<Arc<str>>) {
        self.lock().parts[partition as usize].no_spare = problem;
        self.work.notify_one();
    }

    /// Refuses appends for good; returns the group whose commits can no longer succeed.
    pub fn poison(&self, reason: &Arc<str>) -> Arc<CommitGroup> {
        let mut inner = self.lock();
        inner.state = State::Poisoned(Arc::clone(reason));
        inner.dirty.clear();
        inner.failures.clear();
        inner.parts.iter_mut().for_each(|part| part.frames = Vec::new());
        std::mem::replace(&mut inner.group, CommitGroup::new())
    }

    /// Refuses appends; what is queued is still written.
    pub fn close(&self) {
        let mut inner = self.lock();
        if matches!(inner.state, State::Open) {
            inner.state = State::Closed;
        }
        self.work.notify_one();
    }

    pub fn health(&self) -> LogHealth {
        let inner = self.lock();
        if let State::Poisoned(reason) = &inner.state {
            return LogHealth::Poisoned { reason: reason.to_string() };
        }
        let mut problems =
            inner.parts.iter().filter_map(|p| p.refused.as_ref().or(p.no_spare.as_ref()));
        problems.next().map_or(LogHealth::Ok, |r| LogHealth::Full { reason: r.to_string() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn check_open(&self) -> Result<(), LogError> {
        match &self.state {
            State::Open => Ok(()),
            State::Poisoned(reason) => Err(LogError::Poisoned { reason: Arc::clone(reason) }),
            State::Closed => Err(LogError::Closed),
            State::ReadOnly => Err(LogError::ReadOnly),
        }
    }

    fn push(
        &mut self,
        partition: u32,
        time: Option<u64>,
        now: (u64, u64),
        payloads: &[&[u8]],
        need: usize,
    ) -> Result<Position, LogError> {
        let partitions = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
        let none = LogError::NoPartition { partition, partitions };
        let part = self.parts.get_mut(partition as usize).ok_or(none)?;
        part.admit(need as u64)?;
        let append_time = match time {
            Some(given) => {
                let time = given_time(partition, given, part.last_time)?;
                self.clock.raise(time);
                time
            }
            None => self.clock.stamp(now).max(part.last_time),
        };
        if part.frames.is_empty() {
            self.dirty.push(partition);
        }
        for payload in payloads {
            push_record(&mut part.frames, part.next, append_time, payload);
            part.next += 1;
        }
        part.last_time = append_time;
        part.room = part.room.saturating_sub(need as u64);
        self.queued += need;
        Ok(Position { partition, offset: part.next - 1, append_time })
    }

    fn hand_over(&mut self, work: &mut Work) {
        work.group = std::mem::replace(&mut self.group, CommitGroup::new());
        work.failures = std::mem::take(&mut self.failures);
        for partition in self.dirty.drain(..) {
            let empty = work.pool.pop().unwrap_or_default();
            let frames = &mut self.parts[partition as usize].frames;
            work.frames.push((partition, std::mem::replace(frames, empty)));
        }
        self.queued = 0;
    }

    /// Takes records again where space has been found. Only with an empty group.
    fn readmit(&mut self) {
        let ready = |part: &&mut Part| part.refused.is_some() && part.no_spare.is_none();
        self.parts.iter_mut().filter(ready).for_each(|part| part.refused = None);
    }
}

/// Bytes of the frames; refuses what can never be appended.
pub(crate) fn frames_size(payloads: &[&[u8]]) -> Result<usize, LogError> {
    let sizes = payloads.iter().map(|p| p.len());
    if let Some(size) = sizes.clone().find(|size| !(1..=MAX_PAYLOAD).contains(size)) {
        return Err(LogError::PayloadSize { size, limit: MAX_PAYLOAD });
    }
    if payloads.is_empty() {
        return Err(LogError::EmptyBatch);
    }
    Ok(sizes.map(|size| size + RECORD_HEADER).sum())
}

/// Checks a time that an import gives against the partition's last one.
pub(crate) fn given_time(partition: u32, given: u64, last: u64) -> Result<u64, LogError> {
    if given > MAX_TIME {
        return Err(LogError::TimeRange { given, limit: MAX_TIME });
    }
    if given < last {
        return Err(LogError::TimeBackwards { partition, given, last });
    }
    Ok(given)
}
