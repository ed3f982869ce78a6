//! Revisions of a manifest: what its files of records are after they were rewritten without what
//! tells of a person. A manifest itself never changes; the newest revision says what is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::manifest::{FOLDER, FORMAT, FileEntry, Manifest};
use super::objects::Objects;
use super::{ArchiveError, clicks, sha256_hex};

/// Other files for the records of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Version of the format, 1.
    pub format: u32,
    /// Number of the manifest.
    pub number: u64,
    /// Counts up from 1.
    pub revision: u32,
    /// SHA-256 of the revision before, of the manifest for the first.
    pub previous: String,
    /// Addresses and user agents are truncated.
    pub truncated: bool,
    /// Clicks whose user was erased, so far.
    pub erased: u64,
    /// All files of records, those that were not rewritten too, in the order of the manifest.
    pub files: Vec<FileEntry>,
}

impl Revision {
    /// Name of a revision's object.
    pub fn name(number: u64, revision: u32) -> String {
        format!("{FOLDER}/{number:020}-{revision:04}.json")
    }

    /// The bytes of its object.
    ///
    /// # Panics
    /// Never: all its fields have a form in JSON.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("plain fields");
        bytes.push(b'\n');
        bytes
    }

    pub(super) fn read(
        objects: &dyn Objects,
        number: u64,
        at: u32,
    ) -> Result<(Revision, String), ArchiveError> {
        let name = Revision::name(number, at);
        let damaged = |reason: &str| ArchiveError::damaged(&name, reason);
        let bytes = objects.get(&name)?.ok_or_else(|| damaged("is missing"))?;
        let revision: Revision =
            serde_json::from_slice(&bytes).map_err(|error| ArchiveError::damaged(&name, error))?;
        if revision.format != FORMAT {
            return Err(damaged("its format is unknown to this version"));
        }
        if (revision.number, revision.revision) != (number, at) {
            return Err(damaged("holds another revision"));
        }
        Ok((revision, sha256_hex(&bytes)))
    }
}

/// The newest revision of a manifest, and its hash.
pub(super) type Newest = (Revision, String);

/// Number and revision from the name of a revision's object.
fn numbers(name: &str) -> Option<(u64, u32)> {
    let name = name.strip_prefix(FOLDER)?.strip_prefix('/')?.strip_suffix(".json")?;
    let (number, revision) = name.split_once('-')?;
    Some((number.parse().ok()?, revision.parse().ok()?))
}

/// How many revisions each manifest has, by the names in its folder.
pub(super) fn count(names: &[String]) -> BTreeMap<u64, u32> {
    let mut count = BTreeMap::new();
    for (number, revision) in names.iter().filter_map(|name| numbers(name)) {
        let newest = count.entry(number).or_default();
        *newest = revision.max(*newest);
    }
    count
}

/// How many revisions one manifest has, where not all names are at hand.
pub(super) fn count_of(objects: &dyn Objects, number: u64) -> Result<u32, ArchiveError> {
    let mut count = 0;
    while objects.length(&Revision::name(number, count + 1))?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// Follows the revisions of a manifest with this hash to the newest.
///
/// # Errors
/// `Damaged` if one is missing, does not follow the one before, or is of other records.
pub(super) fn newest(
    objects: &dyn Objects,
    (manifest, hash): (&Manifest, &str),
    count: u32,
) -> Result<Option<Newest>, ArchiveError> {
    let mut newest: Option<Newest> = None;
    for at in 1..=count {
        let found = Revision::read(objects, manifest.number, at)?;
        let before = newest.as_ref().map_or(hash, |(_, hash)| hash);
        let name = Revision::name(manifest.number, at);
        if found.0.previous != before {
            let reason = "does not follow the one before it: one of the two was changed";
            return Err(ArchiveError::damaged(&name, reason));
        }
        if !same_records(manifest, &found.0) {
            return Err(ArchiveError::damaged(&name, "is of other records than its manifest"));
        }
        newest = Some(found);
    }
    Ok(newest)
}

/// Whether the files of a revision hold what those of the manifest do, but for persons.
fn same_records(manifest: &Manifest, revision: &Revision) -> bool {
    fn held(file: &FileEntry) -> (u32, u64, u64, u64, &str) {
        (file.partition, file.from, file.to, file.rows, &file.kept)
    }
    let own = manifest.files.iter().filter(|file| file.dataset == clicks::NAME);
    revision.files.iter().all(|file| file.dataset == clicks::NAME)
        && own.map(held).eq(revision.files.iter().map(held))
}

/// Puts the files of a revision in the place of the manifest's.
pub(super) fn put_in_place(manifest: &mut Manifest, revision: &Revision) {
    let own = manifest.files.iter_mut().filter(|file| file.dataset == clicks::NAME);
    for (file, newer) in own.zip(&revision.files) {
        if file.name != newer.name {
            *file = FileEntry { is_rewritten: true, ..newer.clone() };
        }
    }
}
