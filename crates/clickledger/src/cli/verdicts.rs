//! The verdict of every click, found by folding the log again from its beginning.

use std::io::Write;

use anyhow::{Result, ensure};
use click_core::record::{Kind as RecordKind, Record};
use click_core::row::Row;
use click_core::types::{Offset, Partition};
use click_core::verdict::Reasons;
use click_engine::driver::{FinalVerdict, RefoldSink, refold};
use click_engine::log::{EventLog, RecordBatch};

use super::progress;
use super::table::{Column, Format, Kind, Writer};

const READ_BYTES: usize = 4 << 20;

/// Final verdicts by position; 16 bytes a click.
#[derive(Default)]
struct Collected {
    verdicts: Vec<(Partition, Offset, Reasons)>,
}

impl RefoldSink for Collected {
    fn verdict(&mut self, verdict: &FinalVerdict) {
        self.verdicts.push((verdict.partition, verdict.offset, verdict.reasons));
    }

    fn row(&mut self, _: &Row) {}
}

/// All final verdicts, sorted by partition and offset.
fn collect(log: &dyn EventLog, threads: usize) -> Result<Vec<(Partition, Offset, Reasons)>> {
    let spinner = progress::spinner("folding");
    let mut sink = Collected::default();
    refold(log, threads, &mut sink)?;
    spinner.finish_and_clear();
    sink.verdicts.sort_unstable_by_key(|(partition, offset, _)| (*partition, *offset));
    Ok(sink.verdicts)
}

/// Hands out every click with a final verdict, sorted by partition and offset.
pub fn for_each(
    log: &dyn EventLog,
    threads: usize,
    take: &mut dyn FnMut(Partition, Offset, &str, Reasons) -> Result<()>,
) -> Result<()> {
    let verdicts = collect(log, threads)?;
    let mut batch = RecordBatch::new();
    let mut at = 0;
    while let Some((partition, offset, _)) = verdicts.get(at).copied() {
        batch.clear();
        log.read(partition.0, offset.0, READ_BYTES, &mut batch)?;
        ensure!(!batch.is_empty(), "offset {} of partition {} is gone", offset.0, partition.0);
        for (found, _, payload) in &batch {
            let Some((p, o, reasons)) = verdicts.get(at).copied() else { break };
            if (p, o) != (partition, Offset(found)) {
                continue;
            }
            if let RecordKind::Click(click) = Record::decode(payload)?.kind {
                take(p, o, click.click_id, reasons)?;
            }
            at += 1;
        }
    }
    Ok(())
}

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
    for_each(log, threads, &mut |partition, offset, click_id, reasons| {
        let codes: Vec<_> = reasons.iter().map(|class| class.code()).collect();
        table.row(&[
            partition.0.to_string(),
            offset.0.to_string(),
            click_id.to_owned(),
            reasons.class().code().to_owned(),
            codes.join("+"),
        ])
    })?;
    table.finish()
}
