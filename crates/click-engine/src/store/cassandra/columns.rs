//! How a row is spelled in CQL columns, for both views. Must never lose a digit.

use super::super::sqlite::check_same;
use super::super::{StoreError, View};
use click_core::row::{Counts, Row, RowKey};
use click_core::types::{Minute, Version};
use click_core::verdict::{CLASSES, Class};
use scylla::value::{CqlValue, CqlVarint};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;

/// `posted_minute` of an ordinary row.
const ORDINARY: i64 = -1;
const DAY: u32 = 1_440;
/// Parts of an hour's list of owners.
pub(super) const BUCKETS: i32 = 16;

/// Table and key columns: the owner, the day, then the clustering ones.
pub(super) struct Names {
    pub(super) table: &'static str,
    pub(super) owners: &'static str,
    pub(super) keys: &'static [&'static str],
    sum: &'static str,
}

impl Names {
    pub(super) const fn of(view: View) -> Names {
        match view {
            View::Ad => Names {
                table: "ad_minutes",
                owners: "ads_by_hour",
                keys: &[
                    "ad_id",
                    "day",
                    "minute",
                    "posted_minute",
                    "currency",
                    "campaign_id",
                    "advertiser_id",
                ],
                sum: "spend_micros",
            },
            View::Publisher => Names {
                table: "publisher_minutes",
                owners: "publishers_by_hour",
                keys: &[
                    "publisher_id",
                    "day",
                    "minute",
                    "posted_minute",
                    "currency",
                    "placement_id",
                ],
                sum: "payout_micros",
            },
        }
    }

    pub(super) fn clustering(&self) -> String {
        self.keys[2..].join(", ")
    }
}

/// Key columns, counts, sum, version, digests.
pub(super) fn all(view: View) -> Vec<String> {
    let names = Names::of(view);
    let classes = Class::ALL.into_iter().map(|class| class.code().to_lowercase());
    let keys = names.keys.iter().map(ToString::to_string);
    let counts = ["measured", "pending"].map(String::from).into_iter().chain(classes);
    let rest = [names.sum, "version", "contents"].map(String::from);
    keys.chain(counts).chain(rest).collect()
}

pub(super) fn definitions(view: View) -> String {
    let names = Names::of(view);
    let kind = |name: &str| match name {
        "day" => "int",
        "contents" => "set<bigint>",
        "minute" | "posted_minute" => "bigint",
        name if name == names.sum => "varint",
        name if names.keys.contains(&name) => "text",
        _ => "bigint",
    };
    let columns: Vec<String> =
        all(view).iter().map(|name| format!("{name} {}", kind(name))).collect();
    columns.join(", ")
}

pub(super) fn letter(view: View) -> CqlValue {
    CqlValue::Text(match view {
        View::Ad => "a".into(),
        View::Publisher => "p".into(),
    })
}

/// The part of an hour's list that an owner is in.
pub(super) fn bucket(owner: &str) -> i32 {
    let sum = owner.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    i32::try_from(sum >> 8 & 0xf).unwrap_or(0)
}

#[expect(clippy::cast_possible_wrap, reason = "minutes / 1440 is far below 2^31")]
pub(super) fn day(minute: u32) -> CqlValue {
    CqlValue::Int((minute / DAY) as i32)
}

/// Values of the key columns.
pub(super) fn key(row: &Row) -> Vec<CqlValue> {
    let text = |text: &String| CqlValue::Text(text.clone());
    let minute = CqlValue::BigInt(i64::from(row.minute.0));
    let posted = row.posted_minute.map_or(ORDINARY, |minute| i64::from(minute.0));
    let (day, posted) = (day(row.minute.0), CqlValue::BigInt(posted));
    match &*row.key {
        RowKey::Ad { ad_id, currency, campaign_id, advertiser_id } => {
            let (campaign, advertiser) = (text(campaign_id), text(advertiser_id));
            vec![text(ad_id), day, minute, posted, text(currency), campaign, advertiser]
        }
        RowKey::Publisher { publisher_id, placement_id, currency } => {
            vec![text(publisher_id), day, minute, posted, text(currency), text(placement_id)]
        }
    }
}

/// Values of all columns, then the timestamp.
pub(super) fn values(row: &Row) -> Result<Vec<CqlValue>, StoreError> {
    let mut values = key(row);
    let counts = [row.counts.measured, row.counts.pending];
    for count in counts.iter().chain(&row.counts.by_class) {
        values.push(integer(*count)?);
    }
    let sum = row.counts.sum_micros.to_be_bytes().to_vec();
    values.push(CqlValue::Varint(CqlVarint::from_signed_bytes_be(sum)));
    values.push(integer(row.version.0)?);
    values.push(CqlValue::Set(vec![CqlValue::BigInt(digest(&row.counts))]));
    values.push(integer(row.version.0)?);
    Ok(values)
}

fn integer(value: u64) -> Result<CqlValue, StoreError> {
    let value = i64::try_from(value)
        .map_err(|_| StoreError::Refused(format!("{value} does not fit a bigint")))?;
    Ok(CqlValue::BigInt(value))
}

/// Stands for what a row holds.
fn digest(counts: &Counts) -> i64 {
    let mut hash = Sha256::new();
    for count in [counts.measured, counts.pending].iter().chain(&counts.by_class) {
        hash.update(count.to_be_bytes());
    }
    hash.update(counts.sum_micros.to_be_bytes());
    hash.finalize()[..8].iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte))
}

/// Two contents of one version within a batch.
pub(super) fn check_batch(rows: &[Row]) -> Result<(), StoreError> {
    let mut seen: HashMap<_, &Row> = HashMap::with_capacity(rows.len());
    for row in rows {
        if let Some(other) =
            seen.insert((&row.key, row.minute, row.posted_minute, row.version), row)
        {
            check_same(other, row)?;
        }
    }
    Ok(())
}

/// The row of a statement that asks for all columns.
pub(super) fn read(view: View, from: scylla::value::Row) -> Result<Row, StoreError> {
    let mut columns = from.columns.into_iter();
    let mut next = || columns.next().flatten();
    let (row, contents) = read_with(view, &mut next).ok_or_else(|| {
        StoreError::Refused("a row in cassandra that nobody here wrote".to_owned())
    })?;
    match contents.as_slice() {
        [one] if *one == digest(&row.counts) => Ok(row),
        several => Err(StoreError::Conflict {
            key: format!("{:?} minute {}", row.key, row.minute.0),
            version: row.version.0,
            detail: format!(
                "{} digests of it, and columns of any of them: two programs that disagree wrote it",
                several.len()
            ),
        }),
    }
}

fn read_with(view: View, next: &mut dyn FnMut() -> Option<CqlValue>) -> Option<(Row, Vec<i64>)> {
    let owner = text(next())?;
    let _day = next()?;
    let (minute, posted) = (whole(next())?, whole(next())?);
    let currency = text(next())?;
    let one = text(next())?;
    let key = match view {
        View::Ad => {
            let advertiser_id = text(next())?;
            RowKey::Ad { ad_id: owner, currency, campaign_id: one, advertiser_id }
        }
        View::Publisher => RowKey::Publisher { publisher_id: owner, placement_id: one, currency },
    };
    let (measured, pending) = (count(next())?, count(next())?);
    let mut by_class = [0; CLASSES];
    for slot in &mut by_class {
        *slot = count(next())?;
    }
    let CqlValue::Varint(sum) = next()? else { return None };
    let sum_micros = signed(sum.as_signed_bytes_be_slice())?;
    let version = Version(count(next())?);
    let CqlValue::Set(set) = next()? else { return None };
    let contents = set.into_iter().map(|one| whole(Some(one))).collect::<Option<_>>()?;
    let row = Row {
        key: Arc::new(key),
        minute: Minute(u32::try_from(minute).ok()?),
        posted_minute: u32::try_from(posted).ok().map(Minute),
        counts: Counts { measured, pending, by_class, sum_micros },
        version,
    };
    Some((row, contents))
}

pub(super) fn text(value: Option<CqlValue>) -> Option<String> {
    match value {
        Some(CqlValue::Text(text)) => Some(text),
        _ => None,
    }
}

pub(super) fn whole(value: Option<CqlValue>) -> Option<i64> {
    match value {
        Some(CqlValue::BigInt(value)) => Some(value),
        _ => None,
    }
}

fn count(value: Option<CqlValue>) -> Option<u64> {
    whole(value)?.try_into().ok()
}

/// Two's complement of any length up to 16 bytes.
fn signed(bytes: &[u8]) -> Option<i128> {
    let sign = if bytes.first()? & 0x80 == 0 { 0 } else { 0xff };
    let mut all = [sign; 16];
    let skip = bytes.len().saturating_sub(16);
    let bytes = &bytes[skip..];
    all[16 - bytes.len()..].copy_from_slice(bytes);
    Some(i128::from_be_bytes(all))
}
