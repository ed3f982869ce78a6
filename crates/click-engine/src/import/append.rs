//! Appends a prepared file to a log. What of it is there already is found by reading the log, so
//! that importing again, or resuming after a crash at any instant, appends only what is missing.

use click_core::limits::LOOK_AHEAD_MS;
use click_core::record::{Header, Kind, Record, Transport};
use click_core::types::Millis;

use super::prepare::{Entry, Prepared};
use super::{ImportError, Progress, Stage};
use crate::log::{Commit, EventLog, LogError, RecordBatch};

const READ_BYTES: usize = 1024 * 1024;

/// How a file is appended.
#[derive(Clone, Copy, Debug)]
pub struct AppendOptions {
    /// Rows between two waits for the disk, at least 1.
    pub batch: usize,
    /// End with a tick on every partition, so that nothing is pending.
    pub close: bool,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Rows appended now.
    pub appended: u64,
    /// Rows that were in the log already.
    pub present: u64,
    /// Closing ticks appended now.
    pub ticks: u32,
}

impl Prepared {
    /// Appends what is missing and waits until it is durable.
    ///
    /// # Errors
    /// The file does not fit the log, or the log fails.
    pub fn append_to(
        &self,
        log: &dyn EventLog,
        options: AppendOptions,
        progress: Progress<'_>,
    ) -> Result<Appended, ImportError> {
        let (named, has) = (self.partitions() - 1, log.partitions());
        if named >= has {
            return Err(ImportError::Partition { named, last: has - 1 });
        }
        self.put_header(log)?;
        let mut parts = Vec::new();
        for rows in self.entries.chunk_by(|a, b| a.partition == b.partition) {
            parts.push(Part { file: self, rows, present: 0 });
        }
        for part in &mut parts {
            part.find(log, progress)?;
        }
        self.refuse_backwards(log, &parts)?;
        let mut done = Appended::default();
        for part in &parts {
            part.append(log, options.batch.max(1), progress, &mut done)?;
        }
        done.ticks = if options.close { self.close(log)? } else { 0 };
        Ok(done)
    }

    /// An empty log begins with its header, at time 0 so that any file fits behind it.
    fn put_header(&self, log: &dyn EventLog) -> Result<(), ImportError> {
        if log.range(0).end > 0 {
            return Ok(());
        }
        let header = Header {
            log_id: log.log_id().0,
            generation: log.generation(),
            partitions: log.partitions(),
        };
        let kind = Kind::Header(header);
        let record = Record { sent_at: None, transport: None, previous: None, kind };
        log.append_at(0, 0, &record.to_bytes())?.wait()?;
        Ok(())
    }

    fn refuse_backwards(&self, log: &dyn EventLog, parts: &[Part<'_>]) -> Result<(), ImportError> {
        let newest = (0..log.partitions()).map(|p| log.last_append_time(p)).max().unwrap_or(0);
        let is_new = parts.iter().all(|part| part.present == 0);
        let first = self.entries.iter().map(|entry| entry.append_time).min();
        if let Some(first) = first.filter(|first| is_new && *first < newest) {
            return Err(ImportError::Backwards { first, last: newest });
        }
        for next in parts.iter().filter_map(|part| part.rows.get(part.present)) {
            let (first, last) = (next.append_time, log.last_append_time(next.partition));
            if first < last {
                return Err(ImportError::Backwards { first, last });
            }
        }
        Ok(())
    }

    fn close(&self, log: &dyn EventLog) -> Result<u32, ImportError> {
        let Some(last) = self.entries.iter().map(|entry| entry.append_time).max() else {
            return Ok(0);
        };
        let at = Millis(last).plus(LOOK_AHEAD_MS).grid_ceil();
        let payload = Record::tick(at).to_bytes();
        let open = (0..log.partitions()).filter(|p| log.last_append_time(*p) < at.0);
        let commits: Vec<_> =
            open.map(|p| log.append_at(p, at.0, &payload)).collect::<Result<_, _>>()?;
        let ticks = commits.len();
        for commit in commits {
            commit.wait()?;
        }
        Ok(u32::try_from(ticks).unwrap_or(u32::MAX))
    }
}

/// The rows of one partition, in log order; the first `present` are in the log already.
struct Part<'a> {
    file: &'a Prepared,
    rows: &'a [Entry],
    present: usize,
}

impl Part<'_> {
    /// Finds how many rows the log has. They were appended in order, and their identity names the
    /// file, so the first ones found in order are exactly those.
    fn find(&mut self, log: &dyn EventLog, progress: Progress<'_>) -> Result<(), ImportError> {
        let partition = self.rows[0].partition;
        let range = log.range(partition);
        let (mut from, mut batch) = (range.start, RecordBatch::new());
        let mut expected = Vec::new();
        self.encode(0, &mut expected);
        while from < range.end && self.present < self.rows.len() {
            batch.clear();
            log.read(partition, from, READ_BYTES, &mut batch)?;
            let Some((last, _, _)) = batch.last() else { break };
            from = last + 1;
            for (_, time, payload) in &batch {
                let next = self.rows.get(self.present);
                if next.is_some_and(|row| row.append_time == time) && payload == expected {
                    self.present += 1;
                    self.encode(self.present, &mut expected);
                }
            }
            progress(Stage::Match, self.present as u64, self.rows.len() as u64);
        }
        Ok(())
    }

    fn append(
        &self,
        log: &dyn EventLog,
        batch: usize,
        progress: Progress<'_>,
        done: &mut Appended,
    ) -> Result<(), ImportError> {
        done.present += self.present as u64;
        let mut payload = Vec::new();
        let mut last: Option<Commit> = None;
        for index in self.present..self.rows.len() {
            self.encode(index, &mut payload);
            let row = self.rows[index];
            last = Some(append_one(log, row.partition, row.append_time, &payload, last)?);
            done.appended += 1;
            if (index + 1).is_multiple_of(batch) {
                last.take().map_or(Ok(()), |commit| commit.wait().map(drop))?;
                progress(Stage::Append, done.present + done.appended, self.file.rows());
            }
        }
        last.map_or(Ok(()), |commit| commit.wait().map(drop))?;
        progress(Stage::Append, done.present + done.appended, self.file.rows());
        Ok(())
    }

    /// The payload of the row at `index`; a row without an identity gets the file's, numbered in
    /// the order of its partition.
    fn encode(&self, index: usize, out: &mut Vec<u8>) {
        out.clear();
        let Some(row) = self.rows.get(index) else { return };
        let stored = self.file.payload(row);
        let Ok(mut record) = Record::decode(stored) else {
            unreachable!("rows are checked when they are read")
        };
        let own = Transport { tracker_id: &self.file.file_id, epoch: 0, seq: index as u64 };
        record.transport = record.transport.or(Some(own));
        record.encode(out, &mut Vec::new());
    }
}

/// Queues one record, waiting for the one before whenever the queue is full.
fn append_one(
    log: &dyn EventLog,
    partition: u32,
    append_time: u64,
    payload: &[u8],
    before: Option<Commit>,
) -> Result<Commit, LogError> {
    match log.append_at(partition, append_time, payload) {
        Err(LogError::Busy { .. }) => {
            before.map_or(Ok(()), |commit| commit.wait().map(drop))?;
            log.append_at(partition, append_time, payload)
        }
        other => other,
    }
}
