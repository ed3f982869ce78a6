//! A tracker's own log in front of a log that others keep (Kafka): every record is written here
//! first, and handed on from here, in order per partition, until the other log has confirmed it.
//!
//! So nothing that was acknowledged exists in memory alone, a restart goes on where it was, and
//! what the cluster lost can be sent again. A record may arrive twice; its transport identity makes
//! one of it (SPEC §2). Must never move a position past a record that was not confirmed, and never
//! believe a confirmation that came behind a failure.

mod again;
mod copy;
mod lane;
mod log;
mod position;
mod reach;
mod remote;
mod waiters;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use click_core::planted::{Bug, planted};
use click_core::record::restamp;
use click_core::types::Millis;

use crate::disk::Disk;
use crate::log::{Clock, EventLog, LogError, RecordBatch, Retention};

pub use again::{Hole, request};
pub use copy::{
    Copier, Copies, CopiesConfig, CopiesStatus, CopyRefusal, Given, Held, MAX_MESSAGE, Message,
    Peer, Section,
};
pub use log::ForwardedLog;
pub use remote::{Outcome, Remote};
pub use waiters::{Copying, ForwardStatus, Forwarding, Missing};

use again::{Served, Serving};
use lane::Lane;

/// Most records of a partition that are under way.
const WINDOW: usize = 10_000;
/// Most bytes that are read at a time from a partition.
const READ_BYTES: usize = 1 << 20;
/// Time until the cluster is tried again after it refused something.
const BACKOFF: Duration = Duration::from_millis(500);
/// Time between two writes of the positions: what a crash sends again.
const SAVE: Duration = Duration::from_secs(1);
/// Time between two removals of old records.
const RETAIN: Duration = Duration::from_secs(30);
/// How long a look for confirmations takes while records are under way.
const LOOK: Duration = Duration::from_millis(1);
/// How long an idle forwarder sleeps at most.
const IDLE: Duration = Duration::from_millis(100);

/// How a forwarder behaves.
#[derive(Clone, Debug)]
pub struct ForwardConfig {
    /// A record that the cluster has not confirmed after so long is acknowledged from the own log.
    pub spool_after: Duration,
    /// Whether and how what the cluster is late with is copied to a second site.
    pub copying: Option<Copying>,
    /// What the own log keeps of the records that the cluster has.
    pub retention: Retention,
    /// Where the positions are kept, and requests to send again are looked for.
    pub dir: PathBuf,
}

/// Hands the records of an own log on.
pub struct Forwarder {
    own: Arc<dyn EventLog>,
    remote: Box<dyn Remote>,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    config: ForwardConfig,
    shared: Arc<Forwarding>,
    lanes: Vec<Lane>,
    batch: RecordBatch,
    outcomes: Vec<Outcome>,
    stamped: Vec<u8>,
    /// Nothing is sent before this.
    pause_until: Duration,
    /// The sender has failed, and there could be no other one yet.
    owes_reset: bool,
    serving: Serving,
    saved: Duration,
    retained: Duration,
}

impl Forwarder {
    /// Goes on where the last one of this own log was.
    ///
    /// # Errors
    /// If the positions cannot be read or are another log's.
    pub fn open(
        own: Arc<dyn EventLog>,
        remote: Box<dyn Remote>,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        config: ForwardConfig,
    ) -> Result<Forwarder, LogError> {
        let positions = position::read(&*disk, &config.dir, &*own)?;
        let lanes: Vec<Lane> = positions.iter().map(|at| Lane::new(*at)).collect();
        let ends = (0..own.partitions()).map(|partition| own.range(partition).end);
        let pairs: Vec<(u64, u64)> = positions.iter().copied().zip(ends).collect();
        let shared = Arc::new(Forwarding::new(&pairs, config.spool_after, config.copying));
        let now = monotonic(&*clock);
        Ok(Forwarder {
            own,
            remote,
            disk,
            clock,
            config,
            shared,
            lanes,
            batch: RecordBatch::new(),
            outcomes: Vec::new(),
            stamped: Vec::new(),
            pause_until: Duration::ZERO,
            owes_reset: false,
            serving: Serving::default(),
            saved: now,
            retained: now,
        })
    }

    /// What appenders and operators see of it.
    pub fn shared(&self) -> Arc<Forwarding> {
        Arc::clone(&self.shared)
    }

    /// Forwards until `stop`, and then as long as that makes progress within `patience`. Blocks.
    ///
    /// # Errors
    /// If the own log cannot be read.
    pub fn run(mut self, stop: &AtomicBool, patience: Duration) -> Result<(), LogError> {
        while !stop.load(Ordering::Relaxed) {
            self.step(true)?;
        }
        let begun = monotonic(&*self.clock);
        while self.behind() > 0 && monotonic(&*self.clock) < begun + patience {
            self.step(true)?;
        }
        self.save();
        Ok(())
    }

    /// One bounded unit of work; `waits` where there is nothing to do.
    ///
    /// # Errors
    /// If the own log cannot be read.
    pub fn step(&mut self, waits: bool) -> Result<(), LogError> {
        let now = monotonic(&*self.clock);
        if !self.owes_reset {
            self.hear(if waits { LOOK } else { Duration::ZERO });
        }
        if now >= self.pause_until {
            self.send()?;
        }
        self.shared.settle(&*self.own, now);
        self.housekeeping(now);
        if waits {
            self.wait(now);
        }
        Ok(())
    }

    /// Records that are in the own log alone.
    pub fn behind(&self) -> u64 {
        let behind = |(partition, lane): (u32, &Lane)| {
            self.own.range(partition).end.saturating_sub(lane.acked())
        };
        (0..).zip(&self.lanes).map(behind).sum()
    }

    fn hear(&mut self, timeout: Duration) {
        let under_way = self.lanes.iter().any(Lane::is_under_way);
        self.outcomes.clear();
        self.remote.outcomes(if under_way { timeout } else { Duration::ZERO }, &mut self.outcomes);
        let mut failed = None;
        for outcome in &self.outcomes {
            let lane = self.lanes.get_mut(outcome.partition as usize);
            match &outcome.result {
                // Behind a failure nothing is believed: it may be of a number that was given twice.
                Ok(_) if failed.is_some() && !planted(Bug::BelievedBehindFailure) => {}
                Ok(append_time) => {
                    let sent_at = lane.and_then(|lane| lane.confirm(outcome.offset));
                    self.shared.note_clock(*append_time, sent_at);
                }
                Err(error) => failed = Some(error.clone()),
            }
        }
        for (partition, lane) in self.lanes.iter_mut().enumerate() {
            lane.skip_to(self.shared.elsewhere(partition));
            self.shared.note_acked(partition, lane.acked());
        }
        if let Some(error) = failed {
            self.start_over(&error);
        }
    }

    /// Everything that is not confirmed is sent again, by a sender that knows nothing of before.
    fn start_over(&mut self, error: &LogError) {
        if self.lanes.iter().any(Lane::is_under_way) {
            self.shared.note_failure(error);
        } else {
            self.shared.note_problem(error);
        }
        if planted(Bug::FailureSkipped) {
            self.lanes.iter_mut().for_each(Lane::give_up);
        } else {
            self.lanes.iter_mut().for_each(Lane::start_over);
        }
        self.replace_sender();
    }

    /// Until there is another sender, nothing is sent, and nothing heard of the one that failed.
    fn replace_sender(&mut self) {
        self.pause_until = monotonic(&*self.clock) + BACKOFF;
        let replaced = self.remote.reset();
        self.owes_reset = replaced.is_err();
        if let Err(error) = replaced {
            self.shared.note_problem(&error);
        }
    }

    fn send(&mut self) -> Result<(), LogError> {
        if self.owes_reset {
            self.replace_sender();
            return Ok(());
        }
        for partition in 0..self.own.partitions() {
            if let Some(refusal) = self.send_lane(partition)? {
                // Who refuses one record may refuse all from now on.
                self.start_over(&refusal);
                break;
            }
        }
        Ok(())
    }

    /// Sends what there is room for; why the sender refuses it, if it does.
    fn send_lane(&mut self, partition: u32) -> Result<Option<LogError>, LogError> {
        let lane = &mut self.lanes[partition as usize];
        let from = lane.sent();
        if from >= self.own.range(partition).end || lane.under_way() >= WINDOW {
            return Ok(None);
        }
        self.batch.clear();
        self.own.read(partition, from, READ_BYTES, &mut self.batch)?;
        let now = Millis(self.clock.now().0 / 1000);
        for (offset, _, payload) in self.batch.iter().take(WINDOW - lane.under_way()) {
            self.stamped.clear();
            restamp(payload, now, &mut self.stamped);
            let to = if planted(Bug::SpooledToNewestPart) && self.shared.has_restarted() {
                self.own.partitions() - 1
            } else if planted(Bug::ResentElsewhere) && self.shared.has_restarted() {
                (partition + 1) % self.own.partitions()
            } else {
                partition
            };
            match self.remote.send(to, offset, &self.stamped) {
                Ok(true) => lane.note_sent(now.0),
                Ok(false) => return Ok(None),
                Err(refusal) => return Ok(Some(refusal)),
            }
        }
        Ok(None)
    }

    fn housekeeping(&mut self, now: Duration) {
        if now >= self.saved + SAVE {
            self.saved = now;
            self.save();
            self.send_again();
        }
        if now >= self.retained + RETAIN {
            self.retained = now;
            let needed = |lane: &Lane| match planted(Bug::RetentionIgnoresCluster) {
                true => u64::MAX,
                false => lane.acked(),
            };
            let floors: Vec<u64> = self.lanes.iter().map(needed).collect();
            // Tried again; what is kept too long costs room alone.
            let _ = self.own.retain(&self.config.retention, &floors);
        }
    }

    /// Sends what was asked for, whatever the cluster has of it: a repeat changes nothing.
    fn send_again(&mut self) {
        if self.owes_reset || monotonic(&*self.clock) < self.pause_until {
            return;
        }
        let now = Millis(self.clock.now().0 / 1000);
        let (disk, dir) = (&*self.disk, &*self.config.dir);
        match self.serving.serve(disk, dir, &*self.own, &mut *self.remote, now) {
            Ok(Served::All | Served::Some) => {}
            Ok(Served::Refused(refusal)) => self.start_over(&refusal),
            Err(error) => self.shared.note_problem(&error),
        }
    }

    /// A position that is not written is older than the truth: that only sends more again.
    fn save(&mut self) {
        let position = if planted(Bug::SentTakenForConfirmed) { Lane::sent } else { Lane::acked };
        let acked: Vec<u64> = self.lanes.iter().map(position).collect();
        if let Err(error) = position::write(&*self.disk, &self.config.dir, &*self.own, &acked) {
            self.shared.note_problem(&error);
        }
    }

    fn wait(&self, now: Duration) {
        if self.lanes.iter().any(Lane::is_under_way) {
            return;
        }
        if now < self.pause_until {
            std::thread::sleep(LOOK);
            return;
        }
        let sent: Vec<u64> = self.lanes.iter().map(Lane::sent).collect();
        self.own.wait(&sent, IDLE);
    }
}

/// Time since the clock's beginning.
fn monotonic(clock: &dyn Clock) -> Duration {
    Duration::from_micros(clock.now().1)
}
