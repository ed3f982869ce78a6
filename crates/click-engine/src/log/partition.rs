//! What readers see of one partition: its segments and durable end. Owns reading and retention.
//!
//! Must never hand out a record at or beyond the durable end, or one whose checksum, place or chain
//! does not hold; must never remove the newest segment.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::format::{Bad, Cursor, RECORD_HEADER, decode, record_seed};
use super::meta::Meta;
use super::recover::Recovered;
use super::segment::Segment;
use super::{LogError, RecordBatch, Retention};
use crate::disk::{Disk, DiskFile};

/// Bytes read at once while looking for the first wanted record.
const SEEK_BYTES: usize = 128 * 1024;
/// Most bytes one call reads, whatever the caller asks for.
const MAX_READ: usize = 16 * 1024 * 1024;
/// Most files a partition keeps open beside the newest segment.
const MAX_OPEN: usize = 8;

pub(crate) struct Partition {
    pub number: u32,
    pub dir: PathBuf,
    pub seed: u32,
    disk: Arc<dyn Disk>,
    state: Mutex<State>,
}

struct State {
    segments: Vec<Arc<Segment>>,
    /// Behind the last durable record, in the newest segment that has one.
    end: u64,
    last_time: u64,
    /// Segments other than the newest whose file may be open, least recently opened first.
    open: VecDeque<Arc<Segment>>,
}

/// What one read works on, taken under the lock.
struct View {
    segment: Arc<Segment>,
    next: Option<Arc<Segment>>,
    /// Records to read end here: the next segment's start or the durable end.
    limit: u64,
    end: u64,
}

impl Partition {
    pub fn new(
        number: u32,
        dir: PathBuf,
        meta: &Meta,
        found: &Recovered,
        disk: Arc<dyn Disk>,
    ) -> Self {
        let state = State {
            segments: found.segments.clone(),
            end: found.end.offset,
            last_time: found.last_time,
            open: VecDeque::new(),
        };
        let seed = record_seed(meta.id, number);
        Partition { number, dir, seed, disk, state: Mutex::new(state) }
    }

    pub fn range(&self) -> Range<u64> {
        let state = self.lock();
        state.segments.first().map_or(0..0, |s| s.head.base..state.end)
    }

    pub fn last_time(&self) -> u64 {
        self.lock().last_time
    }

    /// Lets readers see records below `end`. Only after the flush that made them durable.
    pub fn publish(&self, end: u64, last_time: u64) {
        let mut state = self.lock();
        assert!(end >= state.end, "the durable end never moves back");
        state.end = end;
        state.last_time = last_time;
    }

    pub fn push_segment(&self, segment: Arc<Segment>) {
        let mut state = self.lock();
        if let Some(older) = state.segments.last().cloned() {
            state.note_open(older);
        }
        state.segments.push(segment);
    }

    /// See `EventLog::read`.
    pub fn read(
        &self,
        from: u64,
        max_bytes: usize,
        batch: &mut RecordBatch,
    ) -> Result<(), LogError> {
        let (mut from, mut left) = (from, max_bytes.clamp(1, MAX_READ));
        loop {
            let Some(view) = self.view(from)? else { return Ok(()) };
            let before = from;
            self.read_segment(&view, &mut from, &mut left, batch)?;
            let more = from == view.limit && from < view.end && left > 0;
            if !more || from == before {
                return Ok(());
            }
        }
    }

    fn view(&self, from: u64) -> Result<Option<View>, LogError> {
        let mut state = self.lock();
        let partition = self.number;
        let start = state.segments.first().map_or(0, |s| s.head.base);
        let end = state.end;
        if from < start {
            return Err(LogError::BelowStart { partition, from, start });
        }
        if from >= end {
            let beyond = from > end;
            return if beyond {
                Err(LogError::BeyondEnd { partition, from, end })
            } else {
                Ok(None)
            };
        }
        let place = state.segments.partition_point(|s| s.head.base <= from);
        let next = state.segments.get(place).cloned();
        let limit = next.as_ref().map_or(end, |n| n.head.base.min(end));
        let segment = Arc::clone(&state.segments[place - 1]);
        if next.is_some() {
            state.note_open(Arc::clone(&segment));
        }
        Ok(Some(View { segment, next, limit, end }))
    }

    /// Reads up to `left` bytes of records of one segment; moves `from` and `left` on.
    fn read_segment(
        &self,
        view: &View,
        from: &mut u64,
        left: &mut usize,
        batch: &mut RecordBatch,
    ) -> Result<(), LogError> {
        let file = self.open_file(&view.segment, *from)?;
        let mut cursor = view.segment.nearest(*from);
        let mut want = (*left).max(RECORD_HEADER);
        if cursor.offset < *from {
            want = want.max(SEEK_BYTES);
        }
        loop {
            let (buffer, mut notes) = batch.split(want);
            let got = file.read_at(cursor.at, buffer);
            let path = &view.segment.path;
            let got = got.map_err(|e| LogError::io("cannot read", path, &e))?;
            let scan = Scan { seed: self.seed, from: *from, limit: view.limit, max: *left };
            let found = scan.run(&buffer[..got], &mut cursor, &mut |offset, time, range| {
                notes.note(offset, time, range);
            });
            batch.keep(found.used);
            let corrupt =
                |bad: Bad| LogError::corrupt(path, cursor.at, cursor.offset, bad.reason());
            match found.stop {
                Stop::Bad(Bad::Short(bytes)) if got == want => want = want.max(bytes),
                Stop::Bad(bad) => return Err(corrupt(bad)),
                Stop::Limit | Stop::Full => {}
            }
            if found.taken > 0 || !matches!(found.stop, Stop::Bad(_)) {
                check_chain(view, cursor)?;
                view.segment.note_reader(cursor);
                *from = (*from).max(cursor.offset);
                *left = (*left).saturating_sub(found.taken);
                return Ok(());
            }
        }
    }

    /// Retention may remove a segment while somebody is about to read it.
    fn open_file(&self, segment: &Segment, from: u64) -> Result<Arc<dyn DiskFile>, LogError> {
        segment.file(self.disk.as_ref()).map_err(|e| {
            let (partition, start) = (self.number, self.range().start);
            if from < start {
                return LogError::BelowStart { partition, from, start };
            }
            LogError::io("cannot open", &segment.path, &e)
        })
    }

    /// See `EventLog::truncate_before`.
    pub fn truncate_before(&self, offset: u64) -> Result<u64, LogError> {
        let mut removed = false;
        while let Some(path) = self.pop_below(offset) {
            self.disk.remove(&path).map_err(|e| LogError::io("cannot remove", &path, &e))?;
            removed = true;
        }
        if removed {
            self.disk
                .sync_dir(&self.dir)
                .map_err(|e| LogError::io("cannot sync", &self.dir, &e))?;
        }
        Ok(self.range().start)
    }

    /// Takes the oldest segment off the list if all of it is below `offset` and it is not the last.
    fn pop_below(&self, offset: u64) -> Option<PathBuf> {
        let mut state = self.lock();
        let next = state.segments.get(1)?;
        if next.head.base > offset {
            return None;
        }
        let removed = state.segments.remove(0);
        removed.release();
        Some(removed.path.clone())
    }

    /// Where `policy` would cut this partition, not above `floor`.
    pub fn retention_cut(&self, policy: &Retention, floor: u64) -> u64 {
        let state = self.lock();
        let mut bytes: u64 = state.segments.iter().map(|s| s.size()).sum();
        let mut cut = 0;
        for pair in state.segments.windows(2) {
            let (oldest, next) = (&pair[0], &pair[1].head);
            let age = state.last_time.saturating_sub(next.base_time);
            let old = policy.max_age_ms.is_some_and(|max| age > max);
            let much = policy.max_bytes.is_some_and(|max| bytes > max);
            if !(old || much) || next.base > floor {
                break;
            }
            bytes -= oldest.size();
            cut = next.base;
        }
        cut
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Keeps the number of open files bounded.
    fn note_open(&mut self, segment: Arc<Segment>) {
        if self.open.iter().any(|s| Arc::ptr_eq(s, &segment)) {
            return;
        }
        self.open.push_back(segment);
        if self.open.len() > MAX_OPEN {
            self.open.pop_front().inspect(|oldest| oldest.release());
        }
    }
}

/// At the end of a segment the next one must continue the chain.
fn check_chain(view: &View, cursor: Cursor) -> Result<(), LogError> {
    let Some(next) = &view.next else { return Ok(()) };
    if cursor.offset != next.head.base || cursor.previous == next.head.previous {
        return Ok(());
    }
    Err(LogError::corrupt(&next.path, 0, next.head.base, Bad::Chain.reason()))
}

/// One pass over a buffer: skips records below `from`, notes those below `limit`.
struct Scan {
    seed: u32,
    from: u64,
    limit: u64,
    /// Stop before noted frames exceed this many bytes, but not before the first.
    max: usize,
}

enum Stop {
    /// All records up to `limit` are done.
    Limit,
    /// The next record would exceed `max`.
    Full,
    Bad(Bad),
}

struct Found {
    stop: Stop,
    /// Bytes of noted frames.
    taken: usize,
    /// Bytes of the buffer that noted records lie in.
    used: usize,
}

impl Scan {
    fn run(
        &self,
        buffer: &[u8],
        cursor: &mut Cursor,
        note: &mut impl FnMut(u64, u64, Range<usize>),
    ) -> Found {
        let (mut at, mut taken, mut used) = (0, 0, 0);
        let stop = loop {
            if cursor.offset >= self.limit {
                break Stop::Limit;
            }
            let before = *cursor;
            let head = match decode(self.seed, &buffer[at..], cursor) {
                Ok(head) => head,
                Err(bad) => break Stop::Bad(bad),
            };
            let frame = at..at + head.frame_size();
            if head.offset >= self.from {
                if taken > 0 && taken + frame.len() > self.max {
                    *cursor = before;
                    break Stop::Full;
                }
                note(head.offset, head.append_time, frame.start + RECORD_HEADER..frame.end);
                taken += frame.len();
                used = frame.end;
            }
            at = frame.end;
        };
        Found { stop, taken, used }
    }
}
