//! Rows of whole instants, and the sums by advertiser that are made of them.
//!
//! What Kafka is told of the group never lies behind what the store has: whoever begins there knows
//! every row that can still change, and the instant up to which the store needs nothing more.

use std::collections::VecDeque;

use anyhow::{Result, anyhow, bail};
use click_core::types::Millis;
use click_engine::kafka::{RowRecord, RowTopic};
use click_engine::store::{Instants, WholeInstant};

use super::writer::{Answer, Writer};
use super::{AT_ONCE, COLLECT};
use crate::out;

/// Rows that wait before partitions that are ahead wait for the others.
const WAIT_AT: usize = 1_000_000;
/// Most rows that wait.
const MAX_WAITING: usize = 30_000_000;
/// How far back a store may fall, in log time, without all rows being read again.
const KEEP_MS: u64 = 60_000;

struct Posting {
    writer: Writer,
    topic: RowTopic,
    instants: Instants,
    /// Where to begin for each instant that the store has, but might lose again.
    unconfirmed: VecDeque<(Millis, Vec<i64>)>,
    holds: bool,
    has_complained: bool,
}

pub fn post(writer: Writer, topic: RowTopic, from_beginning: bool) -> Result<()> {
    let instants = Instants::new(topic.partitions(), Millis(0));
    let unconfirmed = VecDeque::new();
    let (holds, has_complained) = (false, false);
    let mut posting = Posting { writer, topic, instants, unconfirmed, holds, has_complained };
    posting.begin(from_beginning)?;
    while !posting.writer.is_stopped() {
        posting.step()?;
    }
    Ok(())
}

impl Posting {
    /// Begins where the group left off, unless the store has less than it had then.
    fn begin(&mut self, from_beginning: bool) -> Result<()> {
        let Answer::Done(mark) = self.writer.mark()? else { return Ok(()) };
        let known = self.topic.resume()?.filter(|known| !from_beginning && *known <= mark);
        if known.is_none() {
            self.topic.rewind()?;
        }
        self.instants = Instants::new(self.topic.partitions(), known.unwrap_or_default());
        self.unconfirmed.clear();
        self.holds = false;
        Ok(())
    }

    /// Reads for a while and writes the newest instant that is whole.
    fn step(&mut self) -> Result<()> {
        let read = self.topic.read(AT_ONCE, COLLECT)?;
        if read.lacks {
            let version = |record: &RowRecord| match record {
                RowRecord::Row(row) => Some(row.row.version.at()),
                RowRecord::Mark(_) => None,
            };
            let newest = read.records.iter().filter_map(|(_, _, record)| version(record)).max();
            newest.into_iter().for_each(|newest| self.instants.may_lack(newest));
        }
        for (lane, offset, record) in read.records {
            self.put(lane, offset, record)?;
        }
        self.hold_if_many()?;
        if self.instants.take_without_undecided() && !self.has_complained {
            self.has_complained = true;
            out::note(
                "the job keeps undecided clicks to itself, and sums wait: run it by --sums true",
            );
        }
        let whole = if read.lacks { None } else { self.instants.take() };
        whole.map_or(Ok(()), |whole| self.write(whole))
    }

    fn put(&mut self, lane: usize, offset: i64, record: RowRecord) -> Result<()> {
        let place = u64::try_from(offset)?;
        match record {
            RowRecord::Row(row) => {
                self.instants.put_row(lane, place, row).map_err(|why| anyhow!(why))?;
            }
            RowRecord::Mark(mark) => self.instants.put_mark(lane, place, mark),
        }
        Ok(())
    }

    fn hold_if_many(&mut self) -> Result<()> {
        let waiting = self.instants.waiting();
        if waiting > MAX_WAITING {
            bail!("{waiting} rows wait for marks: does the job still run, and by --sums true?");
        }
        let holds = waiting > WAIT_AT;
        if holds || self.holds {
            let ahead = self.instants.ahead();
            let wait: Vec<bool> = ahead.iter().map(|ahead| holds && *ahead).collect();
            self.topic.hold(&wait)?;
        }
        self.holds = holds;
        Ok(())
    }

    fn write(&mut self, whole: WholeInstant) -> Result<()> {
        match self.writer.write(&whole.rows, Some(whole.mark))? {
            Answer::Done(()) => self.confirm(whole.mark),
            Answer::Lost => self.begin(false),
            Answer::Stopped => Ok(()),
        }
    }

    fn confirm(&mut self, mark: Millis) -> Result<()> {
        let next = self.topic.positions();
        let needed = |(lane, next): (usize, &i64)| {
            let needed = self.instants.needed_from(lane).and_then(|at| i64::try_from(at).ok());
            needed.map_or(*next, |needed| needed.min(*next))
        };
        let positions = next.iter().enumerate().map(needed).collect();
        self.unconfirmed.push_back((mark, positions));
        let keep = if self.writer.may_fall_back() { KEEP_MS } else { 0 };
        let mut safe = None;
        while self.unconfirmed.front().is_some_and(|(at, _)| at.plus(keep) <= mark) {
            safe = self.unconfirmed.pop_front();
        }
        safe.map_or(Ok(()), |(at, positions)| Ok(self.topic.confirm_at(&positions, at)?))
    }
}
