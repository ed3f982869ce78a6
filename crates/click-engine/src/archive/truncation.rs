//! Addresses and user agents of an archive truncated as it grows old, a span at a time, beside an
//! archiver that goes on writing it. The work is that of `rewrite`; this knows where it goes on.
//! Must never read all manifests again and again: an archive of years has a great many.

use std::sync::Arc;

use click_core::types::Millis;

use super::ArchiveError;
use super::manifest::{FOLDER, Manifest};
use super::objects::Objects;
use super::reader::newest_of;
use super::revision::{self, Newest, Revision};
use super::rewrite::{Truncated, remove_replaced, truncate_span};

/// Least age of what is truncated, hours: addresses are evidence as long as a click may be judged
/// by an earlier one, which is the dedup horizon of the default policy.
pub const LEAST_TRUNCATION_AGE_HOURS: u64 = 97;

/// Where the truncation of an archive has got to.
pub struct Truncation {
    objects: Arc<dyn Objects>,
    /// The manifest whose span is the next one; to be looked for at first.
    next: Option<u64>,
    /// The end of its span, if that was found to be too young.
    ripe_at: Option<u64>,
}

/// A span whose time has come.
struct Old {
    /// With the files of its newest revision.
    manifest: Manifest,
    hash: String,
    newest: Option<Newest>,
}

impl Truncation {
    /// Of the archive there; asks nobody yet.
    pub const fn new(objects: Arc<dyn Objects>) -> Truncation {
        Truncation { objects, next: None, ripe_at: None }
    }

    /// Truncates the next span, if all of it happened before an instant; `None` if it did not, or
    /// there is none. What fails may be tried again by another step. Does not ask the store again
    /// and again for a span that is too young.
    ///
    /// # Errors
    /// As [`truncate_addresses`](super::truncate_addresses).
    pub fn step(&mut self, before: Millis) -> Result<Option<Truncated>, ArchiveError> {
        if self.ripe_at.is_some_and(|until| until > before.0) {
            return Ok(None);
        }
        let objects = &*self.objects;
        let number = self.next.map_or_else(|| first(objects), Ok)?;
        self.next = Some(number);
        let Some((manifest, hash)) = Manifest::read(objects, number)? else { return Ok(None) };
        self.ripe_at = Some(manifest.until);
        if manifest.until > before.0 {
            return Ok(None);
        }
        let old = old(objects, manifest, hash)?;
        let newest = match &old.newest {
            Some((revision, hash)) => (Some(revision), &**hash),
            None => (None, &*old.hash),
        };
        let files = truncate_span(objects, &old.manifest, newest)?;
        if let (None, Some(revision)) = (files, newest.0) {
            remove_leftovers(objects, revision)?;
        }
        (self.next, self.ripe_at) = (Some(number + 1), None);
        Ok(Some(Truncated { spans: u64::from(files.is_some()), files: files.unwrap_or(0) }))
    }
}

/// Where to begin: at the last span that is truncated, since what it replaced may still be there.
/// Spans are truncated in their order, so that the truncated ones are the first ones.
fn first(objects: &dyn Objects) -> Result<u64, ArchiveError> {
    let names = objects.list(FOLDER)?;
    let Some(newest) = newest_of(&names) else { return Ok(0) };
    let counts = revision::count(&names);
    let unrevised = (0..=newest).find(|number| !counts.contains_key(number));
    let (mut truncated, mut other) = (0, unrevised.unwrap_or(newest + 1));
    while truncated < other {
        let middle = truncated.midpoint(other);
        let count = counts.get(&middle).copied().unwrap_or(0);
        if Revision::read(objects, middle, count)?.0.truncated {
            truncated = middle + 1;
        } else {
            other = middle;
        }
    }
    Ok(truncated.saturating_sub(1))
}

fn old(objects: &dyn Objects, mut manifest: Manifest, hash: String) -> Result<Old, ArchiveError> {
    let number = manifest.number;
    // What is replaced is gone: only a manifest that its successor vouches for is believed.
    if let Some((next, _)) = Manifest::read(objects, number + 1)?
        && next.previous != hash
    {
        let reason = "was changed: the manifest behind it knows it by another hash";
        return Err(ArchiveError::damaged(&Manifest::name(number), reason));
    }
    let count = revision::count_of(objects, number)?;
    let newest = revision::newest(objects, (&manifest, &hash), count)?;
    if let Some((revision, _)) = &newest {
        revision::put_in_place(&mut manifest, revision);
    }
    Ok(Old { manifest, hash, newest })
}

/// Removes what a truncation that was cut short has replaced and not removed.
fn remove_leftovers(objects: &dyn Objects, revision: &Revision) -> Result<(), ArchiveError> {
    let folders = revision.files.iter().filter_map(|file| file.name.rsplit_once('/'));
    let mut folders: Vec<&str> = folders.map(|(folder, _)| folder).collect();
    folders.dedup();
    folders
        .into_iter()
        .try_for_each(|folder| remove_replaced(objects, std::iter::once(revision), folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use click_core::policy::Policy;

    #[test]
    fn nothing_is_truncated_within_the_horizon() {
        assert!(LEAST_TRUNCATION_AGE_HOURS * 3_600_000 >= Policy::default().horizon_ms);
    }
}
