//! Reading the verdicts that a job in Flink or Spark hands out: `TOPIC.verdicts`.
//!
//! They come in any order of partitions and more than once. A verdict is never written before its
//! click, and brokers stamp both: where to begin follows from the click's time.

use std::time::Duration;

use click_core::hosted::decode_verdicts;
use click_core::stage::source::Verdict;
use click_core::types::Millis;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Message, Timestamp};
use rdkafka::{Offset, TopicPartitionList};

use super::address::KafkaSettings;
use super::client::{consumer_config, failed};
use super::topics::{exists, partitions, watermarks};
use crate::archive::Told;
use crate::log::LogError;

/// How far the brokers' clocks may be apart.
const MARGIN_MS: u64 = 600_000;
/// How long the cluster has to say where a time begins.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a read waits for the first record.
const WAIT: Duration = Duration::from_millis(100);
/// Records of one read.
const READ: usize = 256;
/// How far a partition may be read ahead of another that has more, in the clicks' log time.
const AHEAD_MS: u64 = 60_000;

/// The topic of verdicts of a log.
pub struct VerdictTopic {
    consumer: BaseConsumer,
    topic: String,
    lanes: Vec<Lane>,
}

/// A partition.
#[derive(Clone, Copy, Default)]
struct Lane {
    /// The greatest fold time that it has shown.
    seen: Millis,
    /// It had no more when it was last asked.
    at_end: bool,
    waits: bool,
}

impl VerdictTopic {
    /// The verdicts of the log that `settings` name.
    ///
    /// # Errors
    /// `Topic` if there is none, `Kafka` if the cluster does not answer.
    pub fn open(settings: &KafkaSettings) -> Result<VerdictTopic, LogError> {
        let topic = settings.address.verdicts_topic();
        if !exists(settings, &topic)? {
            let reason = format!("there is no topic {topic}: `topics create --outputs N` makes it");
            return Err(LogError::topic(reason));
        }
        let mut config = consumer_config(settings)?;
        config.set("enable.partition.eof", "true");
        let consumer: BaseConsumer = config.create().map_err(|e| failed("consumer", &e))?;
        let lanes = vec![Lane::default(); partitions(settings, &topic)?.len()];
        Ok(VerdictTopic { consumer, topic, lanes })
    }

    /// Per partition the first record that was stamped at `time` or later.
    fn since(&self, time: Millis) -> Result<TopicPartitionList, LogError> {
        let mut ends = TopicPartitionList::new();
        let mut asked = TopicPartitionList::new();
        let time = Offset::Offset(i64::try_from(time.0).unwrap_or(i64::MAX));
        for lane in 0..self.lanes.len() {
            let partition = u32::try_from(lane).unwrap_or(u32::MAX);
            // Asked for first: what comes after is found by its time.
            let (_, end) = watermarks(&self.consumer, &self.topic, partition)?;
            let added = ends
                .add_partition_offset(&self.topic, number(lane), Offset::Offset(end))
                .and_then(|()| asked.add_partition_offset(&self.topic, number(lane), time));
            added.map_err(|error| failed("verdicts", &error))?;
        }
        let found = self.consumer.offsets_for_times(asked, PATIENCE);
        let found = found.map_err(|error| failed("verdicts since a time", &error))?;
        for element in found.elements() {
            element.error().map_err(|error| failed("verdicts since a time", &error))?;
            if let Offset::Offset(offset) = element.offset()
                && let Some(mut place) = ends.find_partition(&self.topic, element.partition())
            {
                let set = place.set_offset(Offset::Offset(offset));
                set.map_err(|error| failed("verdicts", &error))?;
            }
        }
        Ok(ends)
    }

    /// Those that are far ahead wait for those that have more.
    fn hold(&mut self) -> Result<(), LogError> {
        let behind = self.lanes.iter().filter(|lane| !lane.at_end).map(|lane| lane.seen);
        let limit = behind.min().map_or(Millis(u64::MAX), |least| least.plus(AHEAD_MS));
        let (mut holds, mut goes) = (TopicPartitionList::new(), TopicPartitionList::new());
        for (place, lane) in self.lanes.iter_mut().enumerate() {
            let waits = lane.seen > limit;
            if waits != lane.waits {
                lane.waits = waits;
                let list = if waits { &mut holds } else { &mut goes };
                list.add_partition(&self.topic, number(place));
            }
        }
        let held = if holds.count() > 0 { self.consumer.pause(&holds) } else { Ok(()) };
        let gone = if goes.count() > 0 { self.consumer.resume(&goes) } else { Ok(()) };
        held.and(gone).map_err(|error| failed("verdicts", &error))
    }

    /// Takes what a record holds.
    fn take(
        &mut self,
        message: &rdkafka::message::OwnedMessage,
        verdicts: &mut Vec<Verdict>,
    ) -> Result<(), LogError> {
        if !matches!(message.timestamp(), Timestamp::LogAppendTime(_)) {
            let topic = &self.topic;
            return Err(LogError::topic(format!(
                "the records of {topic} have the times of their senders: set \
                 message.timestamp.type=LogAppendTime before the job writes to it"
            )));
        }
        let read = decode_verdicts(message.payload().unwrap_or_default());
        let read = read.map_err(|_| {
            LogError::topic(format!(
                "{} holds a record that is no verdicts of this version: is it another topic, or \
                 another release's job?",
                self.topic
            ))
        })?;
        let place = usize::try_from(message.partition()).unwrap_or(usize::MAX);
        if let Some(lane) = self.lanes.get_mut(place) {
            let newest = read.iter().map(|verdict| verdict.fold_time).max();
            lane.seen = lane.seen.max(newest.unwrap_or_default());
            lane.at_end = false;
        }
        verdicts.extend(read);
        Ok(())
    }
}

impl Told for VerdictTopic {
    fn begin(&mut self, from: Millis) -> Result<(), LogError> {
        let places = self.since(Millis(from.since(Millis(MARGIN_MS))))?;
        self.lanes.fill(Lane::default());
        let begun = self.consumer.assign(&places).and_then(|()| self.consumer.resume(&places));
        begun.map_err(|error| failed("verdicts", &error))
    }

    fn read(&mut self, verdicts: &mut Vec<Verdict>) -> Result<bool, LogError> {
        self.hold()?;
        let before = verdicts.len();
        let mut wait = WAIT;
        for _ in 0..READ {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    let message = message.detach();
                    self.take(&message, verdicts)?;
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    let place = usize::try_from(partition).unwrap_or(usize::MAX);
                    if let Some(lane) = self.lanes.get_mut(place) {
                        lane.at_end = true;
                    }
                }
                Some(Err(error)) => return Err(failed("verdicts", &error)),
            }
            wait = Duration::ZERO;
        }
        Ok(verdicts.len() > before || !self.lanes.iter().all(|lane| lane.at_end))
    }
}

fn number(place: usize) -> i32 {
    i32::try_from(place).unwrap_or(i32::MAX)
}
