//! Where a story is played: one machine with its disk, its clock, its processes' lives and deaths.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use click_core::record::Record;
use click_core::types::Millis;
use click_engine::archive::{
    ArchiveConfig, ArchiveError, ArchiveParts, Archiver, DiskObjects, Objects, Progress,
};
use click_engine::disk::MemDisk;
use click_engine::driver::{Engine, EngineConfig, EngineError, EngineParts, append_header};
use click_engine::log::{
    Clock, DiskLog, EventLog, LogHealth, LogId, LogOptions, ManualClock, RecordBatch,
};

use super::plan::{Action, Plan};
use super::repair::Rot;
use super::store::TroubledStore;
use super::tracker::{Promise, Tracker};
use super::wire::Wire;
use super::{Outcome, judge};
use crate::check::Dice;

pub(super) const START_MS: u64 = 1_780_000_000_000;
const LOG: &str = "/data/log";
const CHECKPOINTS: [&str; 2] = ["/data/checkpoints", "/copy/checkpoints"];
const DEAD_LETTERS: [&str; 2] = ["/data/dead-letters", "/copy/dead-letters"];
/// Small, so that stories have many segments.
const SEGMENT_BYTES: u64 = 70_000;
const READ_BYTES: usize = 1 << 16;
const ARCHIVE: &str = "/data/archive";
const ARCHIVE_CHECKPOINTS: &str = "/data/archive-checkpoints";
const ARCHIVE_STEPS: usize = 6;

/// A process while it lives.
pub(super) struct Process {
    pub(super) log: Arc<DiskLog>,
    /// Two engines of the same log write to the same store; one that failed is gone.
    pub(super) engines: [Option<Engine>; 2],
    pub(super) archiver: Option<Archiver>,
}

/// The world of a story.
pub(super) struct Stage {
    pub(super) disk: MemDisk,
    pub(super) clock: Arc<ManualClock>,
    pub(super) store: TroubledStore,
    pub(super) trackers: Vec<Tracker>,
    pub(super) wire: Wire,
    pub(super) process: Option<Process>,
    pub(super) zombies: Vec<Engine>,
    pub(super) rot: Option<Rot>,
    /// The disk has lied.
    pub(super) disk_lied: bool,
    partitions: u32,
    pub(super) archives: bool,
    /// By partition what readers have seen: `append_time` and payload. It never changes.
    pub(super) seen: Vec<Vec<(u64, Vec<u8>)>>,
    pub(super) promises: Vec<Promise>,
    restarts: u64,
    /// Something was done to the disk since it was last healthy.
    pub(super) disk_is_ill: bool,
    disk_is_full: bool,
}

impl Stage {
    pub(super) fn new(plan: &Plan) -> Stage {
        Stage {
            disk: MemDisk::new(plan.seed),
            clock: Arc::new(ManualClock::new(START_MS)),
            store: TroubledStore::new(),
            trackers: (0..2).map(|number| Tracker::new(number, plan.partitions)).collect(),
            wire: Wire::new(plan.seed, plan.weather),
            process: None,
            zombies: Vec::new(),
            rot: None,
            disk_lied: false,
            partitions: plan.partitions,
            archives: plan.archives,
            seen: vec![Vec::new(); plan.partitions as usize],
            promises: Vec::new(),
            restarts: 0,
            disk_is_ill: false,
            disk_is_full: false,
        }
    }

    /// Plays all actions, lets the machine recover, and judges what is left.
    ///
    /// # Panics
    /// If a promise is broken.
    pub(super) fn play(mut self, plan: &Plan) -> Outcome {
        for action in &plan.actions {
            self.act(*action);
            self.deliver();
        }
        let engine = self.recover();
        judge::judge(&self, &engine);
        let rows = self.store.rows();
        Outcome {
            records: self.seen.iter().map(|records| records.len() as u64).sum(),
            acknowledged: self.trackers.iter().map(|t| t.answered() as u64).sum(),
            rows: rows.len() as u64,
            restarts: self.restarts,
            fingerprint: judge::fingerprint(&self.seen, &self.store),
        }
    }

    pub(super) fn now(&self) -> u64 {
        self.clock.now().0 / 1000
    }

    fn act(&mut self, action: Action) {
        let now = self.now();
        match action {
            Action::Click { tracker, seed } => {
                self.trackers[tracker].click(seed, now);
                self.trackers[tracker].send_newest(&mut self.wire, now);
            }
            Action::Garbage { seed } => self.append_garbage(seed),
            Action::Resend { tracker, seed, twice } => {
                let which = Dice::new(seed).below(1 << 20);
                self.trackers[tracker].resend(which, twice, &mut self.wire, now);
            }
            Action::Heartbeat { tracker } => {
                if let Some(process) = &self.process {
                    self.trackers[tracker].heartbeat(&*process.log, now);
                }
            }
            Action::RestartTracker { tracker, keeps_spool } => {
                self.trackers[tracker].restart(keeps_spool);
            }
            Action::LogWorks => self.log_works(),
            Action::Fold { engine } => self.fold(engine),
            Action::Archive { stops } => self.archive(stops),
            Action::Publish { engine } => self.publish(engine),
            Action::Zombie => self.zombie_writes(),
            Action::Cut { tracker, cut } => self.wire.cut(tracker, cut),
            Action::Pass { ms } => self.clock.advance(ms),
            Action::SetClock { ms } => self.clock.set_wall(now.saturating_add_signed(ms)),
            Action::Tick => self.tick(),
            Action::Kill => self.kill(),
            Action::PowerFails => self.power_fails(),
            Action::Start if self.disk.owes() => self.start_or_repair(),
            Action::Start => self.start(),
            Action::DiskFails { op, nth } => {
                self.disk_is_ill = true;
                self.disk.fail_from(op, nth);
            }
            // Of two at once, one may hide the other.
            Action::DiskLies { .. } if self.disk.owes() => {}
            Action::DiskLies { nth, lie } => {
                self.disk_lied = true;
                self.disk.lie_at(nth, lie);
            }
            Action::DiskFull { room } => {
                self.disk_is_full = true;
                self.disk.set_capacity(self.disk.used() + room);
            }
            Action::DiskHeals => self.heal_disk(),
            Action::StoreFails { calls, seed } => self.store.fail(calls, seed),
            Action::StoreRestored => {
                self.kill();
                self.zombies.clear();
                self.store.restore_copy();
            }
            Action::Rot { seed } => self.rot(seed),
        }
    }

    fn append_garbage(&mut self, seed: u64) {
        let Some(process) = &self.process else { return };
        let mut dice = Dice::new(seed);
        let bytes: Vec<u8> =
            (0..1 + dice.below(40)).map(|_| dice.number().to_le_bytes()[0]).collect();
        let partition = u32::try_from(dice.below(self.seen.len())).unwrap_or(0);
        // Refused garbage is gone.
        let _ = process.log.append(partition, &bytes);
    }

    pub(super) fn tick(&mut self) {
        let tick = Record::tick(Millis(self.now())).to_bytes();
        let Some(process) = &self.process else { return };
        for partition in 0..self.partitions {
            // A refused tick is not missed.
            let _ = process.log.append(partition, &tick);
        }
    }

    /// Writes, answers, and looks at what can be read now.
    pub(super) fn log_works(&mut self) {
        let Some(process) = &self.process else { return };
        process.log.work();
        let log = process.log.clone();
        self.listen();
        self.look(&*log);
    }

    fn listen(&mut self) {
        self.wire.answer(&mut self.trackers, &mut self.promises);
    }

    /// What is on its way arrives.
    pub(super) fn deliver(&mut self) {
        let time = self.clock.now().1 / 1000;
        let log = self.process.as_ref().map(|process| &*process.log as &dyn EventLog);
        self.wire.deliver(log, time);
        self.listen();
    }

    /// What could be read before can be read still, and nothing else stands in its place.
    pub(super) fn look(&mut self, log: &dyn EventLog) {
        for (partition, seen) in (0..).zip(&mut self.seen) {
            let range = log.range(partition);
            let end = usize::try_from(range.end).unwrap_or(usize::MAX);
            assert!(
                end >= seen.len(),
                "partition {partition} ended at {}, now at {end}",
                seen.len()
            );
            let mut batch = RecordBatch::default();
            while seen.len() < end {
                batch.clear();
                if let Err(error) = log.read(partition, seen.len() as u64, READ_BYTES, &mut batch) {
                    self.excuse(&format!("reading the log: {error}"));
                    return;
                }
                seen.extend(batch.iter().map(|(_, time, payload)| (time, payload.to_vec())));
            }
        }
    }

    /// What was read once is the same still, or cannot be read.
    fn look_again(&self, log: &dyn EventLog) {
        for (partition, seen) in (0..).zip(&self.seen) {
            let (mut batch, mut next) = (RecordBatch::default(), 0);
            while next < seen.len() {
                batch.clear();
                if let Err(error) = log.read(partition, next as u64, READ_BYTES, &mut batch) {
                    return self.excuse(&format!("reading the log again: {error}"));
                }
                for (offset, time, payload) in batch.iter() {
                    let same = seen.get(next).is_none_or(|(t, p)| *t == time && p == payload);
                    assert!(same, "{offset} of partition {partition} is another record now");
                    next += 1;
                }
            }
        }
    }

    fn open_archiver(&self, log: &Arc<DiskLog>) -> Option<Archiver> {
        if !self.archives {
            return None;
        }
        let parts = ArchiveParts {
            log: log.clone(),
            disk: Arc::new(self.disk.clone()),
            clock: self.clock.clone(),
            checkpoints: PathBuf::from(ARCHIVE_CHECKPOINTS),
            objects: self.archived(),
            told: None,
        };
        let config = ArchiveConfig { rows_per_file: 40, ..ArchiveConfig::default() };
        match Archiver::open(parts, config) {
            Ok(archiver) => Some(archiver),
            Err(error) => {
                self.excuse(&format!("opening the archiver: {error}"));
                None
            }
        }
    }

    /// The objects of the archive: on the same disk.
    pub(super) fn archived(&self) -> Arc<dyn Objects> {
        Arc::new(DiskObjects::new(Arc::new(self.disk.clone()), Path::new(ARCHIVE)))
    }

    /// An archiver that failed starts anew with its process, or at the end.
    fn archive(&mut self, stops: bool) {
        let Some(process) = &mut self.process else { return };
        let Some(mut archiver) = process.archiver.take() else { return };
        for _ in 0..ARCHIVE_STEPS {
            match archiver.step() {
                Ok(Progress::Worked) => {}
                Ok(Progress::Idle) => break,
                Err(error @ ArchiveError::Objects { .. }) => {
                    process.archiver = Some(archiver);
                    return self.excuse_archiver(&error);
                }
                Err(error) => return self.excuse_archiver(&error),
            }
        }
        if !stops {
            process.archiver = Some(archiver);
            return;
        }
        let log = process.log.clone();
        if let Err(error) = archiver.finish() {
            return self.excuse_archiver(&error);
        }
        let archiver = self.open_archiver(&log);
        if let Some(process) = &mut self.process {
            process.archiver = archiver;
        }
    }

    fn excuse_archiver(&self, error: &ArchiveError) {
        // A full disk takes no files, and the archiver waits.
        let waits = self.disk_is_full && matches!(error, ArchiveError::Objects { .. });
        if !waits {
            self.excuse(&format!("the archiver: {error}"));
        }
    }

    /// An error is in order while something is wrong with the disk, and only then.
    fn excuse(&self, error: &str) {
        assert!(
            self.disk_is_ill || self.rot.is_some() || self.disk_lied,
            "nothing is wrong with the disk, but {error}"
        );
    }

    pub(super) fn fold(&mut self, number: usize) {
        let Some(process) = &mut self.process else { return };
        let Some(engine) = &mut process.engines[number] else { return };
        if let Err(error) = engine.step() {
            process.engines[number] = None;
            self.excuse(&format!("engine {number}: {error}"));
        }
    }

    pub(super) fn publish(&mut self, number: usize) {
        let Some(process) = &self.process else { return };
        if let Some(engine) = &process.engines[number] {
            // A store that does not answer is tried again.
            let _ = engine.publish(&mut self.store.clone());
        }
    }

    fn zombie_writes(&mut self) {
        if let Some(engine) = self.zombies.pop() {
            let _ = engine.publish(&mut self.store.clone());
        }
    }

    pub(super) fn kill(&mut self) {
        self.disk.kill();
        self.end_process();
    }

    fn power_fails(&mut self) {
        // A lie and a power failure at once are beyond what is promised: what says that the lost
        // record was durable may be lost with it.
        self.disk.make_good();
        self.disk.crash();
        self.end_process();
    }

    fn end_process(&mut self) {
        let Some(process) = self.process.take() else { return };
        self.restarts += 1;
        self.wire.hang_up();
        self.zombies = process.engines.into_iter().flatten().collect();
    }

    pub(super) fn heal_disk(&mut self) {
        self.disk.heal();
        self.disk.set_capacity(u64::MAX);
        self.disk_is_full = false;
        self.disk_is_ill = self.process.is_some() && self.disk_is_ill;
    }

    /// A log that has failed needs a new process: so does everything that has, here.
    pub(super) fn start(&mut self) {
        if let Some(process) = &self.process {
            if self.is_whole() && process.log.health() == LogHealth::Ok {
                return;
            }
            self.kill();
        }
        let log = match self.open_log() {
            Ok(log) => log,
            // A full disk has no room for a new log.
            Err(_) if self.disk_is_full => return,
            Err(error) => return self.excuse(&format!("opening the log: {error}")),
        };
        self.look(&*log);
        self.look_again(&*log);
        let engines = [self.open_engine(&log, 0), self.open_engine(&log, 1)];
        let archiver = self.open_archiver(&log);
        self.process = Some(Process { log, engines, archiver });
    }

    fn open_log(&mut self) -> Result<Arc<DiskLog>, String> {
        let options = LogOptions {
            partitions: self.partitions,
            log_id: Some(LogId([7; 16])),
            segment_bytes: SEGMENT_BYTES,
            stepped: true,
            disk: Arc::new(self.disk.clone()),
            clock: self.clock.clone(),
            ..LogOptions::default()
        };
        let log = DiskLog::open_or_create(Path::new(LOG), &options).map_err(|e| e.to_string())?;
        if log.range(0).end == 0 {
            let commit = append_header(&log).map_err(|e| e.to_string())?;
            log.work();
            commit.wait().map_err(|e| e.to_string())?;
        }
        Ok(Arc::new(log))
    }

    fn open_engine(&self, log: &Arc<DiskLog>, number: usize) -> Option<Engine> {
        let log: Arc<dyn EventLog> = log.clone();
        match open_engine(&log, &self.disk, &self.clock, &self.store, number) {
            Ok(engine) => Some(engine),
            Err(error) => {
                self.excuse(&format!("opening engine {number}: {error}"));
                None
            }
        }
    }
}

/// One of two engines of the same log and store, each with checkpoints of its own.
pub(super) fn open_engine(
    log: &Arc<dyn EventLog>,
    disk: &MemDisk,
    clock: &Arc<ManualClock>,
    store: &TroubledStore,
    number: usize,
) -> Result<Engine, EngineError> {
    let parts = EngineParts {
        log: log.clone(),
        disk: Arc::new(disk.clone()),
        clock: clock.clone(),
        checkpoints: PathBuf::from(CHECKPOINTS[number]),
        dead_letters: PathBuf::from(DEAD_LETTERS[number]),
        store: Some(Box::new(store.clone())),
        sink: None,
        status: Arc::default(),
    };
    let config = EngineConfig {
        checkpoint_interval: Duration::from_secs([5, 40][number]),
        publish_interval: Duration::from_millis([1_000, 200][number]),
        step_bytes: [1 << 20, 64 << 10][number],
        ..EngineConfig::default()
    };
    let (mut engine, _) = Engine::open(parts, config)?;
    engine.in_foreground();
    Ok(engine)
}
