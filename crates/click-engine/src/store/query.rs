//! Reports over a store: an ad's minutes, and totals by key and calendar step.
//!
//! A reader only hands out rows of one snapshot with its mark; sums are made here, so they are the
//! same for every store and lossless (i128). Must never round, sample or guess.

use super::calendar::Buckets;
use super::{StoreError, summary_id};
use click_core::limits::{LOOK_AHEAD_MS, MINUTE_MS};
use click_core::policy::Timeline;
use click_core::row::{Counts, Row, RowKey};
use click_core::types::{Millis, Minute};
use click_core::verdict::Class;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Most groups that one report may have before its limit is applied.
pub const MAX_GROUPS: usize = 2_000_000;
/// Most rows of an ad that one report may have.
pub const MAX_MINUTE_ROWS: usize = 100_000;

/// The two views of the ledger (SPEC §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum View {
    /// By ad, with spend.
    Ad,
    /// By publisher and placement, with payout.
    Publisher,
}

impl View {
    /// The view that a row belongs to.
    pub const fn of(key: &RowKey) -> View {
        match key {
            RowKey::Ad { .. } => View::Ad,
            RowKey::Publisher { .. } => View::Publisher,
        }
    }
}

/// Order of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanOrder {
    /// Whatever is cheapest.
    Any,
    /// By the key columns as SPEC §11 prints them.
    Key,
}

/// Which rows to read.
#[derive(Clone, Debug)]
pub struct Scan<'a> {
    /// Which view.
    pub view: View,
    /// Minutes since 1970, end exclusive.
    pub minutes: Range<u32>,
    /// Only this ad, or publisher.
    pub only: Option<&'a str>,
    /// In which order.
    pub order: ScanOrder,
}

impl Scan<'static> {
    /// Every row of a view in the order of `clickledger show`.
    pub const fn all(view: View) -> Scan<'static> {
        Scan { view, minutes: 0..u32::MAX, only: None, order: ScanOrder::Key }
    }
}

/// Reads rows from any thread.
pub trait LedgerReader: Send + Sync {
    /// Hands out the rows of one snapshot until `take` returns false; returns the snapshot's mark.
    ///
    /// # Errors
    /// `Unavailable` or `Refused` as the store finds it; rows handed out before are not taken back.
    fn scan(
        &self,
        scan: &Scan<'_>,
        take: &mut dyn FnMut(Row) -> bool,
    ) -> Result<Millis, StoreError>;

    /// Whether the sums of an advertiser lie ready: [`summary_id`].
    fn has_summaries(&self) -> bool {
        false
    }

    /// The mark: every row changed before it is in the store.
    ///
    /// # Errors
    /// As [`scan`](Self::scan).
    fn read_mark(&self) -> Result<Millis, StoreError> {
        let none = Scan { view: View::Ad, minutes: 0..0, only: None, order: ScanOrder::Any };
        self.scan(&none, &mut |_| false)
    }
}

/// Why a report cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The answer would be larger than this many rows.
    #[error("the answer would have more than {0} rows: narrow the range or take a coarser step")]
    TooLarge(usize),
}

/// What totals are grouped by, besides the currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// Everything together.
    All,
    /// By advertised item.
    Ad,
    /// By campaign.
    Campaign,
    /// By who pays.
    Advertiser,
    /// By who is paid; sums are payouts.
    Publisher,
}

/// Order of totals; all but `Key` put the greatest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// By time, key and currency.
    Key,
    /// By measured clicks.
    Measured,
    /// By valid clicks.
    Valid,
    /// By spend or payout in micro-units, whatever the currency.
    Spend,
}

/// A question for totals.
#[derive(Clone, Debug)]
pub struct TotalsQuery {
    /// Key of the groups.
    pub group_by: GroupBy,
    /// Where time is cut; also the range.
    pub buckets: Buckets,
    /// Order of the answer.
    pub sort: Sort,
    /// Most rows of the answer.
    pub limit: usize,
}

/// Counts with the part that came late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Everything, adjustments included.
    pub counts: Counts,
    /// Measured clicks of adjustment rows.
    pub late_measured: u64,
    /// Sum of adjustment rows, micro-units.
    pub late_micros: i128,
}

/// One line of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotalRow {
    /// First instant of the step.
    pub start: Millis,
    /// First instant after it.
    pub end: Millis,
    /// The group's id, empty if unknown.
    pub key: String,
    /// Currency of the sums.
    pub currency: String,
    /// The counts.
    pub sums: Sums,
    /// Whether all minutes of the step, and all adjustments in it, are sealed.
    pub sealed: bool,
}

/// A stored row and whether it can still change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinuteRow {
    /// The row.
    pub row: Row,
    /// Whether it is sealed as of the mark.
    pub sealed: bool,
}

/// The watermark from which a row cannot change any more (SPEC §5).
pub fn sealed_at(minute: Minute, posted: Option<Minute>, timeline: &Timeline) -> Millis {
    let last = posted.map_or_else(|| timeline.sealing_starts(minute), Minute::end);
    last.plus(LOOK_AHEAD_MS)
}

/// The minutes that begin within `from..to`.
pub(super) fn minutes(from: Millis, to: Millis) -> Range<u32> {
    let minute = |at: Millis| Millis(at.0.saturating_add(MINUTE_MS - 1)).minute().0;
    minute(from)..minute(to).max(minute(from))
}

/// An ad's rows whose minute begins within `from..to`, with the mark they are true as of.
///
/// # Errors
/// `TooLarge` above `MAX_MINUTE_ROWS`; else as the store's.
pub fn ad_minutes(
    reader: &dyn LedgerReader,
    timeline: &Timeline,
    ad_id: &str,
    from: Millis,
    to: Millis,
) -> Result<(Millis, Vec<MinuteRow>), QueryError> {
    let minutes = minutes(from, to);
    let scan = Scan { view: View::Ad, minutes, only: Some(ad_id), order: ScanOrder::Key };
    let mut rows = Vec::new();
    let mark = reader.scan(&scan, &mut |row| {
        rows.push(row);
        rows.len() <= MAX_MINUTE_ROWS
    })?;
    if rows.len() > MAX_MINUTE_ROWS {
        return Err(QueryError::TooLarge(MAX_MINUTE_ROWS));
    }
    let sealed = |row: &Row| sealed_at(row.minute, row.posted_minute, timeline) <= mark;
    let rows = rows.into_iter().map(|row| MinuteRow { sealed: sealed(&row), row });
    Ok((mark, rows.collect()))
}

/// Totals with the mark they are true as of, and whether the limit cut some off.
///
/// # Errors
/// `TooLarge` above `MAX_GROUPS` groups; else as the store's.
pub fn totals(
    reader: &dyn LedgerReader,
    timeline: &Timeline,
    query: &TotalsQuery,
) -> Result<(Millis, Vec<TotalRow>, bool), QueryError> {
    totals_of(reader, timeline, query, None)
}

/// The same of one advertiser's ads alone; where its sums lie ready, however many ads it has.
///
/// # Errors
/// As [`totals`].
pub fn totals_of(
    reader: &dyn LedgerReader,
    timeline: &Timeline,
    query: &TotalsQuery,
    advertiser: Option<&str>,
) -> Result<(Millis, Vec<TotalRow>, bool), QueryError> {
    let in_sum = matches!(query.group_by, GroupBy::All | GroupBy::Advertiser);
    let sum = advertiser.filter(|_| in_sum && reader.has_summaries()).map(summary_id);
    let own = |row: &Row| match (&*row.key, advertiser) {
        (_, None) => true,
        (RowKey::Ad { advertiser_id, .. }, Some(wanted)) => advertiser_id == wanted,
        (RowKey::Publisher { .. }, Some(_)) => false,
    };
    let view = match query.group_by {
        GroupBy::All | GroupBy::Ad | GroupBy::Campaign | GroupBy::Advertiser => View::Ad,
        GroupBy::Publisher => View::Publisher,
    };
    let minutes = query.buckets.minutes();
    let scan = Scan { view, minutes, only: sum.as_deref(), order: ScanOrder::Any };
    let mut groups = Groups::default();
    let mark = reader.scan(&scan, &mut |row| {
        if !own(&row) {
            return true;
        }
        let bucket = query.buckets.index_of(row.minute);
        groups.add(bucket, query.group_by, row, timeline);
        groups.len <= MAX_GROUPS
    })?;
    if groups.len > MAX_GROUPS {
        return Err(QueryError::TooLarge(MAX_GROUPS));
    }
    let mut rows = groups.into_rows(&query.buckets, timeline, mark);
    sort(&mut rows, query.sort);
    let cut = rows.len() > query.limit;
    rows.truncate(query.limit);
    Ok((mark, rows, cut))
}

fn sort(rows: &mut [TotalRow], by: Sort) {
    let place = |row: &TotalRow| (row.start, row.key.clone(), row.currency.clone());
    let weight = |row: &TotalRow| match by {
        Sort::Key => 0,
        Sort::Measured => i128::from(row.sums.counts.measured),
        Sort::Valid => i128::from(row.sums.counts.of(Class::V)),
        Sort::Spend => row.sums.counts.sum_micros,
    };
    rows.sort_by(|a, b| weight(b).cmp(&weight(a)).then_with(|| place(a).cmp(&place(b))));
}

/// Sums by bucket, key and currency; nested so that a known group costs no new string.
#[derive(Default)]
struct Groups {
    groups: HashMap<usize, HashMap<String, Vec<Group>>>,
    len: usize,
}

struct Group {
    currency: String,
    sums: Sums,
    sealed_at: Millis,
}

impl Groups {
    fn add(&mut self, bucket: usize, by: GroupBy, row: Row, timeline: &Timeline) {
        let sealed_at = sealed_at(row.minute, row.posted_minute, timeline);
        let (key, currency) = group_key(by, Arc::unwrap_or_clone(row.key));
        let group = self.groups.entry(bucket).or_default().entry(key).or_default();
        let known = group.iter().position(|group| group.currency == currency);
        let at = known.unwrap_or_else(|| {
            self.len += 1;
            group.push(Group { currency, sums: Sums::default(), sealed_at });
            group.len() - 1
        });
        group[at].sealed_at = group[at].sealed_at.max(sealed_at);
        group[at].sums.add(&row.counts, row.posted_minute.is_some());
    }

    fn into_rows(self, buckets: &Buckets, timeline: &Timeline, mark: Millis) -> Vec<TotalRow> {
        let mut rows = Vec::with_capacity(self.len);
        for (bucket, keys) in self.groups {
            let (start, end) = buckets.span(bucket);
            let last = Millis(end.0.saturating_sub(1)).minute();
            let whole = sealed_at(last, None, timeline) <= mark;
            for (key, groups) in keys {
                rows.extend(groups.into_iter().map(|group| TotalRow {
                    start,
                    end,
                    key: key.clone(),
                    currency: group.currency,
                    sums: group.sums,
                    sealed: whole && group.sealed_at <= mark,
                }));
            }
        }
        rows
    }
}

fn group_key(by: GroupBy, key: RowKey) -> (String, String) {
    match key {
        RowKey::Ad { ad_id, currency, campaign_id, advertiser_id } => match by {
            GroupBy::All | GroupBy::Publisher => (String::new(), currency),
            GroupBy::Ad => (ad_id, currency),
            GroupBy::Campaign => (campaign_id, currency),
            GroupBy::Advertiser => (advertiser_id, currency),
        },
        RowKey::Publisher { publisher_id, currency, .. } => (publisher_id, currency),
    }
}

impl Sums {
    /// Adds a row's counts.
    pub fn add(&mut self, counts: &Counts, late: bool) {
        self.counts.measured += counts.measured;
        self.counts.pending += counts.pending;
        self.counts.sum_micros += counts.sum_micros;
        for (sum, count) in self.counts.by_class.iter_mut().zip(counts.by_class) {
            *sum += count;
        }
        if late {
            self.late_measured += counts.measured;
            self.late_micros += counts.sum_micros;
        }
    }
}
