//! A layout record: of which topics and partitions a log is made from an instant on. Numbers of
//! partitions go on through all parts, and none is given twice.

use super::DecodeError;
use super::wire::{Reader, bytes, put_bytes, put_u64_nonzero, varint};
use crate::limits::{MAX_LOG_PARTITIONS, MAX_PARTS, MAX_TOPIC_BYTES};
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

/// Some partitions of a topic. The ones before them in the topic are an earlier part's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The topic, 1-249 bytes; where there are no topics, any name.
    pub topic: String,
    /// How many of its partitions, at least 1.
    pub partitions: u32,
}

/// The parts of a log from this record's fold time on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Of which log.
    pub log_id: [u8; 16],
    /// Counts up from 1; a log begins without a layout record.
    pub number: u32,
    /// All parts, the newest last: that one takes new clicks.
    pub parts: Vec<Part>,
}

const LOG_ID: u64 = bytes(1);
const NUMBER: u64 = varint(2);
const PART: u64 = bytes(3);

const TOPIC: u64 = bytes(1);
const PARTITIONS: u64 = varint(2);

impl Layout {
    /// How many partitions the log has by it.
    pub fn partitions(&self) -> u32 {
        sum(&self.parts)
    }

    /// The numbers of the newest part's partitions.
    pub fn newest(&self) -> Range<u32> {
        let before = self.parts.split_last().map_or(0, |(_, before)| sum(before));
        before..self.partitions()
    }

    /// Number of a part's first partition in the log, and its place in its topic.
    pub fn begins(&self, part: usize) -> (u32, u32) {
        let before = self.parts.get(..part).unwrap_or(&self.parts);
        let topic = self.parts.get(part).map(|part| part.topic.as_str());
        let same = before.iter().filter(|before| Some(before.topic.as_str()) == topic);
        (sum(before), same.map(|part| part.partitions).sum())
    }

    pub(super) fn decode(message: &[u8]) -> Result<Layout, DecodeError> {
        let mut layout = Layout { log_id: [0; 16], number: 0, parts: Vec::new() };
        let mut reader = Reader::new(message);
        loop {
            match reader.tag()? {
                0 => break,
                LOG_ID => {
                    let log_id = reader.bytes()?.try_into();
                    layout.log_id = log_id.map_err(|_| DecodeError::Malformed)?;
                }
                NUMBER => layout.number = small(reader.varint()?)?,
                PART => layout.parts.push(Part::decode(reader.bytes()?)?),
                tag => reader.skip(tag, |number| (1..=3).contains(&number))?,
            }
            if layout.parts.len() > MAX_PARTS || layout.partitions() > MAX_LOG_PARTITIONS {
                return Err(DecodeError::TooLong);
            }
        }
        if layout.number == 0 || layout.parts.len() < 2 {
            return Err(DecodeError::Malformed);
        }
        Ok(layout)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, 1, &self.log_id);
        put_u64_nonzero(out, 2, u64::from(self.number));
        for part in &self.parts {
            let mut message = Vec::new();
            put_bytes(&mut message, 1, part.topic.as_bytes());
            put_u64_nonzero(&mut message, 2, u64::from(part.partitions));
            put_bytes(out, 3, &message);
        }
    }
}

impl Part {
    fn decode(message: &[u8]) -> Result<Part, DecodeError> {
        let mut part = Part { topic: String::new(), partitions: 0 };
        let mut reader = Reader::new(message);
        loop {
            match reader.tag()? {
                0 => break,
                TOPIC => {
                    let topic = super::bounded(reader.bytes()?, MAX_TOPIC_BYTES)?;
                    let topic = core::str::from_utf8(topic).map_err(|_| DecodeError::NotUtf8)?;
                    part.topic = String::from(topic);
                }
                PARTITIONS => part.partitions = small(reader.varint()?)?,
                tag => reader.skip(tag, |number| (1..=2).contains(&number))?,
            }
        }
        let is_some = !part.topic.is_empty() && (1..=MAX_LOG_PARTITIONS).contains(&part.partitions);
        if is_some { Ok(part) } else { Err(DecodeError::Malformed) }
    }
}

fn small(number: u64) -> Result<u32, DecodeError> {
    number.try_into().map_err(|_| DecodeError::Malformed)
}

fn sum(parts: &[Part]) -> u32 {
    parts.iter().map(|part| part.partitions).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(parts: &[(&str, u32)]) -> Layout {
        let part = |(topic, partitions): &(&str, u32)| Part {
            topic: String::from(*topic),
            partitions: *partitions,
        };
        Layout { log_id: [1; 16], number: 1, parts: parts.iter().map(part).collect() }
    }

    #[test]
    fn a_part_begins_behind_those_before_it_in_log_and_topic() {
        let layout = layout(&[("a", 2), ("b", 3), ("a", 4)]);
        assert_eq!(layout.partitions(), 9);
        assert_eq!(layout.newest(), 5..9);
        assert_eq!([0, 1, 2].map(|part| layout.begins(part)), [(0, 0), (2, 0), (5, 2)]);
    }

    #[test]
    fn bounds_hold_at_the_bound_and_not_beyond() {
        let decoded = |parts: &[(&str, u32)], number: u32| {
            let mut out = Vec::new();
            Layout { number, ..layout(parts) }.encode(&mut out);
            Layout::decode(&out)
        };
        let most = MAX_LOG_PARTITIONS;
        assert!(decoded(&[("a", 1), ("b", most - 1)], 1).is_ok());
        assert_eq!(decoded(&[("a", 1), ("b", most)], 1), Err(DecodeError::TooLong));
        assert_eq!(decoded(&[("a", 1), ("b", u32::MAX)], 1), Err(DecodeError::Malformed));
        assert_eq!(decoded(&[("a", 1), ("b", 0)], 1), Err(DecodeError::Malformed));
        assert_eq!(decoded(&[("a", 1), ("", 1)], 1), Err(DecodeError::Malformed));
        assert_eq!(decoded(&[("a", 1)], 1), Err(DecodeError::Malformed), "one part is no change");
        assert_eq!(decoded(&[("a", 1), ("b", 1)], 0), Err(DecodeError::Malformed));
        let (long, longer) = ("t".repeat(MAX_TOPIC_BYTES), "t".repeat(MAX_TOPIC_BYTES + 1));
        assert!(decoded(&[("a", 1), (&long, 1)], 1).is_ok());
        assert_eq!(decoded(&[("a", 1), (&longer, 1)], 1), Err(DecodeError::TooLong));
        assert!(decoded(&[("a", 1); MAX_PARTS], 1).is_ok());
        assert_eq!(decoded(&[("a", 1); MAX_PARTS + 1], 1), Err(DecodeError::TooLong));
    }
}
