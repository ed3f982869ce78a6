//! Archived files written again without what tells of a person: addresses and user agents from a
//! time on, and users who asked to be forgotten. The ledger that the archive comes to is the same.
//!
//! New files first, then the revision that names them, then the files that it replaces are removed.
//! Must never remove a file that the newest revision names, or that a revision may yet name.

use std::collections::{BTreeMap, HashMap, HashSet};

use click_core::limits::DOUBLE_CLICK_MEMORY_MS;
use click_core::policy::Policy;
use click_core::record::{Kind, Record};
use click_core::types::Millis;

use super::erasure::{Erasure, Salt};
use super::manifest::{FORMAT, FileEntry, Manifest};
use super::objects::Objects;
use super::personal::Taken;
use super::reader::Archive;
use super::revision::Revision;
use super::table::Table;
use super::{ArchiveError, clicks, sha256_hex, verified};

/// What a truncation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truncated {
    /// Spans that are truncated now.
    pub spans: u64,
    /// Files that were written again.
    pub files: u64,
}

/// What an erasure did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Clicks of the user that are erased now.
    pub clicks: u64,
    /// Clicks that cannot be erased yet, since a later click may be a duplicate of one of them.
    pub remaining: u64,
    /// When the last of them can be: once the archive reaches this.
    pub possible_at: Millis,
}

/// Truncates addresses and user agents of everything that happened before an instant, in whole
/// spans.
///
/// # Errors
/// If a click has an address and no source key, a file cannot be read or written, or somebody else
/// rewrites the same span.
pub fn truncate_addresses(archive: &Archive, before: Millis) -> Result<Truncated, ArchiveError> {
    let mut done = Truncated::default();
    sweep(archive)?;
    for manifest in archive.manifests().iter().take_while(|m| m.until <= before.0) {
        let newest = archive.newest(manifest);
        if let Some(files) = truncate_span(archive.objects(), manifest, newest)? {
            done.files += files;
            done.spans += 1;
        }
    }
    Ok(done)
}

/// Truncates one span; how many files were written again, `None` if it is truncated already.
pub(super) fn truncate_span(
    objects: &dyn Objects,
    manifest: &Manifest,
    newest: (Option<&Revision>, &str),
) -> Result<Option<u64>, ArchiveError> {
    if newest.0.is_some_and(|revision| revision.truncated) {
        return Ok(None);
    }
    let erased = newest.0.map_or(0, |revision| revision.erased);
    let rewriting = Rewriting { objects, manifest, newest, taken: Taken::Addresses };
    rewriting.run(true, erased).map(Some)
}

/// Takes a user out of everything that is archived: a name by `salt`, which has to be random and
/// new, stands for the user from now on. What a later click could still be a duplicate of stays for
/// now. An erasure of the user that was cut short is gone on with.
///
/// # Errors
/// If a file cannot be read or written, or somebody else rewrites the same span.
pub fn erase_user(archive: &Archive, user: &str, salt: &Salt) -> Result<Erased, ArchiveError> {
    sweep(archive)?;
    let erasure = Erasure::begin(archive.objects(), user, salt)?;
    let done = erase(archive, user, erasure.name())?;
    erasure.end(archive.objects())?;
    Ok(done)
}

fn erase(archive: &Archive, user: &str, name: &str) -> Result<Erased, ArchiveError> {
    let (clicks, horizon) = clicks_of(archive, user)?;
    let (mut done, mut positions) = (Erased::default(), HashSet::new());
    for group in groups(clicks) {
        let last = group.iter().map(|click| click.fold_time).max().unwrap_or_default();
        let possible_at = last.plus(horizon + 1);
        if possible_at.0 <= archive.until() {
            positions.extend(group.iter().map(|click| click.position));
        } else {
            done.remaining += group.len() as u64;
            done.possible_at = done.possible_at.max(possible_at);
        }
    }
    done.clicks = positions.len() as u64;
    for manifest in archive.manifests() {
        let own = positions.iter().filter(|position| holds(manifest, **position)).count() as u64;
        if own == 0 {
            continue;
        }
        let newest = archive.newest(manifest);
        let truncated = newest.0.is_some_and(|revision| revision.truncated);
        let erased = newest.0.map_or(0, |revision| revision.erased) + own;
        let (objects, taken) = (archive.objects(), Taken::Users(&positions, name));
        let rewriting = Rewriting { objects, manifest, newest, taken };
        rewriting.run(truncated, erased)?;
    }
    Ok(done)
}

fn holds(manifest: &Manifest, (partition, offset): (u32, u64)) -> bool {
    let range = manifest.ranges.get(partition as usize);
    range.is_some_and(|range| (range.from..range.to).contains(&offset))
}

/// A click of the user that is to be forgotten.
struct OwnClick {
    fold_time: Millis,
    position: (u32, u64),
    /// Issuer and click id.
    link: (String, String),
    ad: String,
}

/// All clicks of a user, and the longest that any of them may be remembered for.
fn clicks_of(archive: &Archive, user: &str) -> Result<(Vec<OwnClick>, u64), ArchiveError> {
    let (mut found, mut horizon) = (Vec::new(), Policy::default().horizon_ms);
    for file in archive.files(clicks::NAME) {
        archive.for_each_row(file, |place, payload, _| {
            match Record::decode(&payload).map(|record| record.kind) {
                Ok(Kind::Click(click)) if click.user_id == user => found.push(OwnClick {
                    fold_time: place.fold_time,
                    position: (place.partition, place.offset),
                    link: (click.issuer.to_owned(), click.click_id.to_owned()),
                    ad: click.ad_id.to_owned(),
                }),
                Ok(Kind::Policy(policy)) => horizon = horizon.max(policy.horizon_ms),
                _ => {}
            }
            Ok(())
        })?;
    }
    Ok((found, horizon.max(DOUBLE_CLICK_MEMORY_MS)))
}

/// Clicks that may bear on one another: of one link, or of one ad within the memory of double
/// clicks. All of a group have the same user, under whatever name.
fn groups(mut clicks: Vec<OwnClick>) -> Vec<Vec<OwnClick>> {
    clicks.sort_by_key(|click| (click.fold_time, click.position));
    let (mut by_link, mut by_ad) = (HashMap::new(), HashMap::<String, (usize, Millis)>::new());
    // Each click's group is that of the first click that it is tied to, found by following.
    let mut tied: Vec<usize> = (0..clicks.len()).collect();
    for (at, click) in clicks.iter().enumerate() {
        let same_link = *by_link.entry(click.link.clone()).or_insert(at);
        tie(&mut tied, same_link, at);
        let last = by_ad.insert(click.ad.clone(), (at, click.fold_time));
        if let Some((before, time)) = last
            && time.plus(DOUBLE_CLICK_MEMORY_MS) >= click.fold_time
        {
            tie(&mut tied, before, at);
        }
    }
    let mut groups: BTreeMap<usize, Vec<OwnClick>> = BTreeMap::new();
    for (at, click) in clicks.into_iter().enumerate() {
        groups.entry(first(&tied, at)).or_default().push(click);
    }
    groups.into_values().collect()
}

fn first(tied: &[usize], mut at: usize) -> usize {
    while tied[at] != at {
        at = tied[at];
    }
    at
}

fn tie(tied: &mut [usize], one: usize, other: usize) {
    let (one, other) = (first(tied, one), first(tied, other));
    tied[one.max(other)] = one.min(other);
}

/// A span that is being rewritten.
struct Rewriting<'a> {
    objects: &'a dyn Objects,
    /// With the files of its newest revision.
    manifest: &'a Manifest,
    /// That one, and what the next has to name as `previous`.
    newest: (Option<&'a Revision>, &'a str),
    taken: Taken<'a>,
}

impl Rewriting<'_> {
    /// Returns how many files were written again.
    fn run(&self, truncated: bool, erased: u64) -> Result<u64, ArchiveError> {
        let (before, previous) = self.newest;
        let number = self.manifest.number;
        let revision = before.map_or(0, |revision| revision.revision) + 1;
        let (mut files, mut written) = (Vec::new(), 0);
        for file in self.manifest.files.iter().filter(|file| file.dataset == clicks::NAME) {
            let rewritten = self.rewrite(file, revision)?;
            written += u64::from(rewritten.is_some());
            files.push(rewritten.unwrap_or_else(|| file.clone()));
        }
        let previous = previous.to_owned();
        let made =
            Revision { format: FORMAT, number, revision, previous, truncated, erased, files };
        let name = Revision::name(number, revision);
        if !self.objects.put_new(&name, &made.encode())? {
            let text = format!("{name}: somebody else is rewriting this span; run it again");
            return Err(ArchiveError::Mismatch(text));
        }
        let named: HashSet<&str> = made.files.iter().map(|file| &*file.name).collect();
        for file in self.manifest.files.iter().filter(|file| file.dataset == clicks::NAME) {
            if !named.contains(&*file.name) {
                self.objects.remove(&file.name)?;
            }
        }
        Ok(written)
    }

    /// The file without what is taken; `None` if nothing of it is.
    fn rewrite(&self, file: &FileEntry, revision: u32) -> Result<Option<FileEntry>, ArchiveError> {
        let (mut table, mut differs) = (Table::new(clicks::COLUMNS), false);
        let bytes = verified::bytes(self.objects, file)?.ok_or_else(|| verified::missing(file))?;
        verified::for_each_row(file, bytes, |place, payload, stateless| {
            let taken = self.taken.from(place, &payload)?;
            differs |= taken.as_ref().is_some_and(|taken| *taken != payload);
            let payload = taken.unwrap_or(payload);
            let record = Record::decode(&payload).ok();
            clicks::put(&mut table, place, record.as_ref(), &payload, stateless);
            Ok(())
        })?;
        if !differs {
            return Ok(None);
        }
        let made = table.into_parquet(Some(clicks::LOOKED_UP));
        let bytes = made.map_err(|error| ArchiveError::damaged(&file.name, error))?;
        let sha256 = sha256_hex(&bytes);
        // By content, so that two who write the same revision do not write into each other's files.
        let name = format!("{}-r{revision:04}-{}.parquet", stem(&file.name), &sha256[..16]);
        self.objects.put(&name, &bytes)?;
        let bytes = bytes.len() as u64;
        Ok(Some(FileEntry { name, bytes, sha256, ..file.clone() }))
    }
}

/// A file's name up to its positions.
fn stem(name: &str) -> &str {
    let name = name.strip_suffix(".parquet").unwrap_or(name);
    name.find("-r").map_or(name, |at| &name[..at])
}

/// Revision from a file's name, 0 if it is an archiver's.
fn revision_of(name: &str) -> Option<u32> {
    match name.find("-r") {
        Some(at) => name.get(at + 2..at + 6)?.parse().ok(),
        None => Some(0),
    }
}

/// Removes files that a revision has replaced, and those that a revision was to name when another
/// one of the same number came first: nobody can name them any more.
fn sweep(archive: &Archive) -> Result<(), ArchiveError> {
    if archive.revisions().next().is_none() {
        return Ok(());
    }
    remove_replaced(archive.objects(), archive.revisions(), clicks::NAME)
}

/// The same below one folder, of these revisions alone.
pub(super) fn remove_replaced<'a>(
    objects: &dyn Objects,
    revisions: impl Iterator<Item = &'a Revision>,
    folder: &str,
) -> Result<(), ArchiveError> {
    let mut newest = HashMap::new();
    for revision in revisions {
        for file in &revision.files {
            newest.insert(stem(&file.name), (revision.revision, &*file.name));
        }
    }
    for name in objects.list(folder)? {
        let Some((revision, named)) = newest.get(stem(&name)) else { continue };
        if name != *named && revision_of(&name).is_some_and(|own| own <= *revision) {
            objects.remove(&name)?;
        }
    }
    Ok(())
}
