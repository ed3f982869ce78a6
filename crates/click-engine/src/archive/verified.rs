//! A file of the archive held to what its manifest says, before a row of it is believed.
//! Must never hand out a row of a file whose hash differs.

use click_core::record::Record;
use click_core::verdict::Reasons;

use super::clicks::{self, Place};
use super::manifest::FileEntry;
use super::objects::Objects;
use super::personal::Kept;
use super::table::Rows;
use super::{ArchiveError, sha256_hex};

/// Nothing is there under its name.
pub(super) fn missing(file: &FileEntry) -> ArchiveError {
    ArchiveError::damaged(&file.name, "is missing")
}

/// The bytes of a file; `None` if it is not there.
pub(super) fn bytes(
    objects: &dyn Objects,
    file: &FileEntry,
) -> Result<Option<Vec<u8>>, ArchiveError> {
    let Some(bytes) = objects.get(&file.name)? else { return Ok(None) };
    if bytes.len() as u64 != file.bytes {
        let reason = format!("has {} bytes instead of {}", bytes.len(), file.bytes);
        return Err(ArchiveError::damaged(&file.name, reason));
    }
    if sha256_hex(&bytes) != file.sha256 {
        return Err(ArchiveError::damaged(&file.name, "was changed: its SHA-256 differs"));
    }
    Ok(Some(bytes))
}

/// Place, payload and recorded stateless reasons of all records of a file with these bytes; of a
/// rewritten one also held to what it was written from.
pub(super) fn for_each_row(
    file: &FileEntry,
    bytes: Vec<u8>,
    mut take: impl FnMut(Place, Vec<u8>, Option<Reasons>) -> Result<(), String>,
) -> Result<(), ArchiveError> {
    let damaged = |reason: String| ArchiveError::damaged(&file.name, reason);
    let table = Rows::from_parquet(clicks::COLUMNS, bytes).map_err(damaged)?;
    let mut kept = file.is_rewritten.then(Kept::default);
    for (offset, mut row) in (file.from..).zip(table.iter()) {
        let (place, payload) = clicks::get(&mut row).map_err(damaged)?;
        if (place.partition, place.offset) != (file.partition, offset) {
            return Err(damaged(format!("has no record of offset {offset} in its place")));
        }
        if let Some(kept) = &mut kept {
            kept.add(place, Record::decode(&payload).ok().as_ref());
        }
        take(place, payload, clicks::stateless(&mut row).map_err(damaged)?).map_err(damaged)?;
    }
    if kept.is_some_and(|kept| kept.finish() != file.kept) {
        let reason = "was rewritten into other clicks than its manifest tells of";
        return Err(damaged(reason.to_owned()));
    }
    let rows = table.len() as u64;
    if rows != file.to - file.from || rows != file.rows {
        let said = (file.to - file.from, file.rows);
        let text =
            format!("has {rows} records, {} by its name, {} by its manifest", said.0, said.1);
        return Err(damaged(text));
    }
    Ok(())
}
