//! A tracker's machine: disk, clock, own log and forwarder, and the instance that numbers clicks.
//! Must never take a click for acknowledged that no commit has resolved for.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use click_core::record::{Click, Kind, Previous, Record, Transport};
use click_core::types::Millis;
use click_engine::disk::{MemDisk, read_file};
use click_engine::forward::{ForwardConfig, ForwardedLog, Forwarder, Hole, request};
use click_engine::log::{
    Clock, Commit, DiskLog, EventLog, LogHealth, LogOptions, ManualClock, RecordBatch, Retention,
};

use super::super::tracker::Facts;
use super::link::Link;
use super::plan::ClusterPlan;
use super::topic::{GENERATION, LOG_ID, Topic, timeless};
use crate::generate::home_partition;

const DIR: &str = "/data/spool";
const POSITIONS: &str = "/data/spool/forwarded.json";
/// The least that a log takes, so that stories have many segments.
const SEGMENT_BYTES: u64 = 70_000;
const READ_BYTES: usize = 1 << 16;

/// Who, and which number: `(tracker_id, partition, seq)`.
pub(super) type Identity = (String, u32, u64);

/// A click that its visitor was told of.
pub(super) struct Acknowledged {
    pub(super) partition: u32,
    pub(super) timeless: Vec<u8>,
}

struct Waiting {
    identity: Identity,
    timeless: Vec<u8>,
    commit: Commit,
}

/// A tracker's process while it lives.
struct Process {
    own: Arc<DiskLog>,
    log: ForwardedLog,
    forwarder: Forwarder,
    waiting: Vec<Waiting>,
}

pub(super) struct Site {
    number: usize,
    pub(super) disk: MemDisk,
    pub(super) clock: Arc<ManualClock>,
    topic: Topic,
    config: ForwardConfig,
    /// Of the own log: of all parts that there will be.
    partitions: u32,
    /// Those that new clicks are sent to, as far as this tracker knows.
    newest: Range<u32>,
    large: bool,
    process: Option<Process>,
    starts: u64,
    next_seq: Vec<u64>,
    /// By partition what this instance knows to be kept; the next one names it.
    kept: Vec<u64>,
    before: Vec<Option<(String, u64)>>,
    /// By partition what the own log has shown, without times of sending.
    seen: Vec<Vec<Vec<u8>>>,
    /// By partition how much of it has been found to be confirmed.
    confirmed: Vec<usize>,
    pub(super) acknowledged: Vec<Acknowledged>,
    /// Numbers whose records no own log has kept, as far as anybody knows.
    pub(super) refused: BTreeSet<Identity>,
    /// Something was done to the disk since it was last healthy.
    disk_is_ill: bool,
    pub(super) restarts: u64,
}

impl Site {
    pub(super) fn new(number: usize, plan: &ClusterPlan, topic: &Topic, now: u64) -> Site {
        let partitions = (plan.partitions + plan.added) as usize;
        Site {
            number,
            disk: MemDisk::new(plan.seed ^ (number as u64 + 1)),
            clock: Arc::new(ManualClock::new(now)),
            topic: topic.clone(),
            config: ForwardConfig {
                spool_after: Duration::from_millis(plan.spool_after_ms),
                copying: None,
                retention: Retention { max_age_ms: plan.keep_ms, max_bytes: None },
                dir: DIR.into(),
            },
            partitions: plan.partitions + plan.added,
            newest: 0..plan.partitions,
            large: plan.large,
            process: None,
            starts: 0,
            next_seq: vec![0; partitions],
            kept: vec![0; partitions],
            before: vec![None; partitions],
            seen: vec![Vec::new(); partitions],
            confirmed: vec![0; partitions],
            acknowledged: Vec::new(),
            refused: BTreeSet::new(),
            disk_is_ill: false,
            restarts: 0,
        }
    }

    fn id(&self) -> String {
        format!("site-{}-{:032x}", self.number, self.starts)
    }

    fn now(&self) -> u64 {
        self.clock.now().0 / 1000
    }

    /// A visitor clicks.
    pub(super) fn click(&mut self, seed: u64) {
        let (facts, newest) = (Facts::of(seed), self.newest.clone());
        let home = home_partition(facts.click(0).user_key(), newest.end - newest.start);
        self.click_in(newest.start + home, seed);
    }

    /// It comes to know to which partitions new clicks go.
    pub(super) fn learn(&mut self) {
        self.newest = self.topic.newest_part();
    }

    /// A visitor clicks, and the click is for this partition.
    pub(super) fn click_in(&mut self, partition: u32, seed: u64) {
        let facts = Facts::of(seed);
        let click = facts.click(self.now().saturating_sub(facts.age()));
        let text = format!("{seed:016x}").repeat(256);
        let (referrer, consent) = if self.large { (&*text, &*text) } else { ("", "") };
        self.append(partition, 1, Kind::Click(Click { referrer, consent, ..click }));
    }

    /// Says up to which number it has sent, where it has.
    pub(super) fn heartbeat(&mut self) {
        for partition in 0..self.partitions {
            let next_seq = self.next_seq[partition as usize];
            if next_seq > 0 {
                self.append(partition, 0, Kind::Heartbeat { next_seq });
            }
        }
    }

    /// Numbers a record and hands it to the log; a refused one has no number.
    fn append(&mut self, partition: u32, numbers: u64, kind: Kind<'_>) {
        let (id, place, now) = (self.id(), partition as usize, self.now());
        let Some(process) = &mut self.process else { return };
        let seq = self.next_seq[place];
        let before = self.before[place].as_ref().filter(|_| seq == 0);
        let previous = before.map(|(tracker_id, next_seq)| Previous {
            tracker_id,
            epoch: 0,
            next_seq: *next_seq,
        });
        let transport = Some(Transport { tracker_id: &id, epoch: 0, seq });
        let record = Record { sent_at: Some(Millis(now)), transport, previous, kind };
        let payload = record.to_bytes();
        let Ok(commit) = process.log.append(partition, &payload) else { return };
        self.next_seq[place] += numbers;
        if numbers > 0 {
            let identity = (id, partition, seq);
            process.waiting.push(Waiting { identity, timeless: timeless(&payload), commit });
        }
    }

    pub(super) fn own_log_works(&mut self) {
        if let Some(process) = &self.process {
            process.own.work();
            self.look();
        }
    }

    pub(super) fn forward(&mut self) {
        let Some(process) = &mut self.process else { return };
        let stepped = process.forwarder.step(false);
        stepped.unwrap_or_else(|error| panic!("site {}: forwarding: {error}", self.number));
        self.listen();
        self.look();
        self.nothing_is_passed_over();
    }

    /// What the visitors are told.
    fn listen(&mut self) {
        let Some(process) = &mut self.process else { return };
        for one in process.waiting.extract_if(.., |one| one.commit.is_settled()) {
            let (_, partition, seq) = one.identity;
            if one.commit.wait().is_err() {
                self.refused.insert(one.identity);
                continue;
            }
            let kept = &mut self.kept[partition as usize];
            *kept = (*kept).max(seq + 1);
            self.acknowledged.push(Acknowledged { partition, timeless: one.timeless });
        }
    }

    /// What was durable is so still, and is the same.
    fn look(&mut self) {
        let Some(process) = &self.process else { return };
        for (partition, seen) in (0..).zip(&mut self.seen) {
            let range = process.own.range(partition);
            let end = usize::try_from(range.end).unwrap_or(usize::MAX);
            assert!(end >= seen.len(), "partition {partition} ended at {}", seen.len());
            let mut batch = RecordBatch::default();
            while seen.len() < end {
                batch.clear();
                let read = process.own.read(partition, seen.len() as u64, READ_BYTES, &mut batch);
                read.unwrap_or_else(|error| panic!("site {}: {error}", self.number));
                seen.extend(batch.iter().map(|(_, _, payload)| timeless(payload)));
            }
        }
    }

    /// What the positions pass, and what the own log no longer has, the cluster has confirmed.
    fn nothing_is_passed_over(&mut self) {
        let Some(process) = &self.process else { return };
        let saved = positions(&self.disk).unwrap_or_default();
        for (partition, confirmed) in (0..).zip(&mut self.confirmed) {
            let place = partition as usize;
            let start = process.own.range(partition).start;
            let passed = start.max(saved.get(place).copied().unwrap_or(0));
            let passed = usize::try_from(passed).unwrap_or(usize::MAX);
            let records = &self.seen[place];
            while *confirmed < passed {
                let record = records.get(*confirmed).expect("a record that was durable");
                assert!(
                    self.topic.was_confirmed(partition, record),
                    "{confirmed} of partition {partition} is passed over: not confirmed",
                );
                *confirmed += 1;
            }
        }
    }

    pub(super) fn kill(&mut self) {
        self.end(MemDisk::kill);
    }

    pub(super) fn power_fails(&mut self) {
        self.end(MemDisk::crash);
    }

    fn end(&mut self, how: fn(&MemDisk)) {
        how(&self.disk);
        let Some(process) = self.process.take() else { return };
        self.restarts += 1;
        // Nobody will be told: what of it is kept is in the log, or is no click.
        let unknown = process.waiting.into_iter().map(|one| one.identity);
        self.refused.extend(unknown);
    }

    /// Starts as a new instance, unless one is well and at work.
    pub(super) fn start(&mut self) {
        if let Some(process) = &self.process {
            if process.own.health() == LogHealth::Ok {
                return;
            }
            self.kill();
        }
        if let Err(error) = self.open() {
            assert!(self.disk_is_ill, "nothing is wrong with the disk, but {error}");
            self.disk.kill();
        }
    }

    fn open(&mut self) -> Result<(), String> {
        let options = LogOptions {
            partitions: self.partitions,
            generation: GENERATION,
            log_id: Some(LOG_ID),
            segment_bytes: SEGMENT_BYTES,
            stepped: true,
            disk: Arc::new(self.disk.clone()),
            clock: self.clock.clone(),
            ..LogOptions::default()
        };
        let own = DiskLog::open_or_create(Path::new(DIR), &options).map_err(|e| e.to_string())?;
        let own = Arc::new(own);
        let forwarder = Forwarder::open(
            own.clone(),
            Box::new(Link::new(&self.topic)),
            Arc::new(self.disk.clone()),
            self.clock.clone(),
            self.config.clone(),
        );
        let forwarder = forwarder.map_err(|error| error.to_string())?;
        let log = ForwardedLog::new(own.clone(), forwarder.shared(), self.clock.clone());
        self.process = Some(Process { own, log, forwarder, waiting: Vec::new() });
        self.begin_instance();
        self.look();
        Ok(())
    }

    fn begin_instance(&mut self) {
        let id = self.id();
        for (before, kept) in self.before.iter_mut().zip(&mut self.kept) {
            if *kept > 0 {
                *before = Some((id.clone(), *kept));
            }
            *kept = 0;
        }
        self.next_seq.fill(0);
        self.starts += 1;
    }

    /// `ill` is whether something is wrong with the disk from now on.
    pub(super) fn disk_changes(&mut self, ill: bool) {
        if !ill {
            self.disk.heal();
            self.disk.set_capacity(u64::MAX);
        }
        self.disk_is_ill = ill;
    }

    /// An operator asks for what is missing.
    pub(super) fn ask(&mut self, holes: &[Hole]) {
        let asked = request(&self.disk, Path::new(DIR), holes);
        asked.unwrap_or_else(|error| assert!(self.disk_is_ill, "asking: {error}"));
    }

    /// Whether everything is handed on, and everybody told.
    pub(super) fn is_done(&self) -> bool {
        self.process
            .as_ref()
            .is_some_and(|process| process.forwarder.behind() == 0 && process.waiting.is_empty())
    }

    /// By partition everything that the own log has ever shown.
    pub(super) fn seen(&self) -> &[Vec<Vec<u8>>] {
        &self.seen
    }
}

/// What the file of positions says, if it is there.
fn positions(disk: &MemDisk) -> Option<Vec<u64>> {
    let bytes = read_file(disk, Path::new(POSITIONS), 1 << 20).ok()?;
    let file: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    file["forwarded"].as_array()?.iter().map(serde_json::Value::as_u64).collect()
}
