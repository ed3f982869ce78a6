//! The copy of one own log: a log of its own, and the thread that hands it on to the cluster.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::origin::{self, Begin};
use super::{CopyRefusal, Given, Held, Name, Section, mark_of};
use crate::disk::{Disk, RealDisk};
use crate::forward::{ForwardConfig, Forwarder, Forwarding, Remote};
use crate::log::{Commit, DiskLog, EventLog, LogError, LogOptions, RecordBatch, Retention};

/// Nobody waits for a copy to come to the cluster.
const UNAWAITED: Duration = Duration::from_secs(3600);

pub(super) struct Kept {
    dir: PathBuf,
    log: Arc<dyn EventLog>,
    forwarding: Arc<Forwarding>,
    giver: Mutex<Giver>,
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<Result<(), LogError>>>>,
}

/// Who gives, and where it is.
struct Giver {
    session: Option<Name>,
    begins: Vec<Begin>,
    heard: Instant,
    is_closed: bool,
}

impl Kept {
    pub(super) fn open(
        dir: &Path,
        options: &LogOptions,
        remote: Box<dyn Remote>,
    ) -> Result<Kept, LogError> {
        let log = DiskLog::open_or_create(dir, options)?;
        if options.log_id != Some(log.log_id()) || log.generation() != options.generation {
            let dir = dir.display();
            let reason = format!("{dir} is a copy for another topic: move it away, or use that");
            return Err(LogError::options(reason));
        }
        let log: Arc<dyn EventLog> = Arc::new(log);
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let begins = origin::read(&*disk, dir, &*log)?;
        let forward = ForwardConfig {
            spool_after: UNAWAITED,
            copying: None,
            retention: Retention { max_age_ms: Some(0), max_bytes: None },
            dir: dir.to_path_buf(),
        };
        let clock = Arc::clone(&options.clock);
        let forwarder = Forwarder::open(Arc::clone(&log), remote, disk, clock, forward)?;
        let (forwarding, stop) = (forwarder.shared(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("forward-copy".into());
        // What is left at a stop the next start hands on.
        let thread = thread.spawn(move || forwarder.run(&stopped, Duration::ZERO));
        let thread = Mutex::new(Some(thread.map_err(LogError::copy)?));
        let giver = Giver { session: None, begins, heard: Instant::now(), is_closed: false };
        let (dir, giver) = (dir.to_path_buf(), Mutex::new(giver));
        Ok(Kept { dir, log, forwarding, giver, stop, thread })
    }

    /// Partitions of the part of the log that it is in front of.
    pub(super) fn partitions(&self) -> u32 {
        self.log.partitions()
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Records that the cluster has not confirmed.
    pub(super) fn waiting(&self) -> u64 {
        self.forwarding.status(&*self.log).behind
    }

    /// Takes what is given, or answers a question.
    pub(super) fn take(&self, given: &Given<'_>) -> Result<Held, CopyRefusal> {
        let mut giver = lock(&self.giver);
        if giver.is_closed {
            return Err(CopyRefusal::AskFirst);
        }
        giver.heard = Instant::now();
        if given.sections.is_empty() {
            giver.session = Some(given.session);
            return self.held(&giver.begins, true);
        }
        if giver.session != Some(given.session) {
            return Err(CopyRefusal::AskFirst);
        }
        self.go_on(&mut giver, &given.sections)?;
        self.append_all(&giver.begins, &given.sections)?;
        for section in &given.sections {
            let end = self.log.range(section.partition).end;
            let done = giver.begins[section.partition as usize].kept(section.acked, end);
            self.forwarding.note_elsewhere(section.partition, done);
        }
        self.held(&giver.begins, false)
    }

    /// Where a section begins behind what is here, the cluster has what is between.
    fn go_on(&self, giver: &mut Giver, sections: &[Section<'_>]) -> Result<(), CopyRefusal> {
        let mut begins = giver.begins.clone();
        for Section { partition, acked, from, records } in sections {
            let (at, kept_end) = (*partition as usize, self.log.range(*partition).end);
            let end = begins[at].next(kept_end);
            if *from <= end || records.is_empty() {
                continue;
            }
            if acked < from {
                return Err(CopyRefusal::Hole { partition: *partition, end, from: *from });
            }
            begins[at] = Begin::at(kept_end, *from);
        }
        if begins != giver.begins {
            origin::write(&RealDisk, &self.dir, &begins)?;
            giver.begins = begins;
        }
        Ok(())
    }

    /// Appends durably; nothing is under way when this returns, so that the log's ends are true.
    fn append_all(&self, begins: &[Begin], sections: &[Section<'_>]) -> Result<(), CopyRefusal> {
        let queued: Vec<_> = sections.iter().map(|section| self.append(begins, section)).collect();
        let settled = queued.into_iter().map(|commit| match commit? {
            Some(commit) => Ok(commit.wait().map(drop)?),
            None => Ok(()),
        });
        let settled: Vec<Result<(), CopyRefusal>> = settled.collect();
        settled.into_iter().collect()
    }

    /// Queues what is not here yet: the giver may have missed an answer.
    fn append(
        &self,
        begins: &[Begin],
        section: &Section<'_>,
    ) -> Result<Option<Commit>, CopyRefusal> {
        let partition = section.partition;
        let end = begins[partition as usize].next(self.log.range(partition).end);
        let known = usize::try_from(end.saturating_sub(section.from)).unwrap_or(usize::MAX);
        let new = section.records.get(known..).unwrap_or_default();
        if new.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.log.append_batch(partition, new)?))
    }

    fn held(&self, begins: &[Begin], with_last: bool) -> Result<Held, CopyRefusal> {
        let mut held = Held::default();
        for (partition, begin) in (0..).zip(begins) {
            let end = self.log.range(partition).end;
            held.ends.push(begin.next(end));
            if with_last {
                let has = begin.holds_any(end);
                held.last.push(if has { self.mark_at(partition, end - 1)? } else { String::new() });
            }
        }
        Ok(held)
    }

    fn mark_at(&self, partition: u32, offset: u64) -> Result<String, LogError> {
        if offset < self.log.range(partition).start {
            // The cluster has it.
            return Ok(String::new());
        }
        let mut batch = RecordBatch::new();
        self.log.read(partition, offset, 1, &mut batch)?;
        Ok(batch.get(0).map(|(_, _, payload)| mark_of(payload)).unwrap_or_default())
    }

    /// Closes it if the cluster has everything and nobody has given anything for so long.
    pub(super) fn close_if_done(&self, silence: Duration) -> bool {
        let mut giver = lock(&self.giver);
        giver.is_closed |= giver.heard.elapsed() >= silence && self.waiting() == 0;
        giver.is_closed
    }

    pub(super) fn ask_to_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits for the thread; why it had failed, if it had.
    pub(super) fn join(&self) -> Result<(), LogError> {
        self.ask_to_stop();
        match lock(&self.thread).take().map(JoinHandle::join) {
            Some(Err(_)) => Err(LogError::copy("the forwarder of a copy panicked")),
            Some(Ok(ended)) => ended,
            None => Ok(()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
