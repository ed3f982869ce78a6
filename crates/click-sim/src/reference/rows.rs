//! The ledger's rows (SPEC §5): both views as of any instant.
//!
//! Owns keys, counts, sums, versions and lateness. Must never remember a row: each call counts
//! all clicks anew.

use std::collections::BTreeMap;

use super::policy::Policies;
use super::record::PlainClick;
use super::verdict::{CLASSES, Judged};
use super::{GRID_MS, LOOK_AHEAD_MS, MINUTE_MS};

/// `ad_id`, minute, `posted_minute`, currency, `campaign_id`, `advertiser_id`.
pub type AdKey = (String, u64, Option<u64>, String, String, String);

/// `publisher_id`, `placement_id`, minute, `posted_minute`, currency.
pub type PublisherKey = (String, String, u64, Option<u64>, String);

/// One row of either view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlainRow {
    pub measured: u64,
    pub pending: u64,
    /// Final clicks by class, in the order of `CLASSES`.
    pub counts: [u64; 14],
    /// Price, or payout, of the valid ones.
    pub sum: i128,
    /// The lower part of the version: the grid instant of the row's last change.
    pub version_ms: u64,
}

pub(super) fn ad_key(judged: &Judged) -> AdKey {
    let c = judged.click.clone();
    let (minute, posted) = (judged.minute, judged.posted_minute);
    (c.ad_id, minute, posted, c.currency, c.campaign_id, c.advertiser_id)
}

pub(super) fn publisher_key(judged: &Judged) -> PublisherKey {
    let c = judged.click.clone();
    (c.publisher_id, c.placement_id, judged.minute, judged.posted_minute, c.currency)
}

/// The first instant after a minute.
pub(super) fn end_of(minute: u64) -> u64 {
    (minute + 1) * MINUTE_MS
}

/// A click of `minute` whose `fold_time` is below this is in time.
pub(super) fn unposted_until(minute: u64, policies: &Policies) -> u64 {
    end_of(minute) + policies.at(end_of(minute)).seal_after_ms
}

/// All rows of a view, true as of `at`.
pub(super) fn rows<Key: Ord>(
    clicks: &[Judged],
    at: u64,
    key: impl Fn(&Judged) -> Key,
    micros: impl Fn(&PlainClick) -> u64,
) -> BTreeMap<Key, PlainRow> {
    let mut rows: BTreeMap<Key, PlainRow> = BTreeMap::new();
    for judged in clicks.iter().filter(|judged| judged.fold_time < at) {
        let row = rows.entry(key(judged)).or_default();
        count(row, judged, at, micros(&judged.click));
    }
    rows
}

fn count(row: &mut PlainRow, judged: &Judged, at: u64, micros: u64) {
    let (counted, finished) = (judged.fold_time + 1, judged.fold_time + LOOK_AHEAD_MS);
    row.measured += 1;
    if finished > at {
        row.pending += 1;
        row.version_ms = row.version_ms.max(counted.next_multiple_of(GRID_MS));
        return;
    }
    for (number, class) in row.counts.iter_mut().zip(CLASSES) {
        *number += u64::from(class == judged.class());
    }
    if judged.class() == "V" {
        row.sum += i128::from(micros);
    }
    row.version_ms = row.version_ms.max(finished.next_multiple_of(GRID_MS));
}
