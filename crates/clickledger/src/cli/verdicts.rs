//! The verdict of every click, found by folding the log again from its beginning.

use std::collections::HashMap;
use std::io::Write;
use std::ops::ControlFlow;

use anyhow::{Result, ensure};
use click_core::record::{Kind as RecordKind, Record, Transport};
use click_core::row::{Row, RowId};
use click_core::types::{Offset, Partition};
use click_core::verdict::Reasons;
use click_engine::driver::{FinalVerdict, RefoldSink, refold};
use click_engine::log::{EventLog, LogError, RecordBatch, for_each_record};

use super::progress;
use super::table::{Column, Format, Kind, Writer};

const READ_BYTES: usize = 4 << 20;

/// What folding the log again brought about.
#[derive(Default)]
pub struct Refolded {
    /// Final verdicts, sorted by partition and offset; 16 bytes a click.
    verdicts: Vec<(Partition, Offset, Reasons)>,
    /// Newest version of each row, if asked for.
    pub rows: Option<HashMap<RowId, Row>>,
    /// Measured clicks without a final verdict: log time has not come so far.
    pub waiting: u64,
}

impl RefoldSink for Refolded {
    fn verdict(&mut self, verdict: &FinalVerdict) {
        self.verdicts.push((verdict.partition, verdict.offset, verdict.reasons));
    }

    fn row(&mut self, row: &Row) {
        if let Some(rows) = &mut self.rows {
            rows.insert(row.id(), row.clone());
        }
    }
}

impl Refolded {
    /// Folds everything that is durable in `log`.
    pub fn fold(log: &dyn EventLog, threads: usize, with_rows: bool) -> Result<Refolded> {
        let spinner = progress::spinner("folding");
        let rows = with_rows.then(HashMap::new);
        let mut refolded = Refolded { rows, ..Refolded::default() };
        let summary = refold(log, threads, &mut refolded)?;
        refolded.waiting = summary.pending + summary.arriving;
        spinner.finish_and_clear();
        refolded.verdicts.sort_unstable_by_key(|(partition, offset, _)| (*partition, *offset));
        Ok(refolded)
    }

    /// Hands out every click with a final verdict, sorted by partition and offset.
    pub fn for_each(
        &self,
        log: &dyn EventLog,
        take: &mut dyn FnMut(Partition, Offset, &str, Reasons) -> Result<()>,
    ) -> Result<()> {
        let mut batch = RecordBatch::new();
        let mut rest = self.verdicts.as_slice();
        while let Some((partition, offset, _)) = rest.first().copied() {
            batch.clear();
            log.read(partition.0, offset.0, READ_BYTES, &mut batch)?;
            ensure!(!batch.is_empty(), "offset {} of partition {} is gone", offset.0, partition.0);
            for (found, _, payload) in &batch {
                let Some((p, o, reasons)) = rest.first().copied() else { break };
                if (p, o) != (partition, Offset(found)) {
                    continue;
                }
                if let RecordKind::Click(click) = Record::decode(payload)?.kind {
                    take(p, o, click.click_id, reasons)?;
                }
                rest = &rest[1..];
            }
        }
        Ok(())
    }

    /// Hands out the click id and the transport identity of every click in the log without a final
    /// verdict: those that wait, and those that were sent again.
    pub fn for_each_other(
        &self,
        log: &dyn EventLog,
        take: &mut dyn FnMut(&str, Identity),
    ) -> Result<()> {
        let mut judged = self.verdicts.iter().map(|(p, o, _)| (*p, *o)).peekable();
        for partition in 0..log.partitions() {
            for_each_record(log, partition, log.range(partition), |offset, _, payload| {
                let place = (Partition(partition), Offset(offset));
                // What cannot be decoded is a dead letter and no click.
                if judged.next_if_eq(&place).is_none()
                    && let Ok(Record { kind: RecordKind::Click(click), transport, .. }) =
                        Record::decode(payload)
                {
                    let of = |t: Transport<'_>| (t.tracker_id.to_owned(), t.epoch, t.seq);
                    let unnamed = || (String::new(), u64::from(partition), offset);
                    take(click.click_id, transport.map_or_else(unnamed, of));
                }
                Ok::<_, LogError>(ControlFlow::Continue(()))
            })?;
        }
        Ok(())
    }
}

/// Tracker, epoch and number; without them a record's partition and offset.
pub type Identity = (String, u64, u64);

/// Writes `partition,offset,click_id,class,reasons`.
pub fn write<W: Write>(
    log: &dyn EventLog,
    threads: usize,
    format: Format,
    out: &mut W,
) -> Result<()> {
    let text = |name| Column { name, kind: Kind::Text };
    let count = |name| Column { name, kind: Kind::Count };
    let names =
        [count("partition"), count("offset"), text("click_id"), text("class"), text("reasons")];
    let mut table = Writer::new(format, names.to_vec(), out)?;
    let refolded = Refolded::fold(log, threads, false)?;
    refolded.for_each(log, &mut |partition, offset, click_id, reasons| {
        table.row(&[
            partition.0.to_string(),
            offset.0.to_string(),
            click_id.to_owned(),
            reasons.class().code().to_owned(),
            reasons.to_string(),
        ])
    })?;
    table.finish()
}
