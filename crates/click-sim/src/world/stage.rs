//! Where a story is played: one machine with its disk, its clock, its processes' lives and deaths.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use click_core::record::Record;
use click_core::types::Millis;
use click_engine::disk::MemDisk;
use click_engine::driver::{Engine, EngineConfig, EngineParts, append_header};
use click_engine::log::{
    Clock, DiskLog, EventLog, LogHealth, LogId, LogOptions, ManualClock, RecordBatch,
};

use super::plan::{Action, Plan};
use super::store::TroubledStore;
use super::tracker::{Promise, Tracker};
use super::{Outcome, judge};
use crate::check::Dice;

const START_MS: u64 = 1_780_000_000_000;
const LOG: &str = "/data/log";
const CHECKPOINTS: [&str; 2] = ["/data/checkpoints", "/copy/checkpoints"];
const DEAD_LETTERS: [&str; 2] = ["/data/dead-letters", "/copy/dead-letters"];
/// Small, so that stories have many segments.
const SEGMENT_BYTES: u64 = 70_000;
/// Rounds that a healthy machine may take to end what was begun.
const LAST_ROUNDS: usize = 60;
const SECTOR: usize = 512;

/// A process while it lives.
struct Process {
    log: Arc<DiskLog>,
    /// Two engines of the same log write to the same store; one that failed is gone.
    engines: [Option<Engine>; 2],
}

/// A change behind the owner's back, and how to undo it.
struct Rot {
    path: PathBuf,
    at: usize,
    good: Vec<u8>,
    bad: Vec<u8>,
}

/// The world of a story.
pub(super) struct Stage {
    pub(super) disk: MemDisk,
    clock: Arc<ManualClock>,
    pub(super) store: TroubledStore,
    trackers: Vec<Tracker>,
    process: Option<Process>,
    zombies: Vec<Engine>,
    rot: Option<Rot>,
    partitions: u32,
    /// By partition what readers have seen: `append_time` and payload. It never changes.
    pub(super) seen: Vec<Vec<(u64, Vec<u8>)>>,
    pub(super) promises: Vec<Promise>,
    restarts: u64,
    /// Something was done to the disk since it was last healthy.
    disk_is_ill: bool,
    disk_is_full: bool,
}

impl Stage {
    pub(super) fn new(plan: &Plan) -> Stage {
        Stage {
            disk: MemDisk::new(plan.seed),
            clock: Arc::new(ManualClock::new(START_MS)),
            store: TroubledStore::new(),
            trackers: (0..2).map(|number| Tracker::new(number, plan.partitions)).collect(),
            process: None,
            zombies: Vec::new(),
            rot: None,
            partitions: plan.partitions,
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
        }
        let engine = self.recover();
        judge::judge(&self, &engine);
        let rows = self.store.rows();
        Outcome {
            records: self.seen.iter().map(|records| records.len() as u64).sum(),
            acknowledged: self.trackers.iter().map(|t| t.answered() as u64).sum(),
            rows: rows.len() as u64,
            restarts: self.restarts,
            fingerprint: judge::fingerprint(&self),
        }
    }

    fn now(&self) -> u64 {
        self.clock.now().0 / 1000
    }

    fn act(&mut self, action: Action) {
        let now = self.now();
        match action {
            Action::Click { tracker, seed } => {
                self.trackers[tracker].click(seed, now);
                if let Some(process) = &self.process {
                    self.trackers[tracker].send_newest(&*process.log, now);
                }
            }
            Action::Garbage { seed } => self.append_garbage(seed),
            Action::Resend { tracker, seed, twice } => {
                if let Some(process) = &self.process {
                    let which = Dice::new(seed).below(1 << 20);
                    self.trackers[tracker].resend(which, twice, &*process.log, now);
                }
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
            Action::Publish { engine } => self.publish(engine),
            Action::Zombie => self.zombie_writes(),
            Action::Pass { ms } => self.clock.advance(ms),
            Action::SetClock { ms } => self.clock.set_wall(now.saturating_add_signed(ms)),
            Action::Tick => self.tick(),
            Action::Kill => self.kill(),
            Action::PowerFails => self.power_fails(),
            Action::Start => self.start(),
            Action::DiskFails { op, nth } => {
                self.disk_is_ill = true;
                self.disk.fail_from(op, nth);
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

    fn tick(&mut self) {
        let tick = Record::tick(Millis(self.now())).to_bytes();
        let Some(process) = &self.process else { return };
        for partition in 0..self.partitions {
            // A refused tick is not missed.
            let _ = process.log.append(partition, &tick);
        }
    }

    /// Writes, answers, and looks at what can be read now.
    fn log_works(&mut self) {
        let Some(process) = &self.process else { return };
        process.log.work();
        let log = process.log.clone();
        self.listen();
        self.look(&*log);
    }

    fn listen(&mut self) {
        for tracker in &mut self.trackers {
            tracker.listen(&mut self.promises);
        }
    }

    /// What could be read before can be read still, and nothing else stands in its place.
    fn look(&mut self, log: &dyn EventLog) {
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
                if let Err(error) = log.read(partition, seen.len() as u64, 1 << 20, &mut batch) {
                    self.excuse(&format!("reading the log: {error}"));
                    return;
                }
                seen.extend(batch.iter().map(|(_, time, payload)| (time, payload.to_vec())));
            }
        }
    }

    /// An error is in order while something is wrong with the disk, and only then.
    fn excuse(&self, error: &str) {
        assert!(
            self.disk_is_ill || self.rot.is_some(),
            "nothing is wrong with the disk, but {error}"
        );
    }

    fn fold(&mut self, number: usize) {
        let Some(process) = &mut self.process else { return };
        let Some(engine) = &mut process.engines[number] else { return };
        if let Err(error) = engine.step() {
            process.engines[number] = None;
            self.excuse(&format!("engine {number}: {error}"));
        }
    }

    fn publish(&mut self, number: usize) {
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

    fn kill(&mut self) {
        self.disk.kill();
        self.end_process();
    }

    fn power_fails(&mut self) {
        self.disk.crash();
        self.end_process();
    }

    fn end_process(&mut self) {
        let Some(process) = self.process.take() else { return };
        self.restarts += 1;
        self.trackers.iter_mut().for_each(Tracker::hang_up);
        self.zombies = process.engines.into_iter().flatten().collect();
    }

    fn heal_disk(&mut self) {
        self.disk.heal();
        self.disk.set_capacity(u64::MAX);
        self.disk_is_full = false;
        self.disk_is_ill = self.process.is_some() && self.disk_is_ill;
    }

    /// A log that has failed needs a new process: so does everything that has, here.
    fn start(&mut self) {
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
        let engines = [self.open_engine(&log, 0), self.open_engine(&log, 1)];
        self.process = Some(Process { log, engines });
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
        let parts = EngineParts {
            log: log.clone(),
            disk: Arc::new(self.disk.clone()),
            clock: self.clock.clone(),
            checkpoints: PathBuf::from(CHECKPOINTS[number]),
            dead_letters: PathBuf::from(DEAD_LETTERS[number]),
            store: Some(Box::new(self.store.clone())),
            sink: None,
        };
        let config = EngineConfig {
            checkpoint_interval: Duration::from_secs([5, 40][number]),
            publish_interval: Duration::from_millis([1_000, 200][number]),
            step_bytes: [1 << 20, 64 << 10][number],
            ..EngineConfig::default()
        };
        match Engine::open(parts, config) {
            Ok((mut engine, _)) => {
                engine.in_foreground();
                Some(engine)
            }
            Err(error) => {
                self.excuse(&format!("opening engine {number}: {error}"));
                None
            }
        }
    }

    /// The process dies, some bytes of a file change, and it starts: it sees the change or is not
    /// harmed by it.
    fn rot(&mut self, seed: u64) {
        // A tail that a power failure has left unproven is told from rot only by an open log.
        self.start();
        if self.process.is_none() {
            return;
        }
        self.kill();
        self.undo_rot();
        let mut dice = Dice::new(seed);
        let files = self.disk.files();
        if files.is_empty() {
            return;
        }
        let path = files[dice.below(files.len())].clone();
        let mut rot = None;
        let changed = self.disk.tamper(&path, |bytes| rot = spoil(bytes, &mut dice));
        changed.expect("a file that was just listed");
        self.rot = rot.map(|(at, good, bad)| Rot { path, at, good, bad });
        self.start_or_repair();
    }

    /// An operator brings the good copy of what was found to be bad. What nobody has found, and
    /// what has been overwritten since, stays.
    fn undo_rot(&mut self) {
        let Some(Rot { path, at, good, bad }) = self.rot.take() else { return };
        // Files that were found bad may have been removed.
        let _ = self.disk.tamper(&path, |bytes| {
            if let Some(place) = bytes.get_mut(at..at + bad.len())
                && *place == bad
            {
                place.copy_from_slice(&good);
            }
        });
    }

    /// All trouble ends. Everything that was begun comes to its end, within bounds.
    fn recover(&mut self) -> Engine {
        self.heal_disk();
        self.store.fail(0, 0);
        self.kill();
        self.disk_is_ill = false;
        self.start_or_repair();
        assert!(self.is_whole(), "a healthy machine does not start");
        self.clock.set_wall(self.now().max(self.newest_time()));
        let mut quiet = 0;
        for _ in 0..LAST_ROUNDS {
            self.settle();
            let answered = self.trackers.iter().all(Tracker::is_answered);
            quiet = if answered && self.is_decided() { quiet + 1 } else { 0 };
            // One more, so that an instant of the grid lies behind all verdicts.
            if quiet > 1 {
                return self.last_engine();
            }
            self.clock.advance(1_500);
        }
        panic!("{LAST_ROUNDS} rounds without trouble, and not all clicks are answered and decided");
    }

    fn settle(&mut self) {
        let now = self.now();
        if let Some(process) = &self.process {
            self.trackers.iter_mut().for_each(|tracker| tracker.send_all(&*process.log, now));
        }
        self.tick();
        self.log_works();
        self.log_works();
        for number in 0..2 {
            self.fold(number);
            self.fold(number);
            self.publish(number);
        }
        if !self.is_whole() {
            self.repair();
            assert!(self.is_whole(), "a healthy machine does not start");
        }
    }

    /// Opens what opens; what does not is brought back from the good copy.
    fn start_or_repair(&mut self) {
        self.start();
        if !self.is_whole() {
            self.repair();
        }
    }

    fn repair(&mut self) {
        self.kill();
        self.undo_rot();
        self.start();
    }

    /// Whether log and both engines are at work.
    fn is_whole(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.engines.iter().all(Option::is_some))
    }

    fn newest_time(&self) -> u64 {
        let last = self.seen.iter().filter_map(|records| records.last());
        last.map(|(time, _)| time + 1).max().unwrap_or(0)
    }

    /// Whether both engines have read, decided and published everything.
    fn is_decided(&self) -> bool {
        let Some(process) = &self.process else { return false };
        process.engines.iter().flatten().all(|engine| {
            let status = engine.status();
            let status = status.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let read =
                status.read_to.iter().zip(0..).all(|(to, p)| to.0 == process.log.range(p).end);
            read && status.pending == 0 && status.arriving == 0 && status.rows_waiting == 0
        })
    }

    fn last_engine(&mut self) -> Engine {
        let process = self.process.take().expect("it has just settled");
        let [first, second] = process.engines.map(|engine| engine.expect("it has just settled"));
        judge::engines_agree(&first, &second);
        first
    }
}

/// Flips a bit, empties a sector, or puts another one in its place: where, what was there, what is.
fn spoil(bytes: &mut [u8], dice: &mut Dice) -> Option<(usize, Vec<u8>, Vec<u8>)> {
    // Reserved space is mostly empty: rather where something is.
    let filled = bytes.iter().rposition(|byte| *byte != 0)? + 1;
    let end = if dice.percent(90) { filled } else { bytes.len() };
    let at = dice.below(end);
    let to = bytes.len().min(at + SECTOR);
    let bad = match dice.below(3) {
        0 => vec![bytes[at] ^ 1 << dice.below(8)],
        1 => vec![0; to - at],
        _ => {
            let other = dice.below(bytes.len());
            bytes[other..].iter().copied().take(to - at).collect()
        }
    };
    let place = &mut bytes[at..at + bad.len()];
    let good = place.to_vec();
    place.copy_from_slice(&bad);
    Some((at, good, bad))
}
