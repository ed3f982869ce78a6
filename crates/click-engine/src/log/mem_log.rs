//! [`MemLog`]: the in-memory twin of the embedded log, for tests and the simulator. Without threads
//! and without a disk: a record is "durable" when `append` returns, and what happens depends on the
//! calls and the given clock alone. Must never differ from the embedded log in what it accepts.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use click_core::record::Layout;

use super::queue::{frames_size, given_time};
use super::{
    AppendClock, Clock, Commit, CommitGroup, EventLog, LogError, LogHealth, LogId, Position,
    RecordBatch, Retention,
};

/// A log in memory; gone when dropped.
pub struct MemLog {
    id: LogId,
    generation: u16,
    begun_with: u32,
    clock: Arc<dyn Clock>,
    settled: Arc<CommitGroup>,
    inner: Mutex<Inner>,
    moved: Condvar,
}

struct Inner {
    clock: AppendClock,
    parts: Vec<Part>,
}

#[derive(Default)]
struct Part {
    start: u64,
    last_time: u64,
    records: VecDeque<(u64, Box<[u8]>)>,
}

impl Part {
    fn end(&self) -> u64 {
        self.start + self.records.len() as u64
    }
}

impl MemLog {
    pub fn new(id: LogId, generation: u16, partitions: u32, clock: Arc<dyn Clock>) -> Self {
        let parts = (0..partitions).map(|_| Part::default()).collect();
        let inner = Inner { clock: AppendClock::start(clock.now(), 0), parts };
        let settled = CommitGroup::new();
        settled.settle(Vec::new());
        let (inner, moved) = (Mutex::new(inner), Condvar::new());
        MemLog { id, generation, begun_with: partitions, clock, settled, inner, moved }
    }

    fn append_all(
        &self,
        partition: u32,
        given: Option<u64>,
        payloads: &[&[u8]],
    ) -> Result<Commit, LogError> {
        frames_size(payloads)?;
        let now = self.clock.now();
        let mut inner = self.lock();
        let Inner { clock, parts } = &mut *inner;
        let part = part_of(parts, partition)?;
        let append_time = match given {
            Some(given) => given_time(partition, given, part.last_time)?,
            None => clock.stamp(now).max(part.last_time),
        };
        clock.raise(append_time);
        part.last_time = append_time;
        part.records.extend(payloads.iter().map(|p| (append_time, Box::from(*p))));
        let position = Position { partition, offset: part.end() - 1, append_time };
        drop(inner);
        self.moved.notify_all();
        Ok(self.settled.commit(position))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn part_of(parts: &mut [Part], partition: u32) -> Result<&mut Part, LogError> {
    let partitions = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let none = LogError::NoPartition { partition, partitions };
    parts.get_mut(partition as usize).ok_or(none)
}

impl EventLog for MemLog {
    fn log_id(&self) -> LogId {
        self.id
    }

    fn generation(&self) -> u16 {
        self.generation
    }

    fn partitions(&self) -> u32 {
        u32::try_from(self.lock().parts.len()).unwrap_or(u32::MAX)
    }

    fn begun_with(&self) -> u32 {
        self.begun_with
    }

    fn extend(&self, layout: &Layout) -> Result<(), LogError> {
        let wanted = layout.partitions() as usize;
        let mut inner = self.lock();
        if inner.parts.len() < wanted {
            inner.parts.resize_with(wanted, Part::default);
        }
        Ok(())
    }

    fn append(&self, partition: u32, payload: &[u8]) -> Result<Commit, LogError> {
        self.append_all(partition, None, &[payload])
    }

    fn append_at(&self, partition: u32, time: u64, payload: &[u8]) -> Result<Commit, LogError> {
        self.append_all(partition, Some(time), &[payload])
    }

    fn append_batch(&self, partition: u32, payloads: &[&[u8]]) -> Result<Commit, LogError> {
        self.append_all(partition, None, payloads)
    }

    fn read(
        &self,
        partition: u32,
        from: u64,
        max_bytes: usize,
        batch: &mut RecordBatch,
    ) -> Result<(), LogError> {
        let mut inner = self.lock();
        let part = part_of(&mut inner.parts, partition)?;
        let (start, end) = (part.start, part.end());
        if from < start {
            return Err(LogError::BelowStart { partition, from, start });
        }
        if from > end {
            return Err(LogError::BeyondEnd { partition, from, end });
        }
        let skip = usize::try_from(from - start).unwrap_or(usize::MAX);
        let records = part.records.iter().skip(skip);
        batch.fill(from, records.map(|(time, payload)| (*time, &**payload)), max_bytes);
        Ok(())
    }

    fn range(&self, partition: u32) -> Range<u64> {
        self.lock().parts.get(partition as usize).map_or(0..0, |p| p.start..p.end())
    }

    fn last_append_time(&self, partition: u32) -> u64 {
        self.lock().parts.get(partition as usize).map_or(0, |p| p.last_time)
    }

    fn wait(&self, ends: &[u64], timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut inner = self.lock();
        loop {
            if inner.parts.iter().zip(ends).any(|(p, end)| p.end() > *end) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let woken = self.moved.wait_timeout(inner, left);
            inner = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn health(&self) -> LogHealth {
        LogHealth::Ok
    }

    fn truncate_before(&self, partition: u32, offset: u64) -> Result<u64, LogError> {
        let mut inner = self.lock();
        let part = part_of(&mut inner.parts, partition)?;
        while part.start < offset && part.records.pop_front().is_some() {
            part.start += 1;
        }
        Ok(part.start)
    }

    /// Record by record: there are no segments.
    fn retain(&self, policy: &Retention, floors: &[u64]) -> Result<(), LogError> {
        let mut inner = self.lock();
        if floors.len() != inner.parts.len() {
            return Err(LogError::options("one retention floor per partition is needed"));
        }
        for (part, floor) in inner.parts.iter_mut().zip(floors) {
            let mut bytes: u64 = part.records.iter().map(|r| r.1.len() as u64).sum();
            while let Some((time, payload)) = part.records.front() {
                let age = part.last_time - time;
                let old = policy.max_age_ms.is_some_and(|max| age > max);
                let much = policy.max_bytes.is_some_and(|max| bytes > max);
                if !(old || much) || part.start >= *floor {
                    break;
                }
                bytes -= payload.len() as u64;
                part.records.pop_front();
                part.start += 1;
            }
        }
        Ok(())
    }
}
