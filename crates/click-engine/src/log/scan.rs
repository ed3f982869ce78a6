//! Going through the records of a partition one by one, whatever a read gives at a time.

use std::ops::{ControlFlow, Range};

use super::{EventLog, LogError, RecordBatch};

const READ_BYTES: usize = 256 << 10;

/// Hands `(offset, append_time, payload)` of the records at `offsets` to `take`, in order, until it
/// breaks off.
///
/// # Errors
/// Those of reading and of `take`.
pub fn for_each_record<E: From<LogError>>(
    log: &dyn EventLog,
    partition: u32,
    offsets: Range<u64>,
    mut take: impl FnMut(u64, u64, &[u8]) -> Result<ControlFlow<()>, E>,
) -> Result<(), E> {
    let (mut next, mut batch) = (offsets.start, RecordBatch::new());
    while next < offsets.end {
        batch.clear();
        log.read(partition, next, READ_BYTES, &mut batch)?;
        for (offset, time, payload) in &batch {
            if offset >= offsets.end || take(offset, time, payload)?.is_break() {
                return Ok(());
            }
            next = offset + 1;
        }
    }
    Ok(())
}
