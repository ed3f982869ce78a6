//! [`DiskLog`]: the embedded log in a directory. Owns creating, opening, locking and closing; the
//! work is done by its queue, writer, partitions and spares.
//!
//! Must never open a log for writing twice, or one that lacks a durable record.

use click_core::planted::{Bug, planted};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::format::{RECORD_HEADER, SEGMENT_HEADER, SegmentHead, record_seed};
use super::meta::{Mark, Meta};
use super::partition::Partition;
use super::queue::{Part, Queue};
use super::recover::{Recovered, recover_partition};
use super::segment::{activate_spare, list_segments, make_spare, partition_dir};
use super::spare::Spares;
use super::writer::{Writer, make_spares, run_spares};
use super::{
    AppendClock, Clock, Commit, EventLog, LogError, LogHealth, LogId, Lull, MAX_PARTITIONS,
    MAX_PAYLOAD, MAX_QUEUED, RecordBatch, Retention, SystemClock,
};
use crate::disk::{Disk, DiskLock, LockMode, OpenMode, RealDisk, create_dir_durable};

const LOCK: &str = "LOCK";
/// Size of a partition's first segment; each later one is twice as large up to `segment_bytes`, so
/// that a small log stays small.
const FIRST_SEGMENT: u64 = 4 * 1024 * 1024;
/// A segment holds at least one record of the largest size.
const MIN_SEGMENT: u64 = (SEGMENT_HEADER + RECORD_HEADER + MAX_PAYLOAD) as u64;

/// How a log is created or opened.
#[derive(Clone)]
pub struct LogOptions {
    /// Number of partitions when created; an existing log must have the same.
    pub partitions: u32,
    /// Generation when created (SPEC §5); ignored when opened.
    pub generation: u16,
    /// Id when created, for tests and the simulator; drawn at random if `None`.
    pub log_id: Option<LogId>,
    /// Largest segment, bytes.
    pub segment_bytes: u64,
    /// Most bytes (with headers) that may wait for the flush.
    pub max_queued: usize,
    /// Without threads: nothing is written but in [`DiskLog::work`]. For simulations.
    pub stepped: bool,
    pub disk: Arc<dyn Disk>,
    pub clock: Arc<dyn Clock>,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions {
            partitions: 1,
            generation: 1,
            log_id: None,
            segment_bytes: 64 * 1024 * 1024,
            max_queued: MAX_QUEUED,
            stepped: false,
            disk: Arc::new(RealDisk),
            clock: Arc::new(SystemClock),
        }
    }
}

impl LogOptions {
    fn check(&self) -> Result<(), LogError> {
        if !(1..=MAX_PARTITIONS).contains(&self.partitions) {
            let reason = format!("partitions must be 1 to {MAX_PARTITIONS}");
            return Err(LogError::options(reason));
        }
        if self.segment_bytes < MIN_SEGMENT {
            return Err(LogError::options(format!("segment_bytes must be at least {MIN_SEGMENT}")));
        }
        if self.max_queued < RECORD_HEADER + MAX_PAYLOAD {
            return Err(LogError::options("max_queued must hold one record of the largest size"));
        }
        Ok(())
    }
}

/// What caller, writer and spare thread share.
pub(crate) struct Shared {
    pub dir: PathBuf,
    pub disk: Arc<dyn Disk>,
    pub queue: Queue,
    pub lull: Arc<Lull>,
    pub parts: Vec<Partition>,
    pub spares: Spares,
    meta: Meta,
    clock: Arc<dyn Clock>,
    segment_bytes: u64,
    pub stepped: bool,
    /// How many callers wait for a durable end to move.
    waiting: Mutex<usize>,
    moved: Condvar,
}

impl Shared {
    /// Size of the segment behind one of `size` bytes.
    pub fn next_segment_bytes(&self, size: u64) -> u64 {
        size.max(FIRST_SEGMENT / 2).saturating_mul(2).min(self.segment_bytes)
    }

    pub fn signal_readers(&self) {
        if *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) > 0 {
            self.moved.notify_all();
        }
    }

    pub fn poisoned(&self) -> bool {
        matches!(self.queue.health(), LogHealth::Poisoned { .. })
    }

    fn part(&self, partition: u32) -> Result<&Partition, LogError> {
        let none = LogError::NoPartition { partition, partitions: self.meta.partitions };
        self.parts.get(partition as usize).ok_or(none)
    }
}

/// The embedded log. Dropping it writes and flushes what is queued and releases the lock.
pub struct DiskLog {
    shared: Arc<Shared>,
    read_only: bool,
    writer: Option<JoinHandle<()>>,
    spares: Option<JoinHandle<()>>,
    /// The writer of a stepped log.
    by_hand: Option<Mutex<Writer>>,
    _lock: Box<dyn DiskLock>,
}

impl DiskLog {
    /// Creates a log in `dir` (which is created too) and opens it for writing.
    ///
    /// # Errors
    /// `Exists` if there is one, or parts of one; `Locked`, `Options`, `Full`, `Io`.
    pub fn create(dir: &Path, options: &LogOptions) -> Result<Self, LogError> {
        options.check()?;
        let disk = options.disk.as_ref();
        create_dir_durable(disk, dir).map_err(|e| LogError::io("cannot create", dir, &e))?;
        let lock = take_lock(disk, dir, LockMode::Exclusive)?;
        create_files(dir, options)?;
        Self::start(dir, options, lock)
    }

    /// Opens an existing log for writing: removes a torn tail, refuses a corrupt log.
    ///
    /// # Errors
    /// `NoLog`, `Locked`, `Corrupt`, `Options` (another number of partitions), `Io`.
    pub fn open(dir: &Path, options: &LogOptions) -> Result<Self, LogError> {
        options.check()?;
        let disk = options.disk.as_ref();
        if !Meta::exists(disk, dir)? {
            return Err(LogError::NoLog { path: dir.display().to_string().into() });
        }
        let lock = take_lock(disk, dir, LockMode::Exclusive)?;
        Self::start(dir, options, lock)
    }

    pub fn open_or_create(dir: &Path, options: &LogOptions) -> Result<Self, LogError> {
        match Meta::exists(options.disk.as_ref(), dir)? {
            true => Self::open(dir, options),
            false => Self::create(dir, options),
        }
    }

    /// Opens for reading while nobody writes; changes nothing on disk. `options.partitions` is
    /// ignored: ask [`EventLog::partitions`].
    ///
    /// # Errors
    /// As [`open`](Self::open); `Locked` while a writer has it.
    pub fn open_readonly(dir: &Path, options: &LogOptions) -> Result<Self, LogError> {
        let disk = options.disk.as_ref();
        let meta = Meta::read(disk, dir)?;
        let lock = take_lock(disk, dir, LockMode::Shared)?;
        let (_, ends) = Mark::open(disk, dir, &meta, OpenMode::Read)?;
        let mut found = Vec::new();
        for (partition, end) in (0..meta.partitions).zip(ends) {
            let path = partition_dir(dir, partition);
            let part = recover_partition(disk, &path, &meta, partition, end, OpenMode::Read)?;
            found.push(part.unwrap_or_else(|| Recovered::empty(record_seed(meta.id, partition))));
        }
        let shared = Arc::new(share(dir, options, meta, &found, true));
        Ok(DiskLog::without_threads(shared, true, lock))
    }

    fn start(dir: &Path, options: &LogOptions, lock: Box<dyn DiskLock>) -> Result<Self, LogError> {
        let disk = options.disk.as_ref();
        let meta = Meta::read(disk, dir)?;
        if meta.partitions != options.partitions {
            let (given, has) = (options.partitions, meta.partitions);
            let reason = format!("{} has {has} partitions, not {given}", dir.display());
            return Err(LogError::options(reason));
        }
        sync_names(disk, dir, meta.partitions)?;
        let (mut mark, ends) = Mark::open(disk, dir, &meta, OpenMode::Write)?;
        let mut found = Vec::new();
        for (partition, end) in (0..meta.partitions).zip(ends) {
            found.push(open_partition(dir, options, &meta, partition, end)?);
        }
        let synced = mark.update(found.iter().map(|f| f.end.offset)).and_then(|()| mark.sync());
        synced.map_err(|e| LogError::io("cannot write mark of", dir, &e))?;
        let shared = Arc::new(share(dir, options, meta, &found, false));
        let active = found.into_iter().filter_map(Recovered::into_active).collect();
        let writer = Writer::new(Arc::clone(&shared), active, mark);
        let mut log = DiskLog::without_threads(Arc::clone(&shared), false, lock);
        if options.stepped {
            log.by_hand = Some(Mutex::new(writer));
            return Ok(log);
        }
        log.writer = Some(spawn(dir, "log-writer", move || writer.run())?);
        log.spares = Some(spawn(dir, "log-spares", move || run_spares(&shared))?);
        Ok(log)
    }

    fn without_threads(shared: Arc<Shared>, read_only: bool, lock: Box<dyn DiskLock>) -> DiskLog {
        DiskLog { shared, read_only, writer: None, spares: None, by_hand: None, _lock: lock }
    }

    /// Does once what the threads of a log that is not `stepped` do by themselves.
    pub fn work(&self) {
        if let Some(writer) = &self.by_hand {
            make_spares(&self.shared);
            writer.lock().unwrap_or_else(PoisonError::into_inner).step();
        }
    }

    fn append_all(
        &self,
        partition: u32,
        time: Option<u64>,
        payloads: &[&[u8]],
    ) -> Result<Commit, LogError> {
        let now = if time.is_none() { self.shared.clock.now() } else { (0, 0) };
        self.shared.queue.append(partition, time, now, payloads)
    }

    fn check_writable(&self) -> Result<(), LogError> {
        if self.read_only { Err(LogError::ReadOnly) } else { Ok(()) }
    }
}

impl Drop for DiskLog {
    fn drop(&mut self) {
        self.shared.queue.close();
        // A thread that panicked has said so through the log's health.
        let _ = self.writer.take().map(JoinHandle::join);
        self.shared.spares.close();
        let _ = self.spares.take().map(JoinHandle::join);
    }
}

impl EventLog for DiskLog {
    fn log_id(&self) -> LogId {
        self.shared.meta.id
    }

    fn generation(&self) -> u16 {
        self.shared.meta.generation
    }

    fn partitions(&self) -> u32 {
        self.shared.meta.partitions
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
        self.shared.part(partition)?.read(from, max_bytes, batch)
    }

    fn range(&self, partition: u32) -> Range<u64> {
        self.shared.part(partition).map_or(0..0, Partition::range)
    }

    fn last_append_time(&self, partition: u32) -> u64 {
        self.shared.part(partition).map_or(0, Partition::last_time)
    }

    fn wait(&self, ends: &[u64], timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let passed = || self.shared.parts.iter().zip(ends).any(|(p, end)| p.range().end > *end);
        let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting += 1;
        let found = loop {
            if passed() {
                break true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.shared.poisoned() {
                break false;
            }
            let woken = self.shared.moved.wait_timeout(waiting, left);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        };
        *waiting -= 1;
        found
    }

    fn health(&self) -> LogHealth {
        self.shared.queue.health()
    }

    fn lull(&self) -> Option<Arc<Lull>> {
        Some(Arc::clone(&self.shared.lull))
    }

    fn truncate_before(&self, partition: u32, offset: u64) -> Result<u64, LogError> {
        self.check_writable()?;
        let start = self.shared.part(partition)?.truncate_before(offset);
        self.shared.spares.retry();
        start
    }

    fn retain(&self, policy: &Retention, floors: &[u64]) -> Result<(), LogError> {
        self.check_writable()?;
        if floors.len() != self.shared.parts.len() {
            return Err(LogError::options("one retention floor per partition is needed"));
        }
        for (part, floor) in self.shared.parts.iter().zip(floors) {
            let cut = part.retention_cut(policy, *floor);
            self.truncate_before(part.number, cut)?;
        }
        Ok(())
    }
}

fn take_lock(disk: &dyn Disk, dir: &Path, mode: LockMode) -> Result<Box<dyn DiskLock>, LogError> {
    let path = dir.join(LOCK);
    disk.lock(&path, mode).map_err(|e| {
        if e.kind() == std::io::ErrorKind::WouldBlock {
            return LogError::Locked { path: dir.display().to_string().into() };
        }
        LogError::io("cannot lock", &path, &e)
    })
}

/// Everything but the segments; `log.meta` last: it makes the directory a log.
fn create_files(dir: &Path, options: &LogOptions) -> Result<(), LogError> {
    let disk = options.disk.as_ref();
    let exists = || LogError::Exists { path: dir.display().to_string().into() };
    if Meta::exists(disk, dir)? {
        return Err(exists());
    }
    for partition in 0..MAX_PARTITIONS {
        let path = partition_dir(dir, partition);
        if disk.list(&path).is_ok() && !list_segments(disk, &path)?.is_empty() {
            return Err(exists());
        }
    }
    for partition in 0..options.partitions {
        let path = partition_dir(dir, partition);
        create_dir_durable(disk, &path).map_err(|e| LogError::io("cannot create", &path, &e))?;
    }
    let id = options.log_id.map_or_else(|| random_id(dir), Ok)?;
    let meta = Meta { id, generation: options.generation, partitions: options.partitions };
    Mark::create(disk, dir, &meta)?;
    meta.write(disk, dir)
}

fn random_id(dir: &Path) -> Result<LogId, LogError> {
    let mut id = [0; 16];
    let drawn = getrandom::fill(&mut id).map_err(|e| std::io::Error::other(e.to_string()));
    drawn.map_err(|e| LogError::io("cannot draw an id for", dir, &e))?;
    Ok(LogId(id))
}

/// Makes the names of the log's directories and files durable: a process that failed at just this
/// may have left some that are not.
fn sync_names(disk: &dyn Disk, dir: &Path, partitions: u32) -> Result<(), LogError> {
    if planted(Bug::NamesNotFlushedAtOpen) {
        return Ok(());
    }
    let sync = |dir: &Path| disk.sync_dir(dir).map_err(|e| LogError::io("cannot sync", dir, &e));
    sync(dir.parent().unwrap_or(Path::new("")))?;
    sync(dir)?;
    (0..partitions).try_for_each(|partition| sync(&partition_dir(dir, partition)))
}

/// Recovers a partition, or gives it its first segment.
fn open_partition(
    dir: &Path,
    options: &LogOptions,
    meta: &Meta,
    partition: u32,
    durable_end: u64,
) -> Result<Recovered, LogError> {
    let disk = options.disk.as_ref();
    let path = partition_dir(dir, partition);
    let found = recover_partition(disk, &path, meta, partition, durable_end, OpenMode::Write)?;
    if let Some(found) = found {
        return Ok(found);
    }
    let bytes = FIRST_SEGMENT.min(options.segment_bytes);
    let failed = |e: &std::io::Error| {
        if e.kind() == std::io::ErrorKind::StorageFull {
            return LogError::Full { reason: format!("{}: {e}", path.display()).into() };
        }
        LogError::io("cannot create a segment in", &path, e)
    };
    let spare = make_spare(disk, &path, bytes).map_err(|e| failed(&e))?;
    let previous = record_seed(meta.id, partition);
    let head = SegmentHead { id: meta.id, partition, base: 0, base_time: 0, previous };
    let file = Some(Arc::clone(&spare));
    let segment = activate_spare(disk, &path, spare, head).map_err(|e| failed(&e))?;
    Ok(Recovered { segments: vec![Arc::new(segment)], file, end: head.cursor(), last_time: 0 })
}

fn share(
    dir: &Path,
    options: &LogOptions,
    meta: Meta,
    found: &[Recovered],
    read_only: bool,
) -> Shared {
    let newest = found.iter().map(|f| f.last_time).max().unwrap_or(0);
    let clock = AppendClock::start(options.clock.now(), newest);
    let queued = found.iter().map(|f| Part::new(f.end.offset, f.last_time, f.room())).collect();
    let parts = (0..meta.partitions).zip(found);
    let parts = parts
        .map(|(p, f)| Partition::new(p, partition_dir(dir, p), &meta, f, Arc::clone(&options.disk)))
        .collect();
    Shared {
        dir: dir.to_path_buf(),
        disk: Arc::clone(&options.disk),
        queue: Queue::new(clock, queued, options.max_queued, read_only),
        lull: Arc::default(),
        parts,
        spares: Spares::new(meta.partitions),
        meta,
        clock: Arc::clone(&options.clock),
        segment_bytes: options.segment_bytes,
        stepped: options.stepped,
        waiting: Mutex::new(0),
        moved: Condvar::new(),
    }
}

fn spawn(
    dir: &Path,
    name: &str,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, LogError> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(run).map_err(|e| LogError::io("cannot start a thread for", dir, &e))
}
