//! Import of files into a log (SPEC §11): reading and checking, putting in order, appending so that
//! doing it again, or after a crash, changes nothing.
//!
//! Must never append a row that the core could not decode, drop a row without a line in the reject
//! file, or append a row that is in the log already.

mod access_log;
mod append;
mod columns;
mod lines;
mod parquet;
mod prepare;
mod read;
mod row;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

pub use append::{AppendOptions, Appended};
pub use columns::{Column, Names};
pub use parquet::foreign_rows;
pub use prepare::{Prepared, ReadOptions, prepare};

use crate::log::LogError;

/// Rows of a Parquet file decoded at a time.
pub(crate) const MAX_BATCH_ROWS: usize = 8192;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    Ndjson,
    Parquet,
    AccessLog,
}

/// What is being done, for a progress bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Bytes hashed of the file's bytes.
    Hash,
    /// Bytes read of the file's bytes.
    Read,
    /// Rows looked for of the rows.
    Match,
    /// Rows appended of the rows.
    Append,
}

/// Told now and then: the stage, how much is done, of how much.
pub type Progress<'a> = &'a mut dyn FnMut(Stage, u64, u64);

/// Why a file cannot be imported. Bad rows are no error: they are rejected one by one.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("{path}: {message}")]
    Io { path: String, message: String },
    #[error("header: {0}")]
    Header(String),
    #[error("column map: {0}")]
    Map(String),
    #[error("parquet: {0}")]
    Parquet(String),
    #[error(
        "the file names partition {named}, the ledger has partitions 0 to {last}; \
         import it into a ledger of its own"
    )]
    Partition { named: u32, last: u32 },
    #[error(
        "the file begins at {first} ms, before the ledger's last record at {last} ms; \
         import it into a ledger of its own"
    )]
    Backwards { first: u64, last: u64 },
    #[error(transparent)]
    Log(#[from] LogError),
}

impl ImportError {
    pub(crate) fn io(path: &Path, error: &io::Error) -> ImportError {
        ImportError::Io { path: path.display().to_string(), message: error.to_string() }
    }
}
