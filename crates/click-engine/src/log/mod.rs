//! The append-only log of P partitions on which everything rests (SPEC §1): the [`EventLog`] seam
//! and the embedded implementation. A payload is opaque bytes here.
//!
//! Must never acknowledge what is not durable, return a record whose checksum fails, skip or
//! reorder a record, or step `append_time` backwards. Formats: `docs/formats/log.md`.

mod batch;
mod clock;
mod commit;
mod disk_log;
mod error;
mod format;
mod lull;
mod mem_log;
mod meta;
mod partition;
mod queue;
mod read_only;
mod recover;
mod scan;
mod segment;
mod spare;
mod writer;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use click_core::record::Layout;

pub use batch::{RecordBatch, Records};
pub use clock::{AppendClock, Clock, ManualClock, SystemClock};
pub use commit::{Commit, CommitGroup};
pub use disk_log::{DiskLog, LogOptions};
pub use error::LogError;
pub use lull::{Lull, Rest};
pub use mem_log::MemLog;
pub use read_only::ReadOnlyLog;
pub use scan::for_each_record;

/// Largest payload of one record, bytes.
pub const MAX_PAYLOAD: usize = 64 * 1024;
/// Most bytes (with headers) that may wait for the flush, over all partitions.
pub const MAX_QUEUED: usize = 64 * 1024 * 1024;
/// Most partitions of an embedded log.
pub const MAX_PARTITIONS: u32 = 256;
/// Largest representable time, ms since 1970 (SPEC, times).
pub const MAX_TIME: u64 = 253_402_300_799_999;

/// 128 random bits naming a log (SPEC §1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub [u8; 16]);

impl std::fmt::Display for LogId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Where a record is, and the time the log gave it (ms since 1970).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub partition: u32,
    pub offset: u64,
    pub append_time: u64,
}

/// Whether the log takes appends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogHealth {
    Ok,
    /// A write or flush failed; nothing is accepted until the process has restarted and recovered.
    Poisoned {
        reason: String,
    },
    /// No space for the next segment; taken up again by itself once there is.
    Full {
        reason: String,
    },
}

/// What may be removed from the start of partitions. Whole segments only, never the newest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Keep records whose `append_time` is at most this much (ms) below the partition's last one.
    pub max_age_ms: Option<u64>,
    /// Keep at most this many bytes per partition.
    pub max_bytes: Option<u64>,
}

/// An append-only log (SPEC §1). Offsets are gapless per partition and start at 0.
pub trait EventLog: Send + Sync {
    fn log_id(&self) -> LogId;
    /// SPEC §5: raised for a new log or a change of rules.
    fn generation(&self) -> u16;
    /// How many partitions can be read and appended to.
    fn partitions(&self) -> u32;

    /// How many partitions the log began with: layout records add others.
    fn begun_with(&self) -> u32 {
        self.partitions()
    }

    /// Makes the partitions readable that a layout record of the log names. Those of a cluster that
    /// does not answer may come later, by another call.
    ///
    /// # Errors
    /// `Options` or `Topic` if there are no such partitions, or they could lose clicks.
    fn extend(&self, layout: &Layout) -> Result<(), LogError> {
        match layout.partitions() <= self.partitions() {
            true => Ok(()),
            false => Err(LogError::options("this log cannot have more partitions")),
        }
    }

    /// Queues a payload (1 to [`MAX_PAYLOAD`] bytes) for durable append and returns at once. The
    /// commit resolves once the record is durable, or failed.
    ///
    /// # Errors
    /// `Busy` (queue full, try later), `Full`, `Poisoned`, `PayloadSize`, `NoPartition`,
    /// `ReadOnly`.
    fn append(&self, partition: u32, payload: &[u8]) -> Result<Commit, LogError>;

    /// As [`append`](Self::append), with the time given by an import, ms since 1970.
    ///
    /// # Errors
    /// Also `TimeBackwards` if `append_time` is below that of the partition's last record.
    fn append_at(
        &self,
        partition: u32,
        append_time: u64,
        payload: &[u8],
    ) -> Result<Commit, LogError>;

    /// Queues payloads at consecutive offsets; all or none are accepted. The commit is that of the
    /// last one and covers all. A crash before it resolves may keep a prefix.
    fn append_batch(&self, partition: u32, payloads: &[&[u8]]) -> Result<Commit, LogError>;

    /// Appends to `batch` the durable records from offset `from` on: as many as fit in `max_bytes`
    /// (with headers), but at least one if there is one. `from` may equal the end: no records.
    ///
    /// # Errors
    /// `BelowStart`, `BeyondEnd`, `Corrupt`, `Io`. Records read before the error are in `batch`.
    fn read(
        &self,
        partition: u32,
        from: u64,
        max_bytes: usize,
        batch: &mut RecordBatch,
    ) -> Result<(), LogError>;

    /// First kept offset and durable end (exclusive). Empty for an unknown partition.
    fn range(&self, partition: u32) -> Range<u64>;

    /// `append_time` of the newest durable record, 0 if there never was one.
    fn last_append_time(&self, partition: u32) -> u64;

    /// Blocks until some partition's durable end is above `ends[partition]`, or until `timeout`, or
    /// until the log is poisoned. True if there is something to read. Does not poll.
    fn wait(&self, ends: &[u64], timeout: Duration) -> bool;

    fn health(&self) -> LogHealth;

    /// Where those who append say that they have nothing more at hand, so that a log which gathers
    /// records need not wait for more.
    fn lull(&self) -> Option<Arc<Lull>> {
        None
    }

    /// Says where reading is going to begin; a log over a network fetches ahead from there.
    fn prepare(&self, _positions: &[u64]) {}

    /// Publishes, for monitoring alone, from where on the log is still needed.
    fn publish_positions(&self, _positions: &[u64]) {}

    /// Shows a record that no click came of to whoever looks after such; it stays where it is.
    fn show_dead_letter(&self, _at: (u32, u64), _reason: &str, _payload: &[u8]) {}

    /// Removes whole segments that lie below `offset`; returns the new start.
    fn truncate_before(&self, partition: u32, offset: u64) -> Result<u64, LogError>;

    /// Removes what `policy` no longer keeps, never anything at or above `floors[partition]` (what
    /// checkpoints and the archive still need, SPEC §6). `floors` has one entry per partition.
    fn retain(&self, policy: &Retention, floors: &[u64]) -> Result<(), LogError>;
}
