//! Apache Cassandra as a serving store: plain columns, never counters.
//!
//! A row is written with its version as Cassandra's own timestamp: the higher version wins in any
//! order, from any number of writers, without reading first. Where two writers disagree about one
//! version Cassandra would mix their columns; a set beside them, of which each write replaces what
//! is older and nothing else, then holds two digests, and whoever reads the row says so.

mod columns;
mod link;
mod reader;
mod schema;

use super::sqlite::{check_same, other_generation};
use super::{CassandraAddress, LedgerStore, StoreError, View, is_summary, packed};
use click_core::row::Row;
use click_core::types::Millis;
use futures_util::{StreamExt, TryStreamExt, stream};
use link::Link;
use schema::Statements;
use scylla::value::CqlValue;
use std::collections::HashSet;

pub use reader::CassandraReader;

/// Requests that are under way at once.
pub(super) const AT_ONCE: usize = 128;
/// Rows of a batch that are compared with what is there before they are written.
const COMPARED: usize = 64;
/// Owners whose hours are remembered as listed; beyond that all are listed again.
const LISTED: usize = 1_000_000;
/// Greatest generation whose versions Cassandra's signed timestamps order rightly.
const MAX_GENERATION: u16 = 0x7fff;

/// The writing side.
pub struct CassandraStore {
    link: Link,
    statements: Statements,
    generation: u16,
    older: Vec<u16>,
    listed: HashSet<(View, u32, String)>,
}

impl CassandraStore {
    /// Opens or begins the store of a log in a keyspace that [`init`](Self::init) has made.
    ///
    /// # Errors
    /// `OtherLog` if it holds another log; `Refused` if it holds a newer generation or schema, or
    /// there is no keyspace; `Unavailable` if no node answers.
    pub fn open(
        address: &CassandraAddress,
        log_id: &str,
        generation: u16,
    ) -> Result<CassandraStore, StoreError> {
        if generation > MAX_GENERATION {
            let message = format!("generation {generation} is above {MAX_GENERATION}");
            return Err(StoreError::Refused(message));
        }
        let link = Link::connect(address)?;
        let older = link.wait(schema::adopt(&link, log_id, generation))?;
        let statements = link.wait(Statements::prepare(&link, generation))?;
        Ok(CassandraStore { link, statements, generation, older, listed: HashSet::new() })
    }

    /// Makes the keyspace, unless it is there, and brings its tables up to this program.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn init(address: &CassandraAddress) -> Result<Vec<String>, StoreError> {
        schema::init(address)
    }

    async fn write(&self, rows: &[Row]) -> Result<(), StoreError> {
        let newest = schema::number(&self.link, "newest").await?;
        if newest > Some(i64::from(self.generation)) {
            return Err(schema::newer(newest.unwrap_or_default(), self.generation));
        }
        let step = rows.len().div_ceil(COMPARED).max(1);
        let some = stream::iter(rows.iter().step_by(step).map(|row| self.compare(row)));
        some.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        self.list(rows).await?;
        let writes = stream::iter(rows.iter().map(|row| self.put(row)));
        writes.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        Ok(())
    }

    /// A version that is there with other content is said before it is written.
    async fn compare(&self, row: &Row) -> Result<(), StoreError> {
        let view = View::of(&row.key);
        let key = columns::key(row);
        let found = self.link.rows(&self.statements.of(view).get, &key).await?;
        match found.into_iter().next() {
            Some(found) => check_same(&columns::read(view, found)?, row),
            None => Ok(()),
        }
    }

    async fn put(&self, row: &Row) -> Result<(), StoreError> {
        let view = View::of(&row.key);
        self.link.run(&self.statements.of(view).put, &columns::values(row)?).await
    }

    /// Lists what scans look for, before it is there: an hour, and whose rows it has.
    async fn list(&self, rows: &[Row]) -> Result<(), StoreError> {
        let mut new: HashSet<(View, u32, &str)> = HashSet::new();
        for row in rows {
            let (view, hour) = (View::of(&row.key), row.minute.0 / packed::HOUR);
            let owner = packed::owner(&row.key);
            // Sums are asked for by name, and are no part of the whole.
            if !is_summary(owner) && !self.listed.contains(&(view, hour, owner.to_owned())) {
                new.insert((view, hour, owner));
            }
        }
        let list = |(view, hour, owner): (View, u32, &str)| {
            let values = [
                CqlValue::BigInt(i64::from(hour)),
                CqlValue::Int(columns::bucket(owner)),
                CqlValue::Text(owner.to_owned()),
            ];
            async move { self.link.run(&self.statements.of(view).list, &values).await }
        };
        let hours: HashSet<(View, u32)> =
            new.iter().map(|(view, hour, _)| (*view, *hour)).collect();
        for (view, hour) in hours {
            let values = [columns::letter(view), CqlValue::BigInt(i64::from(hour))];
            self.link.run(&self.statements.put_hour, &values).await?;
        }
        let lists = stream::iter(new.into_iter().map(list));
        lists.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        Ok(())
    }

    fn remember(&mut self, rows: &[Row]) {
        if self.listed.len() > LISTED {
            self.listed.clear();
        }
        for row in rows {
            let (view, hour) = (View::of(&row.key), row.minute.0 / packed::HOUR);
            self.listed.insert((view, hour, packed::owner(&row.key).to_owned()));
        }
    }

    /// Serves this generation alone once it knows as much as those before.
    async fn retire_older(&self, mark: Millis) -> Result<bool, StoreError> {
        for old in &self.older {
            if schema::mark(&self.link, *old).await? > mark {
                return Ok(false);
            }
        }
        schema::serve(&self.link, self.generation).await?;
        for old in &self.older {
            schema::drop_tables(&self.link, *old).await?;
        }
        Ok(true)
    }
}

impl LedgerStore for CassandraStore {
    fn upsert(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        let wrong = rows.iter().find(|row| row.version.generation() != self.generation);
        if let Some(row) = wrong {
            return Err(other_generation(row.version, self.generation));
        }
        columns::check_batch(rows)?;
        self.link.wait(self.write(rows))?;
        self.remember(rows);
        Ok(())
    }

    fn set_mark(&mut self, mark: Millis) -> Result<(), StoreError> {
        self.link.wait(schema::put_mark(&self.link, self.generation, mark))?;
        if !self.older.is_empty() && self.link.wait(self.retire_older(mark))? {
            self.older.clear();
        }
        Ok(())
    }

    fn wants_summaries(&self) -> bool {
        true
    }

    fn mark(&mut self) -> Result<Millis, StoreError> {
        self.link.wait(schema::mark(&self.link, self.generation))
    }
}
