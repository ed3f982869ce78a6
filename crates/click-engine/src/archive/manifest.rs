//! Manifests: the only truth about what the archive holds. Each tells of one span of fold time,
//! names its files with their hashes, and is chained to the one before by a hash; so that nothing
//! can be taken out, put in or changed unseen.

use serde::{Deserialize, Serialize};

use super::objects::Objects;
use super::{ArchiveError, sha256_hex};

/// Version of the format.
pub const FORMAT: u32 = 1;
/// Folder of the manifests.
pub const FOLDER: &str = "manifest";

/// What the archive holds of a span of fold time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the format, 1.
    pub format: u32,
    /// Of which log, 32 hex digits.
    pub log_id: String,
    /// Generation of that log.
    pub generation: u16,
    /// Counts up from 0.
    pub number: u64,
    /// SHA-256 of the manifest before, empty for the first.
    pub previous: String,
    /// All records with `fold_time` from here on, ms since 1970 ...
    pub from: u64,
    /// ... and below this.
    pub until: u64,
    /// Positions of them, one entry per partition.
    pub ranges: Vec<Range>,
    /// Files that hold them.
    pub files: Vec<FileEntry>,
    /// Measured clicks among them, by class.
    pub by_class: std::collections::BTreeMap<String, u64>,
}

/// Consecutive records of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The partition.
    pub partition: u32,
    /// First offset.
    pub from: u64,
    /// Behind the last offset.
    pub to: u64,
    /// `fold_time` of the last record of the partition so far; if there is none, that at which the
    /// partition begins, else 0.
    pub fold_time: u64,
    /// `fold_time` of the layout record that added the partition, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins: Option<u64>,
}

impl Range {
    /// Of a partition of which nothing is archived.
    pub fn empty(partition: u32, begins: Option<u64>) -> Range {
        Range { partition, from: 0, to: 0, fold_time: begins.unwrap_or(0), begins }
    }
}

/// A file and what it has to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Name of the object.
    pub name: String,
    /// `clicks` or `verdicts`.
    pub dataset: String,
    /// Partition of its records.
    pub partition: u32,
    /// First offset.
    pub from: u64,
    /// Behind the last offset.
    pub to: u64,
    /// Rows in it.
    pub rows: u64,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of it.
    pub sha256: String,
    /// Of records: SHA-256 of what a revision may not change.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kept: String,
    /// It stands in the place of the manifest's own.
    #[serde(skip)]
    pub is_rewritten: bool,
}

impl Manifest {
    /// Name of a manifest's object.
    pub fn name(number: u64) -> String {
        format!("{FOLDER}/{number:020}.json")
    }

    /// Reads the manifest of this number, if there is one, and its hash.
    ///
    /// # Errors
    /// If the store does not answer, or it is no manifest of this number.
    pub(super) fn read(
        objects: &dyn Objects,
        number: u64,
    ) -> Result<Option<(Manifest, String)>, ArchiveError> {
        let bytes = objects.get(&Manifest::name(number))?;
        bytes.map(|bytes| Manifest::decode(number, &bytes)).transpose()
    }

    /// Reads one that has to be there.
    ///
    /// # Errors
    /// As [`read`](Self::read), and if it is not there.
    pub(super) fn require(
        objects: &dyn Objects,
        number: u64,
    ) -> Result<(Manifest, String), ArchiveError> {
        let missing = || ArchiveError::damaged(&Manifest::name(number), "is missing");
        Manifest::read(objects, number)?.ok_or_else(missing)
    }

    /// The bytes of its object: equal for equal manifests.
    ///
    /// # Panics
    /// Never: all its fields have a form in JSON.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("plain fields");
        bytes.push(b'\n');
        bytes
    }

    /// Reads one, and its hash, by which the next one knows it.
    ///
    /// # Errors
    /// If it is no manifest of this number.
    pub fn decode(number: u64, bytes: &[u8]) -> Result<(Manifest, String), ArchiveError> {
        let name = Manifest::name(number);
        let manifest: Manifest =
            serde_json::from_slice(bytes).map_err(|error| ArchiveError::damaged(&name, error))?;
        if manifest.format != FORMAT {
            let reason = format!("format {} is unknown to this version", manifest.format);
            return Err(ArchiveError::damaged(&name, reason));
        }
        if manifest.number != number {
            return Err(ArchiveError::damaged(&name, "holds another manifest"));
        }
        Ok((manifest, sha256_hex(bytes)))
    }
}
