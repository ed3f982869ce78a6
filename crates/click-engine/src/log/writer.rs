//! The one thread that writes: takes all that is queued, completes the records, writes each touched
//! partition once, flushes, moves the mark, lets readers see it and settles the commits. While it
//! flushes the next group gathers, so that the group grows with the load.
//!
//! Must never continue after a failed write or flush, nor settle before the flush has returned.

use click_core::planted::{Bug, planted};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::LogError;
use super::disk_log::Shared;
use super::format::{Cursor, SegmentHead, frame_place, frame_size, seal_record};
use super::meta::Mark;
use super::queue::{Taken, Work};
use super::segment::{Segment, activate_spare, make_spare};
use super::spare::Job;
use crate::disk::{DiskFile, PAGE};

/// With no append for this long the mark is flushed; it is then known that the tail is durable even
/// after a power loss. Under load the next records carry that knowledge.
const MARK_DELAY: Duration = Duration::from_millis(20);

/// Under load a flush begins no sooner than this after the one before began: a flush costs the
/// processor as much as dozens of requests, and a larger group costs no more than a small one.
const FLUSH_SPACING: Duration = Duration::from_micros(400);
/// While those who append are busy, a flush waits this long for more of them.
const BUSY_SPACING: Duration = Duration::from_micros(4500);
/// Where nobody says who is busy.
const BLIND_SPACING: Duration = Duration::from_micros(1600);
/// A group of fewer records is no load: its records come from few clients, who wait for each.
const LOAD_RECORDS: u64 = 4;

/// Where a partition is written.
pub(crate) struct Active {
    pub segment: Arc<Segment>,
    pub file: Arc<dyn DiskFile>,
    pub end: Cursor,
    pub last_time: u64,
    /// All records below are durable.
    pub durable_end: u64,
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    active: Vec<Active>,
    mark: Mark,
    work: Work,
}

/// Why a partition's frames were not all written.
enum Stop {
    /// No space for a new segment; what was written is whole.
    Full(Arc<str>),
    Failed(LogError),
}

impl Writer {
    pub fn new(shared: Arc<Shared>, active: Vec<Active>, mark: Mark) -> Self {
        let writer = Writer { shared, active, mark, work: Work::new() };
        (0..writer.active.len()).for_each(|place| writer.want_spare(place));
        writer
    }

    /// Runs until the log is closed or poisoned.
    pub fn run(mut self) {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.run_groups()));
        let error = match outcome {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the log's writer thread panicked".to_owned(),
        };
        self.give_up(error);
    }

    /// One round without waiting: the next group, or the mark where nothing waits.
    pub fn step(&mut self) {
        if self.shared.poisoned() {
            return;
        }
        let result = match self.shared.queue.take(Some(Duration::ZERO), &mut self.work) {
            Taken::Work => self.commit_group().map(|_| ()),
            Taken::Idle | Taken::Closed => self.sync_mark(),
        };
        if let Err(error) = result {
            self.give_up(error.to_string());
        }
    }

    fn give_up(&self, error: String) {
        let reason: Arc<str> = error.into();
        let queued = self.shared.queue.poison(&reason);
        let error = LogError::Poisoned { reason };
        self.work.group.fail(error.clone());
        queued.fail(error);
        self.shared.signal_readers();
    }

    fn run_groups(&mut self) -> Result<(), LogError> {
        loop {
            let patience = self.mark.is_dirty().then_some(MARK_DELAY);
            match self.shared.queue.take(patience, &mut self.work) {
                Taken::Work => {
                    let begun = Instant::now();
                    if self.commit_group()? >= LOAD_RECORDS {
                        self.gather(begun);
                    }
                }
                Taken::Idle => self.sync_mark()?,
                Taken::Closed => return self.sync_mark(),
            }
        }
    }

    /// Waits while the next group gathers, behind a flush that began at `begun`.
    fn gather(&self, begun: Instant) {
        let lull = &self.shared.lull;
        let pass = |least: Duration| std::thread::sleep(least.saturating_sub(begun.elapsed()));
        if !lull.is_told() {
            return pass(BLIND_SPACING);
        }
        lull.wait(begun + BUSY_SPACING);
        // Whoever rested so early that there is time to pass may be busy again behind it.
        pass(FLUSH_SPACING);
        lull.wait(begun + BUSY_SPACING);
    }

    /// Returns the number of records that it made durable.
    fn commit_group(&mut self) -> Result<u64, LogError> {
        let mut frames = std::mem::take(&mut self.work.frames);
        for (partition, frames) in &mut frames {
            match self.write_frames(*partition as usize, frames) {
                Ok(()) => {}
                Err(Stop::Full(reason)) => self.reject(*partition, &reason),
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
        if planted(Bug::ReadBeforeFlush) {
            for (partition, _) in &frames {
                self.publish(*partition as usize);
            }
        }
        if planted(Bug::AcknowledgedBeforeFlush) {
            self.work.group.settle(std::mem::take(&mut self.work.failures));
            self.work.group = super::CommitGroup::new();
        }
        for (partition, _) in &frames {
            let Active { segment, file, .. } = &self.active[*partition as usize];
            if planted(Bug::FlushSkipped) {
                continue;
            }
            let flushed = file.sync_data();
            if !planted(Bug::FlushErrorIgnored) {
                flushed.map_err(|e| failed("cannot flush", segment, &e))?;
            }
        }
        let mut records = 0;
        for (partition, _) in &frames {
            records += self.publish(*partition as usize);
        }
        self.update_mark()?;
        self.shared.signal_readers();
        self.work.group.settle(std::mem::take(&mut self.work.failures));
        self.work.frames = frames;
        self.work.recycle();
        Ok(records)
    }

    /// Completes and writes frames; rolls over to new segments as needed.
    fn write_frames(&mut self, place: usize, frames: &mut Vec<u8>) -> Result<(), Stop> {
        let mut done = 0;
        loop {
            let active = &mut self.active[place];
            let (start, at) = (done, active.end.at);
            let seed = self.shared.parts[place].seed;
            done += seal_frames(active, seed, &mut frames[start..]);
            let segment = &active.segment;
            let pending = frames.len() - done;
            if done > start {
                if pending == 0 {
                    fill_page(frames, active.end.at, segment.size());
                }
                let end = if pending == 0 { frames.len() } else { done };
                let written = active.file.write_at(at, &frames[start..end]);
                written.map_err(|e| Stop::Failed(failed("cannot write", segment, &e)))?;
                segment.note(active.end);
            }
            if pending == 0 {
                return Ok(());
            }
            self.roll(place, pending)?;
        }
    }

    /// Makes the full segment durable and goes on in a new one; `pending` bytes are still to come.
    fn roll(&mut self, place: usize, pending: usize) -> Result<(), Stop> {
        let active = &mut self.active[place];
        let old = Arc::clone(&active.segment);
        let stop = |what, e: &io::Error| Stop::Failed(failed(what, &old, e));
        active.file.sync_data().map_err(|e| stop("cannot flush", &e))?;
        active.durable_end = active.end.offset;
        let part = &self.shared.parts[place];
        let bytes = self.shared.next_segment_bytes(old.size());
        if self.shared.stepped {
            self.shared.spares.want(part.number, bytes);
            make_spares(&self.shared);
        }
        let spare = self.shared.spares.take(part.number, bytes).map_err(Stop::Full)?;
        let head = SegmentHead {
            id: old.head.id,
            partition: part.number,
            base: active.end.offset,
            base_time: active.last_time,
            previous: active.end.previous,
        };
        let file = Arc::clone(&spare);
        let segment = activate_spare(self.shared.disk.as_ref(), &part.dir, spare, head);
        let segment = Arc::new(segment.map_err(|e| stop("cannot continue behind", &e))?);
        // Gives back what was reserved but not used. Not urgent, so not synced.
        active.file.set_len(active.end.at).map_err(|e| stop("cannot cut", &e))?;
        old.finish(active.end.at);
        (active.file, active.end) = (file, head.cursor());
        let left = segment.size().saturating_sub(active.end.at);
        self.shared.queue.set_room(part.number, left.saturating_sub(pending as u64));
        active.segment = Arc::clone(&segment);
        part.push_segment(segment);
        Ok(())
    }

    /// Fails this partition's records behind what has been written, here and in the queue.
    fn reject(&mut self, partition: u32, reason: &Arc<str>) {
        let Active { end, last_time, .. } = &self.active[partition as usize];
        let error = LogError::Full { reason: Arc::clone(reason) };
        if !planted(Bug::FullDiskAcknowledged) {
            self.work.failures.push((partition, end.offset, error));
        }
        self.shared.queue.reject(partition, end.offset, *last_time, reason);
    }

    fn publish(&mut self, place: usize) -> u64 {
        let active = &mut self.active[place];
        let records = active.end.offset - active.durable_end;
        active.durable_end = active.end.offset;
        self.shared.parts[place].publish(active.end.offset, active.last_time);
        self.want_spare(place);
        records
    }

    /// Has the next segment prepared once half of this one is used.
    fn want_spare(&self, place: usize) {
        let Active { segment, end, .. } = &self.active[place];
        if end.at >= segment.size() / 2 {
            let bytes = self.shared.next_segment_bytes(segment.size());
            self.shared.spares.want(self.shared.parts[place].number, bytes);
        }
    }

    fn update_mark(&mut self) -> Result<(), LogError> {
        let ends = self.active.iter().map(|a| a.durable_end);
        self.mark
            .update(ends)
            .map_err(|e| LogError::io("cannot write mark of", &self.shared.dir, &e))
    }

    fn sync_mark(&mut self) -> Result<(), LogError> {
        self.mark.sync().map_err(|e| LogError::io("cannot flush mark of", &self.shared.dir, &e))
    }
}

/// Appends zeros, which are there already, so that frames which end at `end` fill their last page:
/// a page that is not in the system's cache need not be read then.
fn fill_page(frames: &mut Vec<u8>, end: u64, segment_size: u64) {
    let page_end = end.next_multiple_of(PAGE as u64).min(segment_size);
    let zeros = usize::try_from(page_end.saturating_sub(end)).unwrap_or(0);
    frames.resize(frames.len() + zeros, 0);
}

/// Completes as many frames as fit into the active segment; returns their bytes.
fn seal_frames(active: &mut Active, seed: u32, frames: &mut [u8]) -> usize {
    let mut done = 0;
    while done < frames.len() {
        let size = frame_size(&frames[done..]);
        if active.end.at + size as u64 > active.segment.size() {
            break;
        }
        let frame = &mut frames[done..done + size];
        let (offset, append_time) = frame_place(frame);
        assert!(offset == active.end.offset, "queued records are gapless");
        assert!(append_time >= active.last_time, "append_time never goes back");
        let previous = active.end.previous;
        active.end.previous = seal_record(seed, frame, active.durable_end, previous);
        active.end.offset += 1;
        active.end.at += size as u64;
        active.last_time = append_time;
        done += size;
    }
    done
}

fn failed(what: &'static str, segment: &Segment, error: &io::Error) -> LogError {
    LogError::io(what, &segment.path, error)
}

/// Makes spares until the log is closed.
pub(crate) fn run_spares(shared: &Shared) {
    while let Some(job) = shared.spares.next_job() {
        make_one(shared, job);
    }
}

/// Makes, or tries again to make, all spares that are wanted.
pub(crate) fn make_spares(shared: &Shared) {
    shared.spares.due_jobs().into_iter().for_each(|job| make_one(shared, job));
}

fn make_one(shared: &Shared, job: Job) {
    let Job { partition, bytes } = job;
    let dir = &shared.parts[partition as usize].dir;
    let problem = |e: io::Error| -> Arc<str> {
        format!("cannot reserve {bytes} bytes in {}: {e}", dir.display()).into()
    };
    match make_spare(shared.disk.as_ref(), dir, bytes).map_err(problem) {
        Ok(file) => {
            shared.spares.finish(job, Ok(file));
            shared.queue.note_spare(partition, None);
        }
        Err(reason) => {
            // Told first, so that nobody is admitted again between the two.
            shared.queue.note_spare(partition, Some(Arc::clone(&reason)));
            shared.spares.finish(job, Err(reason));
        }
    }
}
