//! Every way the log refuses, one variant per condition a caller can tell apart. Cheap to clone:
//! one error is handed to all commits of a flush group. Must never carry payload bytes.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

/// See the variants. Messages name the thing and the fix.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LogError {
    #[error("partition {partition} does not exist: the log has {partitions}")]
    NoPartition { partition: u32, partitions: u32 },
    #[error("payload of {size} bytes refused: 1 to {limit} are allowed")]
    PayloadSize { size: usize, limit: usize },
    #[error("an empty batch cannot be appended")]
    EmptyBatch,
    #[error("a batch of {size} bytes with headers refused: at most {limit}")]
    BatchSize { size: usize, limit: usize },
    #[error("{queued} bytes wait for the disk (limit {limit}): retry when a commit has resolved")]
    Busy { queued: usize, limit: usize },
    #[error("no room for a new segment: {reason}; free space on the log's volume")]
    Full { reason: Arc<str> },
    #[error("log refuses appends after a failed write: {reason}; restart to recover")]
    Poisoned { reason: Arc<str> },
    #[error("append_time {given} is below {last}, the last one of partition {partition}")]
    TimeBackwards { partition: u32, given: u64, last: u64 },
    #[error("append_time {given} is above the largest time {limit}")]
    TimeRange { given: u64, limit: u64 },
    #[error("offset {from} of partition {partition} is below the log's start {start}")]
    BelowStart { partition: u32, from: u64, start: u64 },
    #[error("offset {from} of partition {partition} is beyond the log's end {end}")]
    BeyondEnd { partition: u32, from: u64, end: u64 },
    #[error("{file} is corrupt at byte {at} (offset {offset}): {reason}; {FIX}")]
    Corrupt { file: Arc<str>, at: u64, offset: u64, reason: Arc<str> },
    #[error("{path} is in use by another process; stop it first")]
    Locked { path: Arc<str> },
    #[error("{path} holds no log; create one there or name another directory")]
    NoLog { path: Arc<str> },
    #[error("{path} already holds a log, or parts of one; open it or name an empty directory")]
    Exists { path: Arc<str> },
    #[error("invalid log option: {reason}")]
    Options { reason: Arc<str> },
    #[error("the log is open for reading only")]
    ReadOnly,
    #[error("the log has been closed")]
    Closed,
    #[error("archive: {reason}")]
    Archive { reason: Arc<str> },
    #[error("{reason}")]
    Topic { reason: Arc<str> },
    #[error("kafka: {reason}")]
    Kafka { reason: Arc<str> },
    #[error("neither the cluster nor the second site has the record in time: send it again")]
    NotCopied,
    #[error("second site: {reason}")]
    Copy { reason: Arc<str> },
    #[error("{what} {path}: {message}")]
    Io { what: &'static str, path: Arc<str>, kind: io::ErrorKind, message: Arc<str> },
}

const FIX: &str = "restore this file from a copy of the log; do not delete it";

impl LogError {
    /// An archive that is read as a log cannot be read.
    pub fn archive(reason: &str) -> Self {
        LogError::Archive { reason: reason.into() }
    }

    /// A cluster did not do what it was asked, and may do so later.
    pub fn kafka(reason: impl Display) -> Self {
        LogError::Kafka { reason: reason.to_string().into() }
    }

    /// Something about a topic, or how it is to be spoken to, has to be put right first.
    pub fn topic(reason: impl Display) -> Self {
        LogError::Topic { reason: reason.to_string().into() }
    }

    /// A second site did not take a copy, and may do so later.
    pub fn copy(reason: impl Display) -> Self {
        LogError::Copy { reason: reason.to_string().into() }
    }

    /// Wraps a system error with what was being done to which path.
    pub fn io(what: &'static str, path: &Path, error: &io::Error) -> Self {
        LogError::Io {
            what,
            path: path.display().to_string().into(),
            kind: error.kind(),
            message: error.to_string().into(),
        }
    }

    pub(crate) fn corrupt(file: &Path, at: u64, offset: u64, reason: impl Display) -> Self {
        LogError::Corrupt {
            file: file.display().to_string().into(),
            at,
            offset,
            reason: reason.to_string().into(),
        }
    }

    pub(crate) fn options(reason: impl Display) -> Self {
        LogError::Options { reason: reason.to_string().into() }
    }
}
