//! Where an archiver goes on: the span behind the manifest that its checkpoint is of, and an
//! archive without the files of spans that were begun and never named.

use click_core::types::Millis;

use super::manifest::{Manifest, Range};
use super::objects::Objects;
use super::{ArchiveError, clicks, verdicts};
use crate::log::EventLog;

/// A span whose end is not decided.
pub(super) struct Open {
    pub(super) number: u64,
    pub(super) previous: String,
    pub(super) from: Millis,
    pub(super) ranges: Vec<Range>,
    /// There is a manifest of it, which says where it ends.
    pub(super) is_named: bool,
}

/// Removes files beyond the newest manifest: of spans that were begun and never named.
pub(super) fn sweep(objects: &dyn Objects, newest: Option<u64>) -> Result<(), ArchiveError> {
    let ranges = match newest {
        Some(number) => Manifest::require(objects, number)?.0.ranges,
        None => Vec::new(),
    };
    let end = |partition| ranges.iter().find(|r| r.partition == partition).map_or(0, |r| r.to);
    for dataset in [clicks::NAME, verdicts::NAME] {
        for name in objects.list(dataset)? {
            if position(&name).is_some_and(|(partition, from)| from >= end(partition)) {
                objects.remove(&name)?;
            }
        }
    }
    Ok(())
}

/// Partition and first offset from a file's name.
fn position(name: &str) -> Option<(u32, u64)> {
    let file = name.rsplit('/').next()?.strip_prefix('p')?;
    let mut parts = file.splitn(3, '-');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The span that begins where the engine's state ends, which was taken `decided_after` ms beyond
/// the end of the one before.
pub(super) fn open_span(
    log: &dyn EventLog,
    objects: &dyn Objects,
    newest: Option<u64>,
    watermark: Millis,
    decided_after: u64,
) -> Result<Open, ArchiveError> {
    if watermark == Millis(0) {
        let ranges = (0..log.begun_with()).map(|partition| Range::empty(partition, None));
        let ranges = ranges.collect();
        return Ok(Open {
            number: 0,
            previous: String::new(),
            from: Millis(0),
            ranges,
            is_named: false,
        });
    }
    let mut number = newest;
    while let Some(at) = number {
        let (manifest, hash) = Manifest::require(objects, at)?;
        if manifest.log_id != log.log_id().to_string() {
            return Err(ArchiveError::damaged(&Manifest::name(at), "is of another log"));
        }
        if manifest.until + decided_after == watermark.0 {
            let (from, ranges) = (Millis(manifest.until), manifest.ranges);
            return Ok(Open { number: at + 1, previous: hash, from, ranges, is_named: false });
        }
        number = at.checked_sub(1);
    }
    Err(ArchiveError::Mismatch(
        "the archiver's checkpoint is of no manifest of this archive: if the archive was moved, \
         move `archive-checkpoints` away, too; it is then written, or checked, from its beginning"
            .into(),
    ))
}
