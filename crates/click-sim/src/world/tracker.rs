//! Trackers and their visitors: who hands clicks to the log, and keeps them until it has answered.

use click_core::record::{Click, Kind, Previous, Record, Transport};
use click_core::types::{Micros, Millis};
use click_engine::log::{EventLog, Position};

use super::wire::Wire;
use crate::check::Dice;
use crate::generate::home_partition;

/// An answer that has not come after so long does not come, ms.
const PATIENCE_MS: u64 = 1_000;

/// A click on its way.
pub(super) struct Spooled {
    tracker_id: String,
    seq: u64,
    partition: u32,
    previous: Option<(String, u64)>,
    seed: u64,
    received_at: u64,
    /// The first answer is not understood.
    loses_answer: bool,
    /// By the wire's time.
    sent_at: Option<u64>,
    answered: bool,
}

/// A record on its way to the log.
#[derive(Clone)]
pub(super) struct Letter {
    pub(super) tracker: usize,
    tracker_id: String,
    seq: u64,
    pub(super) partition: u32,
    pub(super) payload: Vec<u8>,
}

/// What the log has promised to keep.
pub(super) struct Promise {
    pub(super) position: Position,
    pub(super) payload: Vec<u8>,
}

/// One tracker, as far as the log knows it.
pub(super) struct Tracker {
    number: usize,
    starts: u64,
    next_seq: Vec<u64>,
    /// Per partition what the first record there says of the tracker before.
    before: Vec<Option<(String, u64)>>,
    pub(super) spool: Vec<Spooled>,
}

impl Tracker {
    pub(super) fn new(number: usize, partitions: u32) -> Tracker {
        let (next_seq, before) = (vec![0; partitions as usize], vec![None; partitions as usize]);
        Tracker { number, starts: 0, next_seq, before, spool: Vec::new() }
    }

    fn id(&self) -> String {
        format!("edge-{}-{:032x}", self.number, self.starts)
    }

    pub(super) fn restart(&mut self, keeps_spool: bool) {
        let id = self.id();
        for (before, next) in self.before.iter_mut().zip(&mut self.next_seq) {
            if *next > 0 {
                *before = Some((id.clone(), *next));
            }
            *next = 0;
        }
        self.starts += 1;
        if !keeps_spool {
            self.spool.clear();
        }
    }

    /// A visitor clicks: the click has its identity from now on.
    pub(super) fn click(&mut self, seed: u64, now: u64) {
        let facts = Facts::of(seed);
        let partitions = u32::try_from(self.next_seq.len()).unwrap_or(u32::MAX);
        let partition = home_partition(facts.click(0).user_key(), partitions);
        let place = partition as usize;
        let seq = self.next_seq[place];
        self.next_seq[place] += 1;
        self.spool.push(Spooled {
            tracker_id: self.id(),
            seq,
            partition,
            previous: if seq == 0 { self.before[place].clone() } else { None },
            seed,
            received_at: now.saturating_sub(facts.age),
            loses_answer: facts.loses_answer,
            sent_at: None,
            answered: false,
        });
    }

    /// Sends the last click to the log.
    pub(super) fn send_newest(&mut self, wire: &mut Wire, now: u64) {
        if let Some(spooled) = self.spool.last_mut() {
            spooled.send(self.number, wire, now);
        }
    }

    /// Sends a click that is due again, or, `twice`, any; `which` goes round.
    pub(super) fn resend(&mut self, which: usize, twice: bool, wire: &mut Wire, now: u64) {
        let time = wire.time();
        let due = |spooled: &&mut Spooled| twice || spooled.is_due(time);
        let mut waiting: Vec<&mut Spooled> = self.spool.iter_mut().filter(due).collect();
        let count = waiting.len().max(1);
        if let Some(spooled) = waiting.get_mut(which % count) {
            spooled.send(self.number, wire, now);
        }
    }

    /// Sends everything that has no answer.
    pub(super) fn send_all(&mut self, wire: &mut Wire, now: u64) {
        let (number, time) = (self.number, wire.time());
        self.spool
            .iter_mut()
            .filter(|spooled| spooled.is_due(time))
            .for_each(|spooled| spooled.send(number, wire, now));
    }

    /// Says up to which number it has sent, in every partition.
    pub(super) fn heartbeat(&self, log: &dyn EventLog, now: u64) {
        for (partition, next_seq) in (0..).zip(&self.next_seq) {
            let tracker_id = &self.id();
            let transport = Some(Transport { tracker_id, epoch: 0, seq: *next_seq });
            let kind = Kind::Heartbeat { next_seq: *next_seq };
            let record = Record { sent_at: Some(Millis(now)), transport, previous: None, kind };
            // What a log refuses is told again by the next one.
            let _ = log.append(partition, &record.to_bytes());
        }
    }

    /// The log has what was sent. The answer may be to a tracker that is no more.
    pub(super) fn hear(&mut self, letter: &Letter) {
        let asked = |spooled: &&mut Spooled| {
            (spooled.seq, spooled.partition) == (letter.seq, letter.partition)
                && spooled.tracker_id == letter.tracker_id
        };
        if let Some(spooled) = self.spool.iter_mut().find(asked) {
            spooled.answered |= !std::mem::take(&mut spooled.loses_answer);
        }
    }

    pub(super) fn is_answered(&self) -> bool {
        self.spool.iter().all(|spooled| spooled.answered)
    }

    pub(super) fn answered(&self) -> usize {
        self.spool.iter().filter(|spooled| spooled.answered).count()
    }
}

impl Spooled {
    /// Whether nobody has answered or is likely to.
    fn is_due(&self, time: u64) -> bool {
        !self.answered && self.sent_at.is_none_or(|at| at + PATIENCE_MS <= time)
    }

    fn send(&mut self, tracker: usize, wire: &mut Wire, now: u64) {
        self.sent_at = Some(wire.time());
        let letter = Letter {
            tracker,
            tracker_id: self.tracker_id.clone(),
            seq: self.seq,
            partition: self.partition,
            payload: self.payload(now),
        };
        wire.send(&letter);
    }

    fn payload(&self, now: u64) -> Vec<u8> {
        let facts = Facts::of(self.seed);
        let record = Record {
            sent_at: Some(Millis(now)),
            transport: Some(Transport { tracker_id: &self.tracker_id, epoch: 0, seq: self.seq }),
            previous: self.previous.as_ref().map(|(id, next_seq)| Previous {
                tracker_id: id,
                epoch: 0,
                next_seq: *next_seq,
            }),
            kind: Kind::Click(facts.click(self.received_at)),
        };
        record.to_bytes()
    }
}

/// What a visitor clicks on, from few users, ads and addresses, so that they collide.
pub(super) struct Facts {
    click_id: String,
    user_id: String,
    ad_id: String,
    currency: &'static str,
    price: u64,
    ip: [u8; 4],
    age: u64,
    method: &'static str,
    agent: String,
    referrer: String,
    loses_answer: bool,
}

impl Facts {
    pub(super) fn of(seed: u64) -> Facts {
        let mut dice = Dice::new(seed);
        let shared = dice.percent(30);
        let click_id = if shared { format!("c{}", seed % 20) } else { format!("c-{seed:x}") };
        let user = seed % 7;
        let hour = 3_600_000;
        Facts {
            click_id,
            user_id: if user == 0 { String::new() } else { format!("u{user}") },
            ad_id: format!("ad{}", dice.below(4)),
            currency: dice.pick(&["USD", "USD", "EUR"]),
            price: dice.between(0, 2_000_000),
            ip: [10, 0, 0, dice.pick(&[1, 1, 2, 3, 4])],
            age: dice.pick(&[0, 0, 0, 0, 0, 0, 3, 900, 400_000, 1_200_000, 20 * hour, 80 * hour]),
            method: if dice.percent(4) { "HEAD" } else { "GET" },
            agent: filling(&mut dice, &[0, 4, 120, 250]),
            referrer: filling(&mut dice, &[0, 0, 250]),
            loses_answer: dice.percent(10),
        }
    }

    /// How long ago it was, ms.
    pub(super) fn age(&self) -> u64 {
        self.age
    }

    pub(super) fn click(&self, received_at: u64) -> Click<'_> {
        Click {
            click_id: &self.click_id,
            user_id: &self.user_id,
            ad_id: &self.ad_id,
            currency: self.currency,
            publisher_id: "news",
            price: Micros(self.price),
            payout: Micros(self.price / 2),
            received_at: Millis(received_at),
            ip: &self.ip,
            method: self.method,
            user_agent: Some(&self.agent),
            referrer: &self.referrer,
            ..Click::default()
        }
    }
}

/// So many words of any text: records of all sizes fill segments soon.
fn filling(dice: &mut Dice, words: &[usize]) -> String {
    let words = dice.pick(words);
    format!("{:016x}", dice.number()).repeat(words)
}
