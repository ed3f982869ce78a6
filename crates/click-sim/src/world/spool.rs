//! Stories of a tracker's spool and a cluster that others keep: the real own log on a disk that
//! forgets, the real forwarder, and a cluster that is away, answers late, says that it failed when
//! it did not, and confirms behind a failure what it never got. Whatever was acknowledged has to be
//! in the cluster's log in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use click_core::record::{Click, Kind, Record, Transport};
use click_core::types::Millis;
use click_engine::disk::MemDisk;
use click_engine::driver::{append_header, refold};
use click_engine::forward::{ForwardConfig, ForwardedLog, Forwarder, Outcome, Remote};
use click_engine::log::{
    Clock, Commit, DiskLog, EventLog, LogError, LogId, LogOptions, ManualClock, MemLog, Retention,
};

use crate::check::Dice;

const PARTITIONS: u32 = 2;
const START_MS: u64 = 1_700_000_000_000;
const LOG_ID: LogId = LogId([9; 16]);
const SPOOL: &str = "spool";
/// Steps after which everything has to have arrived where nothing is wrong any more.
const RECOVERY: usize = 5_000;

/// What the cluster's log has, by partition.
type Stored = Vec<Vec<Vec<u8>>>;

/// A message on its way.
struct UnderWay {
    partition: u32,
    offset: u64,
    payload: Vec<u8>,
    /// Number of the sender that sent it; one that was given up is heard by nobody.
    sender: u64,
}

struct Cluster {
    dice: Dice,
    stored: Stored,
    under_way: Vec<UnderWay>,
    outcomes: Vec<Outcome>,
    sender: u64,
    /// The present sender has told of a failure: what it confirms from now on may be untrue.
    has_failed: bool,
    is_away: bool,
    is_good: bool,
}

impl Cluster {
    fn new(dice: Dice) -> Cluster {
        Cluster {
            dice,
            stored: vec![Vec::new(); PARTITIONS as usize],
            under_way: Vec::new(),
            outcomes: Vec::new(),
            sender: 0,
            has_failed: false,
            is_away: false,
            is_good: false,
        }
    }

    /// Something becomes of some of what is under way, mostly in order.
    fn work(&mut self) {
        let mut index = 0;
        while index < self.under_way.len() {
            if !self.is_good && self.dice.percent(if self.is_away { 95 } else { 40 }) {
                index += 1;
                continue;
            }
            let message = self.under_way.remove(index);
            self.finish(message);
        }
    }

    fn finish(&mut self, message: UnderWay) {
        let UnderWay { partition, offset, payload, sender } = message;
        let is_heard = sender == self.sender;
        let lies = !self.is_good && self.has_failed && self.dice.percent(50);
        let fails = !self.is_good && self.dice.percent(if self.is_away { 90 } else { 4 });
        // A failure says nothing about whether the record is there.
        let is_stored = if fails { self.dice.percent(30) } else { !lies };
        if is_stored {
            self.stored[partition as usize].push(payload);
        }
        if is_heard {
            self.has_failed |= fails;
            let failed = || Err(LogError::kafka("not delivered"));
            let result = if fails { failed() } else { Ok(START_MS) };
            self.outcomes.push(Outcome { partition, offset, result });
        }
    }
}

#[derive(Clone)]
struct Wire(Arc<Mutex<Cluster>>);

impl Wire {
    fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remote for Wire {
    fn send(&mut self, partition: u32, offset: u64, payload: &[u8]) -> Result<bool, LogError> {
        let mut cluster = self.cluster();
        if !cluster.is_good && cluster.dice.percent(3) {
            return if cluster.dice.percent(50) { Ok(false) } else { Err(LogError::kafka("no")) };
        }
        let (payload, sender) = (payload.to_vec(), cluster.sender);
        cluster.under_way.push(UnderWay { partition, offset, payload, sender });
        Ok(true)
    }

    fn outcomes(&mut self, _: Duration, out: &mut Vec<Outcome>) {
        out.append(&mut self.cluster().outcomes);
    }

    fn reset(&mut self) -> Result<(), LogError> {
        let mut cluster = self.cluster();
        cluster.sender += 1;
        cluster.has_failed = false;
        cluster.outcomes.clear();
        Ok(())
    }
}

/// A running tracker.
struct Process {
    own: Arc<DiskLog>,
    log: ForwardedLog,
    forwarder: Forwarder,
}

struct Story {
    dice: Dice,
    disk: MemDisk,
    clock: Arc<ManualClock>,
    wire: Wire,
    process: Option<Process>,
    starts: u64,
    next_seq: [u64; PARTITIONS as usize],
    waiting: Vec<(Commit, String)>,
    acknowledged: BTreeSet<String>,
}

/// Plays the story of a seed; how many clicks were acknowledged.
///
/// # Errors
/// What was promised and not kept.
pub fn play(seed: u64) -> Result<u64, String> {
    let mut dice = Dice::new(seed ^ 0x5b00_1000);
    let cluster = Cluster::new(Dice::new(dice.number()));
    let mut story = Story {
        disk: MemDisk::new(seed),
        clock: Arc::new(ManualClock::new(START_MS)),
        wire: Wire(Arc::new(Mutex::new(cluster))),
        process: None,
        starts: 0,
        next_seq: [0; PARTITIONS as usize],
        waiting: Vec::new(),
        acknowledged: BTreeSet::new(),
        dice,
    };
    for _ in 0..story.dice.between(50, 400) {
        story.act()?;
    }
    story.recover()?;
    story.judge()
}

impl Story {
    fn act(&mut self) -> Result<(), String> {
        let choice = self.dice.below(100);
        match choice {
            0..35 => (0..self.dice.between(1, 12)).for_each(|_| self.click()),
            35..55 => self.own_works(),
            55..80 => self.forward()?,
            80..90 => self.wire.cluster().work(),
            90..95 => {
                let ms = self.dice.pick(&[1, 20, 400, 700, 1_500, 40_000]);
                self.clock.advance(ms);
            }
            95 | 96 => {
                let is_away = self.dice.percent(50);
                self.wire.cluster().is_away = is_away;
            }
            97 => self.die(),
            98 => {
                self.die();
                self.disk.crash();
            }
            _ => self.start()?,
        }
        self.hear();
        Ok(())
    }

    fn click(&mut self) {
        let Some(process) = &self.process else { return };
        let partition = u32::from(self.dice.percent(50));
        let seq = self.next_seq[partition as usize];
        let (id, tracker) = (format!("{}-{partition}-{seq}", self.starts), self.tracker());
        let now = Millis(self.clock.now().0 / 1000);
        let filling = "x".repeat(self.dice.pick(&[0, 100, 900]));
        let click = Click {
            click_id: &id,
            ad_id: "ad",
            received_at: now,
            user_agent: Some(&filling),
            ..Click::default()
        };
        let transport = Some(Transport { tracker_id: &tracker, epoch: 0, seq });
        let kind = Kind::Click(click);
        let record = Record { sent_at: Some(now), transport, previous: None, kind };
        if let Ok(commit) = process.log.append(partition, &record.to_bytes()) {
            self.next_seq[partition as usize] += 1;
            self.waiting.push((commit, id));
        }
    }

    fn tracker(&self) -> String {
        format!("edge-{:032x}", self.starts)
    }

    fn own_works(&mut self) {
        if let Some(process) = &self.process {
            process.own.work();
        }
    }

    fn forward(&mut self) -> Result<(), String> {
        match &mut self.process {
            Some(process) => process.forwarder.step(false).map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    /// Answers that have come: who got a good one relies on it.
    fn hear(&mut self) {
        for (commit, id) in self.waiting.extract_if(.., |(commit, _)| commit.is_settled()) {
            if commit.wait().is_ok() {
                self.acknowledged.insert(id);
            }
        }
    }

    fn die(&mut self) {
        self.disk.kill();
        self.process = None;
        self.waiting.clear();
    }

    fn start(&mut self) -> Result<(), String> {
        if self.process.is_some() {
            return Ok(());
        }
        self.starts += 1;
        self.next_seq = [0; PARTITIONS as usize];
        let clock: Arc<dyn Clock> = self.clock.clone();
        let options = LogOptions {
            partitions: PARTITIONS,
            log_id: Some(LOG_ID),
            segment_bytes: 128 << 10,
            stepped: true,
            disk: Arc::new(self.disk.clone()),
            clock: clock.clone(),
            ..LogOptions::default()
        };
        let own = DiskLog::open_or_create(Path::new(SPOOL), &options);
        let own = Arc::new(own.map_err(|error| error.to_string())?);
        let config = ForwardConfig {
            spool_after: Duration::from_millis(300),
            retention: Retention { max_age_ms: Some(1_000), max_bytes: None },
            dir: PathBuf::from(SPOOL),
        };
        // Nobody hears of what an earlier process had sent; it may arrive all the same.
        let mut wire = self.wire.clone();
        wire.reset().map_err(|error| error.to_string())?;
        let disk = Arc::new(self.disk.clone());
        let forwarder = Forwarder::open(own.clone(), Box::new(wire), disk, clock.clone(), config);
        let forwarder = forwarder.map_err(|error| error.to_string())?;
        let log = ForwardedLog::new(own.clone(), forwarder.shared(), clock);
        self.process = Some(Process { own, log, forwarder });
        Ok(())
    }

    /// Nothing is wrong any more: everything arrives.
    fn recover(&mut self) -> Result<(), String> {
        self.wire.cluster().is_good = true;
        self.start()?;
        for _ in 0..RECOVERY {
            self.own_works();
            self.forward()?;
            self.wire.cluster().work();
            self.hear();
            self.clock.advance(100);
            let is_done = self.process.as_ref().is_some_and(|now| now.forwarder.behind() == 0);
            if is_done && self.waiting.is_empty() {
                return Ok(());
            }
        }
        Err("the spool is not handed on, though nothing is wrong".into())
    }

    fn judge(&self) -> Result<u64, String> {
        let cluster = self.wire.cluster();
        let mut ids = BTreeMap::new();
        for payload in cluster.stored.iter().flatten() {
            let record = Record::decode(payload).map_err(|error| error.to_string())?;
            let Kind::Click(click) = &record.kind else { return Err("no click".into()) };
            let of = record.transport.map(|from| (from.tracker_id.to_owned(), from.seq));
            let same = ids.entry(click.click_id.to_owned()).or_insert_with(|| of.clone());
            if *same != of {
                return Err(format!("{} came under two identities", click.click_id));
            }
        }
        let lost: Vec<&String> =
            self.acknowledged.iter().filter(|id| !ids.contains_key(*id)).collect();
        if !lost.is_empty() {
            return Err(format!("acknowledged and lost: {lost:?}"));
        }
        let counted = count(&cluster.stored)?;
        if counted != ids.len() as u64 {
            return Err(format!("{} clicks were counted as {counted}", ids.len()));
        }
        Ok(self.acknowledged.len() as u64)
    }
}

/// How many clicks the real fold makes of the cluster's log, in which nothing may be missing.
fn count(stored: &Stored) -> Result<u64, String> {
    let clock = Arc::new(ManualClock::new(START_MS));
    let log = MemLog::new(LOG_ID, 1, PARTITIONS, clock.clone());
    let wrong = |error: LogError| error.to_string();
    drop(append_header(&log).map_err(wrong)?);
    for (partition, payloads) in (0..).zip(stored) {
        for payload in payloads {
            drop(log.append(partition, payload).map_err(wrong)?);
        }
    }
    clock.advance(3_600_000);
    for partition in 0..PARTITIONS {
        drop(log.append(partition, &Record::tick(Millis(START_MS)).to_bytes()).map_err(wrong)?);
    }
    let summary = refold(&log, 1, &mut Vec::new()).map_err(|error| error.to_string())?;
    if summary.gaps != 0 {
        return Err(format!("{} records are missing", summary.gaps));
    }
    Ok(summary.measured + summary.arriving)
}
