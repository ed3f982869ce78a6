//! What an engine is made of and how it is set.

use crate::disk::Disk;
use crate::live::{EngineStatus, LiveSink};
use crate::log::{Clock, EventLog, Retention};
use crate::store::LedgerStore;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// When changed rows go to the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PublishMode {
    /// Every publish interval; a change of `pending` alone is not written.
    #[default]
    Live,
    /// Once all clicks of the minute are final, and again for what changes it later.
    Minute,
}

/// Settings of the engine.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Threads, and shards, of the fold.
    pub threads: usize,
    /// When changed rows go to the store.
    pub publish_mode: PublishMode,
    /// Least time between two writes to the store.
    pub publish_interval: Duration,
    /// Least time between two checkpoints.
    pub checkpoint_interval: Duration,
    /// A checkpoint is due after so many new claims, too.
    pub checkpoint_claims: u64,
    /// Least time between two updates of live views.
    pub live_interval: Duration,
    /// Least time between two steps, so that a trickle of clicks does not cost a step each.
    pub step_interval: Duration,
    /// A tick is appended to a partition in which nobody has appended for this long.
    pub tick_after: Duration,
    /// Most bytes that a step reads for each of its threads: few enough that what the stages hand
    /// each other stays in a core's second-level cache.
    pub step_bytes: usize,
    /// What the log keeps beyond what checkpoints need.
    pub retention: Retention,
    /// Per partition the offset from which on somebody else needs the log: the archive.
    pub needed_from: Option<NeededFrom>,
    /// Somebody else decides: see [`Fold::sequencing`](click_core::fold::Fold::sequencing).
    pub is_sequencing: bool,
}

/// Offsets that a reader of the log tells its engine of; empty: from the beginning.
pub type NeededFrom = Arc<Mutex<Vec<u64>>>;

impl Default for EngineConfig {
    fn default() -> EngineConfig {
        EngineConfig {
            threads: 1,
            publish_mode: PublishMode::Live,
            publish_interval: Duration::from_secs(1),
            checkpoint_interval: Duration::from_secs(10),
            checkpoint_claims: 5_000_000,
            live_interval: Duration::from_millis(50),
            step_interval: Duration::from_millis(10),
            tick_after: Duration::from_millis(100),
            step_bytes: 1 << 20,
            retention: Retention::default(),
            needed_from: None,
            is_sequencing: false,
        }
    }
}

/// The parts that an engine is put together from.
pub struct EngineParts {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The file system of checkpoints and dead letters.
    pub disk: Arc<dyn Disk>,
    /// The clock of ticks and intervals; decides nothing about a click.
    pub clock: Arc<dyn Clock>,
    /// Directory of the checkpoints.
    pub checkpoints: PathBuf,
    /// Directory of the dead-letter log.
    pub dead_letters: PathBuf,
    /// The serving store, if rows are published at all.
    pub store: Option<Box<dyn LedgerStore>>,
    /// Live views.
    pub sink: Option<Arc<dyn LiveSink>>,
    /// Where the engine says how it is doing.
    pub status: Arc<Mutex<EngineStatus>>,
}
