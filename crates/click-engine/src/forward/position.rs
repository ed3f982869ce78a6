//! The file that says how far a tracker's own log has been handed on.

use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::disk::{Disk, read_file, write_file_durable};
use crate::log::{EventLog, LogError};

const FILE: &str = "forwarded.json";
/// Largest file that is believed to be one.
const LIMIT: u64 = 1 << 20;

#[derive(Serialize, Deserialize)]
struct Positions {
    log_id: String,
    /// Per partition: everything below it has been confirmed.
    forwarded: Vec<u64>,
}

/// Per partition where to go on; the beginning of what is kept if nothing was written yet.
pub(super) fn read(disk: &dyn Disk, dir: &Path, own: &dyn EventLog) -> Result<Vec<u64>, LogError> {
    let path = &dir.join(FILE);
    let starts = |partition| own.range(partition).start;
    let bytes = match read_file(disk, path, LIMIT) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok((0..own.partitions()).map(starts).collect());
        }
        Err(error) => return Err(LogError::io("cannot read", path, &error)),
    };
    let bad = |reason: &str| {
        let path = path.display();
        LogError::options(format!("{path}: {reason}; remove it to hand everything on again"))
    };
    let positions: Positions =
        serde_json::from_slice(&bytes).map_err(|error| bad(&error.to_string()))?;
    let fits = positions.forwarded.len() == own.partitions() as usize;
    if positions.log_id != own.log_id().to_string() || !fits {
        return Err(bad("it is of another log"));
    }
    let at = |(partition, at): (u32, &u64)| {
        let range = own.range(partition);
        // Beyond the end: the own log was put back to an older state, and goes on from there.
        (*at).clamp(range.start, range.end)
    };
    Ok((0..).zip(&positions.forwarded).map(at).collect())
}

pub(super) fn write(
    disk: &dyn Disk,
    dir: &Path,
    own: &dyn EventLog,
    forwarded: &[u64],
) -> Result<(), LogError> {
    let path = &dir.join(FILE);
    let positions = Positions { log_id: own.log_id().to_string(), forwarded: forwarded.to_vec() };
    let bytes = serde_json::to_vec(&positions).map_err(LogError::kafka)?;
    write_file_durable(disk, path, &bytes)
        .map_err(|error| LogError::io("cannot write", path, &error))
}
