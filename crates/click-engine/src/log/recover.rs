//! Opening a partition: which bytes are the log, which are the remains of an unfinished flush, and
//! which are damage (SPEC §10).
//!
//! A record is known to have been durable if the mark or any later record says so. A bad record
//! that was durable is corruption: the log does not open. A bad record that never was is a torn
//! tail: it is overwritten with zeros, durably, before anything else happens. Must never drop a
//! durable one.

use click_core::planted::{Bug, planted};
use std::path::Path;
use std::sync::Arc;

use super::LogError;
use super::format::{Bad, Cursor, RECORD_HEADER, decode, decode_any, record_seed, u32_at, u64_at};
use super::meta::Meta;
use super::segment::{Segment, list_segments};
use super::writer::Active;
use crate::disk::{Disk, DiskFile, OpenMode};

const CHUNK: usize = 1024 * 1024;

/// A partition as found. `segments` is empty only if it never had any.
pub(crate) struct Recovered {
    pub segments: Vec<Arc<Segment>>,
    /// The newest segment, open in the mode asked for.
    pub file: Option<Arc<dyn DiskFile>>,
    /// Behind the last record.
    pub end: Cursor,
    pub last_time: u64,
}

impl Recovered {
    /// A partition without any segment, for reading only.
    pub fn empty(seed: u32) -> Self {
        let end = Cursor { offset: 0, at: 0, previous: seed };
        Recovered { segments: Vec::new(), file: None, end, last_time: 0 }
    }

    /// Bytes left in the newest segment.
    pub fn room(&self) -> u64 {
        self.segments.last().map_or(0, |s| s.size().saturating_sub(self.end.at))
    }

    /// Where the writer goes on.
    pub fn into_active(self) -> Option<Active> {
        let segment = self.segments.into_iter().next_back()?;
        let (end, last_time) = (self.end, self.last_time);
        Some(Active { segment, file: self.file?, end, last_time, durable_end: end.offset })
    }
}

/// Opens the segments of a partition; `None` if it never had any. `durable_end` comes from the
/// mark. With `OpenMode::Write` the torn tail is removed and everything before it made durable.
pub(crate) fn recover_partition(
    disk: &dyn Disk,
    dir: &Path,
    meta: &Meta,
    partition: u32,
    durable_end: u64,
    mode: OpenMode,
) -> Result<Option<Recovered>, LogError> {
    let mut segments: Vec<Arc<Segment>> = Vec::new();
    for (base, path) in list_segments(disk, dir)? {
        segments.last().inspect(|older| older.release());
        let expected = (meta.id, partition, base);
        segments.push(Arc::new(Segment::open(disk, &path, mode, expected)?));
    }
    let Some(newest) = segments.last() else {
        return match durable_end {
            0 => Ok(None),
            end => Err(LogError::corrupt(dir, 0, 0, format!("segments up to {end} are missing"))),
        };
    };
    let file = newest.file(disk).map_err(|e| LogError::io("cannot open", &newest.path, &e))?;
    let found =
        Newest { segment: newest, file: file.as_ref(), seed: record_seed(meta.id, partition) };
    let tail = found.scan()?;
    found.check_tail(&tail, durable_end)?;
    if mode == OpenMode::Write {
        found.repair(&tail, durable_end)?;
    }
    let (end, last_time) = (tail.end, tail.last_time);
    Ok(Some(Recovered { segments, file: Some(file), end, last_time }))
}

/// The segment that may have a torn tail.
struct Newest<'a> {
    segment: &'a Segment,
    file: &'a dyn DiskFile,
    seed: u32,
}

/// What the newest segment holds.
struct Tail {
    end: Cursor,
    last_time: u64,
    /// Highest end that the valid records name as durable.
    durable_end: u64,
    /// Why the scan stopped.
    bad: Bad,
}

impl Newest<'_> {
    fn scan(&self) -> Result<Tail, LogError> {
        let mut buffer = vec![0; CHUNK];
        let (mut end, mut last_time) = (self.segment.head.cursor(), self.segment.head.base_time);
        let mut durable_end = self.segment.head.base;
        loop {
            let got = self.read_at(end.at, &mut buffer)?;
            let mut at = 0;
            let bad = loop {
                match decode(self.seed, &buffer[at..got], &mut end) {
                    Ok(head) => {
                        at += head.frame_size();
                        last_time = head.append_time;
                        durable_end = durable_end.max(head.durable_end);
                    }
                    Err(bad) => break bad,
                }
            };
            self.segment.note(end);
            let more = matches!(bad, Bad::Short(_)) && got == buffer.len() && at > 0;
            if !more {
                return Ok(Tail { end, last_time, durable_end, bad });
            }
        }
    }

    /// Refuses a segment whose bad record is known to have been durable.
    fn check_tail(&self, tail: &Tail, marked: u64) -> Result<(), LogError> {
        let marked = if planted(Bug::MarkIgnored) { 0 } else { marked };
        let known = marked.max(tail.durable_end);
        let known = known.max(self.later_durable_end(tail.end)?);
        if tail.end.offset >= known || planted(Bug::MiddleTakenForTail) {
            return Ok(());
        }
        let reason =
            format!("{}, but records up to offset {known} were durable", tail.bad.reason());
        Err(LogError::corrupt(&self.segment.path, tail.end.at, tail.end.offset, reason))
    }

    /// Looks behind the first bad record for valid ones that were written after it had been
    /// durable. Other valid ones belong to the same unfinished flush, whose blocks reach the disk
    /// in any order.
    fn later_durable_end(&self, end: Cursor) -> Result<u64, LogError> {
        let mut buffer = vec![0; CHUNK + RECORD_HEADER + super::MAX_PAYLOAD];
        let (mut from, mut found) = (end.at, 0);
        loop {
            let got = self.read_at(from, &mut buffer)?;
            for at in (0..got.min(CHUNK)).filter(|at| may_be_later(&buffer[*at..got], end.offset)) {
                if let Ok(head) = decode_any(self.seed, &buffer[at..got]) {
                    found = found.max(head.durable_end);
                }
            }
            if got <= CHUNK {
                return Ok(found);
            }
            from += CHUNK as u64;
        }
    }

    /// Rewrites what the mark does not vouch for and zeroes the torn tail, then syncs.
    fn repair(&self, tail: &Tail, marked: u64) -> Result<(), LogError> {
        let failed = |e: &std::io::Error| LogError::io("cannot repair", &self.segment.path, e);
        let mut buffer = vec![0; CHUNK];
        // After a failed flush the page cache may show bytes the disk never got, as clean pages:
        // only writing them again makes the next sync cover them.
        let mut at = self.segment.nearest(marked).at;
        if planted(Bug::TailNotRewritten) {
            at = tail.end.at;
        }
        while at < tail.end.at {
            let left = usize::try_from(tail.end.at - at).unwrap_or(CHUNK).min(CHUNK);
            let got = self.read_at(at, &mut buffer[..left])?;
            self.file.write_at(at, &buffer[..got]).map_err(|e| failed(&e))?;
            at += got as u64;
        }
        loop {
            let got = self.read_at(at, &mut buffer)?;
            if got == 0 {
                break;
            }
            if buffer[..got].iter().any(|b| *b != 0) {
                buffer[..got].fill(0);
                self.file.write_at(at, &buffer[..got]).map_err(|e| failed(&e))?;
            }
            at += got as u64;
        }
        self.file.sync_data().map_err(|e| failed(&e))
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> Result<usize, LogError> {
        let got = self.file.read_at(at, buffer);
        got.map_err(|e| LogError::io("cannot read", &self.segment.path, &e))
    }
}

/// Cheap test before the checksum: does this look like a record that calls `offset` durable?
fn may_be_later(bytes: &[u8], offset: u64) -> bool {
    bytes.len() > RECORD_HEADER
        && u32_at(bytes, 4) != 0
        && u64_at(bytes, 8) >= u64_at(bytes, 24)
        && u64_at(bytes, 24) > offset
        && u32_at(bytes, 4) as usize <= super::MAX_PAYLOAD
}
