//! The log written again from the archive, record for record, where the log is lost.

use std::path::Path;

use super::ArchiveError;
use super::reader::ArchiveLog;
use crate::log::{DiskLog, EventLog, LogOptions, RecordBatch};

const READ_BYTES: usize = 4 << 20;

/// Creates a log at `dir` with the identity and the records of the archived one; returns how many
/// records it has. `told` hears of each batch.
///
/// # Errors
/// If there is a log already, or the archive cannot be read, or the disk does not take it.
pub fn restore_log(
    archive: &ArchiveLog,
    dir: &Path,
    options: &LogOptions,
    told: &mut dyn FnMut(u64),
) -> Result<u64, ArchiveError> {
    if archive.begun_with() < archive.partitions() {
        return Err(ArchiveError::Mismatch(
            "the archived log has moved to other partitions: a log in a data directory cannot; \
             audit and replay read it from the archive"
                .into(),
        ));
    }
    let options = LogOptions {
        log_id: Some(archive.log_id()),
        generation: archive.generation(),
        partitions: archive.partitions(),
        ..options.clone()
    };
    let log = DiskLog::create(dir, &options)?;
    let (mut batch, mut records) = (RecordBatch::default(), 0);
    for partition in 0..archive.partitions() {
        let (mut next, end) = (0, archive.range(partition).end);
        while next < end {
            batch.clear();
            archive.read(partition, next, READ_BYTES, &mut batch)?;
            let mut last = None;
            for (_, time, payload) in batch.iter() {
                last = Some(log.append_at(partition, time, payload)?);
            }
            // The batch's last record is durable once all before it are.
            if let Some(commit) = last {
                commit.wait()?;
            }
            next += batch.len() as u64;
            records += batch.len() as u64;
            told(batch.len() as u64);
        }
    }
    Ok(records)
}
