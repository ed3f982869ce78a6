//! Serving stores: absolute rows, upserted only by a higher version (SPEC §5).
//!
//! A store never computes: it keeps what it is given, refuses rows of another log, and remembers
//! the mark below which it has everything. Reports are read through [`LedgerReader`].

mod address;
mod calendar;
#[cfg(feature = "cassandra")]
mod cassandra;
mod columns;
mod instants;
mod late;
mod memory;
mod newest;
#[cfg(any(feature = "redis", feature = "cassandra"))]
mod packed;
mod query;
mod reader;
#[cfg(feature = "redis")]
mod redis;
mod sqlite;
mod summaries;

use click_core::row::Row;
#[cfg(any(feature = "redis", feature = "cassandra"))]
use click_core::row::RowKey;
use click_core::types::Millis;
#[cfg(any(feature = "redis", feature = "cassandra"))]
use click_core::types::Minute;

#[cfg(feature = "cassandra")]
pub use self::cassandra::{CassandraReader, CassandraStore};
#[cfg(feature = "redis")]
pub use self::redis::{RedisReader, RedisStore};
pub use address::{CassandraAddress, Consistency, StoreAddress, store_list, without_logins};
pub use calendar::{Buckets, Calendar, CalendarError, Step};
pub use instants::{Instants, Mark, WholeInstant};
pub use late::LateStore;
pub use memory::MemoryStore;
pub use newest::NewestRows;
pub use query::{
    GroupBy, LedgerReader, MinuteRow, QueryError, Scan, ScanOrder, Sort, Sums, TotalRow,
    TotalsQuery, View, ad_minutes, sealed_at, totals, totals_of,
};
pub use reader::SqliteReader;
pub use sqlite::SqliteStore;
pub use summaries::{Summaries, is_summary, is_summary_row, summary_id};

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached or failed; the outcome is unknown, trying again is safe.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// Two writers disagree about one version of a row: a defect, never to be papered over.
    #[error("row {key} has two contents at version {version}: {detail}")]
    Conflict {
        /// The row's key as text.
        key: String,
        /// The version both claim.
        version: u64,
        /// How they differ.
        detail: String,
    },
    /// The store serves another log.
    #[error("the store belongs to log {found}, not {expected}: use a store of its own")]
    OtherLog {
        /// Log id in the store.
        found: String,
        /// Log id of the engine.
        expected: String,
    },
    /// The store has lost what it had confirmed, as after a failover: it is back at an older mark.
    #[error("the store lost rows: it is at {}, had confirmed all up to {}", .mark.0, .confirmed.0)]
    Lost {
        /// What it has all rows up to.
        mark: Millis,
        /// What it had confirmed.
        confirmed: Millis,
    },
    /// The store or the row cannot be right; trying again would not help.
    #[error("store refused: {0}")]
    Refused(String),
}

#[cfg(any(feature = "redis", feature = "cassandra"))]
type Place<'r> = (&'r str, &'r str, Minute, Option<Minute>, &'r str, &'r str, &'r str);

/// Key columns in the order of SPEC §11; an absent posted minute comes first.
#[cfg(any(feature = "redis", feature = "cassandra"))]
fn order(row: &Row) -> Place<'_> {
    let (minute, posted) = (row.minute, row.posted_minute);
    match &*row.key {
        RowKey::Ad { ad_id, currency, campaign_id, advertiser_id } => {
            (ad_id, "", minute, posted, currency, campaign_id, advertiser_id)
        }
        RowKey::Publisher { publisher_id, placement_id, currency } => {
            (publisher_id, placement_id, minute, posted, currency, "", "")
        }
    }
}

/// A store that the engine publishes rows to.
pub trait LedgerStore: Send {
    /// Writes each row unless the store already has that key at the same or a higher version.
    ///
    /// # Errors
    /// `Conflict` if a key has other content at the same version: what was kept stays, and a store
    /// with transactions writes nothing of the batch. `Refused` for a row of another generation:
    /// nothing of the batch is written then. `Lost` if the store fell back behind its mark: what
    /// changed since has to be written again.
    fn upsert(&mut self, rows: &[Row]) -> Result<(), StoreError>;
    /// Remembers that all rows changed before `mark` are here. Never goes back.
    fn set_mark(&mut self, mark: Millis) -> Result<(), StoreError>;
    /// The mark last set; 0 for an empty store.
    fn mark(&mut self) -> Result<Millis, StoreError>;
    /// Whether it may lose what it has confirmed, so that its rows are worth keeping for a while.
    fn may_fall_back(&self) -> bool {
        false
    }
    /// Whether it is given the sums of each advertiser, too: [`Summaries`].
    fn wants_summaries(&self) -> bool {
        false
    }
    /// `upsert` and `set_mark` as one step where the store can, so that a reader sees both.
    ///
    /// # Errors
    /// As [`upsert`](Self::upsert).
    fn publish(&mut self, rows: &[Row], mark: Millis) -> Result<(), StoreError> {
        self.upsert(rows)?;
        self.set_mark(mark)
    }
}
