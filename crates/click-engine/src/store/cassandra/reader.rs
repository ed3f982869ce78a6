//! Reads from Cassandra: an ad's days by name; everything by the lists of hours and of whose rows
//! they have, bounded in parallel. The mark is read before the rows, which may be newer than it and
//! never older.

use super::super::query::{LedgerReader, Scan, ScanOrder};
use super::super::{CassandraAddress, StoreError, View, order, packed};
use super::link::Link;
use super::schema::{self, Statements};
use super::{AT_ONCE, columns};
use click_core::row::Row;
use click_core::types::Millis;
use futures_util::{StreamExt, TryStreamExt, stream};
use scylla::value::CqlValue;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Days of ads that are read before rows are handed out.
const PART: usize = 2_048;

/// A cheap handle; clones share the session.
#[derive(Clone)]
pub struct CassandraReader {
    address: CassandraAddress,
    open: Arc<Mutex<Option<Arc<Open>>>>,
}

struct Open {
    link: Link,
    generation: u16,
    statements: Statements,
}

impl CassandraReader {
    /// Reads from a keyspace; it is connected to when something is read.
    ///
    /// # Errors
    /// None yet.
    pub fn open(address: &CassandraAddress) -> Result<CassandraReader, StoreError> {
        Ok(CassandraReader { address: address.clone(), open: Arc::default() })
    }

    /// A session with statements for the generation that is served; `None` if none is.
    fn session(&self) -> Result<Option<Arc<Open>>, StoreError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &*open {
            let serving = open.link.wait(schema::number(&open.link, "serving"))?;
            if serving == Some(i64::from(open.generation)) {
                return Ok(Some(Arc::clone(open)));
            }
        }
        *open = None;
        let link = Link::connect(&self.address)?;
        let serving = link.wait(schema::number(&link, "serving"))?;
        let Some(generation) = serving.and_then(|serving| u16::try_from(serving).ok()) else {
            return Ok(None);
        };
        let statements = link.wait(Statements::prepare(&link, generation))?;
        Ok(Some(Arc::clone(open.insert(Arc::new(Open { link, generation, statements })))))
    }
}

impl LedgerReader for CassandraReader {
    fn scan(
        &self,
        scan: &Scan<'_>,
        take: &mut dyn FnMut(Row) -> bool,
    ) -> Result<Millis, StoreError> {
        let Some(open) = self.session()? else { return Ok(Millis(0)) };
        let mark = open.link.wait(schema::mark(&open.link, open.generation))?;
        if scan.minutes.is_empty() {
            return Ok(mark);
        }
        let wanted = open.link.wait(open.wanted(scan))?;
        let mut rest = wanted.as_slice();
        while !rest.is_empty() {
            let some;
            (some, rest) = rest.split_at(cut(scan, rest));
            let mut rows = open.link.wait(open.rows(scan, some))?;
            if scan.order == ScanOrder::Key {
                rows.sort_by(|a, b| order(a).cmp(&order(b)));
            }
            for row in rows {
                if !take(row) {
                    return Ok(mark);
                }
            }
        }
        Ok(mark)
    }

    fn has_summaries(&self) -> bool {
        true
    }
}

/// Where a part ends that can be put in order by itself: a publisher's rows are ordered by
/// placement before time.
fn cut(scan: &Scan<'_>, rest: &[(String, u32)]) -> usize {
    let most = PART.min(rest.len());
    match (scan.view, scan.order) {
        (View::Ad, _) | (View::Publisher, ScanOrder::Any) => most,
        (View::Publisher, ScanOrder::Key) => {
            let last = &rest[most - 1].0;
            most + rest[most..].iter().take_while(|(owner, _)| owner == last).count()
        }
    }
}

impl Open {
    /// Owners and their days, in order.
    async fn wanted(&self, scan: &Scan<'_>) -> Result<Vec<(String, u32)>, StoreError> {
        let range = scan.minutes.start / packed::HOUR..scan.minutes.end.div_ceil(packed::HOUR);
        let bounds = [range.start, range.end].map(|hour| CqlValue::BigInt(i64::from(hour)));
        let [from, to] = bounds;
        let asked = [columns::letter(scan.view), from, to];
        let hours = self.link.rows(&self.statements.hours, &asked).await?;
        let hour = |row: scylla::value::Row| columns::whole(row.columns.into_iter().next()?);
        let hours: Vec<i64> = hours.into_iter().filter_map(hour).collect();
        let day = |hour: i64| u32::try_from(hour / 24).unwrap_or(0);
        if let Some(owner) = scan.only {
            let days: BTreeSet<u32> = hours.into_iter().map(day).collect();
            return Ok(days.into_iter().map(|day| (owner.to_owned(), day)).collect());
        }
        let parts = hours.iter().flat_map(|hour| (0..columns::BUCKETS).map(move |b| (*hour, b)));
        let ask = |(hour, bucket): (i64, i32)| async move {
            let asked = [CqlValue::BigInt(hour), CqlValue::Int(bucket)];
            let owners = &self.statements.of(scan.view).owners;
            let rows = self.link.rows(owners, &asked).await?;
            Ok::<_, StoreError>((hour, rows))
        };
        let mut answers = stream::iter(parts.map(ask)).buffer_unordered(AT_ONCE);
        let mut wanted: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        while let Some((hour, rows)) = answers.try_next().await? {
            for row in rows {
                if let Some(owner) = columns::text(row.columns.into_iter().next().flatten()) {
                    wanted.entry(owner).or_default().insert(day(hour));
                }
            }
        }
        let each = wanted.into_iter();
        let flat = each.flat_map(|(owner, days)| days.into_iter().map(move |d| (owner.clone(), d)));
        Ok(flat.collect())
    }

    async fn rows(&self, scan: &Scan<'_>, some: &[(String, u32)]) -> Result<Vec<Row>, StoreError> {
        let range = &self.statements.of(scan.view).range;
        let [from, to] = [scan.minutes.start, scan.minutes.end].map(i64::from);
        let ask = |(owner, day): &(String, u32)| {
            let asked = [
                CqlValue::Text(owner.clone()),
                columns::day(day.saturating_mul(1_440)),
                CqlValue::BigInt(from),
                CqlValue::BigInt(to),
            ];
            async move { self.link.rows(range, &asked).await }
        };
        let mut answers = stream::iter(some.iter().map(ask)).buffered(AT_ONCE);
        let mut rows = Vec::new();
        while let Some(found) = answers.try_next().await? {
            for row in found {
                rows.push(columns::read(scan.view, row)?);
            }
        }
        Ok(rows)
    }
}
