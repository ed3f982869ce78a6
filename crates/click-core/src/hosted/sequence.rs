//! The sequence stage of one partition.

use super::effects::put_dead_letter;
use super::packed::ClickRouter;
use super::route::Routed;
use super::{Common, HostError};
use crate::codec::{put_sequence, put_timeline, take_sequence, take_timeline};
use crate::policy::Timeline;
use crate::record::Header;
use crate::snapshot::{Reader, Writer};
use crate::stage::event::Event;
use crate::stage::parse::{Chunk, parse};
use crate::stage::sequence::{DeadLetter, Drained, Sequence};
use crate::types::{Millis, Offset, Partition};
use alloc::vec::Vec;

/// Appends a record of the log to a batch for [`SequenceHost::apply`].
pub fn put_record(batch: &mut Vec<u8>, offset: Offset, append_time: Millis, payload: &[u8]) {
    batch.extend_from_slice(&offset.0.to_le_bytes());
    batch.extend_from_slice(&append_time.0.to_le_bytes());
    batch.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    batch.extend_from_slice(payload);
}

/// The time of an offset that has no record: it moves nothing.
const HOLE_TIME: Millis = Millis(1);
const NOTHING: &[u8] = &[];
/// Most offsets in a row that a log passes over, as it does for the marker of a transaction.
const MAX_HOLE: u64 = 65_536;

/// The sequence stage of one partition.
pub struct SequenceHost {
    partition: Partition,
    common: Common,
    sequence: Sequence,
    announced: Millis,
    spare: Vec<Chunk>,
    router: ClickRouter,
}

/// What has to be known everywhere before a watermark is reached.
#[derive(Debug, Default)]
pub struct Announced {
    /// All policies so far, if there are new ones: for `learn` of every stage.
    pub policies: Option<Vec<u8>>,
    /// Policies that were refused.
    pub dead_letters: Vec<u8>,
}

/// What comes of a partition's records below a watermark.
#[derive(Debug, Default)]
pub struct Sequenced {
    /// Clicks for the user stage.
    pub clicks: Routed,
    /// Records that no click came of.
    pub dead_letters: Vec<u8>,
}

impl SequenceHost {
    /// At the beginning of a partition of the log that `header` names, or where a snapshot was
    /// taken.
    pub fn open(
        header: &Header,
        partition: Partition,
        snapshot: Option<&[u8]>,
    ) -> Result<SequenceHost, HostError> {
        let (mut common, mut sequence) = (Common::new(header), Sequence::new(partition));
        if let Some(snapshot) = snapshot {
            let mut input = Reader::new(snapshot);
            common.watermark = input.time()?;
            common.timeline = take_timeline(&mut input)?;
            sequence = Sequence::restore(partition, take_sequence(&mut input)?);
            input.end()?;
        }
        let announced = common.watermark;
        let (spare, router) = (Vec::new(), ClickRouter::new());
        Ok(SequenceHost { partition, common, sequence, announced, spare, router })
    }

    /// Takes the next records of the partition; those it has read already are passed over. An
    /// offset that the log passes over reads as an empty record, which no click comes of.
    pub fn apply(&mut self, records: &[u8]) -> Result<(), HostError> {
        let (mut input, mut fresh) = (Reader::new(records), Vec::new());
        let mut next = self.sequence.read_to();
        while !input.is_empty() {
            let (offset, append_time) = (Offset(input.u64()?), input.time()?);
            let payload = input.slice()?;
            if offset < next {
                continue;
            }
            if next.0 == 0 && offset.0 > 0 {
                return Err(HostError::NoBeginning);
            }
            if offset.0 - next.0 > MAX_HOLE {
                return Err(HostError::Hole);
            }
            fresh.extend((next.0..offset.0).map(|hole| (Offset(hole), HOLE_TIME, NOTHING)));
            next = Offset(offset.0.checked_add(1).ok_or(HostError::Malformed)?);
            fresh.push((offset, append_time, payload));
        }
        let spare = self.spare.pop().unwrap_or_default();
        let chunk = parse(&self.common.keys, self.partition, spare, fresh.into_iter());
        if chunk.has_layouts() {
            return Err(HostError::Layout);
        }
        self.sequence.push(chunk, &mut self.common.keys);
        Ok(())
    }

    /// The watermark that the records so far allow; the log's is the least of its partitions'.
    pub const fn watermark(&self) -> Millis {
        self.sequence.watermark()
    }

    /// Where to read on after a restore: the first record that has not been handed out.
    pub const fn position(&self) -> Offset {
        self.sequence.position()
    }

    /// The next record that it has not read.
    pub const fn read_to(&self) -> Offset {
        self.sequence.read_to()
    }

    /// Records known to be missing below the watermark.
    pub fn gaps(&self) -> u64 {
        self.sequence.transports.missing()
    }

    /// The policies so far, in the order that verdicts number them by.
    pub const fn timeline(&self) -> &Timeline {
        &self.common.timeline
    }

    /// Finds the policies below `w`. Every partition announces `w`, and every stage learns what
    /// was announced, before any advances to it.
    pub fn announce(&mut self, w: Millis) -> Result<Announced, HostError> {
        if w > self.watermark() || self.announced > self.common.watermark {
            return Err(HostError::OutOfTurn);
        }
        if w <= self.announced {
            return Ok(Announced::default());
        }
        self.announced = w;
        let (mut dead, timeline) = (Vec::new(), &mut self.common.timeline);
        let before = timeline.entries().count();
        self.sequence.announce(w, timeline, &mut dead);
        let is_new = timeline.entries().count() > before;
        let policies = is_new.then(|| self.common.policies());
        Ok(Announced { policies, dead_letters: put_all(&dead) })
    }

    /// Takes the policies that another partition announced.
    pub fn learn(&mut self, policies: &[u8]) -> Result<(), HostError> {
        self.common.learn(policies)
    }

    /// Hands out everything below `w`, which has been announced.
    pub fn advance(&mut self, w: Millis) -> Result<Sequenced, HostError> {
        if w > self.announced {
            return Err(HostError::OutOfTurn);
        }
        if !self.common.reach(w) {
            return Ok(Sequenced::default());
        }
        let (router, mut dead) = (&mut self.router, Vec::new());
        let Common { keys, timeline, .. } = &self.common;
        let mut click = |event: &Event| router.put_event(event, keys);
        let out = &mut Drained { click: &mut click, dead: &mut dead, spare: &mut self.spare };
        self.sequence.drain(w, timeline, out);
        Ok(Sequenced { clicks: self.router.finish(), dead_letters: put_all(&dead) })
    }

    /// State as of the watermark. What was read beyond it is read again.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut out = self.common.begin_snapshot();
        put_timeline(&mut out, &self.common.timeline);
        put_sequence(&mut out, &self.sequence.snapshot());
        out.into_bytes()
    }
}

fn put_all(letters: &[DeadLetter]) -> Vec<u8> {
    let mut out = Writer::default();
    letters.iter().for_each(|letter| put_dead_letter(&mut out, letter));
    out.into_bytes()
}
