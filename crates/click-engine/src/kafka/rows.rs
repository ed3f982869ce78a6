//! Reading the rows that a job in Flink or Spark hands out: `TOPIC.rows`.
//!
//! Rows come in any order and more than once; marks say what is complete. A consumer group keeps
//! how far one reader's store has them: after a death some are read again, which changes nothing.

use std::time::{Duration, Instant};

use click_core::hosted::decode_published;
use click_core::limits::KEY_GROUPS;
use click_core::stage::window::PublishedRow;
use click_core::types::{Millis, Minute};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::address::KafkaSettings;
use super::client::{consumer_config, failed};
use super::topics::{exists, partitions, watermarks};
use crate::log::LogError;
use crate::store::Mark;

/// What the key of a mark begins with, before the first key group and the one behind the last.
const MARK: u8 = b'm';
/// How long the group's broker has to say what was confirmed.
const PATIENCE: Duration = Duration::from_secs(30);

/// The topic, from where a reader's store has its rows.
pub struct RowTopic {
    consumer: BaseConsumer,
    topic: String,
    lanes: Vec<Lane>,
}

/// A partition.
#[derive(Default)]
struct Lane {
    /// The next record.
    next: i64,
    /// Before this, compaction may have taken rows in favour of later ones that are before it, too.
    end: i64,
    /// Rows had gone since `end` was asked for, in favour of some that may be behind it.
    gaps: bool,
}

/// What a record holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowRecord {
    /// A row.
    Row(PublishedRow),
    /// What is complete with the rows before.
    Mark(Mark),
}

/// What was read at once.
#[derive(Debug, Default)]
pub struct RowsRead {
    /// Records with partition and offset, each partition's in order.
    pub records: Vec<(usize, i64, RowRecord)>,
    /// Rows may be missing among them in favour of later ones that have not been read.
    pub lacks: bool,
}

impl RowTopic {
    /// The rows of the log that `settings` name, for the reader `group`: behind what it has
    /// confirmed, or from the beginning.
    ///
    /// # Errors
    /// `Topic` if there is none, `Kafka` if the cluster does not answer.
    pub fn open(settings: &KafkaSettings, group: &str) -> Result<RowTopic, LogError> {
        let topic = settings.address.rows_topic();
        if !exists(settings, &topic)? {
            let reason = format!("there is no topic {topic}: `topics create --outputs N` makes it");
            return Err(LogError::topic(reason));
        }
        let mut config = consumer_config(settings)?;
        config.set("group.id", group);
        let consumer: BaseConsumer = config.create().map_err(|e| failed("consumer", &e))?;
        let count = partitions(settings, &topic)?.len();
        let lanes = (0..count).map(|_| Lane::default()).collect();
        let mut rows = RowTopic { consumer, topic, lanes };
        rows.resume()?;
        Ok(rows)
    }

    /// How many partitions there are.
    pub const fn partitions(&self) -> usize {
        self.lanes.len()
    }

    /// Goes to what the group has confirmed of each partition, and says which instant the readers
    /// said of it that had one.
    ///
    /// # Errors
    /// `Kafka` if the cluster does not answer.
    pub fn resume(&mut self) -> Result<Option<Millis>, LogError> {
        let mut list = TopicPartitionList::new();
        for partition in 0..self.lanes.len() {
            list.add_partition(&self.topic, number(partition));
        }
        let found = self.consumer.committed_offsets(list, PATIENCE);
        let found = found.map_err(|error| failed("what was confirmed", &error))?;
        let mut known = Some(Millis(0));
        for (partition, lane) in (0..).zip(&mut self.lanes) {
            let (low, end) = watermarks(&self.consumer, &self.topic, partition)?;
            let found = found.find_partition(&self.topic, number(partition as usize));
            let of_lane = found.as_ref().and_then(|found| found.metadata().parse().ok());
            known = known.zip(of_lane).map(|(known, of_lane)| known.max(Millis(of_lane)));
            let confirmed = found.and_then(|found| found.offset().to_raw()).filter(|at| *at >= 0);
            *lane = Lane { next: confirmed.unwrap_or(low).max(low), end, gaps: false };
        }
        self.assign()?;
        Ok(known.filter(|known| known.0 > 0))
    }

    /// Reads again from the beginning: the store has lost rows.
    ///
    /// # Errors
    /// `Kafka` if the cluster does not answer.
    pub fn rewind(&mut self) -> Result<(), LogError> {
        for (partition, lane) in (0..).zip(&mut self.lanes) {
            let (next, end) = watermarks(&self.consumer, &self.topic, partition)?;
            *lane = Lane { next, end, gaps: false };
        }
        self.assign()
    }

    fn assign(&self) -> Result<(), LogError> {
        let positions = self.at(&self.positions(), "").and_then(|list| self.consumer.assign(&list));
        positions.map_err(|error| failed("rows", &error))
    }

    fn at(&self, positions: &[i64], note: &str) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        for (partition, position) in positions.iter().enumerate() {
            let mut place = list.add_partition(&self.topic, number(partition));
            place.set_offset(Offset::Offset(*position))?;
            place.set_metadata(note);
        }
        Ok(list)
    }

    /// Reads for `time`, or until so many records have been read.
    ///
    /// # Errors
    /// `Kafka` if a partition cannot be read on, `Topic` if something else than rows is in it.
    pub fn read(&mut self, most: usize, time: Duration) -> Result<RowsRead, LogError> {
        let until = Instant::now() + time;
        let mut read = RowsRead { records: Vec::new(), lacks: self.lacks() };
        for _ in 0..most {
            let left = until.saturating_duration_since(Instant::now());
            match self.consumer.poll(left) {
                None => break,
                Some(Ok(message)) => {
                    let lane = u32::try_from(message.partition()).unwrap_or(u32::MAX);
                    let (key, value) = (message.key(), message.payload());
                    let record = record(key.unwrap_or_default(), value.unwrap_or_default())?;
                    let offset = message.offset();
                    drop(message);
                    read.lacks |= self.pass(lane, offset)?;
                    read.records
                        .extend(record.into_iter().map(|record| (lane as usize, offset, record)));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) => return Err(failed("rows", &error)),
            }
        }
        Ok(read)
    }

    /// Goes behind a record; true if there are none where the next one should have been. Those that
    /// compaction took them for are there already.
    fn pass(&mut self, partition: u32, offset: i64) -> Result<bool, LogError> {
        let Some(lane) = self.lanes.get_mut(partition as usize) else { return Ok(false) };
        lane.gaps |= offset > lane.next;
        lane.next = offset + 1;
        let is_gap = lane.gaps && lane.next >= lane.end;
        if is_gap {
            (_, lane.end) = watermarks(&self.consumer, &self.topic, partition)?;
            lane.gaps = false;
        }
        Ok(is_gap)
    }

    fn lacks(&self) -> bool {
        self.lanes.iter().any(|lane| lane.next < lane.end)
    }

    /// The next record of each partition.
    pub fn positions(&self) -> Vec<i64> {
        self.lanes.iter().map(|lane| lane.next).collect()
    }

    /// The store has everything that was read.
    ///
    /// # Errors
    /// `Kafka` if the cluster does not take note of it.
    pub fn confirm(&self) -> Result<(), LogError> {
        self.commit(self.at(&self.positions(), ""))
    }

    /// The store has everything that changed up to `known`, and who begins at these positions knows
    /// every row that can change after it.
    ///
    /// # Errors
    /// `Kafka` if the cluster does not take note of it.
    pub fn confirm_at(&self, positions: &[i64], known: Millis) -> Result<(), LogError> {
        self.commit(self.at(positions, &known.0.to_string()))
    }

    fn commit(&self, list: Result<TopicPartitionList, KafkaError>) -> Result<(), LogError> {
        let done = list.and_then(|list| self.consumer.commit(&list, CommitMode::Async));
        done.map_err(|error| failed("confirming rows", &error))
    }

    /// Reads on in those partitions alone that are not to wait.
    ///
    /// # Errors
    /// `Kafka` if the client does not do it.
    pub fn hold(&self, wait: &[bool]) -> Result<(), LogError> {
        for waits in [false, true] {
            let mut list = TopicPartitionList::new();
            for (partition, _) in wait.iter().enumerate().filter(|(_, wait)| **wait == waits) {
                list.add_partition(&self.topic, number(partition));
            }
            let done = if waits { self.consumer.pause(&list) } else { self.consumer.resume(&list) };
            done.map_err(|error| failed("rows", &error))?;
        }
        Ok(())
    }
}

fn number(partition: usize) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

fn record(key: &[u8], value: &[u8]) -> Result<Vec<RowRecord>, LogError> {
    if let [MARK, first, end] = *key {
        return Ok(vec![RowRecord::Mark(mark(first, end, value).ok_or_else(|| other("a mark"))?)]);
    }
    let rows = decode_published(value).map_err(|_| other("a row"))?;
    Ok(rows.into_iter().map(RowRecord::Row).collect())
}

/// An instant, and from newer jobs the first minute that can change and whether all rows are there.
fn mark(first: u8, end: u8, value: &[u8]) -> Option<Mark> {
    let (at, more) = value.split_first_chunk::<8>()?;
    let open_from = match more {
        [] | [_, _, _, _, 0] => None,
        [minute @ .., 1] => Some(Minute(u32::from_le_bytes(minute.try_into().ok()?))),
        [..] => return None,
    };
    let at = Millis(u64::from_le_bytes(*at));
    (first < end && u16::from(end) <= KEY_GROUPS).then_some(Mark { first, end, at, open_from })
}

fn other(what: &str) -> LogError {
    LogError::topic(format!(
        "the topic of rows holds a record that is not {what} of this version: is it another topic, \
         or another release's job?"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_older_jobs_are_read() {
        let at = 5_000u64.to_le_bytes();
        let read = |more: &[u8]| mark(3, 9, &[&at[..], more].concat()).map(|mark| mark.open_from);
        assert_eq!(read(&[]), Some(None));
        assert_eq!(read(&[7, 0, 0, 0, 0]), Some(None));
        assert_eq!(read(&[7, 0, 0, 0, 1]), Some(Some(Minute(7))));
        assert_eq!(mark(3, 9, &at).map(|mark| mark.at), Some(Millis(5_000)));
    }

    #[test]
    fn something_else_is_refused() {
        for (key, value) in [
            (&b"m\x00\x81"[..], &[0; 8][..]),
            (b"m\x02\x01", &[0; 8]),
            (b"m\x00\x80", &[0; 7]),
            (b"m\x00\x80", &[0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]),
            (b"m\x00\x80", &[1; 14]),
            (b"a", b"no row"),
        ] {
            let refused = record(key, value);
            assert!(matches!(refused, Err(LogError::Topic { .. })), "{key:?}");
        }
    }
}
