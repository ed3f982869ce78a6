//! How a row is spelled in SQL columns, for both views: statement texts, binding, reading back.
//!
//! Must never lose a digit: a sum that does not fit 64 bits is kept as decimal text, and a count
//! or version that SQLite cannot hold is refused.

use super::StoreError;
use super::query::{ScanOrder, View};
use click_core::row::{Counts, Row, RowKey};
use click_core::types::{Minute, Version};
use click_core::verdict::{CLASSES, Class};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Statement, ToSql};
use std::sync::Arc;

/// `posted_minute` of an ordinary row; sorts before every real minute.
const ORDINARY: i64 = -1;

impl View {
    /// Table, key columns in the order of SPEC §11, and sum column.
    const fn names(self) -> (&'static str, &'static [&'static str], &'static str) {
        match self {
            View::Ad => (
                "ad_minutes",
                &["ad_id", "minute", "posted_minute", "currency", "campaign_id", "advertiser_id"],
                "spend_micros",
            ),
            View::Publisher => (
                "publisher_minutes",
                &["publisher_id", "placement_id", "minute", "posted_minute", "currency"],
                "payout_micros",
            ),
        }
    }
}

/// Value columns: counts, sum, version.
fn values(view: View) -> Vec<&'static str> {
    let classes = Class::ALL.into_iter().map(Class::code);
    ["measured", "pending"].into_iter().chain(classes).chain([view.names().2, "version"]).collect()
}

/// Inserts a row, or replaces one of a lower version; changes nothing otherwise.
pub(super) fn upsert_sql(view: View) -> String {
    let (table, keys, _) = view.names();
    let values = values(view);
    let columns: Vec<_> = keys.iter().copied().chain(values.iter().copied()).collect();
    let marks = vec!["?"; columns.len()].join(",");
    let sets: Vec<_> = values.iter().map(|name| format!("{name}=excluded.{name}")).collect();
    format!(
        "INSERT INTO {table} ({}) VALUES ({marks}) ON CONFLICT DO UPDATE SET {} \
         WHERE excluded.version > version",
        columns.join(","),
        sets.join(",")
    )
}

/// Reads the row of one key.
pub(super) fn get_sql(view: View) -> String {
    let (table, keys, _) = view.names();
    let wheres: Vec<_> = keys.iter().map(|name| format!("{name}=?")).collect();
    format!("SELECT {} FROM {table} WHERE {}", columns(view), wheres.join(" AND "))
}

/// Reads rows with `?1 <= minute < ?2`, of the first key column's value `?3` alone if `one`.
pub(super) fn scan_sql(view: View, one: bool, order: ScanOrder) -> String {
    let (table, keys, _) = view.names();
    let only = if one { format!(" AND {}=?3", keys[0]) } else { String::new() };
    let by = match order {
        ScanOrder::Any => String::new(),
        ScanOrder::Key => format!(" ORDER BY {}", keys.join(",")),
    };
    let columns = columns(view);
    format!("SELECT {columns} FROM {table} WHERE minute>=?1 AND minute<?2{only}{by}")
}

fn columns(view: View) -> String {
    let keys = view.names().1.iter().copied();
    keys.chain(values(view)).collect::<Vec<_>>().join(",")
}

/// Binds a row's key at 1.. and returns the next index.
pub(super) fn bind_key(statement: &mut Statement<'_>, row: &Row) -> rusqlite::Result<usize> {
    let minute = i64::from(row.minute.0);
    let posted = row.posted_minute.map_or(ORDINARY, |minute| i64::from(minute.0));
    let texts: &[&dyn ToSql] = match &*row.key {
        RowKey::Ad { ad_id, currency, campaign_id, advertiser_id } => {
            &[ad_id, &minute, &posted, currency, campaign_id, advertiser_id]
        }
        RowKey::Publisher { publisher_id, placement_id, currency } => {
            &[publisher_id, placement_id, &minute, &posted, currency]
        }
    };
    for (index, value) in texts.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, value)?;
    }
    Ok(texts.len() + 1)
}

/// Binds a row's counts, sum and version from `next` on.
pub(super) fn bind_values(
    statement: &mut Statement<'_>,
    next: usize,
    row: &Row,
) -> Result<(), StoreError> {
    let counts = [row.counts.measured, row.counts.pending];
    let counts = counts.iter().chain(&row.counts.by_class).copied().map(integer);
    let sum = Ok(money(row.counts.sum_micros));
    let version = integer(row.version.0);
    for (index, value) in counts.chain([sum, version]).enumerate() {
        statement.raw_bind_parameter(next + index, value?)?;
    }
    Ok(())
}

fn integer(value: u64) -> Result<ToSqlOutput<'static>, StoreError> {
    let value = i64::try_from(value)
        .map_err(|_| StoreError::Refused(format!("{value} does not fit an SQLite integer")))?;
    Ok(ToSqlOutput::from(value))
}

fn money(sum: i128) -> ToSqlOutput<'static> {
    let value = i64::try_from(sum).map_or_else(|_| Value::Text(sum.to_string()), Value::Integer);
    ToSqlOutput::Owned(value)
}

/// Reads a row of a statement made by this module.
pub(super) fn read_row(view: View, from: &rusqlite::Row<'_>) -> Result<Row, StoreError> {
    let text = |index: usize| from.get_ref(index)?.as_str().map(String::from).map_err(bad);
    let (key, minute_at) = match view {
        View::Ad => {
            let key = RowKey::Ad {
                ad_id: text(0)?,
                currency: text(3)?,
                campaign_id: text(4)?,
                advertiser_id: text(5)?,
            };
            (key, 1)
        }
        View::Publisher => {
            let key = RowKey::Publisher {
                publisher_id: text(0)?,
                placement_id: text(1)?,
                currency: text(4)?,
            };
            (key, 2)
        }
    };
    let posted: i64 = from.get(minute_at + 1)?;
    let posted_minute =
        if posted == ORDINARY { None } else { Some(Minute(u32::try_from(posted).map_err(bad)?)) };
    let (counts, version) = read_values(from, view.names().1.len())?;
    let key = Arc::new(key);
    Ok(Row { key, minute: Minute(from.get(minute_at)?), posted_minute, counts, version })
}

fn read_values(from: &rusqlite::Row<'_>, first: usize) -> Result<(Counts, Version), StoreError> {
    let count = |index: usize| -> Result<u64, StoreError> {
        u64::try_from(from.get::<_, i64>(first + index)?).map_err(bad)
    };
    let mut by_class = [0; CLASSES];
    for (index, slot) in by_class.iter_mut().enumerate() {
        *slot = count(2 + index)?;
    }
    let sum_micros = match from.get_ref(first + 2 + CLASSES)? {
        ValueRef::Integer(value) => i128::from(value),
        ValueRef::Text(text) => {
            std::str::from_utf8(text).map_err(bad)?.parse::<i128>().map_err(bad)?
        }
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => {
            return Err(StoreError::Refused("a sum that is neither integer nor text".into()));
        }
    };
    let counts = Counts { measured: count(0)?, pending: count(1)?, by_class, sum_micros };
    Ok((counts, Version(count(3 + CLASSES)?)))
}

fn bad(error: impl std::fmt::Display) -> StoreError {
    StoreError::Refused(format!("the store holds a value that it never wrote: {error}"))
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        StoreError::Unavailable(error.to_string())
    }
}
