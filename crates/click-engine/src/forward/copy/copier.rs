//! Hands records of the own log to a second site while the cluster is late, and tells it what the
//! cluster has got since.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Held, Message, Name, Peer, draw, mark_of};
use crate::disk::{Disk, read_file, write_file_durable};
use crate::forward::monotonic;
use crate::forward::waiters::Forwarding;
use crate::hex::hex;
use crate::log::{Clock, EventLog, LogError, RecordBatch};

/// The file with the name under which this own log is copied.
const FILE: &str = "copied.json";
const LIMIT: u64 = 1 << 10;
/// Bytes of records in a message, but that each partition gives at least one.
const SHARE: usize = 512 << 10;
/// Time until a peer that failed is tried again.
const AGAIN: Duration = Duration::from_millis(200);
/// Time between two messages that only tell what the cluster has.
const TELL: Duration = Duration::from_secs(1);
/// How long an idle copier sleeps at most.
const IDLE: Duration = Duration::from_millis(5);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Copied {
    spool: String,
}

/// See the module.
pub struct Copier {
    own: Arc<dyn EventLog>,
    shared: Arc<Forwarding>,
    peer: Box<dyn Peer>,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    path: PathBuf,
    /// Number of the log's part that the own log is of.
    part: u32,
    /// Under which name the peer keeps it.
    spool: Name,
    session: Name,
    /// Whether the peer has been asked since it failed, or somebody was there before.
    has_asked: bool,
    /// Per partition what the peer knows the cluster to have.
    told: Vec<u64>,
    tell_at: Duration,
    pause_until: Duration,
    batch: RecordBatch,
}

/// A part of a message, and up to where the peer has the partition if it takes it.
struct Sent {
    partition: u32,
    acked: u64,
    end: u64,
}

impl Copier {
    /// Of the own log in `dir` that `shared` is of, in front of a part of the log.
    ///
    /// # Errors
    /// If its name cannot be read, or kept.
    pub fn open(
        own: Arc<dyn EventLog>,
        shared: Arc<Forwarding>,
        peer: Box<dyn Peer>,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        dir: PathBuf,
        part: u32,
    ) -> Result<Copier, LogError> {
        let told = vec![0; own.partitions() as usize];
        let mut copier = Copier {
            own,
            shared,
            peer,
            disk,
            clock,
            path: dir.join(FILE),
            part,
            spool: [0; 16],
            session: draw()?,
            has_asked: false,
            told,
            tell_at: Duration::ZERO,
            pause_until: Duration::ZERO,
            batch: RecordBatch::new(),
        };
        match copier.read_name()? {
            Some(name) => copier.spool = name,
            None => copier.rename()?,
        }
        Ok(copier)
    }

    /// What its messages say of this process.
    pub fn session(&self) -> Name {
        self.session
    }

    /// Copies until `stop`. Blocks.
    pub fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            if !self.step() {
                std::thread::sleep(IDLE);
            }
        }
    }

    /// One message at most; whether there was anything to say.
    pub fn step(&mut self) -> bool {
        let now = monotonic(&*self.clock);
        if now < self.pause_until || !self.has_news(now) {
            return false;
        }
        let done = if self.has_asked { self.give(now) } else { self.ask() };
        self.shared.note_copy_problem(done.as_ref().err());
        if done.is_err() {
            (self.has_asked, self.pause_until) = (false, now + AGAIN);
        }
        true
    }

    /// Whether there are records to copy, or to be told about: the peer has some of which it does
    /// not know that the cluster has them. Until it does, it is asked whether it still has them.
    fn has_news(&self, now: Duration) -> bool {
        let tells = now >= self.tell_at;
        (0..self.own.partitions()).any(|partition| {
            let end = self.own.range(partition).end;
            !self.shared.to_copy(partition, end).is_empty() || tells && self.knows_less(partition)
        })
    }

    fn knows_less(&self, partition: u32) -> bool {
        self.shared.copied(partition) > self.told[partition as usize]
    }

    /// Asks what the peer has. If that is of another log than ours has become, a new copy begins.
    fn ask(&mut self) -> Result<(), LogError> {
        let question = self.message().finish();
        let Held { ends, last } = self.peer.hand(&question)?;
        let partitions = self.own.partitions() as usize;
        if ends.len() != partitions || last.len() != partitions {
            return Err(LogError::copy("its answer is of another number of partitions"));
        }
        for (partition, (end, last)) in (0..).zip(ends.iter().zip(&last)) {
            if !self.is_ours(partition, *end, last)? {
                (0..self.own.partitions()).for_each(|at| self.shared.note_copied(at, 0));
                return self.rename();
            }
        }
        for (partition, end) in (0..).zip(&ends) {
            self.shared.note_copied(partition, *end);
        }
        self.told.fill(0);
        self.has_asked = true;
        Ok(())
    }

    /// Whether the peer's last record, behind which `end` is, is what we have there.
    fn is_ours(&mut self, partition: u32, end: u64, last: &str) -> Result<bool, LogError> {
        if last.is_empty() {
            // It holds nothing; where it would go on is no business of ours.
            return Ok(end <= self.shared.acked(partition));
        }
        let range = self.own.range(partition);
        let Some(place) = end.checked_sub(1).filter(|place| range.contains(place)) else {
            return Ok(false);
        };
        self.batch.clear();
        self.own.read(partition, place, 1, &mut self.batch)?;
        Ok(self.batch.get(0).is_some_and(|(_, _, payload)| mark_of(payload) == last))
    }

    fn give(&mut self, now: Duration) -> Result<(), LogError> {
        let (message, sent) = self.collect()?;
        let held = self.peer.hand(&message.finish())?;
        let takes = |sent: &Sent| {
            held.ends.get(sent.partition as usize).is_some_and(|end| *end >= sent.end)
        };
        if !sent.iter().all(takes) {
            return Err(LogError::copy("it says that it has less than it was given"));
        }
        for Sent { partition, acked, end } in sent {
            // What it was told to drop it need not have.
            self.shared.note_copied(partition, end.max(acked));
            self.told[partition as usize] = acked;
        }
        self.tell_at = now + TELL;
        Ok(())
    }

    fn collect(&mut self) -> Result<(Message, Vec<Sent>), LogError> {
        let (mut message, mut sent) = (self.message(), Vec::new());
        let ranges: Vec<_> = (0..self.own.partitions())
            .map(|partition| self.shared.to_copy(partition, self.own.range(partition).end))
            .collect();
        let wanting = ranges.iter().filter(|range| !range.is_empty()).count();
        let share = SHARE / wanting.max(1);
        for (partition, range) in (0..).zip(ranges) {
            if range.is_empty() && !self.knows_less(partition) {
                continue;
            }
            let (acked, mut end) = (self.shared.acked(partition), self.shared.copied(partition));
            message.section(partition, acked, range.start);
            if !range.is_empty() && message.size() < SHARE {
                self.batch.clear();
                self.own.read(partition, range.start, share, &mut self.batch)?;
                for (offset, _, payload) in &self.batch {
                    message.record(payload);
                    end = offset + 1;
                }
            }
            sent.push(Sent { partition, acked, end });
        }
        Ok((message, sent))
    }

    fn message(&self) -> Message {
        let log_id = self.own.log_id().0;
        Message::new(log_id, self.spool, self.session, self.part, self.own.partitions())
    }

    fn read_name(&self) -> Result<Option<Name>, LogError> {
        let path = &self.path;
        let bytes = match read_file(&*self.disk, path, LIMIT) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LogError::io("cannot read", path, &error)),
        };
        let copied: Option<Copied> = serde_json::from_slice(&bytes).ok();
        let number = copied.and_then(|copied| u128::from_str_radix(&copied.spool, 16).ok());
        // A spoilt name costs a new copy, and no more.
        Ok(number.map(u128::to_be_bytes))
    }

    /// Draws another name.
    fn rename(&mut self) -> Result<(), LogError> {
        self.spool = draw()?;
        let copied = Copied { spool: hex(&self.spool) };
        let bytes = serde_json::to_vec(&copied).map_err(LogError::copy)?;
        write_file_durable(&*self.disk, &self.path, &bytes)
            .map_err(|error| LogError::io("cannot write", &self.path, &error))
    }
}
