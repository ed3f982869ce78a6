//! Sending records again that a cluster has lost: whoever wants it leaves a request beside the own
//! log, and the forwarder serves it. What it sends is not waited for: a hole that stays open is
//! seen, and can be asked for again.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::Path;

use click_core::record::{Record, restamp};
use click_core::types::Millis;
use serde::{Deserialize, Serialize};

use super::remote::Remote;
use crate::disk::{Disk, read_file, write_file_durable};
use crate::log::{EventLog, LogError, for_each_record};

const FILE: &str = "resend.json";
/// Largest request.
const LIMIT: u64 = 16 << 20;

/// Numbers of a tracker in a partition, half-open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hole {
    /// Where they are missing.
    pub partition: u32,
    /// Whose they are.
    pub tracker_id: String,
    /// See `tracker_id`.
    pub epoch: u64,
    /// The first one.
    pub from: u64,
    /// Behind the last one.
    pub to: u64,
}

impl Hole {
    fn holds(&self, partition: u32, record: &Record<'_>) -> bool {
        let named = |tracker: &click_core::record::Transport<'_>| {
            tracker.tracker_id == self.tracker_id
                && tracker.epoch == self.epoch
                && (self.from..self.to).contains(&tracker.seq)
        };
        self.partition == partition && record.transport.as_ref().is_some_and(named)
    }
}

/// Leaves a request in the directory of an own log.
///
/// # Errors
/// If it cannot be written.
pub fn request(disk: &dyn Disk, dir: &Path, holes: &[Hole]) -> Result<(), LogError> {
    let path = dir.join(FILE);
    let bytes = serde_json::to_vec(holes).map_err(LogError::kafka)?;
    let written = write_file_durable(disk, &path, &bytes);
    written.map_err(|error| LogError::io("cannot write", &path, &error))
}

/// Sends what a request asks for, if there is one, and takes it away.
pub(super) fn serve(
    disk: &dyn Disk,
    dir: &Path,
    own: &dyn EventLog,
    remote: &mut dyn Remote,
    now: Millis,
) -> Result<(), LogError> {
    let path = dir.join(FILE);
    let bytes = match read_file(disk, &path, LIMIT) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(LogError::io("cannot read", &path, &error)),
    };
    let holes: Vec<Hole> = serde_json::from_slice(&bytes).map_err(|error| {
        let path = path.display();
        LogError::options(format!("{path}: {error}; write it by `clickledger resend`"))
    })?;
    for partition in 0..own.partitions() {
        let here: Vec<&Hole> = holes.iter().filter(|hole| hole.partition == partition).collect();
        if !here.is_empty() {
            send(own, remote, partition, &here, now)?;
        }
    }
    disk.remove(&path).map_err(|error| LogError::io("cannot remove", &path, &error))
}

fn send(
    own: &dyn EventLog,
    remote: &mut dyn Remote,
    partition: u32,
    holes: &[&Hole],
    now: Millis,
) -> Result<(), LogError> {
    let mut stamped = Vec::new();
    for_each_record(own, partition, own.range(partition), |offset, _, payload| {
        let Ok(record) = Record::decode(payload) else { return Ok(ControlFlow::Continue(())) };
        if holes.iter().any(|hole| hole.holds(partition, &record)) {
            stamped.clear();
            restamp(payload, now, &mut stamped);
            if !remote.send(partition, offset, &stamped)? {
                return Err(LogError::kafka("no room to send again: it is tried anew"));
            }
        }
        Ok(ControlFlow::Continue(()))
    })
}
