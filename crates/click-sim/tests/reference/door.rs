//! The one door of these tests: short words for records, and `check(entries, expect)`. Every
//! case holds for the reference and for the core's fold.
//!
//! Times are milliseconds after `T0`. An entry is appended at `at`, received at the same instant
//! and tells no `sent_at`, unless it says otherwise; so its `fold_time` is `T0 + at`.

use std::collections::BTreeMap;

use click_sim::check::{Dice, Style, World};
use click_sim::reference::{
    PlainClick, PlainHeader, PlainHeartbeat, PlainIdentity, PlainIp, PlainLayout, PlainPayload,
    PlainPolicy, PlainPrevious, PlainRecord, Position, Reference,
};

/// 2017-11-07T09:30:00Z, the start of a minute.
pub const T0: u64 = 1_510_047_000_000;
pub const SECOND: u64 = 1_000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
/// The default policy's horizon H.
pub const H: u64 = 96 * HOUR + 5 * MINUTE;
const PARTITIONS: u32 = 2;

/// A record, without its offset.
#[derive(Clone)]
pub struct Entry {
    pub partition: u32,
    pub append_time: u64,
    pub payload: PlainPayload,
}

impl Entry {
    pub fn on(mut self, partition: u32) -> Self {
        self.partition = partition;
        self
    }
}

/// A click under construction.
#[derive(Clone)]
pub struct Click {
    partition: u32,
    at: u64,
    received: Option<u64>,
    click: PlainClick,
}

pub fn click(click_id: &str) -> Click {
    let (click_id, ad_id, currency) = (click_id.to_owned(), "ad".to_owned(), "USD".to_owned());
    let click = PlainClick { click_id, ad_id, currency, price_micros: 7, ..PlainClick::default() };
    Click { partition: 0, at: 0, received: None, click }
}

impl Click {
    /// A click received and appended at this absolute time.
    pub fn from_1970(time: u64) -> Entry {
        let mut click = click("c").click;
        click.received_at = time;
        let payload = PlainPayload::Click(Box::new(click));
        Entry { partition: 0, append_time: time, payload }
    }

    pub fn at(mut self, at: u64) -> Self {
        self.at = at;
        self
    }

    pub fn on(mut self, partition: u32) -> Self {
        self.partition = partition;
        self
    }

    pub fn received(mut self, at: u64) -> Self {
        self.received = Some(at);
        self
    }

    pub fn sent(mut self, at: u64) -> Self {
        self.click.sent_at = Some(T0 + at);
        self
    }

    pub fn expires(mut self, at: u64) -> Self {
        self.click.expires_at = Some(T0 + at);
        self
    }

    pub fn user(mut self, user: &str) -> Self {
        self.click.user_id = user.to_owned();
        self
    }

    pub fn ip(mut self, ip: [u8; 4]) -> Self {
        self.click.ip = Some(PlainIp::V4(ip));
        self
    }

    /// Any other field.
    pub fn with(mut self, set: impl FnOnce(&mut PlainClick)) -> Self {
        set(&mut self.click);
        self
    }

    pub fn seq(mut self, tracker: &str, epoch: u64, seq: u64) -> Self {
        self.click.identity = Some(PlainIdentity { tracker_id: tracker.to_owned(), epoch, seq });
        self
    }

    pub fn after(mut self, tracker: &str, epoch: u64, next_seq: u64) -> Self {
        let tracker_id = tracker.to_owned();
        self.click.previous = Some(PlainPrevious { tracker_id, epoch, next_seq });
        self
    }
}

impl From<Click> for Entry {
    fn from(from: Click) -> Self {
        let mut click = from.click;
        click.received_at = T0 + from.received.unwrap_or(from.at);
        let payload = PlainPayload::Click(Box::new(click));
        Self { partition: from.partition, append_time: T0 + from.at, payload }
    }
}

fn entry(at: u64, payload: PlainPayload) -> Entry {
    Entry { partition: 0, append_time: T0 + at, payload }
}

pub fn tick(at: u64) -> Entry {
    entry(at, PlainPayload::Tick { sent_at: None })
}

pub fn undecodable(at: u64) -> Entry {
    entry(at, PlainPayload::Undecodable(vec![7, 7]))
}

pub fn header(generation: u16) -> Entry {
    entry(0, PlainPayload::Header(PlainHeader { sent_at: None, log_id: [1; 16], generation }))
}

pub fn heartbeat(at: u64, tracker: &str, epoch: u64, next_seq: u64) -> Entry {
    let tracker_id = tracker.to_owned();
    entry(
        at,
        PlainPayload::Heartbeat(PlainHeartbeat { sent_at: None, tracker_id, epoch, next_seq }),
    )
}

/// A policy that differs from the default by `set`; in force a minute after `at`.
pub fn policy(at: u64, id: &str, set: impl FnOnce(&mut PlainPolicy)) -> Entry {
    let mut policy = PlainPolicy { id: id.to_owned(), ..PlainPolicy::default() };
    set(&mut policy);
    entry(at, PlainPayload::Policy(policy))
}

/// The log of `header` gets one more partition, of the number behind those of the beginning.
pub fn layout(at: u64) -> Entry {
    let parts = vec![("old".to_owned(), PARTITIONS), ("new".to_owned(), 1)];
    let layout = PlainLayout { sent_at: None, log_id: [1; 16], number: 1, parts };
    entry(at, PlainPayload::Layout(layout))
}

/// The entries in the order given, and a tick on each partition that makes all of them final.
pub fn ledger(entries: &[Entry]) -> Reference {
    let greatest = entries.iter().map(|e| e.append_time).max().unwrap_or(T0);
    let closing = Entry {
        partition: 0,
        append_time: (greatest + SECOND).next_multiple_of(SECOND),
        payload: PlainPayload::Tick { sent_at: None },
    };
    let ticks = (0..PARTITIONS).map(|partition| closing.clone().on(partition));
    open_ledger(&entries.iter().cloned().chain(ticks).collect::<Vec<_>>())
}

/// The entries and nothing else.
pub fn open_ledger(entries: &[Entry]) -> Reference {
    let positions = positions(entries);
    let records = entries.iter().zip(positions).map(|(e, (partition, offset))| PlainRecord {
        partition,
        offset,
        append_time: e.append_time,
        payload: e.payload.clone(),
    });
    let records: Vec<PlainRecord> = records.collect();
    core_agrees(&records);
    Reference::new(records, PARTITIONS)
}

/// Every case goes through the core's fold, too, at once and in some other ways.
fn core_agrees(records: &[PlainRecord]) {
    let world = World::new(records, PARTITIONS);
    world.check(&Style::plain(), 0);
    for seed in 0..2 {
        let mut dice = Dice::new(seed);
        world.check(&Style::any(&mut dice), seed);
    }
}

fn positions(entries: &[Entry]) -> Vec<Position> {
    let mut next = BTreeMap::new();
    let mut positions = Vec::new();
    for e in entries {
        let offset = next.entry(e.partition).or_insert(0);
        positions.push((e.partition, *offset));
        *offset += 1;
    }
    positions
}

/// `expect` has one word for each click among `entries`, in their order: its reasons joined by
/// `+`, `V`, or `repeat` where the record is dropped.
pub fn check<const N: usize>(entries: [Entry; N], expect: &str) {
    assert_eq!(outcome(&entries), expect, "verdicts differ");
}

/// What `check` compares.
pub fn outcome(entries: &[Entry]) -> String {
    let ledger = ledger(entries);
    let verdicts = ledger.verdicts(ledger.watermark());
    let mut words = Vec::new();
    for (e, position) in entries.iter().zip(positions(entries)) {
        if let PlainPayload::Click(_) = e.payload {
            words.push(match verdicts.get(&position) {
                None => "repeat".to_owned(),
                Some(verdict) if verdict.reasons.is_empty() => verdict.class.to_owned(),
                Some(verdict) => verdict.reasons.join("+"),
            });
        }
    }
    words.join(" ")
}
