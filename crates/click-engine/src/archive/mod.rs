//! The archive: every record of the log and every final verdict as Parquet on object storage, in
//! files named by the positions they hold, of which manifests say what exists (SPEC §7).
//!
//! [`Archiver`] writes it: an engine of its own that reads the log at its own pace, so that
//! acknowledging and folding never wait for it. [`Archive`] reads it back, [`ArchiveLog`] as a log.
//! Must never name a file in a manifest that is not there, or change one that is named.
//! Formats: `docs/formats/archive.md`.

mod archiver;
mod audit;
mod clicks;
#[cfg(feature = "clouds")]
mod clouds;
mod erasure;
mod files;
mod judged;
mod location;
mod manifest;
mod objects;
mod personal;
mod reader;
mod rebuild;
mod revision;
mod rewrite;
mod span;
mod stored;
mod table;
mod truncation;
mod verdicts;
mod verified;

pub use archiver::{ArchiveConfig, ArchiveParts, Archived, Archiver, Progress};
pub use audit::{Audit, Difference, audit};
#[cfg(feature = "clouds")]
pub use clouds::CloudObjects;
pub use erasure::{SALT_BYTES, Salt};
pub use judged::Told;
pub use location::{BucketUrl, Cloud, Location};
pub use manifest::{FileEntry, Manifest, Range};
pub use objects::{DiskObjects, Objects};
pub use reader::{Archive, ArchiveLog};
pub use rebuild::restore_log;
pub use revision::Revision;
pub use rewrite::{Erased, Truncated, erase_user, truncate_addresses};
pub use stored::{DATASETS, StoredTable};
pub use table::Cell;
pub use truncation::{LEAST_TRUNCATION_AGE_HOURS, Truncation};

use click_core::record::Record;
use click_core::stage::sequence::fold_time;
use click_core::types::Millis;

use crate::driver::EngineError;
use crate::hex::hex;
use crate::log::LogError;
use crate::store::StoreError;

/// Why the archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The object store did not do it; whoever asked may ask again.
    #[error("object store, {name}: {reason}")]
    Objects {
        /// Name of the object.
        name: String,
        /// What the store said.
        reason: String,
    },
    /// Something is not what a manifest says.
    #[error("{name}: {reason}")]
    Damaged {
        /// Name of the object.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Archive and log, or archive and archiver, contradict each other.
    #[error("{0}")]
    Mismatch(String),
    /// The log cannot be read.
    #[error("log: {0}")]
    Log(#[from] LogError),
    /// The archive's own engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ArchiveError {
    fn damaged(name: &str, reason: impl std::fmt::Display) -> ArchiveError {
        ArchiveError::Damaged { name: name.to_owned(), reason: reason.to_string() }
    }
}

/// A record's fold time, behind one of `previous`; of no record, if it cannot be decoded.
fn folded(previous: Millis, append_time: Millis, record: Option<&Record<'_>>) -> Millis {
    fold_time(previous, append_time, record.and_then(|record| record.sent_at))
}

/// SHA-256 of some bytes, in lower-case hex.
fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex(&sha2::Sha256::digest(bytes))
}
