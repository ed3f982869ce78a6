//! Reading one partition: messages in offset order, the next one kept in hand so that it is known
//! where what has arrived ends.

use std::time::{Duration, Instant};

use rdkafka::Timestamp;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};

use super::client::Watch;
use crate::log::RecordBatch;

/// What a record costs beside its payload, as the embedded log counts.
const OVERHEAD: usize = 32;

/// The time of an offset that has no record (the marker of somebody's transaction, who has no
/// business here): it moves nothing. Such an offset reads as an empty record, a dead letter, so
/// that all offsets follow each other.
pub(super) const HOLE_TIME: u64 = 1;

/// A message that has arrived and was not read yet.
struct InHand {
    offset: u64,
    append_time: u64,
    payload: Vec<u8>,
}

pub(super) struct Lane {
    queue: PartitionQueue<Watch>,
    /// Where the next message is expected.
    next: u64,
    in_hand: Option<InHand>,
    /// What the cluster said when it could not go on.
    error: Option<KafkaError>,
    /// When something has arrived, or reading was begun.
    moved: Instant,
    /// Where a message was missing when reading came there.
    hole_at: Option<u64>,
    /// It is to be asked for again.
    is_missing: bool,
}

impl Lane {
    pub(super) fn new(queue: PartitionQueue<Watch>, next: u64) -> Lane {
        let moved = Instant::now();
        Lane { queue, next, in_hand: None, error: None, moved, hole_at: None, is_missing: false }
    }

    /// Where reading goes on without a seek.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// From now on the message at `next` or behind it is awaited, and those before are passed over.
    pub(super) fn restart(&mut self, next: u64) {
        (self.next, self.in_hand, self.error) = (next, None, None);
        (self.moved, self.is_missing) = (Instant::now(), false);
    }

    /// Whether the message at `next` was passed over: it has to be asked for again. If it is not
    /// there the second time, there is none.
    pub(super) fn is_missing(&self) -> bool {
        self.is_missing
    }

    /// Whether a message that was passed over is in front of this one.
    fn leaves_hole(&mut self, offset: u64) -> bool {
        self.is_missing = offset > self.next && self.hole_at != Some(self.next);
        if self.is_missing {
            self.hole_at = Some(self.next);
        }
        self.is_missing
    }

    /// Whether nothing has arrived for so long.
    pub(super) fn is_stalled(&self, time: Duration) -> bool {
        self.in_hand.is_none() && self.moved.elapsed() >= time
    }

    /// Behind what has arrived, as far as that can be known at once.
    pub(super) fn arrived(&mut self) -> u64 {
        self.look(Duration::ZERO);
        self.in_hand.as_ref().map_or(self.next, |message| message.offset + 1)
    }

    /// The error that the cluster gave instead of messages.
    pub(super) fn take_error(&mut self) -> Option<KafkaError> {
        self.error.take()
    }

    /// Takes what has arrived; the first is awaited for `timeout`, and each one below an offset, if
    /// that is given, a little.
    pub(super) fn read(
        &mut self,
        max_bytes: usize,
        timeout: Duration,
        more: Option<(u64, Duration)>,
        batch: &mut RecordBatch,
    ) {
        self.look(timeout);
        let mut taken = 0;
        if let Some(message) = self.in_hand.take() {
            while self.next < message.offset && taken < max_bytes {
                batch.push(self.next, HOLE_TIME, &[]);
                taken += OVERHEAD;
                self.next += 1;
            }
            if self.next < message.offset {
                self.in_hand = Some(message);
                return;
            }
            taken += message.payload.len() + OVERHEAD;
            batch.push(message.offset, message.append_time, &message.payload);
            self.next = message.offset + 1;
        }
        while taken > 0 && taken < max_bytes && !self.is_missing {
            let wait = more.filter(|(end, _)| self.next < *end).map(|(_, wait)| wait);
            match self.queue.poll(wait.unwrap_or_default()) {
                Some(Ok(message)) if offset_of(message.offset()) >= self.next => {
                    let payload = message.payload().unwrap_or_default();
                    let offset = offset_of(message.offset());
                    let message_time = time_of(message.timestamp());
                    if offset > self.next {
                        let in_hand = InHand::of(&message);
                        if !self.leaves_hole(offset) {
                            self.in_hand = Some(in_hand);
                        }
                        return;
                    }
                    batch.push(offset, message_time, payload);
                    taken += payload.len() + OVERHEAD;
                    self.next = offset + 1;
                }
                // From before a seek.
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    self.note(error);
                    return;
                }
                None => return,
            }
        }
    }

    fn look(&mut self, timeout: Duration) {
        while self.in_hand.is_none() && !self.is_missing {
            match self.queue.poll(timeout) {
                Some(Ok(message)) if offset_of(message.offset()) >= self.next => {
                    let in_hand = InHand::of(&message);
                    if self.leaves_hole(in_hand.offset) {
                        return;
                    }
                    self.in_hand = Some(in_hand);
                    self.moved = Instant::now();
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    self.note(error);
                    return;
                }
                None => return,
            }
        }
    }

    fn note(&mut self, error: KafkaError) {
        if !matches!(error, KafkaError::PartitionEOF(_)) {
            self.error = Some(error);
        }
    }
}

/// Whether the records that were asked for are gone.
pub(super) fn is_gone(error: &KafkaError) -> bool {
    error.rdkafka_error_code().is_some_and(|code| {
        matches!(code, RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset)
    })
}

impl InHand {
    fn of(message: &BorrowedMessage<'_>) -> InHand {
        InHand {
            offset: offset_of(message.offset()),
            append_time: time_of(message.timestamp()),
            payload: message.payload().unwrap_or_default().to_vec(),
        }
    }
}

/// Kafka's offsets are not negative.
pub(super) fn offset_of(offset: i64) -> u64 {
    u64::try_from(offset).unwrap_or_default()
}

/// The time that the broker gave, ms since 1970; 0 if it gave none.
pub(super) fn time_of(timestamp: Timestamp) -> u64 {
    match timestamp {
        Timestamp::LogAppendTime(time) => u64::try_from(time).unwrap_or_default(),
        Timestamp::CreateTime(_) | Timestamp::NotAvailable => 0,
    }
}
