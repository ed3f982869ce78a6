//! Sending records again that a cluster has lost: whoever wants it leaves a request beside the own
//! log, and the forwarder serves it. What it sends is not waited for: a hole that stays open is
//! seen, and can be asked for again.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::Path;

use click_core::planted::{Bug, planted};
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

/// What has been sent of a request.
pub(super) enum Served {
    /// All of it, or there is none.
    All,
    /// As much as there is room for: the rest later.
    Some,
    /// The sender refuses it.
    Refused(LogError),
}

/// How far a request has been served: one may ask for more than a sender has room for.
#[derive(Default)]
pub(super) struct Serving {
    /// The request itself: another one begins anew.
    request: Vec<u8>,
    partition: u32,
    offset: u64,
}

impl Serving {
    /// Sends what a request asks for, if there is one, and takes it away once all is sent.
    pub(super) fn serve(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        own: &dyn EventLog,
        remote: &mut dyn Remote,
        now: Millis,
    ) -> Result<Served, LogError> {
        let path = dir.join(FILE);
        let request = match read_file(disk, &path, LIMIT) {
            Ok(request) => request,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Served::All),
            Err(error) => return Err(LogError::io("cannot read", &path, &error)),
        };
        let holes: Vec<Hole> = serde_json::from_slice(&request).map_err(|error| {
            let path = path.display();
            LogError::options(format!("{path}: {error}; write it by `clickledger resend`"))
        })?;
        if self.request != request {
            *self = Serving { request, ..Serving::default() };
        }
        while self.partition < own.partitions() && !planted(Bug::RequestForgotten) {
            let is_here = |hole: &&Hole| hole.partition == self.partition;
            let here: Vec<&Hole> = holes.iter().filter(is_here).collect();
            match self.send(own, remote, &here, now)? {
                Served::All => (self.partition, self.offset) = (self.partition + 1, 0),
                unfinished @ (Served::Some | Served::Refused(_)) => return Ok(unfinished),
            }
        }
        disk.remove(&path).map_err(|error| LogError::io("cannot remove", &path, &error))?;
        *self = Serving::default();
        Ok(Served::All)
    }

    fn send(
        &mut self,
        own: &dyn EventLog,
        remote: &mut dyn Remote,
        holes: &[&Hole],
        now: Millis,
    ) -> Result<Served, LogError> {
        let (partition, range) = (self.partition, own.range(self.partition));
        if holes.is_empty() {
            return Ok(Served::All);
        }
        let (mut stamped, mut served) = (Vec::new(), Served::All);
        let left = self.offset.clamp(range.start, range.end)..range.end;
        for_each_record(own, partition, left, |offset, _, payload| {
            self.offset = offset;
            let Ok(record) = Record::decode(payload) else { return Ok(ControlFlow::Continue(())) };
            if !holes.iter().any(|hole| hole.holds(partition, &record)) {
                return Ok(ControlFlow::Continue(()));
            }
            stamped.clear();
            restamp(payload, now, &mut stamped);
            served = match remote.send(partition, offset, &stamped) {
                Ok(true) => return Ok(ControlFlow::Continue(())),
                Ok(false) => Served::Some,
                Err(refusal) => Served::Refused(refusal),
            };
            Ok(ControlFlow::Break(()))
        })?;
        Ok(served)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use click_core::record::{Click, Kind, Transport};

    use super::super::Outcome;
    use super::*;
    use crate::disk::MemDisk;
    use crate::log::{LogId, ManualClock, MemLog};

    /// Has room for three records, until they are taken out.
    #[derive(Default)]
    struct Narrow(Vec<u64>);

    impl Remote for Narrow {
        fn send(&mut self, _: u32, offset: u64, _: &[u8]) -> Result<bool, LogError> {
            let has_room = self.0.len() < 3;
            self.0.extend(has_room.then_some(offset));
            Ok(has_room)
        }

        fn outcomes(&mut self, _: Duration, _: &mut Vec<Outcome>) {}

        fn reset(&mut self) -> Result<(), LogError> {
            Ok(())
        }
    }

    fn own_log() -> MemLog {
        let own = MemLog::new(LogId([1; 16]), 1, 1, Arc::new(ManualClock::new(1)));
        for seq in 0..8 {
            let click = Click { click_id: "c", ad_id: "a", ..Click::default() };
            let transport = Some(Transport { tracker_id: "t", epoch: 0, seq });
            let kind = Kind::Click(click);
            let record = Record { sent_at: Some(Millis(1)), transport, previous: None, kind };
            drop(own.append(0, &record.to_bytes()).expect("a log in memory"));
        }
        own
    }

    #[test]
    fn a_request_beyond_the_senders_room_is_served_in_parts() {
        let (own, disk, dir) = (own_log(), MemDisk::new(1), Path::new("/spool"));
        disk.create_dir_all(dir).expect("a disk in memory");
        let hole = Hole { partition: 0, tracker_id: "t".into(), epoch: 0, from: 1, to: 8 };
        request(&disk, dir, &[hole]).expect("a disk in memory");
        let (mut serving, mut remote, mut sent) = (Serving::default(), Narrow::default(), vec![]);
        for round in 0..3 {
            let served = serving.serve(&disk, dir, &own, &mut remote, Millis(2));
            assert_eq!(matches!(served, Ok(Served::All)), round == 2, "round {round}");
            sent.append(&mut remote.0);
        }
        assert_eq!(sent, [1, 2, 3, 4, 5, 6, 7]);
        assert!(disk.open(&dir.join(FILE), crate::disk::OpenMode::Read).is_err(), "it is served");
    }
}
