//! Reads of the embedded store from any thread: a pool of read-only connections.
//!
//! A scan sees one snapshot: rows and mark belong together. Must never write or block the writer.

use super::query::{LedgerReader, Scan, View};
use super::sqlite::{BUSY_MS, read_mark};
use super::{StoreError, columns};
use click_core::row::Row;
use click_core::types::Millis;
use rusqlite::{Connection, OpenFlags, ToSql};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Idle connections kept; more may be open while more threads read.
const MAX_IDLE: usize = 8;

/// A cheap handle; clones share the pool.
#[derive(Clone)]
pub struct SqliteReader {
    pool: Arc<Pool>,
}

struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl SqliteReader {
    /// Opens a store that exists.
    ///
    /// # Errors
    /// `Unavailable` if there is no such file or it is no store.
    pub fn open(path: &Path) -> Result<SqliteReader, StoreError> {
        let pool = Pool { path: path.to_path_buf(), idle: Mutex::default() };
        let connection = pool.connect()?;
        read_mark(&connection)?;
        pool.give(connection);
        Ok(SqliteReader { pool: Arc::new(pool) })
    }
}

impl LedgerReader for SqliteReader {
    fn scan(
        &self,
        scan: &Scan<'_>,
        take: &mut dyn FnMut(Row) -> bool,
    ) -> Result<Millis, StoreError> {
        let mut connection = self.pool.take()?;
        let mark = scan_rows(&mut connection, scan, take)?;
        self.pool.give(connection);
        Ok(mark)
    }
}

impl Pool {
    fn connect(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let named = |error| StoreError::Unavailable(format!("{}: {error}", self.path.display()));
        let connection = Connection::open_with_flags(&self.path, flags).map_err(named)?;
        connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
        Ok(connection)
    }

    fn take(&self) -> Result<Connection, StoreError> {
        let idle = self.idle().pop();
        idle.map_or_else(|| self.connect(), Ok)
    }

    fn give(&self, connection: Connection) {
        let mut idle = self.idle();
        if idle.len() < MAX_IDLE {
            idle.push(connection);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn scan_rows(
    connection: &mut Connection,
    scan: &Scan<'_>,
    take: &mut dyn FnMut(Row) -> bool,
) -> Result<Millis, StoreError> {
    let view: View = scan.view;
    let transaction = connection.transaction()?;
    let mark = read_mark(&transaction)?;
    {
        let sql = columns::scan_sql(view, scan.only.is_some(), scan.order);
        let mut statement = transaction.prepare_cached(&sql)?;
        let (from, to) = (scan.minutes.start, scan.minutes.end);
        let mut values: Vec<&dyn ToSql> = vec![&from, &to];
        values.extend(scan.only.as_ref().map(|only| only as &dyn ToSql));
        let mut rows = statement.query(values.as_slice())?;
        while let Some(row) = rows.next()? {
            if !take(columns::read_row(view, row)?) {
                break;
            }
        }
    }
    Ok(mark)
}
