//! What the header topic says of a log, which keeps it for ever: its header, and the layouts by
//! which it has moved to other partitions.
//!
//! A layout is *decided* by the first record that proposes one which follows the layout before it:
//! that is what makes commands that race agree. It is *in force* for trackers once a second record
//! says so, which is written when partition 0 has it. Must never take a proposal for a layout that
//! the log could refuse.

use std::time::{Duration, Instant};

use click_core::record::{Header, Kind, Layout, Record};
use click_core::stage::layouts::Layouts;
use click_core::types::{Millis, Partition};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::address::KafkaSettings;
use super::client::failed;
use super::lane::offset_of;
use super::topics::{consumer, exists, watermarks};
use crate::log::LogError;

/// Key of a record that proposes a layout.
pub(super) const PROPOSED: &str = "layout proposed";
/// Key of a record that says that partition 0 has a layout.
pub(super) const IN_FORCE: &str = "layout in force";

const NAP: Duration = Duration::from_millis(200);

/// What is known of a log.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) header: Header,
    layouts: Layouts,
    /// In order of their numbers, from 1 on.
    decided: Vec<Layout>,
    /// How many of them are in force.
    in_force: usize,
}

impl Known {
    pub(super) fn new(header: Header) -> Known {
        Known { header, layouts: Layouts::new(&header), decided: Vec::new(), in_force: 0 }
    }

    /// The newest layout that was decided.
    pub(super) fn newest(&self) -> Option<&Layout> {
        self.decided.last()
    }

    /// The newest layout that is in force.
    pub(super) fn in_force(&self) -> Option<&Layout> {
        self.in_force.checked_sub(1).and_then(|at| self.decided.get(at))
    }

    /// Whether a layout was decided and is not in force.
    pub(super) fn is_unfinished(&self) -> bool {
        self.in_force < self.decided.len()
    }

    /// The log's topics, each with how many of its partitions the log has; `first` is that with
    /// which the log began.
    pub(super) fn topics(&self, first: &str) -> Vec<(String, u32)> {
        let mut topics = vec![(first.to_owned(), self.header.partitions)];
        let parts = self.newest().map_or(&[][..], |layout| &layout.parts);
        for part in parts.iter().skip(1) {
            match topics.iter_mut().find(|(topic, _)| *topic == part.topic) {
                Some((_, count)) => *count += part.partitions,
                None => topics.push((part.topic.clone(), part.partitions)),
            }
        }
        topics
    }

    fn take(&mut self, key: &[u8], layout: Layout) {
        if key == PROPOSED.as_bytes() {
            let before = self.decided.len();
            let added = self.layouts.take(Partition(0), &layout, Millis(0));
            if added.is_ok_and(|added| !added.is_empty()) && before == self.decided.len() {
                self.decided.push(layout);
            }
        } else if key == IN_FORCE.as_bytes()
            && let Some(at) = self.decided.iter().position(|decided| *decided == layout)
        {
            self.in_force = self.in_force.max(at + 1);
        }
    }
}

/// Follows the header topic.
pub struct HeaderTopic {
    consumer: BaseConsumer,
    next: u64,
    known: Option<Known>,
}

impl HeaderTopic {
    /// From its first record on.
    ///
    /// # Errors
    /// `Topic` if there is none, `Kafka` if the cluster does not answer.
    pub fn open(settings: &KafkaSettings) -> Result<HeaderTopic, LogError> {
        let topic = settings.address.header_topic();
        if !exists(settings, &topic)? {
            let reason = format!("there is no topic {topic}; run `clickledger topics create`");
            return Err(LogError::topic(reason));
        }
        let consumer = consumer(settings)?;
        let (low, _) = watermarks(&consumer, &topic, 0)?;
        let mut from = TopicPartitionList::new();
        let begin = from.add_partition_offset(&topic, 0, Offset::Offset(low));
        begin.and_then(|()| consumer.assign(&from)).map_err(|error| failed("header", &error))?;
        Ok(HeaderTopic { consumer, next: offset_of(low), known: None })
    }

    /// The newest layout in force, after what comes within `timeout` at most.
    ///
    /// # Errors
    /// `Topic` if the topic holds something else than headers and layouts.
    pub fn layout_in_force(&mut self, timeout: Duration) -> Result<Option<&Layout>, LogError> {
        self.poll(timeout)?;
        Ok(self.known.as_ref().and_then(Known::in_force))
    }

    /// Takes the next record, if one comes.
    fn poll(&mut self, timeout: Duration) -> Result<(), LogError> {
        // There may be complaints on the way to a broker that answers.
        let Some(Ok(message)) = self.consumer.poll(timeout) else { return Ok(()) };
        self.next = offset_of(message.offset()) + 1;
        let record = Record::decode(message.payload().unwrap_or_default());
        match (record.map(|record| record.kind), &mut self.known) {
            (Ok(Kind::Header(header)), None) => self.known = Some(Known::new(header)),
            (Ok(Kind::Layout(layout)), Some(known)) => {
                known.take(message.key().unwrap_or_default(), layout);
            }
            // The first header counts.
            (Ok(Kind::Header(_)), Some(_)) => {}
            _ => {
                let reason = "the header topic holds something else than a header";
                return Err(LogError::topic(reason));
            }
        }
        Ok(())
    }
}

/// Everything that the header topic holds now; none if there is no header.
pub(super) fn known_if_any(settings: &KafkaSettings) -> Result<Option<Known>, LogError> {
    let topic = settings.address.header_topic();
    if !exists(settings, &topic)? {
        return Ok(None);
    }
    let mut header = HeaderTopic::open(settings)?;
    let (_, high) = watermarks(&header.consumer, &topic, 0)?;
    let until = Instant::now() + settings.patience;
    while header.next < offset_of(high) {
        if Instant::now() >= until {
            return Err(LogError::kafka(format!("{topic} does not answer")));
        }
        header.poll(NAP)?;
    }
    Ok(header.known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use click_core::record::Part;

    fn layout(number: u32, parts: &[(&str, u32)]) -> Layout {
        let part = |(topic, partitions): &(&str, u32)| Part {
            topic: (*topic).to_owned(),
            partitions: *partitions,
        };
        Layout { log_id: [1; 16], number, parts: parts.iter().map(part).collect() }
    }

    #[test]
    fn the_first_proposal_that_follows_is_decided_and_said_to_be_in_force_later() {
        let mut known = Known::new(Header { log_id: [1; 16], generation: 1, partitions: 2 });
        let (ours, rival) = (layout(1, &[("a", 2), ("b", 5)]), layout(1, &[("a", 2), ("c", 5)]));
        known.take(IN_FORCE.as_bytes(), ours.clone());
        known.take(PROPOSED.as_bytes(), layout(1, &[("a", 3), ("b", 5)]));
        known.take(PROPOSED.as_bytes(), layout(2, &[("a", 2), ("b", 5), ("c", 1)]));
        assert!(known.newest().is_none(), "nothing of it follows");
        known.take(PROPOSED.as_bytes(), ours.clone());
        known.take(PROPOSED.as_bytes(), rival.clone());
        known.take(PROPOSED.as_bytes(), ours.clone());
        known.take(IN_FORCE.as_bytes(), rival);
        assert_eq!((known.newest(), known.in_force()), (Some(&ours), None));
        assert!(known.is_unfinished());
        known.take(IN_FORCE.as_bytes(), ours.clone());
        assert_eq!(known.in_force(), Some(&ours));
        let next = layout(2, &[("a", 2), ("b", 5), ("a", 1)]);
        known.take(PROPOSED.as_bytes(), next.clone());
        known.take(IN_FORCE.as_bytes(), ours.clone());
        assert_eq!((known.newest(), known.in_force()), (Some(&next), Some(&ours)));
        assert_eq!(known.topics("a"), [("a".to_owned(), 3), ("b".to_owned(), 5)]);
    }
}
