//! What a copier sends: whose records, and for each partition how far the cluster is and what comes
//! next. Little-endian numbers, a CRC-32C over all of it at the end.

use super::Name;
use crate::log::MAX_PAYLOAD;

/// Largest message, bytes.
pub const MAX_MESSAGE: usize = 1 << 20;
/// What it begins with; the last byte is the version.
const MAGIC: [u8; 8] = *b"CLCOPY\0\x02";
/// Bytes of the CRC.
const TRAILER: usize = 4;

/// A message in the making.
pub struct Message {
    bytes: Vec<u8>,
    sections: u32,
    /// Where the open section's number of records is, and that number.
    open: Option<(usize, u32)>,
}

/// Where the number of sections is.
const SECTIONS_AT: usize = MAGIC.len() + 3 * 16 + 2 * 4;

impl Message {
    /// Of a part, of so many partitions, of the log of this id: the own log `spool`, in a session.
    pub fn new(log_id: Name, spool: Name, session: Name, part: u32, partitions: u32) -> Message {
        let mut bytes = Vec::from(MAGIC);
        [log_id, spool, session].iter().for_each(|name| bytes.extend_from_slice(name));
        bytes.extend_from_slice(&part.to_le_bytes());
        bytes.extend_from_slice(&partitions.to_le_bytes());
        bytes.extend_from_slice(&0u32.to_le_bytes());
        Message { bytes, sections: 0, open: None }
    }

    /// Begins a section; partitions ascend. The cluster has everything below `acked`, and the next
    /// record is the one at `from`.
    pub fn section(&mut self, partition: u32, acked: u64, from: u64) {
        self.close();
        self.bytes.extend_from_slice(&partition.to_le_bytes());
        self.bytes.extend_from_slice(&acked.to_le_bytes());
        self.bytes.extend_from_slice(&from.to_le_bytes());
        self.open = Some((self.bytes.len(), 0));
        self.bytes.extend_from_slice(&0u32.to_le_bytes());
        self.sections += 1;
    }

    /// Adds a record to the open section.
    pub fn record(&mut self, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(payload);
        if let Some((_, count)) = &mut self.open {
            *count += 1;
        }
    }

    /// Bytes so far.
    pub fn size(&self) -> usize {
        self.bytes.len() + TRAILER
    }

    /// The whole.
    pub fn finish(mut self) -> Vec<u8> {
        self.close();
        self.put(SECTIONS_AT, self.sections);
        self.bytes.extend_from_slice(&crc32c::crc32c(&self.bytes).to_le_bytes());
        self.bytes
    }

    fn close(&mut self) {
        if let Some((at, count)) = self.open.take() {
            self.put(at, count);
        }
    }

    fn put(&mut self, at: usize, number: u32) {
        self.bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
}

/// A message as it was received.
#[derive(Debug, PartialEq, Eq)]
pub struct Given<'a> {
    /// Which log the cluster's is.
    pub log_id: Name,
    /// Whose records these are.
    pub spool: Name,
    /// Who has asked, and gives now.
    pub session: Name,
    /// Number of the log's part, from 0 on.
    pub part: u32,
    /// Partitions of that part.
    pub partitions: u32,
    /// By ascending partition; without any it is a question.
    pub sections: Vec<Section<'a>>,
}

/// What is told and given of a partition.
#[derive(Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// Which.
    pub partition: u32,
    /// The cluster has everything below.
    pub acked: u64,
    /// Place of the first record.
    pub from: u64,
    /// Consecutive records.
    pub records: Vec<&'a [u8]>,
}

impl<'a> Given<'a> {
    /// Takes a message apart.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(bytes: &'a [u8]) -> Result<Given<'a>, String> {
        if bytes.len() > MAX_MESSAGE {
            return Err(format!("a message of {} bytes, at most {MAX_MESSAGE}", bytes.len()));
        }
        let body = bytes.len().checked_sub(TRAILER).ok_or("the message is cut short")?;
        let (body, crc) = bytes.split_at(body);
        let mut rest = Rest(body);
        if rest.array::<8>()? != MAGIC {
            return Err("no copy of this version: both sites need the same program".into());
        }
        if crc != crc32c::crc32c(body).to_le_bytes() {
            return Err("the message is damaged: its checksum differs".into());
        }
        let (log_id, spool, session) = (rest.array()?, rest.array()?, rest.array()?);
        let (part, partitions, count) = (rest.u32()?, rest.u32()?, rest.u32()?);
        let mut sections: Vec<Section<'a>> = Vec::new();
        for _ in 0..count {
            let section = rest.section()?;
            let ascends = sections.last().is_none_or(|last| last.partition < section.partition);
            if !ascends || section.partition >= partitions {
                return Err(format!("partition {} is out of place", section.partition));
            }
            sections.push(section);
        }
        if !rest.0.is_empty() {
            return Err(format!("{} bytes are left over", rest.0.len()));
        }
        Ok(Given { log_id, spool, session, part, partitions, sections })
    }
}

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or("the message is cut short")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| "the message is cut short".into())
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn section(&mut self) -> Result<Section<'a>, String> {
        let (partition, acked, from) = (self.u32()?, self.u64()?, self.u64()?);
        let count = self.u32()?;
        if from.checked_add(count.into()).is_none() {
            return Err(format!("partition {partition}: {from} is no place of a record"));
        }
        let mut records = Vec::new();
        for _ in 0..count {
            let length = self.u32()? as usize;
            if !(1..=MAX_PAYLOAD).contains(&length) {
                return Err(format!("a record of {length} bytes, 1 to {MAX_PAYLOAD} are allowed"));
            }
            records.push(self.take(length)?);
        }
        Ok(Section { partition, acked, from, records })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Vec<u8> {
        let mut message = Message::new([1; 16], [2; 16], [3; 16], 5, 4);
        message.section(1, 5, 7);
        message.record(b"a");
        message.record(b"bc");
        message.section(3, u64::MAX, 0);
        message.finish()
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = whole();
        let given = Given::decode(&bytes).unwrap();
        assert_eq!((given.log_id, given.spool, given.session), ([1; 16], [2; 16], [3; 16]));
        assert_eq!((given.part, given.partitions), (5, 4));
        let records = vec![b"a".as_slice(), b"bc"];
        let first = Section { partition: 1, acked: 5, from: 7, records };
        let second = Section { partition: 3, acked: u64::MAX, from: 0, records: vec![] };
        assert_eq!(given.sections, [first, second]);
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_seen() {
        let bytes = whole();
        for at in 0..bytes.len() {
            assert!(Given::decode(&bytes[..at]).is_err(), "cut at {at}");
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Given::decode(&changed).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn partitions_and_lengths_are_within_bounds() {
        let refused = |fill: &dyn Fn(&mut Message)| {
            let mut message = Message::new([0; 16], [0; 16], [0; 16], 0, 2);
            fill(&mut message);
            Given::decode(&message.finish()).map(drop)
        };
        assert_eq!(refused(&|message| message.section(1, 0, 0)), Ok(()));
        assert!(refused(&|message| message.section(2, 0, 0)).is_err(), "no such partition");
        let twice = |message: &mut Message| (0..2).for_each(|_| message.section(1, 0, 0));
        assert!(refused(&twice).is_err(), "one partition twice");
        for (length, good) in [(0, false), (1, true), (MAX_PAYLOAD, true), (MAX_PAYLOAD + 1, false)]
        {
            let record = |message: &mut Message| {
                message.section(0, 0, 0);
                message.record(&vec![7; length]);
            };
            assert_eq!(refused(&record).is_ok(), good, "{length} bytes");
        }
        for (from, good) in [(u64::MAX - 1, true), (u64::MAX, false)] {
            let last = |message: &mut Message| {
                message.section(0, 0, from);
                message.record(b"a");
            };
            assert_eq!(refused(&last).is_ok(), good, "{from}");
        }
    }
}
