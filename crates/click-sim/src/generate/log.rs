//! The log that is written: the agenda of what happens when, the trackers that number and
//! re-send records, and the clocks that stamp them.
//!
//! Must never choose what happens; that is `scenes`.

use std::collections::BTreeMap;

use super::GeneratorConfig;
use super::clicks::home_partition;
use super::random::Random;
use crate::reference::{
    PlainClick, PlainHeartbeat, PlainIdentity, PlainLayout, PlainPayload, PlainPrevious,
    PlainRecord, SKEW_MS,
};

/// Something that will be appended.
pub(super) enum Planned {
    /// A click that no tracker has numbered yet. An exact one reaches the log at once, and its
    /// `fold_time` is the time planned.
    Fresh { partition: u32, click: Box<PlainClick>, exact: bool },
    /// A numbered click, sent late or again.
    Numbered { partition: u32, click: Box<PlainClick> },
    /// Anything else. Exact as above.
    Other { partition: u32, payload: PlainPayload, exact: bool },
}

/// One instance of a tracker.
struct Tracker {
    tracker_id: String,
    epoch: u64,
    /// By partition written to.
    next_seq: BTreeMap<u32, u64>,
    previous: Option<Box<Tracker>>,
}

pub(super) struct LogWriter {
    config: GeneratorConfig,
    agenda: BTreeMap<(u64, u64), Planned>,
    planned: u64,
    trackers: Vec<Tracker>,
    born: u64,
    /// H, at which re-sends aim.
    pub(super) horizon_ms: u64,
    /// No re-sends any more.
    closing: bool,
    pub(super) records: Vec<PlainRecord>,
    next_offset: BTreeMap<u32, u64>,
    /// Partitions of each part of the log.
    parts: Vec<u32>,
}

impl LogWriter {
    pub(super) fn new(config: GeneratorConfig, horizon_ms: u64) -> Self {
        let names = ["import:0123", "tracker-a", "tracker-b"];
        let tracker = |id: &str| Tracker {
            tracker_id: id.to_owned(),
            epoch: 0,
            next_seq: BTreeMap::new(),
            previous: None,
        };
        let parts = vec![config.partitions];
        Self {
            config,
            agenda: BTreeMap::new(),
            planned: 0,
            trackers: names.into_iter().map(tracker).collect(),
            born: 0,
            horizon_ms,
            closing: false,
            records: Vec::new(),
            next_offset: BTreeMap::new(),
            parts,
        }
    }

    pub(super) fn plan(&mut self, time: u64, what: Planned) {
        self.planned += 1;
        self.agenda.insert((time, self.planned), what);
    }

    /// Appends all that is due before `time`.
    pub(super) fn run_until(&mut self, random: &mut Random, time: u64) {
        while let Some(entry) = self.agenda.first_entry() {
            let due = entry.key().0;
            if due >= time {
                break;
            }
            let planned = entry.remove();
            self.happen(random, due, planned);
        }
    }

    /// Appends all that is still planned, and the closing ticks.
    pub(super) fn finish(mut self, random: &mut Random) -> Vec<PlainRecord> {
        self.closing = true;
        self.run_until(random, u64::MAX);
        if self.config.close {
            let greatest = self.records.iter().map(|r| r.append_time).max().unwrap_or(0);
            let end = (greatest + 1_000).next_multiple_of(1_000);
            for partition in 0..self.partitions() {
                self.append(partition, end, PlainPayload::Tick { sent_at: None });
            }
        }
        self.records
    }

    pub(super) fn append(&mut self, partition: u32, append_time: u64, payload: PlainPayload) {
        let next = self.next_offset.entry(partition).or_default();
        self.records.push(PlainRecord { partition, offset: *next, append_time, payload });
        *next += 1;
    }

    /// What some tracker has to tell of some partition.
    pub(super) fn heartbeat(&self, random: &mut Random) -> (u32, PlainPayload) {
        let partition = self.partition(random);
        let tracker = self.tracker(random);
        let next_seq = self.trackers[tracker].next_seq.get(&partition).copied().unwrap_or(0);
        let heartbeat = PlainHeartbeat {
            sent_at: None,
            tracker_id: self.trackers[tracker].tracker_id.clone(),
            epoch: self.trackers[tracker].epoch,
            next_seq: next_seq + random.pick(&[0, 0, 0, 1, 3]),
        };
        (partition, PlainPayload::Heartbeat(heartbeat))
    }

    /// A tracker begins a new epoch, or starts anew under another id.
    pub(super) fn restart_a_tracker(&mut self, random: &mut Random) {
        let index = self.tracker(random);
        let old = &self.trackers[index];
        let mut new = Tracker {
            tracker_id: old.tracker_id.clone(),
            epoch: old.epoch + 1,
            next_seq: BTreeMap::new(),
            previous: None,
        };
        if index > 0 && random.percent(60) {
            self.born += 1;
            new.tracker_id = format!("tracker-new-{}", self.born);
            new.epoch = 0;
        }
        let mut old = std::mem::replace(&mut self.trackers[index], new);
        old.previous = None;
        self.trackers[index].previous = Some(Box::new(old));
    }

    pub(super) fn partition(&self, random: &mut Random) -> u32 {
        let index = random.below(u64::from(self.partitions()));
        u32::try_from(index).unwrap_or(0)
    }

    /// All partitions so far.
    pub(super) fn partitions(&self) -> u32 {
        self.parts.iter().sum()
    }

    /// Where a tracker sends a click of this user key: to the newest part, if it knows of it.
    pub(super) fn home(&self, random: &mut Random, key: &str) -> u32 {
        let mut part = self.parts.len() - 1;
        while part > 0 && random.percent(20) {
            part -= 1;
        }
        self.parts[..part].iter().sum::<u32>() + home_partition(key, self.parts[part])
    }

    /// Adds a part; the layout that says so.
    pub(super) fn add_part(&mut self, partitions: u32) -> PlainLayout {
        self.parts.push(partitions);
        let named = |(number, count): (usize, &u32)| (format!("topic{number}"), *count);
        PlainLayout {
            sent_at: None,
            log_id: [9; 16],
            number: u32::try_from(self.parts.len() - 1).unwrap_or(0),
            parts: self.parts.iter().enumerate().map(named).collect(),
        }
    }

    fn tracker(&self, random: &mut Random) -> usize {
        let index = random.below(self.trackers.len() as u64);
        usize::try_from(index).unwrap_or(0)
    }

    fn happen(&mut self, random: &mut Random, time: u64, planned: Planned) {
        match planned {
            Planned::Fresh { partition, mut click, exact } => {
                self.number(random, partition, &mut click);
                if !exact && !self.closing && random.percent(4) {
                    let later = time + self.delay(random);
                    self.plan(later, Planned::Numbered { partition, click });
                } else {
                    self.send(random, time, partition, click, exact);
                }
            }
            Planned::Numbered { partition, click } => {
                self.send(random, time, partition, click, false);
            }
            Planned::Other { partition, mut payload, exact } => {
                let (append_time, sent_at) = self.stamps(random, time, exact);
                set_sent_at(&mut payload, sent_at);
                self.append(partition, append_time, payload);
            }
        }
    }

    fn send(
        &mut self,
        random: &mut Random,
        time: u64,
        partition: u32,
        mut click: Box<PlainClick>,
        exact: bool,
    ) {
        if !self.closing && random.percent(8) {
            let later = time + self.delay(random);
            self.plan(later, Planned::Numbered { partition, click: click.clone() });
        }
        let (append_time, sent_at) = self.stamps(random, time, exact);
        click.sent_at = sent_at;
        self.append(partition, append_time, PlainPayload::Click(click));
    }

    /// Until a record is sent late, or once more.
    fn delay(&self, random: &mut Random) -> u64 {
        match random.below(8) {
            0 => 0,
            1 => 1,
            2 | 3 => random.below(5_000),
            4 => random.below(600_000),
            5 => random.below(5 * 3_600_000),
            6 => random.around(self.horizon_ms),
            _ => 4 * 86_400_000 + random.below(86_400_000),
        }
    }

    /// Most clicks get the next number; some leave numbers out, some have none.
    fn number(&mut self, random: &mut Random, partition: u32, click: &mut PlainClick) {
        if random.percent(8) {
            return;
        }
        let index = self.tracker(random);
        let tracker = &mut self.trackers[index];
        if !tracker.next_seq.contains_key(&partition) {
            click.previous =
                tracker.previous.as_ref().and_then(|old| mention(random, old, partition));
        }
        let next = tracker.next_seq.entry(partition).or_default();
        if random.percent(3) {
            *next += random.between(1, 3);
        }
        let (tracker_id, epoch, seq) = (tracker.tracker_id.clone(), tracker.epoch, *next);
        *next += 1;
        click.identity = Some(PlainIdentity { tracker_id, epoch, seq });
    }

    /// `append_time` and `sent_at` of what is sent at `time`. Exact ones give it that very
    /// `fold_time`, one way or another, if its partition is not ahead.
    fn stamps(&self, random: &mut Random, time: u64, exact: bool) -> (u64, Option<u64>) {
        match random.below(3) {
            _ if !exact => self.clocks(random, time),
            0 => (time, None),
            1 if time >= SKEW_MS => (time + random.below(3), Some(time - SKEW_MS)),
            _ => (time, Some(time)),
        }
    }

    fn clocks(&self, random: &mut Random, time: u64) -> (u64, Option<u64>) {
        if random.below(1_000) < self.config.leaps_per_mille {
            return match random.below(3) {
                0 => (time + random.below(7_200_000), Some(time)),
                1 => (time + random.around(SKEW_MS), Some(time)),
                _ => (time + random.below(5_000), None),
            };
        }
        let sent_at = match random.below(20) {
            0..8 => None,
            8..15 => Some(time.saturating_sub(random.below(50))),
            15 | 16 => Some(time + random.below(600_000)),
            17 | 18 => Some(random.around(time.saturating_sub(SKEW_MS))),
            _ => Some(time.saturating_sub(SKEW_MS + random.below(600_000))),
        };
        let back = if random.percent(3) { random.below(2_000) } else { 0 };
        (time.saturating_sub(back), sent_at)
    }
}

/// What a tracker says of the instance before it, now and then of a tail that was lost.
fn mention(random: &mut Random, old: &Tracker, partition: u32) -> Option<PlainPrevious> {
    let next_seq = old.next_seq.get(&partition)? + random.pick(&[0, 0, 1, 2]);
    Some(PlainPrevious { tracker_id: old.tracker_id.clone(), epoch: old.epoch, next_seq })
}

fn set_sent_at(payload: &mut PlainPayload, stamp: Option<u64>) {
    match payload {
        PlainPayload::Undecodable(_) => {}
        PlainPayload::Click(click) => click.sent_at = stamp,
        PlainPayload::Tick { sent_at } => *sent_at = stamp,
        PlainPayload::Heartbeat(heartbeat) => heartbeat.sent_at = stamp,
        PlainPayload::Policy(policy) => policy.sent_at = stamp,
        PlainPayload::Header(header) => header.sent_at = stamp,
        PlainPayload::Layout(layout) => layout.sent_at = stamp,
    }
}
