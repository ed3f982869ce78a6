//! What the engine tells live views: rows as of a watermark finer than the publishing grid, and
//! the numbers that say how it is doing. Read-only facts; nothing here is billed.

use click_core::fold::Gap;
use click_core::row::Row;
use click_core::types::{Millis, Offset};
use click_core::verdict::CLASSES;

/// A row as of the watermark; its version is that of its last published content.
#[derive(Clone, Debug)]
pub struct LiveRow {
    /// The row's key, minute and counts.
    pub row: Row,
    /// Whether the row can still change.
    pub sealed: bool,
}

/// The rows that changed since the update before.
#[derive(Clone, Debug, Default)]
pub struct LiveUpdate {
    /// The watermark W that the rows are true as of.
    pub as_of: Millis,
    /// Clicks read beyond W: arriving, not yet counted anywhere.
    pub arriving: u64,
    /// Changed rows of both views, in no particular order.
    pub rows: Vec<LiveRow>,
}

/// Receives updates on the engine's thread; must not block.
pub trait LiveSink: Send + Sync {
    /// Called after a step that changed something, at most once per `live_interval`.
    fn publish(&self, update: LiveUpdate);
}

/// How a store is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// Its address.
    pub name: String,
    /// All rows changed before this are in it.
    pub mark: Millis,
    /// Rows that it has not confirmed.
    pub rows_waiting: u64,
    /// It lacks rows that the engine does not hold any more: `clickledger store rebuild` fills it.
    pub lacks: bool,
    /// Why it took nothing the last time, if it did not.
    pub problem: Option<String>,
}

/// How the engine is doing; counts are since the log's first record, as of `watermark`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineStatus {
    /// The watermark W.
    pub watermark: Millis,
    /// Next offset to read, per partition.
    pub read_to: Vec<Offset>,
    /// Records that the log has and the engine has not read.
    pub lag: u64,
    /// Clicks read beyond W.
    pub arriving: u64,
    /// Measured clicks with `fold_time < W`.
    pub measured: u64,
    /// Those whose verdict is not final yet.
    pub pending: u64,
    /// Final clicks by primary class.
    pub by_class: [u64; CLASSES],
    /// Records dropped because their transport identity was seen before.
    pub repeats: u64,
    /// Records known to be missing, open gaps and given-up ones.
    pub gaps: u64,
    /// The first of them, by place.
    pub open_gaps: Vec<Gap>,
    /// Undecodable records.
    pub dead_letters: u64,
    /// Watermark of the newest whole checkpoint.
    pub checkpoint: Millis,
    /// All rows changed before this are in the store.
    pub store_mark: Millis,
    /// Rows that the store has not confirmed.
    pub rows_waiting: u64,
    /// Every store, the one that `store_mark` and `rows_waiting` tell of first.
    pub stores: Vec<StoreStatus>,
    /// Rows held in memory, not sealed.
    pub rows_open: u64,
    /// Claims held by the dedup set.
    pub claims: u64,
    /// The disk had no room for the last checkpoint.
    pub no_room: bool,
    /// What an operator should know of the last start.
    pub warnings: Vec<String>,
    /// Why the engine stopped, if it did.
    pub failed: Option<String>,
}
