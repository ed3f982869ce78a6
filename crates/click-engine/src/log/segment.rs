//! One segment file and its sparse index; making spare files and turning them into segments.
//!
//! A spare is filled with zeros before use: overwriting written blocks needs no change of the file
//! system's metadata, which halves the price of a flush. Must never put a segment's name on a file
//! whose header is not durable, and never touch bytes below the durable end.

use click_core::planted::{Bug, planted};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::LogError;
use super::format::{Cursor, SEGMENT_HEADER, SegmentHead};
use crate::disk::{Disk, DiskFile, OpenMode, PAGE, PageBuffer};

const SPARE: &str = "spare.tmp";
const SUFFIX: &str = ".seg";
/// Bytes between entries of the sparse index.
const INDEX_SPACING: u64 = 64 * 1024;
/// Places remembered for readers that go on where they stopped.
const RECENT: usize = 8;
const ZERO_CHUNK: usize = 256 * PAGE;

/// A segment: immutable but for the newest one, which the writer fills.
pub(crate) struct Segment {
    pub head: SegmentHead,
    pub path: PathBuf,
    /// Open while in use: a log has more segments than a process may have files.
    file: Mutex<Option<Arc<dyn DiskFile>>>,
    size: AtomicU64,
    index: Mutex<Index>,
}

struct Index {
    sparse: Vec<Cursor>,
    recent: [Cursor; RECENT],
    turn: usize,
}

impl Segment {
    pub fn new(head: SegmentHead, path: PathBuf, file: Arc<dyn DiskFile>, size: u64) -> Self {
        let first = head.cursor();
        let index = Index { sparse: vec![first], recent: [first; RECENT], turn: 0 };
        let (file, size) = (Mutex::new(Some(file)), AtomicU64::new(size));
        Segment { head, path, file, size, index: Mutex::new(index) }
    }

    /// Opens a segment and checks that it is what its name and place say.
    pub fn open(
        disk: &dyn Disk,
        path: &Path,
        mode: OpenMode,
        expected: (super::LogId, u32, u64),
    ) -> Result<Self, LogError> {
        let failed = |e: &io::Error| LogError::io("cannot read", path, e);
        let file = disk.open(path, mode).map_err(|e| failed(&e))?;
        let mut bytes = [0; SEGMENT_HEADER];
        let got = file.read_at(0, &mut bytes).map_err(|e| failed(&e))?;
        let corrupt = |reason: &str| LogError::corrupt(path, 0, expected.2, reason);
        let head = SegmentHead::decode(&bytes[..got]).map_err(corrupt)?;
        if (head.id, head.partition, head.base) != expected {
            return Err(corrupt("segment of another log, partition or offset"));
        }
        let size = file.size().map_err(|e| failed(&e))?;
        Ok(Self::new(head, path.to_path_buf(), file, size))
    }

    /// The open file; opened for reading if it is not.
    pub fn file(&self, disk: &dyn Disk) -> io::Result<Arc<dyn DiskFile>> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &*file {
            return Ok(Arc::clone(file));
        }
        let opened = disk.open(&self.path, OpenMode::Read)?;
        Ok(Arc::clone(file.insert(opened)))
    }

    /// Lets go of the file until it is used again.
    pub fn release(&self) {
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Bytes the file takes.
    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Nothing will be written behind `end_at` any more.
    pub fn finish(&self, end_at: u64) {
        self.size.store(end_at, Ordering::Relaxed);
    }

    /// The nearest known place at or before `offset`.
    pub fn nearest(&self, offset: u64) -> Cursor {
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let below = index.sparse.partition_point(|c| c.offset <= offset);
        let mut best = index.sparse[below.saturating_sub(1)];
        for cursor in index.recent.iter().filter(|c| c.offset <= offset) {
            if cursor.offset > best.offset {
                best = *cursor;
            }
        }
        best
    }

    /// Remembers where a reader stopped.
    pub fn note_reader(&self, cursor: Cursor) {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = index.turn;
        index.recent[turn] = cursor;
        index.turn = (turn + 1) % RECENT;
        index.note(cursor);
    }

    /// Adds a place to the sparse index, if it is far enough from its neighbours.
    pub fn note(&self, cursor: Cursor) {
        self.index.lock().unwrap_or_else(PoisonError::into_inner).note(cursor);
    }
}

impl Index {
    fn note(&mut self, cursor: Cursor) {
        let place = self.sparse.partition_point(|c| c.at <= cursor.at);
        let far = |c: &Cursor| c.at.abs_diff(cursor.at) >= INDEX_SPACING;
        let before = place.checked_sub(1).and_then(|i| self.sparse.get(i));
        if before.is_none_or(far) && self.sparse.get(place).is_none_or(far) {
            self.sparse.insert(place, cursor);
        }
    }
}

/// Directory of a partition.
pub(crate) fn partition_dir(log_dir: &Path, partition: u32) -> PathBuf {
    log_dir.join(format!("p{partition:04}"))
}

fn segment_path(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:020}{SUFFIX}"))
}

/// First offsets of the segments in `dir`, ascending.
pub(crate) fn list_segments(disk: &dyn Disk, dir: &Path) -> Result<Vec<(u64, PathBuf)>, LogError> {
    let names = disk.list(dir).map_err(|e| LogError::io("cannot list", dir, &e))?;
    let base = |name: &String| name.strip_suffix(SUFFIX)?.parse().ok();
    let found = names.iter().filter_map(|n| Some((base(n)?, dir.join(n))));
    Ok(found.collect())
}

/// Makes a file of `bytes` zeros, durably. On failure nothing is left behind.
pub(crate) fn make_spare(disk: &dyn Disk, dir: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
    let path = dir.join(SPARE);
    let file = disk.open(&path, OpenMode::CreateOrOpen)?;
    fill_spare(disk, &path, file.as_ref(), bytes).inspect_err(|_| {
        // The space must be given back at once; the error that led here is the one to report.
        let _ = disk.remove(&path);
    })?;
    Ok(file)
}

/// Past the system's cache, which would cost more of the processor than all other writing.
fn fill_spare(disk: &dyn Disk, path: &Path, file: &dyn DiskFile, bytes: u64) -> io::Result<()> {
    file.set_len(0)?;
    file.preallocate(bytes)?;
    let pages = disk.open(path, OpenMode::WritePages)?;
    let zeros = PageBuffer::zeros(ZERO_CHUNK);
    let mut at = 0;
    while at < bytes {
        let left = usize::try_from(bytes - at).unwrap_or(ZERO_CHUNK).min(ZERO_CHUNK);
        let whole = left - left % PAGE;
        // What is no whole page, at the end of the file, goes the usual way.
        let (to, chunk) = if whole > 0 { (&*pages, whole) } else { (file, left) };
        to.write_at(at, &zeros.bytes()[..chunk])?;
        // Small steps: a commit never queues behind more than one of them at the device.
        to.sync_data()?;
        at += chunk as u64;
    }
    Ok(())
}

/// Turns the spare of `dir` into the segment `head`, durably.
pub(crate) fn activate_spare(
    disk: &dyn Disk,
    dir: &Path,
    file: Arc<dyn DiskFile>,
    head: SegmentHead,
) -> io::Result<Segment> {
    file.write_at(0, &head.encode())?;
    file.sync_data()?;
    let path = segment_path(dir, head.base);
    disk.rename(&dir.join(SPARE), &path)?;
    if !planted(Bug::DirectoryFlushSkipped) {
        disk.sync_dir(dir)?;
    }
    let size = file.size()?;
    Ok(Segment::new(head, path, file, size))
}
