//! Intake: the next records of each partition, parsed side by side. No partition is read more
//! than a second ahead of the watermark that the others allow.

use super::parallel::Threads;
use crate::log::{EventLog, LogError, RecordBatch};
use click_core::fold::{Fold, Parallel};
use click_core::stage::parse::Chunk;
use click_core::types::{Millis, Offset, Partition};

/// How far a partition may be read ahead of the slowest, in log time.
const AHEAD_MS: u64 = 1000;
/// Records that one thread parses at a time.
const CHUNK_RECORDS: usize = 4096;

pub(super) struct Intake {
    batches: Vec<RecordBatch>,
    step_bytes: usize,
    /// The last read left durable records for the next one.
    pub(super) left_some: bool,
}

impl Intake {
    pub(super) const fn new(step_bytes: usize) -> Intake {
        Intake { batches: Vec::new(), step_bytes, left_some: false }
    }

    /// Has a batch for each partition, those included that a layout record has just added.
    fn make_room(&mut self, log: &dyn EventLog, fold: &Fold) -> Result<(), LogError> {
        let partitions = fold.partitions();
        if log.partitions() < partitions
            && let Some(layout) = fold.layout()
        {
            log.extend(layout)?;
        }
        // Those that the log cannot read yet are waited for.
        let readable = log.partitions().min(partitions) as usize;
        self.batches.resize_with(readable, RecordBatch::default);
        Ok(())
    }

    /// Reads and parses what is due; returns how many records that were.
    pub(super) fn read(
        &mut self,
        log: &dyn EventLog,
        fold: &mut Fold,
        threads: &Threads,
    ) -> Result<usize, LogError> {
        self.make_room(log, fold)?;
        let limit = fold.possible_watermark().plus(AHEAD_MS);
        let bytes = (self.step_bytes / self.batches.len().max(1)).max(64 << 10);
        let mut records = 0;
        self.left_some = false;
        for (number, batch) in (0..).zip(&mut self.batches) {
            batch.clear();
            let (watermark, from) = fold.read_position(Partition(number));
            let end = log.range(number).end;
            if watermark <= limit && from.0 < end {
                log.read(number, from.0, bytes, batch)?;
                self.left_some |= batch.last().is_some_and(|(offset, ..)| offset + 1 < end);
            }
            records += batch.len();
        }
        if records > 0 {
            self.parse(fold, threads);
        }
        Ok(records)
    }

    fn parse(&self, fold: &mut Fold, threads: &Threads) {
        let mut jobs: Vec<(Partition, usize, Chunk)> = Vec::new();
        for (number, batch) in (0..).zip(&self.batches) {
            let starts = (0..batch.len()).step_by(CHUNK_RECORDS);
            jobs.extend(starts.map(|start| (Partition(number), start, fold.spare_chunk())));
        }
        let parser = &*fold;
        threads.for_each(&mut jobs, |_, (partition, start, chunk)| {
            let batch = &self.batches[partition.0 as usize];
            let end = batch.len().min(*start + CHUNK_RECORDS);
            let records = batch.iter().take(end).skip(*start);
            let records =
                records.map(|(offset, time, payload)| (Offset(offset), Millis(time), payload));
            *chunk = parser.parse(*partition, std::mem::take(chunk), records);
        });
        for (partition, _, chunk) in jobs {
            fold.push(partition, chunk);
        }
    }

    /// Whether everything durable has been read.
    pub(super) fn is_at_end(log: &dyn EventLog, fold: &Fold) -> bool {
        (0..fold.partitions())
            .all(|number| fold.read_position(Partition(number)).1.0 >= log.range(number).end)
    }

    /// Next offset to read, per partition.
    pub(super) fn read_to(fold: &Fold) -> Vec<Offset> {
        (0..fold.partitions()).map(|number| fold.read_position(Partition(number)).1).collect()
    }
}
