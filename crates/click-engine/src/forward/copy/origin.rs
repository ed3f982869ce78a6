//! The file that says which places of another site's own log the records of a copy have.

use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::disk::{Disk, read_file, write_file_durable};
use crate::log::{EventLog, LogError};

const FILE: &str = "origin.json";
/// Largest file that is believed to be one.
const LIMIT: u64 = 1 << 20;

/// From `kept` on the copy holds what is at `origin` and behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begin {
    kept: u64,
    origin: u64,
}

impl Begin {
    /// What comes next in a copy that ends at `kept_end`.
    pub(super) fn next(self, kept_end: u64) -> u64 {
        self.origin.saturating_add(kept_end.saturating_sub(self.kept))
    }

    /// Whether a copy that ends at `kept_end` holds a record from here on.
    pub(super) fn holds_any(self, kept_end: u64) -> bool {
        kept_end > self.kept
    }

    /// The copy's end once everything below `origin` is done with.
    pub(super) fn kept(self, origin: u64, kept_end: u64) -> u64 {
        // What is before `kept` is below `origin`: that was so when this began.
        self.kept.saturating_add(origin.saturating_sub(self.origin)).min(kept_end)
    }

    /// The copy goes on elsewhere.
    pub(super) fn at(kept: u64, origin: u64) -> Begin {
        Begin { kept, origin }
    }
}

/// Per partition; those of a new copy if nothing was written yet.
pub(super) fn read(
    disk: &dyn Disk,
    dir: &Path,
    log: &dyn EventLog,
) -> Result<Vec<Begin>, LogError> {
    let path = &dir.join(FILE);
    let bytes = match read_file(disk, path, LIMIT) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(vec![Begin::default(); log.partitions() as usize]);
        }
        Err(error) => return Err(LogError::io("cannot read", path, &error)),
    };
    let bad = |reason: &str| {
        let path = path.display();
        LogError::options(format!("{path}: {reason}; restore it from a copy of the directory"))
    };
    let begins: Vec<Begin> =
        serde_json::from_slice(&bytes).map_err(|error| bad(&error.to_string()))?;
    let fits = |(partition, begin): (u32, &Begin)| begin.kept <= log.range(partition).end;
    let all_fit = (0..).zip(&begins).all(fits);
    match begins.len() == log.partitions() as usize && all_fit {
        true => Ok(begins),
        false => Err(bad("it is of another copy")),
    }
}

pub(super) fn write(disk: &dyn Disk, dir: &Path, begins: &[Begin]) -> Result<(), LogError> {
    let path = &dir.join(FILE);
    let bytes = serde_json::to_vec(begins).map_err(LogError::copy)?;
    write_file_durable(disk, path, &bytes)
        .map_err(|error| LogError::io("cannot write", path, &error))
}
