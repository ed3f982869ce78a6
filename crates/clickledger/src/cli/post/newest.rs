//! Rows as they come, for a store that makes sums itself.

use anyhow::{Result, anyhow};
use click_core::types::Millis;
use click_engine::kafka::{RowRecord, RowTopic};
use click_engine::store::NewestRows;

use super::writer::{Answer, Writer};
use super::{AT_ONCE, COLLECT};

struct Posting {
    writer: Writer,
    topic: RowTopic,
    rows: NewestRows,
    mark: Millis,
}

pub fn post(writer: Writer, topic: RowTopic, from_beginning: bool) -> Result<()> {
    let rows = NewestRows::new(topic.partitions());
    let mut posting = Posting { writer, topic, rows, mark: Millis(0) };
    if from_beginning {
        posting.begin_again()?;
    }
    while !posting.writer.is_stopped() {
        posting.step()?;
    }
    Ok(())
}

impl Posting {
    /// Reads for a while and writes what came.
    fn step(&mut self) -> Result<()> {
        let read = self.topic.read(AT_ONCE, COLLECT)?;
        let is_idle = read.records.is_empty();
        for (lane, _, record) in read.records {
            match record {
                RowRecord::Row(row) => {
                    self.rows.put_row(row, read.lacks).map_err(|e| anyhow!(e))?
                }
                RowRecord::Mark(mark) => self.rows.put_mark(lane, mark),
            }
        }
        let mark = self.rows.mark().filter(|mark| !read.lacks && *mark > self.mark);
        if is_idle && mark.is_none() {
            return Ok(());
        }
        match self.writer.write(&self.rows.take(), mark)? {
            Answer::Done(()) => {
                self.mark = mark.unwrap_or(self.mark);
                Ok(self.topic.confirm()?)
            }
            Answer::Lost => self.begin_again(),
            Answer::Stopped => Ok(()),
        }
    }

    fn begin_again(&mut self) -> Result<()> {
        (self.rows, self.mark) = (NewestRows::new(self.topic.partitions()), Millis(0));
        Ok(self.topic.rewind()?)
    }
}
