//! Reading the rows that a job in Flink or Spark hands out: `TOPIC.rows`.
//!
//! Rows come in any order and more than once; marks say what is complete. A consumer group keeps
//! how far one reader's store has them: after a death some are read again, which changes nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use click_core::hosted::decode_published;
use click_core::limits::KEY_GROUPS;
use click_core::row::{Row, RowId};
use click_core::types::Millis;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::address::KafkaSettings;
use super::client::{consumer_config, failed};
use super::topics::{exists, partitions, watermarks};
use crate::log::LogError;

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
struct Lane {
    /// The next record.
    next: i64,
    /// Where it ended when reading began; its marks count from there on, since compaction may have
    /// taken rows before it in favour of later ones.
    end: i64,
    /// Of each key group, what all rows before have been read.
    marks: Vec<Millis>,
}

/// Rows, the newest of each, and what is complete with them.
#[derive(Debug, Default)]
pub struct RowsRead {
    /// The newest version of each row that was read.
    pub rows: BTreeMap<RowId, Row>,
    /// All rows that changed before this have been read by now, if that is known.
    pub mark: Option<Millis>,
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
        let mut rows = RowTopic { consumer, topic, lanes: Vec::new() };
        let confirmed = rows.confirmed(count)?;
        for (partition, confirmed) in (0..).zip(confirmed) {
            let (low, end) = watermarks(&rows.consumer, &rows.topic, partition)?;
            let marks = vec![Millis(0); usize::from(KEY_GROUPS)];
            rows.lanes.push(Lane { next: confirmed.unwrap_or(low).max(low), end, marks });
        }
        rows.assign()?;
        Ok(rows)
    }

    /// What the group has confirmed of each partition.
    fn confirmed(&self, count: usize) -> Result<Vec<Option<i64>>, LogError> {
        let mut list = TopicPartitionList::new();
        for partition in 0..count {
            list.add_partition(&self.topic, number(partition));
        }
        let found = self.consumer.committed_offsets(list, PATIENCE);
        let found = found.map_err(|error| failed("what was confirmed", &error))?;
        let offset = |partition| {
            let found = found.find_partition(&self.topic, number(partition))?;
            if let Offset::Offset(offset) = found.offset() { Some(offset) } else { None }
        };
        Ok((0..count).map(offset).collect())
    }

    fn positions(&self) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        for (partition, lane) in self.lanes.iter().enumerate() {
            list.add_partition_offset(&self.topic, number(partition), Offset::Offset(lane.next))?;
        }
        Ok(list)
    }

    fn assign(&self) -> Result<(), LogError> {
        let positions = self.positions().and_then(|list| self.consumer.assign(&list));
        positions.map_err(|error| failed("rows", &error))
    }

    /// Reads again from the beginning: the store has lost rows.
    ///
    /// # Errors
    /// `Kafka` if the cluster does not answer.
    pub fn rewind(&mut self) -> Result<(), LogError> {
        for (partition, lane) in (0..).zip(&mut self.lanes) {
            (lane.next, lane.end) = watermarks(&self.consumer, &self.topic, partition)?;
            lane.marks.fill(Millis(0));
        }
        self.assign()
    }

    /// Reads for `time`, or until so many records have been read.
    ///
    /// # Errors
    /// `Kafka` if a partition cannot be read on, `Topic` if something else than rows is in it.
    pub fn read(&mut self, most: usize, time: Duration) -> Result<RowsRead, LogError> {
        let (mut read, until) = (RowsRead::default(), Instant::now() + time);
        for _ in 0..most {
            let left = until.saturating_duration_since(Instant::now());
            match self.consumer.poll(left) {
                None => break,
                Some(Ok(message)) => {
                    let at = usize::try_from(message.partition()).unwrap_or(usize::MAX);
                    if let Some(lane) = self.lanes.get_mut(at) {
                        let (key, value) = (message.key(), message.payload());
                        lane.take(key.unwrap_or_default(), value.unwrap_or_default(), &mut read)?;
                        lane.next = message.offset() + 1;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) => return Err(failed("rows", &error)),
            }
        }
        read.mark = self.mark();
        Ok(read)
    }

    fn mark(&self) -> Option<Millis> {
        let marks = self.lanes.iter().map(Lane::mark);
        marks.min().flatten().filter(|mark| mark.0 > 0)
    }

    /// The store has everything that was read.
    ///
    /// # Errors
    /// `Kafka` if the cluster does not take note of it.
    pub fn confirm(&self) -> Result<(), LogError> {
        let list = self.positions().and_then(|list| self.consumer.commit(&list, CommitMode::Async));
        list.map_err(|error| failed("confirming rows", &error))
    }
}

fn number(partition: usize) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

impl Lane {
    fn take(&mut self, key: &[u8], value: &[u8], read: &mut RowsRead) -> Result<(), LogError> {
        if let [MARK, first, end] = *key {
            return self.take_mark(first, end, value);
        }
        let rows = decode_published(value).map_err(|_| other("a row"))?;
        for published in rows.into_iter().filter(|published| published.decided) {
            let row = published.row;
            let newest = read.rows.entry(row.id()).or_insert_with(|| row.clone());
            if newest.version == row.version && *newest != row {
                return Err(LogError::topic(format!("two contents of one version: {row:?}")));
            }
            if newest.version < row.version {
                *newest = row;
            }
        }
        Ok(())
    }

    fn take_mark(&mut self, first: u8, end: u8, value: &[u8]) -> Result<(), LogError> {
        let groups = self.marks.get_mut(usize::from(first)..usize::from(end));
        let instant = value.try_into().map(u64::from_le_bytes).map(Millis);
        let (Some(groups), Ok(instant)) = (groups, instant) else { return Err(other("a mark")) };
        groups.iter_mut().for_each(|mark| *mark = (*mark).max(instant));
        Ok(())
    }

    /// All its rows that changed before this have been read; `None` as long as that is not known.
    fn mark(&self) -> Option<Millis> {
        let least = self.marks.iter().copied().min();
        least.filter(|_| self.next >= self.end)
    }
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

    fn lane(end: i64) -> Lane {
        Lane { next: 0, end, marks: vec![Millis(0); usize::from(KEY_GROUPS)] }
    }

    fn mark(lane: &mut Lane, first: u8, end: u8, at: u64) {
        let mut read = RowsRead::default();
        lane.take(&[MARK, first, end], &at.to_le_bytes(), &mut read).unwrap();
    }

    #[test]
    fn a_mark_counts_for_its_groups_and_never_goes_back() {
        let mut lane = lane(0);
        mark(&mut lane, 0, 127, 5_000);
        assert_eq!(lane.mark(), Some(Millis(0)), "one group has told nothing");
        mark(&mut lane, 127, 128, 3_000);
        assert_eq!(lane.mark(), Some(Millis(3_000)));
        // Another number of instances, and one that lives on without knowing.
        mark(&mut lane, 64, 128, 6_000);
        mark(&mut lane, 0, 128, 2_000);
        assert_eq!(lane.mark(), Some(Millis(5_000)));
    }

    #[test]
    fn marks_count_once_all_that_was_there_has_been_read() {
        let mut lane = lane(3);
        mark(&mut lane, 0, 128, 5_000);
        lane.next = 2;
        assert_eq!(lane.mark(), None);
        lane.next = 3;
        assert_eq!(lane.mark(), Some(Millis(5_000)));
    }

    #[test]
    fn something_else_is_refused() {
        let mut read = RowsRead::default();
        for (key, value) in [
            (&b"m\x00\x81"[..], &[0; 8][..]),
            (b"m\x02\x01", &[0; 8]),
            (b"m\x00\x80", &[0; 7]),
            (b"a", b"no row"),
        ] {
            let refused = lane(0).take(key, value, &mut read);
            assert!(matches!(refused, Err(LogError::Topic { .. })), "{key:?}");
        }
    }
}
