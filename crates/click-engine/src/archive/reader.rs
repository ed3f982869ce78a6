//! Reading the archive: the chain of manifests first, then files, each held to its hash before a
//! row of it is believed. [`ArchiveLog`] gives the records back as the log that they came from.
//! Must never return a row of a file that no manifest names.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use click_core::record::Header;
use click_core::verdict::Reasons;

use super::clicks::Place;
use super::manifest::{FOLDER, FileEntry, Manifest, Range};
use super::objects::Objects;
use super::revision::{self, Newest, Revision};
use super::table::Rows;
use super::verdicts::Archived;
use super::{ArchiveError, clicks, verdicts, verified};
use crate::log::{LogError, LogId, ReadOnlyLog, RecordBatch};

/// The whole archive of a log, as its manifests tell of it.
pub struct Archive {
    objects: Arc<dyn Objects>,
    manifests: Vec<Manifest>,
    /// Of the manifests.
    hashes: Vec<String>,
    revisions: BTreeMap<u64, Newest>,
    log_id: LogId,
    /// Files that were rewritten while this was read, by partition and first offset.
    newer: Mutex<BTreeMap<(u32, u64), FileEntry>>,
}

/// Number of the newest manifest; `None` if there is none.
pub(super) fn newest_number(objects: &dyn Objects) -> Result<Option<u64>, ArchiveError> {
    Ok(newest_of(&objects.list(FOLDER)?))
}

pub(super) fn newest_of(names: &[String]) -> Option<u64> {
    names.iter().filter_map(|name| number(name)).max()
}

fn number(name: &str) -> Option<u64> {
    name.strip_prefix(FOLDER)?.strip_prefix('/')?.strip_suffix(".json")?.parse().ok()
}

impl Archive {
    /// Reads all manifests.
    ///
    /// # Errors
    /// `Damaged` if one is missing, or not what the one behind it says; `Mismatch` if there is no
    /// archive.
    pub fn open(objects: Arc<dyn Objects>) -> Result<Archive, ArchiveError> {
        let names = objects.list(FOLDER)?;
        let Some(newest) = newest_of(&names) else {
            return Err(ArchiveError::Mismatch("there is no archive here: no manifest".into()));
        };
        let (mut manifests, mut hashes): (Vec<Manifest>, Vec<String>) = (Vec::new(), Vec::new());
        for number in 0..=newest {
            let (manifest, hash) = Manifest::require(&*objects, number)?;
            let previous = hashes.last().map_or("", |hash| hash);
            check_chain(&Manifest::name(number), &manifest, manifests.last(), previous)?;
            manifests.push(manifest);
            hashes.push(hash);
        }
        let revisions = revise(&*objects, &revision::count(&names), &mut manifests, &hashes)?;
        let log_id = manifests.first().and_then(|manifest| log_id(&manifest.log_id));
        let log_id = log_id.ok_or_else(|| ArchiveError::damaged(FOLDER, "bad log id"))?;
        let newer = Mutex::default();
        Ok(Archive { objects, manifests, hashes, revisions, log_id, newer })
    }

    /// All manifests, in order, with the files of their newest revisions.
    pub fn manifests(&self) -> &[Manifest] {
        &self.manifests
    }

    /// The newest revisions, by number of the manifest.
    pub fn revisions(&self) -> impl Iterator<Item = &Revision> {
        self.revisions.values().map(|(revision, _)| revision)
    }

    /// Whether a record's file was rewritten.
    pub(super) fn is_rewritten(&self, partition: u32, offset: u64) -> bool {
        self.file_of(partition, offset).is_some_and(|file| self.known(file).is_rewritten)
    }

    /// The newest revision of a manifest, and what the next one has to name as `previous`.
    pub(super) fn newest(&self, manifest: &Manifest) -> (Option<&Revision>, &str) {
        match self.revisions.get(&manifest.number) {
            Some((revision, hash)) => (Some(revision), hash),
            None => (None, self.hashes.get(index(manifest.number)).map_or("", |hash| hash)),
        }
    }

    pub(super) fn objects(&self) -> &dyn Objects {
        &*self.objects
    }

    /// All files, in the order of manifests.
    pub(super) fn all_files(&self) -> impl Iterator<Item = &FileEntry> {
        self.manifests.iter().flat_map(|manifest| &manifest.files)
    }

    /// Those of a dataset.
    pub(super) fn files(&self, dataset: &str) -> impl Iterator<Item = &FileEntry> {
        self.all_files().filter(move |file| file.dataset == dataset)
    }

    /// A file as it is now, and its bytes, held to what its manifest says. One that is not there
    /// any more may have been rewritten since the manifests were read: then it is the newer one.
    fn fetch(&self, file: &FileEntry) -> Result<(FileEntry, Vec<u8>), ArchiveError> {
        let mut file = self.known(file);
        loop {
            if let Some(bytes) = verified::bytes(&*self.objects, &file)? {
                return Ok((file, bytes));
            }
            file = self.look_again(&file)?.ok_or_else(|| verified::missing(&file))?;
        }
    }

    /// The file, or the newer one that is known to stand in its place.
    fn known(&self, file: &FileEntry) -> FileEntry {
        let newer = self.newer.lock().unwrap_or_else(PoisonError::into_inner);
        newer.get(&(file.partition, file.from)).filter(|_| is_records(file)).unwrap_or(file).clone()
    }

    /// The file that a newer revision has put in the place of this one, if there is one.
    fn look_again(&self, file: &FileEntry) -> Result<Option<FileEntry>, ArchiveError> {
        let holds = |m: &&Manifest| {
            m.ranges.get(file.partition as usize).is_some_and(|range| range.to > file.from)
        };
        let Some(manifest) = self.manifests.iter().find(holds).filter(|_| is_records(file)) else {
            return Ok(None);
        };
        let hash = self.hashes.get(index(manifest.number)).map_or("", |hash| hash);
        let count = revision::count_of(&*self.objects, manifest.number)?;
        let Some((revision, _)) = revision::newest(&*self.objects, (manifest, hash), count)? else {
            return Ok(None);
        };
        let place = (file.partition, file.from);
        let is_newer = |newer: &FileEntry| {
            (newer.partition, newer.from) == place
                && newer.dataset == file.dataset
                && newer.name != file.name
        };
        let newer = revision.files.into_iter().find(is_newer);
        let newer = newer.map(|newer| FileEntry { is_rewritten: true, ..newer });
        if let Some(newer) = &newer {
            let mut known = self.newer.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(place, newer.clone());
        }
        Ok(newer)
    }

    /// Holds a file to what its manifest says, a rewritten one also to what it was written from.
    pub(super) fn check(&self, file: &FileEntry) -> Result<(), ArchiveError> {
        let (file, bytes) = self.fetch(file)?;
        if file.is_rewritten {
            return verified::for_each_row(&file, bytes, |_, _, _| Ok(()));
        }
        Ok(())
    }

    /// The bytes of a file.
    pub(super) fn read(&self, file: &FileEntry) -> Result<Vec<u8>, ArchiveError> {
        self.fetch(file).map(|(_, bytes)| bytes)
    }

    /// The verdicts of a file, in order of position.
    pub(super) fn verdicts(&self, file: &FileEntry) -> Result<Vec<Archived>, ArchiveError> {
        let damaged = |reason| ArchiveError::damaged(&file.name, reason);
        let rows = Rows::from_parquet(verdicts::COLUMNS, self.read(file)?).map_err(damaged)?;
        let verdicts = rows.iter().map(|mut row| verdicts::get(&mut row).map_err(damaged));
        verdicts.collect()
    }

    /// The records of a file: append time and payload by offset, from its first one on.
    fn records(&self, file: &FileEntry) -> Result<Vec<(u64, Vec<u8>)>, ArchiveError> {
        let mut records = Vec::new();
        self.for_each_row(file, |place, payload, _| {
            records.push((place.append_time.0, payload));
            Ok(())
        })?;
        Ok(records)
    }

    /// Place, payload and recorded stateless reasons of all records of a file.
    pub(super) fn for_each_row(
        &self,
        file: &FileEntry,
        take: impl FnMut(Place, Vec<u8>, Option<Reasons>) -> Result<(), String>,
    ) -> Result<(), ArchiveError> {
        let (file, bytes) = self.fetch(file)?;
        verified::for_each_row(&file, bytes, take)
    }

    /// As the log that it was written from.
    pub fn into_log(self) -> ArchiveLog {
        let partitions = self.partitions() as usize;
        ArchiveLog { archive: self, held: (0..partitions).map(|_| Mutex::new(None)).collect() }
    }

    /// Partitions of the log.
    pub fn partitions(&self) -> u32 {
        let ranges = self.manifests.last().map_or(0, |manifest| manifest.ranges.len());
        u32::try_from(ranges).unwrap_or(u32::MAX)
    }

    /// Partitions with which the log began.
    pub fn begun_with(&self) -> u32 {
        let ranges = self.manifests.first().map_or(&[][..], |manifest| &manifest.ranges);
        let of_beginning = ranges.iter().filter(|range| range.begins.is_none()).count();
        u32::try_from(of_beginning).unwrap_or(u32::MAX)
    }

    /// Everything with `fold_time` below it is in the archive.
    pub fn until(&self) -> u64 {
        self.manifests.last().map_or(0, |manifest| manifest.until)
    }

    fn end(&self, partition: u32) -> u64 {
        let last = self.manifests.last();
        let range = last.and_then(|manifest| manifest.ranges.get(partition as usize));
        range.map_or(0, |range| range.to)
    }

    /// The file that holds a record.
    fn file_of(&self, partition: u32, offset: u64) -> Option<&FileEntry> {
        let ends = |manifest: &Manifest| {
            manifest.ranges.get(partition as usize).map_or(0, |range| range.to)
        };
        let at = self.manifests.partition_point(|manifest| ends(manifest) <= offset);
        self.manifests.get(at)?.files.iter().find(|file| {
            file.dataset == clicks::NAME
                && file.partition == partition
                && (file.from..file.to).contains(&offset)
        })
    }
}

/// Puts the files of the newest revisions in their places.
fn revise(
    objects: &dyn Objects,
    counts: &BTreeMap<u64, u32>,
    manifests: &mut [Manifest],
    hashes: &[String],
) -> Result<BTreeMap<u64, Newest>, ArchiveError> {
    let mut revisions = BTreeMap::new();
    for (&number, &count) in counts {
        let at = index(number);
        let (Some(manifest), Some(hash)) = (manifests.get_mut(at), hashes.get(at)) else {
            let name = Revision::name(number, count);
            return Err(ArchiveError::damaged(&name, "is of no manifest"));
        };
        let newest = revision::newest(objects, (manifest, hash), count)?;
        if let Some(newest) = newest {
            revision::put_in_place(manifest, &newest.0);
            revisions.insert(number, newest);
        }
    }
    Ok(revisions)
}

fn is_records(file: &FileEntry) -> bool {
    file.dataset == clicks::NAME
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A manifest goes on where the one before it ended, and knows it by its hash.
fn check_chain(
    name: &str,
    manifest: &Manifest,
    before: Option<&Manifest>,
    hash: &str,
) -> Result<(), ArchiveError> {
    if manifest.previous != hash {
        let reason = "does not follow the manifest before it: one of the two was changed";
        return Err(ArchiveError::damaged(name, reason));
    }
    let known = before.map_or(&[][..], |before| &before.ranges);
    let begins_here = |range: &Range| match range.begins {
        Some(begins) => (manifest.from..manifest.until).contains(&begins),
        None => before.is_none(),
    };
    let follows = manifest.from == before.map_or(0, |before| before.until)
        && before.is_none_or(|before| manifest.log_id == before.log_id)
        && manifest.ranges.len() >= known.len()
        && manifest.ranges.iter().zip(known).all(|(r, b)| (r.from, r.begins) == (b.to, b.begins))
        && manifest.ranges[known.len()..].iter().all(|r| r.from == 0 && begins_here(r));
    let named = |file: &FileEntry| {
        let range = manifest.ranges.get(file.partition as usize);
        range.is_some_and(|r| r.from <= file.from && file.from <= file.to && file.to <= r.to)
    };
    let numbered = (0..).zip(&manifest.ranges).all(|(n, range)| range.partition == n);
    if follows && numbered && manifest.files.iter().all(named) && is_made_up(manifest) {
        return Ok(());
    }
    Err(ArchiveError::damaged(name, "does not go on where the one before it ends"))
}

/// Whether each range is its files of records, one behind the other, and no others.
fn is_made_up(manifest: &Manifest) -> bool {
    let datasets = [clicks::NAME, verdicts::NAME];
    let known = manifest.files.iter().all(|file| datasets.contains(&&*file.dataset));
    known
        && manifest.ranges.iter().all(|range| {
            let mut next = range.from;
            let of_range = |file: &&FileEntry| {
                file.dataset == clicks::NAME && file.partition == range.partition
            };
            for file in manifest.files.iter().filter(of_range) {
                if file.from != next {
                    return false;
                }
                next = file.to;
            }
            next == range.to
        })
}

fn log_id(hex: &str) -> Option<LogId> {
    let number = u128::from_str_radix(hex, 16).ok()?;
    (hex.len() == 32).then_some(LogId(number.to_be_bytes()))
}

/// Records of a file, kept while a reader goes through them.
type Held = (u64, Vec<(u64, Vec<u8>)>);

/// The archive as a log that nobody appends to.
pub struct ArchiveLog {
    archive: Archive,
    /// By partition the file that was read last.
    held: Vec<Mutex<Option<Held>>>,
}

impl ArchiveLog {
    /// The archive behind it.
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    fn unreadable(error: &ArchiveError) -> LogError {
        LogError::archive(&error.to_string())
    }
}

impl ReadOnlyLog for ArchiveLog {
    fn header(&self) -> Header {
        let generation = self.archive.manifests.first().map_or(0, |manifest| manifest.generation);
        let (log_id, partitions) = (self.archive.log_id.0, self.archive.begun_with());
        Header { log_id, generation, partitions }
    }

    fn all_partitions(&self) -> u32 {
        self.archive.partitions()
    }

    fn end(&self, partition: u32) -> u64 {
        self.archive.end(partition)
    }

    fn read_from(
        &self,
        partition: u32,
        from: u64,
        max_bytes: usize,
        batch: &mut RecordBatch,
    ) -> Result<(), LogError> {
        let end = self.end(partition);
        let (mut next, mut left) = (from, max_bytes);
        let held = &self.held[partition as usize];
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        while next < end {
            let has = |held: &Held| (held.0..held.0 + held.1.len() as u64).contains(&next);
            if !held.as_ref().is_some_and(has) {
                let file = self.archive.file_of(partition, next);
                let lost = || LogError::archive(&format!("no file has offset {next}"));
                let file = file.ok_or_else(lost)?;
                let records = self.archive.records(file);
                *held = Some((file.from, records.map_err(|e| Self::unreadable(&e))?));
            }
            let Some((first, records)) = held.as_ref() else { break };
            let skip = usize::try_from(next - first).unwrap_or(usize::MAX);
            for (time, payload) in records.iter().skip(skip) {
                if next > from && payload.len() > left {
                    return Ok(());
                }
                left = left.saturating_sub(payload.len());
                batch.push(next, *time, payload);
                next += 1;
            }
        }
        Ok(())
    }
}
