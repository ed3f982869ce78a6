//! The embedded serving store: one SQLite file that the `sqlite3` tool reads.
//!
//! Rows and mark are written in one transaction, flushed before it is confirmed: the engine may
//! forget a row once the store has confirmed it. Must never lower a row's version or the mark.

use super::query::View;
use super::{LedgerStore, StoreError, columns};
use click_core::row::{Row, RowKey};
use click_core::types::{Millis, Version};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};
use std::path::Path;

const SCHEMA: &str = include_str!("schema.sql");
const SCHEMA_VERSION: i64 = 1;
/// Page cache of the writer, KiB.
const CACHE_KIB: i64 = 128 * 1024;
/// The log is folded back into the file at about this many pages (4 KiB each).
const WAL_PAGES: i64 = 16_384;
/// How long a writer waits for another one, ms.
pub(super) const BUSY_MS: u64 = 5_000;
/// Greatest generation whose versions SQLite's signed integers order rightly.
const MAX_GENERATION: u16 = 0x7fff;
/// Prepared statements kept by a connection.
const STATEMENTS: usize = 32;

/// The writing side; readers are [`SqliteReader`](super::SqliteReader)s on the same file.
pub struct SqliteStore {
    connection: Connection,
    generation: u16,
    sql: [Sql; 2],
}

/// Statements of a view.
struct Sql {
    upsert: String,
    get: String,
}

impl SqliteStore {
    /// Opens or creates the store of a log. Rows and mark of an older generation are dropped.
    ///
    /// # Errors
    /// `OtherLog` if the file belongs to another log; `Refused` if it belongs to a newer generation
    /// or schema; `Unavailable` if SQLite cannot open it.
    pub fn open(path: &Path, log_id: &str, generation: u16) -> Result<SqliteStore, StoreError> {
        if generation > MAX_GENERATION {
            let message = format!("generation {generation} is above {MAX_GENERATION}");
            return Err(StoreError::Refused(message));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)
            .map_err(|error| StoreError::Unavailable(format!("{}: {error}", path.display())))?;
        configure(&connection)?;
        adopt(&mut connection, log_id, generation)?;
        let views = [View::Ad, View::Publisher];
        Ok(SqliteStore {
            connection,
            generation,
            sql: views
                .map(|view| Sql { upsert: columns::upsert_sql(view), get: columns::get_sql(view) }),
        })
    }

    fn write(&mut self, rows: &[Row], mark: Option<Millis>) -> Result<(), StoreError> {
        let wrong = rows.iter().find(|row| row.version.generation() != self.generation);
        if let Some(row) = wrong {
            return Err(other_generation(row.version, self.generation));
        }
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for view in [View::Ad, View::Publisher] {
            let of_view = rows.iter().filter(|row| View::of(&row.key) == view);
            upsert_rows(&transaction, view, of_view.collect(), &self.sql[view as usize])?;
        }
        if let Some(mark) = mark {
            raise_mark(&transaction, mark)?;
        }
        transaction.commit()?;
        Ok(())
    }
}

impl LedgerStore for SqliteStore {
    fn upsert(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        self.write(rows, None)
    }

    fn set_mark(&mut self, mark: Millis) -> Result<(), StoreError> {
        self.write(&[], Some(mark))
    }

    fn mark(&mut self) -> Result<Millis, StoreError> {
        read_mark(&self.connection)
    }

    fn publish(&mut self, rows: &[Row], mark: Millis) -> Result<(), StoreError> {
        self.write(rows, Some(mark))
    }
}

fn configure(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL: a confirmed row survives a power cut. One flush per publish interval costs nothing,
    // and without it a checkpoint could forget a row that the file then loses.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
    Ok(())
}

/// Creates the schema and makes the file this log's, or refuses.
fn adopt(connection: &mut Connection, log_id: &str, generation: u16) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let schema: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if schema > SCHEMA_VERSION {
        return Err(StoreError::Refused(format!(
            "the store has schema {schema}, this program knows {SCHEMA_VERSION}: upgrade it"
        )));
    }
    transaction.execute_batch(SCHEMA)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    let found: Option<String> = get_meta(&transaction, "log_id")?;
    if let Some(found) = found.filter(|found| found != log_id) {
        return Err(StoreError::OtherLog { found, expected: log_id.into() });
    }
    let newest = get_meta::<u16>(&transaction, "generation")?.unwrap_or(generation);
    if newest > generation {
        return Err(StoreError::Refused(format!(
            "the store serves generation {newest}, this log is generation {generation}"
        )));
    }
    if newest < generation {
        transaction.execute_batch("DELETE FROM ad_minutes; DELETE FROM publisher_minutes;")?;
        put_meta(&transaction, "mark", 0)?;
    }
    put_meta(&transaction, "log_id", log_id)?;
    put_meta(&transaction, "generation", generation)?;
    transaction.execute("INSERT OR IGNORE INTO meta VALUES ('mark', 0)", [])?;
    transaction.commit()?;
    Ok(())
}

fn get_meta<T: rusqlite::types::FromSql>(
    connection: &Connection,
    key: &str,
) -> Result<Option<T>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key=?")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}

fn put_meta(
    connection: &Connection,
    key: &str,
    value: impl rusqlite::ToSql,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?,?)")?;
    statement.execute((key, value))?;
    Ok(())
}

/// The mark as this connection's transaction sees it.
pub(super) fn read_mark(connection: &Connection) -> Result<Millis, StoreError> {
    let mark: Option<i64> = get_meta(connection, "mark")?;
    let mark = u64::try_from(mark.unwrap_or(0))
        .map_err(|_| StoreError::Refused("the store's mark is negative".into()))?;
    Ok(Millis(mark))
}

fn raise_mark(transaction: &Transaction<'_>, mark: Millis) -> Result<(), StoreError> {
    let mark = i64::try_from(mark.0)
        .map_err(|_| StoreError::Refused(format!("mark {} is beyond time", mark.0)))?;
    let sql = "UPDATE meta SET value=max(value, ?) WHERE key='mark'";
    transaction.prepare_cached(sql)?.execute([mark])?;
    Ok(())
}

fn upsert_rows(
    transaction: &Transaction<'_>,
    view: View,
    mut rows: Vec<&Row>,
    sql: &Sql,
) -> Result<(), StoreError> {
    // In the table's order neighbours share pages.
    rows.sort_by(|a, b| (a.minute, &a.key).cmp(&(b.minute, &b.key)));
    let mut upsert = transaction.prepare_cached(&sql.upsert)?;
    let mut get = transaction.prepare_cached(&sql.get)?;
    for row in rows {
        let next = columns::bind_key(&mut upsert, row)?;
        columns::bind_values(&mut upsert, next, row)?;
        if upsert.raw_execute()? == 1 {
            continue;
        }
        columns::bind_key(&mut get, row)?;
        let mut found = get.raw_query();
        match found.next()? {
            Some(kept) => check_same(&columns::read_row(view, kept)?, row)?,
            None => {
                return Err(StoreError::Unavailable("a row was neither written nor there".into()));
            }
        }
    }
    Ok(())
}

/// An older or equal row is no news; equal version with other content is a defect.
pub(super) fn check_same(kept: &Row, offered: &Row) -> Result<(), StoreError> {
    if kept.version != offered.version || kept.counts == offered.counts {
        return Ok(());
    }
    Err(StoreError::Conflict {
        key: key_text(offered),
        version: offered.version.0,
        detail: format!("kept {:?}, offered {:?}", kept.counts, offered.counts),
    })
}

pub(super) fn other_generation(version: Version, generation: u16) -> StoreError {
    let found = version.generation();
    StoreError::Refused(format!("a row of generation {found} for a store of {generation}"))
}

fn key_text(row: &Row) -> String {
    let posted = row.posted_minute.map_or(String::new(), |minute| format!(" posted {}", minute.0));
    let key = match &*row.key {
        RowKey::Ad { ad_id, currency, campaign_id, advertiser_id } => {
            format!("ad {ad_id:?} {currency:?} {campaign_id:?} {advertiser_id:?}")
        }
        RowKey::Publisher { publisher_id, placement_id, currency } => {
            format!("publisher {publisher_id:?} {placement_id:?} {currency:?}")
        }
    };
    format!("{key} minute {}{posted}", row.minute.0)
}
