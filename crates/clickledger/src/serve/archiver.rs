//! The archive's thread: archives at its own pace, waits where the archive does not take it, and
//! never holds anybody up. Must never end the server: what is wrong with the archive is said, shown
//! and tried again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use click_core::types::{Offset, Partition};
use click_engine::archive::{ArchiveConfig, ArchiveError, Archiver, Progress};
use click_engine::disk::DiskLock;
use click_engine::driver::{EngineError, NeededFrom};
use click_engine::log::LogError;

use super::source::Source;
use super::truncating::Truncating;
use crate::cli::archive;
use crate::cli::data::DataDir;
use crate::config::{Config, VerdictsOf};

/// Time between two looks for something to archive.
const IDLE: Duration = Duration::from_millis(500);
/// Time until an archive that did not answer is asked again.
const RETRY: Duration = Duration::from_secs(2);
/// Time between two complaints of the same outage.
const REMIND: Duration = Duration::from_secs(60);
/// Time after which a job's verdict is missed: one that runs gives it within seconds.
const OVERDUE: Duration = Duration::from_secs(60);
/// Steps of a waiting thread: how long a stop may take.
const NAP: Duration = Duration::from_millis(50);

/// How the archive is doing.
#[derive(Clone, Debug, Default)]
pub struct ArchiveStatus {
    /// Everything with `fold_time` below it is archived, ms since 1970.
    pub until: u64,
    /// What is wrong, if anything is.
    pub problem: Option<String>,
    /// Why addresses are not truncated that should be.
    pub untruncated: Option<String>,
    /// When the problem was last complained of.
    told: Option<Instant>,
}

/// Archives a topic until a signal, in a process of its own.
///
/// # Errors
/// If there is no topic or no archive, or another process archives from the data directory.
pub fn follow(config: &Config, data: &DataDir) -> Result<()> {
    super::log_to_stderr();
    data.create()?;
    let signals = super::Signals::install()?;
    let source = Source::of(config, data)?;
    let archive = ArchiveThread::start(config, data, &source, NeededFrom::default())?;
    let stop = signals.into_flag()?;
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(NAP);
    }
    archive.stop();
    Ok(())
}

/// A running archiver.
pub struct ArchiveThread {
    thread: JoinHandle<()>,
    stop: Arc<AtomicBool>,
    status: Arc<Mutex<ArchiveStatus>>,
    /// Nobody else archives from this directory.
    _lock: Box<dyn DiskLock>,
}

impl ArchiveThread {
    /// Starts it; `needed` hears from which offsets on it needs the log. The archiver's own state
    /// is read in its thread: nobody waits for it.
    ///
    /// # Errors
    /// If no objects can be where the archive is to be, or the system gives no thread.
    pub fn start(
        config: &Config,
        data: &DataDir,
        source: &Source,
        needed: NeededFrom,
    ) -> Result<ArchiveThread> {
        let lock = data.lock_archive()?;
        let place = config.archive.place(data.root())?.context("no `archive.url` is set")?;
        let objects = archive::objects(&place)?;
        let archive_config = ArchiveConfig {
            threads: config.archive.threads,
            interval_ms: config.archive.interval_ms,
            ..ArchiveConfig::default()
        };
        let (stop, status) = (Arc::default(), Arc::default());
        let truncating = match config.archive.truncate_after_hours {
            0 => None,
            hours => Some(Truncating::new(Arc::clone(&objects), hours, Arc::clone(&status))),
        };
        let (data, source, verdicts) = (data.clone(), source.clone(), config.archive.verdicts);
        // A topic is read by two at once from two connections.
        let open = move || {
            let told = match verdicts {
                VerdictsOf::Fold => None,
                VerdictsOf::Job => source.verdicts()?,
            };
            archive::open(&data, source.open(true)?, objects.clone(), told, archive_config.clone())
        };
        let worker = Worker { needed, stop: Arc::clone(&stop), status: Arc::clone(&status) };
        let thread = std::thread::Builder::new().name("archive".into());
        let thread = thread.spawn(move || worker.run(open, truncating))?;
        Ok(ArchiveThread { thread, stop, status, _lock: lock })
    }

    /// How it is doing.
    pub fn status(&self) -> Arc<Mutex<ArchiveStatus>> {
        Arc::clone(&self.status)
    }

    /// Archives what is final and ends. To be called when nothing is appended any more.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            tracing::error!("the archive's thread panicked");
        }
    }
}

/// Whether trying again may help.
fn is_passing(error: &ArchiveError) -> bool {
    let cluster = |error: &LogError| matches!(error, LogError::Kafka { .. });
    match error {
        ArchiveError::Objects { .. } => true,
        ArchiveError::Log(error) | ArchiveError::Engine(EngineError::Log(error)) => cluster(error),
        ArchiveError::Damaged { .. }
        | ArchiveError::Mismatch(_)
        | ArchiveError::Engine(_)
        | ArchiveError::Store(_) => false,
    }
}

/// The click for whose verdict the archive waits, and since when.
#[derive(Default)]
struct Overdue {
    waits: Option<((Partition, Offset), Instant)>,
}

impl Overdue {
    /// The click, once it has been the same one for long.
    fn look(&mut self, click: Option<(Partition, Offset)>) -> Option<(Partition, Offset)> {
        let click = click?;
        match &self.waits {
            Some((waiting, since)) if *waiting == click => {
                (since.elapsed() >= OVERDUE).then_some(click)
            }
            _ => {
                self.waits = Some((click, Instant::now()));
                None
            }
        }
    }
}

struct Worker {
    needed: NeededFrom,
    stop: Arc<AtomicBool>,
    status: Arc<Mutex<ArchiveStatus>>,
}

impl Worker {
    fn run(
        &self,
        open: impl Fn() -> Result<Archiver, ArchiveError>,
        truncating: Option<Truncating>,
    ) {
        match self.try_until_stopped(open) {
            Ok(Some(archiver)) => self.archive(archiver, truncating),
            Ok(None) => {}
            Err(error) => self.note(Some(error.to_string())),
        }
    }

    /// Opens it, as often as the archive does not answer; `None` if it is to stop meanwhile.
    fn try_until_stopped(
        &self,
        open: impl Fn() -> Result<Archiver, ArchiveError>,
    ) -> Result<Option<Archiver>, ArchiveError> {
        while !self.stop.load(Ordering::Relaxed) {
            match open() {
                Err(error) if is_passing(&error) => {
                    self.note(Some(error.to_string()));
                    self.nap(RETRY);
                }
                opened => return opened.map(Some),
            }
        }
        Ok(None)
    }

    /// Says so where a job's verdict does not come.
    fn watch(&self, archiver: &Archiver, overdue: &mut Overdue) {
        match overdue.look(archiver.waits_for()) {
            Some((Partition(partition), Offset(offset))) => self.note(Some(format!(
                "the job has given no verdict of partition {partition}, offset {offset} yet: does \
                 it run, and does its topic of verdicts still have that click's time?"
            ))),
            None => self.note(None),
        }
    }

    fn archive(&self, mut archiver: Archiver, mut truncating: Option<Truncating>) {
        let mut truncate =
            |log_time| truncating.as_mut().is_some_and(|truncating| truncating.step(log_time));
        let mut overdue = Overdue::default();
        while !self.stop.load(Ordering::Relaxed) {
            let pause = match archiver.step() {
                Ok(Progress::Worked) => Duration::ZERO,
                Ok(Progress::Idle) if truncate(archiver.log_time()) => Duration::ZERO,
                Ok(Progress::Idle) => IDLE,
                Err(error) if is_passing(&error) => {
                    self.note(Some(error.to_string()));
                    self.nap(RETRY);
                    continue;
                }
                // What cannot be mended by trying again: the next start, or a person, sees to it.
                Err(error) => return self.note(Some(error.to_string())),
            };
            *self.needed.lock().unwrap_or_else(PoisonError::into_inner) = archiver.floors();
            self.tell(archiver.archived_until().0);
            self.watch(&archiver, &mut overdue);
            self.nap(pause);
        }
        match archiver.finish() {
            Ok(archived) => {
                self.tell(archived.until.0);
                self.note(None);
            }
            Err(error) => self.note(Some(error.to_string())),
        }
    }

    fn tell(&self, until: u64) {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).until = until;
    }

    /// Complains of a problem when it begins, and now and then while it lasts.
    fn note(&self, problem: Option<String>) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = status.told.is_none_or(|told| told.elapsed() >= REMIND);
        match &problem {
            Some(problem) if is_due => {
                tracing::error!("archive: {problem}");
                status.told = Some(Instant::now());
            }
            Some(_) => {}
            None => status.told = None,
        }
        status.problem = problem;
    }

    fn nap(&self, time: Duration) {
        let mut left = time;
        while !left.is_zero() && !self.stop.load(Ordering::Relaxed) {
            let nap = left.min(NAP);
            std::thread::sleep(nap);
            left -= nap;
        }
    }
}
