//! The cluster as its senders see it: records are under way, fail though they have arrived, arrive
//! though they have failed, and are confirmed late; behind a failure a sender confirms what the
//! cluster never got. Must never confirm to a sender that has not failed what is not there, but
//! for what the plan loses.

use std::collections::BTreeMap;
use std::time::Duration;

use click_engine::forward::{Outcome, Remote};
use click_engine::log::LogError;

use super::topic::{Inner, Topic};

/// What has not arrived after so long is told to have failed, ms.
const DELIVERY_TIMEOUT: u64 = 10_000;
/// Most time until what has failed arrives after all, ms.
const VERY_LATE: u64 = 300_000;

/// A record under way.
struct Message {
    due: u64,
    sent: u64,
    /// Whom to tell; nobody, if it was given up.
    sender: Option<u64>,
    partition: u32,
    offset: u64,
    payload: Vec<u8>,
}

/// A sender, as a producer of Kafka's client is.
#[derive(Default)]
struct Sender {
    under_way: usize,
    /// When each partition's newest record arrives: they stay in order.
    last_due: BTreeMap<u32, u64>,
    /// With the time from which on it is known.
    outcomes: Vec<(u64, Outcome)>,
    /// When its first failure is known.
    failed: Option<u64>,
    is_broken: bool,
}

/// All of them, and what they have sent.
#[derive(Default)]
pub(super) struct Senders {
    next: u64,
    open: BTreeMap<u64, Sender>,
    flying: Vec<Message>,
}

impl Senders {
    /// Whether nothing will arrive any more.
    pub(super) fn is_quiet(&self) -> bool {
        self.flying.is_empty()
    }

    fn add(&mut self) -> u64 {
        self.next += 1;
        self.open.insert(self.next, Sender::default());
        self.next
    }
}

impl Inner {
    /// What is due arrives.
    pub(super) fn run(&mut self) {
        let now = self.time();
        let mut due: Vec<Message> =
            self.senders.flying.extract_if(.., |message| message.due <= now).collect();
        due.sort_by_key(|message| message.due);
        due.into_iter().for_each(|message| self.arrive(message, now));
    }

    fn arrive(&mut self, mut message: Message, now: u64) {
        if self.is_away {
            if message.sender.is_some() && now >= message.sent + DELIVERY_TIMEOUT {
                return self.fail(message, now);
            }
            message.due = now + 200;
            self.senders.flying.push(message);
            return;
        }
        let Some(sender) = message.sender.and_then(|id| self.senders.open.get(&id)) else {
            self.append(message.partition, &message.payload);
            return;
        };
        let manners = self.manners;
        if let Some(failed) = sender.failed {
            if self.dice.percent(manners.lies) {
                return self.tell(&message, Ok(0), failed);
            }
            return self.fail(message, now);
        }
        if self.dice.percent(manners.fails) {
            return self.fail(message, now);
        }
        if self.dice.percent(manners.twice) {
            self.append(message.partition, &message.payload);
        }
        let time = self.take(message.partition, &message.payload);
        let known = now + self.dice.between(0, manners.late_ms);
        self.tell(&message, Ok(time), known);
    }

    /// It is not known to be there: it is, or will be, or never.
    fn fail(&mut self, message: Message, now: u64) {
        if let Some(sender) = message.sender.and_then(|id| self.senders.open.get_mut(&id)) {
            sender.failed.get_or_insert(now);
        }
        self.tell(&message, Err(LogError::kafka("not delivered")), now);
        self.give_up(message, now);
    }

    fn give_up(&mut self, message: Message, now: u64) {
        match self.dice.below(4) {
            0 if !self.is_away => {
                self.append(message.partition, &message.payload);
            }
            1 => {
                let due = now + self.dice.between(0, VERY_LATE);
                self.senders.flying.push(Message { due, sender: None, ..message });
            }
            _ => {}
        }
    }

    fn tell(&mut self, message: &Message, result: Result<u64, LogError>, known: u64) {
        let (partition, offset) = (message.partition, message.offset);
        let sender = message.sender.and_then(|id| self.senders.open.get_mut(&id));
        if let Some(sender) = sender {
            sender.under_way -= 1;
            sender.outcomes.push((known, Outcome { partition, offset, result }));
        }
    }

    /// A sender is no more; what it has under way arrives, or does not.
    fn close(&mut self, id: u64) {
        self.senders.open.remove(&id);
        let now = self.time();
        let its = |message: &mut Message| message.sender == Some(id);
        let messages: Vec<Message> = self.senders.flying.extract_if(.., its).collect();
        messages.into_iter().for_each(|message| self.give_up(message, now));
    }

    /// Another broker leads: its clock is another one, and some of what is under way comes twice.
    pub(super) fn new_leader(&mut self, partition: u32) {
        if self.is_away {
            return;
        }
        let under_way = self.senders.flying.iter().filter(|one| one.partition == partition);
        let payloads: Vec<Vec<u8>> = under_way.map(|one| one.payload.clone()).collect();
        for payload in payloads {
            if self.dice.percent(40) {
                self.append(partition, &payload);
            }
        }
    }

    fn send(&mut self, id: u64, partition: u32, offset: u64, payload: &[u8]) -> bool {
        let sent = self.time();
        let late = self.dice.between(0, self.manners.late_ms);
        let room = self.manners.room;
        let Some(sender) = self.senders.open.get_mut(&id) else { return false };
        if sender.under_way >= room {
            return false;
        }
        sender.under_way += 1;
        let last = sender.last_due.entry(partition).or_insert(0);
        *last = (*last).max(sent + late);
        self.senders.flying.push(Message {
            due: *last,
            sent,
            sender: Some(id),
            partition,
            offset,
            payload: payload.to_vec(),
        });
        true
    }
}

/// What a forwarder hands its records to.
pub(super) struct Link {
    topic: Topic,
    sender: u64,
}

impl Link {
    pub(super) fn new(topic: &Topic) -> Link {
        let sender = topic.inner().senders.add();
        Link { topic: topic.clone(), sender }
    }
}

impl Topic {
    /// The newest senders refuse everything from now on.
    pub(super) fn break_sender(&self, nth: usize) {
        let mut inner = self.inner();
        let count = inner.senders.open.len().max(1);
        if let Some(sender) = inner.senders.open.values_mut().nth(nth % count) {
            sender.is_broken = true;
        }
    }
}

impl Remote for Link {
    fn send(&mut self, partition: u32, offset: u64, payload: &[u8]) -> Result<bool, LogError> {
        let mut inner = self.topic.inner();
        let sender = inner.senders.open.get(&self.sender);
        if sender.is_some_and(|sender| sender.is_broken) {
            return Err(LogError::kafka("this sender has failed for good"));
        }
        Ok(inner.send(self.sender, partition, offset, payload))
    }

    fn outcomes(&mut self, _: Duration, out: &mut Vec<Outcome>) {
        let mut inner = self.topic.inner();
        inner.run();
        let now = inner.time();
        let Some(sender) = inner.senders.open.get_mut(&self.sender) else { return };
        let known = sender.outcomes.extract_if(.., |(at, _)| *at <= now);
        let mut known: Vec<(u64, Outcome)> = known.collect();
        known.sort_by_key(|(at, _)| *at);
        out.extend(known.into_iter().map(|(_, outcome)| outcome));
    }

    fn reset(&mut self) -> Result<(), LogError> {
        let mut inner = self.topic.inner();
        let chance = inner.manners.no_sender;
        if inner.dice.percent(chance) {
            return Err(LogError::kafka("no thread for another sender"));
        }
        inner.close(self.sender);
        self.sender = inner.senders.add();
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.topic.inner().close(self.sender);
    }
}
