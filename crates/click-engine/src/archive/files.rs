//! The files of one partition over one span: reads its records again, and writes them and their
//! verdicts as Parquet, cut at so many rows. Equal records and verdicts give equal bytes.

use std::ops::ControlFlow;

use click_core::record::Record;
use click_core::stage::source::Verdict;
use click_core::types::Millis;

use super::clicks::{self, Place};
use super::manifest::{FileEntry, Range};
use super::objects::Objects;
use super::personal::Kept;
use super::table::Table;
use super::{ArchiveError, folded, sha256_hex, verdicts};
use crate::log::{EventLog, for_each_record};

/// What the files of a span are made of.
pub(super) struct Span<'a> {
    pub(super) log: &'a dyn EventLog,
    pub(super) objects: &'a dyn Objects,
    /// Folder of the span's hour, such as `day=2026-11-25/hour=19`.
    pub(super) folder: String,
    pub(super) rows_per_file: usize,
    /// Name of a policy by its index.
    pub(super) policy_id: &'a dyn Fn(u32) -> String,
}

/// The hour that an instant lies in, as folders.
pub(super) fn folder(at: Millis) -> Result<String, ArchiveError> {
    let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(ms)
        .map_err(|error| ArchiveError::Mismatch(format!("no such time: {error}")))?;
    Ok(time.to_zoned(jiff::tz::TimeZone::UTC).strftime("day=%Y-%m-%d/hour=%H").to_string())
}

impl Span<'_> {
    /// Writes the records of `range`, whose `fold_time` is that of the record before it until this
    /// returns; `judged` are their verdicts in order.
    pub(super) fn write(
        &self,
        range: &mut Range,
        mut judged: &[Verdict],
    ) -> Result<Vec<FileEntry>, ArchiveError> {
        let (mut files, partition, offsets) = (Vec::new(), range.partition, range.from..range.to);
        let mut part = Part::new(partition, range.from);
        for_each_record(self.log, partition, offsets, |offset, time, payload| {
            let (record, append_time) = (Record::decode(payload).ok(), Millis(time));
            let record = record.as_ref();
            let fold_time = folded(Millis(range.fold_time), append_time, record);
            range.fold_time = fold_time.0;
            let own = judged.first().filter(|verdict| verdict.offset.0 == offset);
            judged = &judged[usize::from(own.is_some())..];
            let place = Place { partition, offset, append_time, fold_time };
            let reasons = own.map(|verdict| verdict.reasons);
            clicks::put(&mut part.clicks, place, record, payload, reasons);
            part.kept.add(place, record);
            if let Some(verdict) = own {
                verdicts::put(&mut part.verdicts, verdict, &(self.policy_id)(verdict.policy));
            }
            if part.clicks.rows() >= self.rows_per_file {
                let full = std::mem::replace(&mut part, Part::new(partition, offset + 1));
                self.keep(full, offset + 1, &mut files)?;
            }
            Ok::<_, ArchiveError>(ControlFlow::Continue(()))
        })?;
        self.keep(part, range.to, &mut files)?;
        match judged {
            [] => Ok(files),
            [verdict, ..] => Err(ArchiveError::Mismatch(format!(
                "partition {}: a verdict of offset {}, which is no click of this span",
                range.partition, verdict.offset.0
            ))),
        }
    }

    fn keep(&self, part: Part, to: u64, files: &mut Vec<FileEntry>) -> Result<(), ArchiveError> {
        let Part { partition, from, clicks, verdicts, kept } = part;
        let datasets = [
            (clicks::NAME, clicks, Some(clicks::LOOKED_UP), kept.finish()),
            (verdicts::NAME, verdicts, None, String::new()),
        ];
        for (dataset, table, looked_up, kept) in datasets {
            let rows = table.rows() as u64;
            if rows == 0 {
                continue;
            }
            let folder = &self.folder;
            let name = format!("{dataset}/{folder}/p{partition:04}-{from:020}-{to:020}.parquet");
            let made = table.into_parquet(looked_up);
            let bytes = made.map_err(|error| ArchiveError::damaged(&name, error))?;
            self.objects.put(&name, &bytes)?;
            files.push(FileEntry {
                name,
                dataset: dataset.to_owned(),
                partition,
                from,
                to,
                rows,
                bytes: bytes.len() as u64,
                sha256: sha256_hex(&bytes),
                kept,
                is_rewritten: false,
            });
        }
        Ok(())
    }
}

/// Tables that are being filled.
struct Part {
    partition: u32,
    from: u64,
    clicks: Table,
    verdicts: Table,
    kept: Kept,
}

impl Part {
    fn new(partition: u32, from: u64) -> Part {
        let (clicks, verdicts) = (Table::new(clicks::COLUMNS), Table::new(verdicts::COLUMNS));
        Part { partition, from, clicks, verdicts, kept: Kept::default() }
    }
}
