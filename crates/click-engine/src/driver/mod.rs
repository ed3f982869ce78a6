//! The engine: reads the log, folds it, publishes rows, takes checkpoints (SPEC §5, §6).
//!
//! [`Engine::step`] is one bounded unit of work and touches no clock but the one it was given, so
//! that threads and simulations run the same function. Decides nothing about a click.

mod config;
mod dead_letters;
mod follow;
mod intake;
mod mirror;
mod outbox;
mod parallel;
mod refold;
mod restore;
mod run;
mod saver;

pub use config::{EngineConfig, EngineParts, NeededFrom, PublishMode};
pub use outbox::Outbox;
pub use parallel::Threads;
pub use refold::{FinalVerdict, RefoldSink, RefoldSummary, refold, refold_under};
pub use restore::append_header;

use crate::checkpoint::{CheckpointDir, CheckpointError, Runs};
use crate::disk::unless_full;
use crate::live::{EngineStatus, LiveRow, LiveUpdate};
use crate::log::{Clock, EventLog, LogError};
use crate::store::{StoreError, Summaries};
use click_core::fold::{Effects, Fold};
use click_core::policy::Timeline;
use click_core::row::Row;
use click_core::types::{Millis, Offset};
use dead_letters::DeadLetters;
use intake::Intake;
use mirror::{Mirror, Problem};
use saver::Saver;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most gaps that are told one by one.
const MAX_GAPS: usize = 1000;

/// Why the engine stops.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The log cannot be read or appended to.
    #[error("log: {0}")]
    Log(#[from] LogError),
    /// A checkpoint cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The store contradicts the ledger.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file system failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// State and log do not fit together.
    #[error("{0}")]
    Mismatch(String),
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Records read from the log.
    pub records: usize,
    /// Whether the watermark moved.
    pub advanced: bool,
}

/// The native engine of one log.
pub struct Engine {
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    config: EngineConfig,
    threads: Threads,
    fold: Fold,
    intake: Intake,
    effects: Effects,
    outbox: Arc<Outbox>,
    /// Why the first store took nothing the last time.
    problem: Problem,
    mirrors: Vec<Mirror>,
    /// Rows and mark of the checkpoint that this began with, for stores that are added.
    restored: (Vec<Row>, Millis),
    /// Sums by advertiser, if a store wants them, and whether the first one does.
    summaries: Option<Summaries>,
    first_wants_summaries: bool,
    runs: Runs,
    saver: Saver,
    sink: Option<Arc<dyn crate::live::LiveSink>>,
    dead_letters: DeadLetters,
    status: Arc<Mutex<EngineStatus>>,
    last_live: Duration,
    /// The watermark has moved since live views were told.
    live_owed: bool,
    last_publish: Duration,
    last_checkpoint: Duration,
    journalled: u64,
}

impl Engine {
    /// One bounded unit of work: read, fold, hand changed rows to the publisher, and now and then
    /// begin a checkpoint.
    pub fn step(&mut self) -> Result<Step, EngineError> {
        let records = self.intake.read(&*self.log, &mut self.fold, &self.threads)?;
        let advanced = self.advance()?;
        self.live_owed |= advanced;
        self.tell_live();
        self.checkpoint_if_due()?;
        self.update_status();
        Ok(Step { records, advanced })
    }

    fn advance(&mut self) -> Result<bool, EngineError> {
        let w = self.fold.possible_watermark();
        if w <= self.fold.watermark() {
            return Ok(false);
        }
        let publish = self.is_publish_due();
        self.fold_to(w, publish)?;
        let dead = &self.effects.dead_letters;
        // What does not fit stays in the click log, and is counted.
        let result = unless_full(self.dead_letters.write(&*self.log, dead));
        result.map_err(|source| EngineError::Io { what: "dead-letter log", source })?;
        if publish {
            self.hand_to_stores(w);
        }
        Ok(true)
    }

    /// Folds up to `w`, and journals what the dedup set remembers of it.
    fn fold_to(&mut self, w: Millis, publish: bool) -> Result<(), EngineError> {
        self.effects.clear();
        self.fold.advance(w, publish, &self.threads, &mut self.effects);
        for journal in &self.effects.journals {
            self.journalled += journal.claims.len() as u64;
            let result = self.runs.append(journal);
            result.map_err(|source| EngineError::Io { what: "journal of claims", source })?;
        }
        Ok(())
    }

    /// Rows are published once per interval, and whenever nothing is left to read.
    fn is_publish_due(&mut self) -> bool {
        let now = monotonic(&*self.clock);
        let due = now.saturating_sub(self.last_publish) >= self.config.publish_interval;
        if due {
            self.last_publish = now;
        }
        due || Intake::is_at_end(&*self.log, &self.fold)
    }

    fn tell_live(&mut self) {
        let Some(sink) = &self.sink else { return };
        let now = monotonic(&*self.clock);
        let waited = now.saturating_sub(self.last_live);
        if !self.live_owed || waited < self.config.live_interval {
            return;
        }
        self.live_owed = false;
        let mut rows = Vec::new();
        self.fold.take_touched(|row, sealed| rows.push(LiveRow { row, sealed }));
        self.last_live = now;
        let (as_of, arriving) = (self.fold.watermark(), self.fold.arriving());
        sink.publish(LiveUpdate { as_of, arriving, rows });
    }

    /// How long until live views are to be told; `None` if they know everything.
    fn live_due_in(&self) -> Option<Duration> {
        let owed = self.live_owed && self.sink.is_some();
        let waited = monotonic(&*self.clock).saturating_sub(self.last_live);
        owed.then(|| self.config.live_interval.saturating_sub(waited))
    }

    fn checkpoint_if_due(&mut self) -> Result<(), EngineError> {
        let since = monotonic(&*self.clock).saturating_sub(self.last_checkpoint);
        let many = self.journalled >= self.config.checkpoint_claims;
        if (since >= self.config.checkpoint_interval || many) && self.saver.is_idle()? {
            self.begin_checkpoint()?;
            let floors = self.needed_from();
            self.log.publish_positions(&floors);
            self.log.retain(&self.config.retention, &floors)?;
        }
        Ok(())
    }

    /// Per partition the offset below which neither checkpoints nor the archive need the log.
    fn needed_from(&self) -> Vec<u64> {
        let mut floors = self.saver.floors(self.log.partitions());
        if let Some(needed) = &self.config.needed_from {
            let needed = lock(needed);
            for (partition, floor) in floors.iter_mut().enumerate() {
                *floor = needed.get(partition).copied().unwrap_or(0).min(*floor);
            }
        }
        floors
    }

    /// Rows in memory, as of the watermark.
    pub fn for_each_open_row(&mut self, f: impl FnMut(Row)) {
        self.fold.for_each_open_row(f);
    }

    /// The policies of the log.
    pub const fn timeline(&self) -> &Timeline {
        self.fold.timeline()
    }

    /// W.
    pub const fn watermark(&self) -> Millis {
        self.fold.watermark()
    }

    /// The cell that says how the engine is doing; it outlives the engine.
    pub fn status(&self) -> Arc<Mutex<EngineStatus>> {
        self.status.clone()
    }

    /// Bytes of memory of the dedup set, and of D2's ten minutes.
    pub fn dedup_memory(&self) -> (usize, usize) {
        self.fold.dedup_memory()
    }

    fn update_status(&self) {
        let totals = *self.fold.totals();
        let waiting = self.outbox.progress();
        let mut status = lock(&self.status);
        status.watermark = self.fold.watermark();
        status.read_to = Intake::read_to(&self.fold);
        let behind = |(partition, read): (u32, &Offset)| {
            self.log.range(partition).end.saturating_sub(read.0)
        };
        status.lag = (0..).zip(&status.read_to).map(behind).sum();
        status.arriving = self.fold.arriving();
        status.measured = totals.measured;
        status.pending = self.fold.pending() as u64;
        status.by_class = totals.by_class;
        status.repeats = self.fold.repeats();
        status.gaps = self.fold.gaps();
        status.open_gaps = if status.gaps > 0 { self.fold.open_gaps(MAX_GAPS) } else { Vec::new() };
        status.dead_letters = totals.dead_letters;
        status.checkpoint = self.saver.watermark();
        status.store_mark = waiting.mark;
        status.rows_waiting = waiting.rows;
        status.stores = self.store_statuses();
        status.rows_open = self.fold.open_rows() as u64;
        status.claims = self.fold.claims();
        status.no_room = self.saver.is_full;
    }
}

/// Time since the clock's beginning; steps of the wall clock do not touch it.
fn monotonic(clock: &dyn Clock) -> Duration {
    Duration::from_micros(clock.now().1)
}

/// Locks a mutex whose data stays whole even if a holder panicked: plain facts, written at once.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn checkpoint_dir(
    disk: Arc<dyn crate::disk::Disk>,
    dir: &std::path::Path,
) -> Result<CheckpointDir, EngineError> {
    Ok(CheckpointDir::open(disk, dir)?)
}
