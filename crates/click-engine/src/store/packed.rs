//! A row in few bytes, for stores that keep rows as values under keys of their own, and the hours
//! by which stores list what they have.
//!
//! A value begins with the instant of the version, six bytes, greatest first, so that a script can
//! compare two of them; the generation is part of the key. One row has one spelling: equal rows
//! are equal bytes. Bytes from outside never panic.

use super::{StoreError, View};
use click_core::row::{Counts, Row, RowKey};
use click_core::types::{Millis, Minute, Version};
use click_core::verdict::CLASSES;
use std::sync::Arc;

/// Minutes of an hour, the span of one place of rows.
pub(super) const HOUR: u32 = 60;

/// The ad or publisher that a row lies with.
pub(super) fn owner(key: &RowKey) -> &str {
    match key {
        RowKey::Ad { ad_id, .. } => ad_id,
        RowKey::Publisher { publisher_id, .. } => publisher_id,
    }
}

/// What tells rows of one owner and hour apart.
pub(super) fn field(row: &Row) -> Vec<u8> {
    let mut out = Vec::with_capacity(32);
    put(&mut out, u128::from(row.minute.0 % HOUR));
    put(&mut out, row.posted_minute.map_or(0, |minute| u128::from(minute.0) + 1));
    let texts: &[&String] = match &*row.key {
        RowKey::Ad { currency, campaign_id, advertiser_id, .. } => {
            &[currency, campaign_id, advertiser_id]
        }
        RowKey::Publisher { placement_id, currency, .. } => &[placement_id, currency],
    };
    for text in texts {
        put(&mut out, text.len() as u128);
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// Version, counts and sum.
pub(super) fn value(row: &Row) -> Vec<u8> {
    let mut out = row.version.at().0.to_be_bytes()[2..].to_vec();
    let counts = &row.counts;
    put(&mut out, u128::from(counts.measured));
    put(&mut out, u128::from(counts.pending));
    let present = (0..CLASSES).filter(|class| counts.by_class[*class] > 0);
    put(&mut out, present.clone().fold(0, |bits, class| bits | 1 << class));
    for class in present {
        put(&mut out, u128::from(counts.by_class[class]));
    }
    let sum = counts.sum_micros;
    // The sign goes into the last bit.
    put(&mut out, (sum << 1 ^ sum >> 127).cast_unsigned());
    out
}

/// The row that [`field`] and [`value`] tell of.
pub(super) fn row(
    view: View,
    generation: u16,
    (owner, hour): (&str, u32),
    field: &[u8],
    value: &[u8],
) -> Result<Row, StoreError> {
    unpack(view, generation, (owner, hour), field, value)
        .ok_or_else(|| StoreError::Refused(format!("a row of {owner:?} that nobody here wrote")))
}

fn unpack(
    view: View,
    generation: u16,
    (owner, hour): (&str, u32),
    mut field: &[u8],
    mut value: &[u8],
) -> Option<Row> {
    let minute = hour.checked_mul(HOUR)?.checked_add(small(&mut field)?)?;
    // One more than the minute, 0 for none.
    let posted = take(&mut field)?.checked_sub(1).map(u32::try_from).transpose().ok()?;
    let (one, two) = (text(&mut field)?, text(&mut field)?);
    let key = match view {
        View::Ad => RowKey::Ad {
            ad_id: owner.to_owned(),
            currency: one,
            campaign_id: two,
            advertiser_id: text(&mut field)?,
        },
        View::Publisher => {
            RowKey::Publisher { publisher_id: owner.to_owned(), placement_id: one, currency: two }
        }
    };
    let (at, rest) = value.split_at_checked(6)?;
    value = rest;
    let at = at.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let counts = counts(&mut value)?;
    (field.is_empty() && value.is_empty()).then_some(Row {
        key: Arc::new(key),
        minute: Minute(minute),
        posted_minute: posted.map(Minute),
        counts,
        version: Version::new(generation, Millis(at)),
    })
}

fn counts(value: &mut &[u8]) -> Option<Counts> {
    let (measured, pending) = (count(value)?, count(value)?);
    let (bits, mut by_class) = (take(value)?, [0; CLASSES]);
    for (class, slot) in by_class.iter_mut().enumerate() {
        if bits >> class & 1 == 1 {
            *slot = count(value)?;
        }
    }
    let sum = take(value)?;
    let sum_micros = (sum >> 1).cast_signed() ^ -(sum & 1).cast_signed();
    Some(Counts { measured, pending, by_class, sum_micros })
}

/// Seven bits a byte, least first.
#[expect(clippy::cast_possible_truncation, reason = "masked")]
fn put(out: &mut Vec<u8>, mut value: u128) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take(from: &mut &[u8]) -> Option<u128> {
    let mut value = 0u128;
    for shift in (0..128).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u128::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn count(from: &mut &[u8]) -> Option<u64> {
    take(from)?.try_into().ok()
}

fn small(from: &mut &[u8]) -> Option<u32> {
    take(from)?.try_into().ok()
}

fn text(from: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(take(from)?).ok()?;
    let (text, rest) = from.split_at_checked(length)?;
    *from = rest;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(sum_micros: i128, posted: Option<u32>) -> Row {
        let mut by_class = [0; CLASSES];
        (by_class[0], by_class[CLASSES - 1]) = (u64::MAX, 3);
        Row {
            key: Arc::new(RowKey::Ad {
                ad_id: "a}{".into(),
                currency: "USD".into(),
                campaign_id: String::new(),
                advertiser_id: "ä".into(),
            }),
            minute: Minute(29_000_123),
            posted_minute: posted.map(Minute),
            counts: Counts { measured: 9, pending: 0, by_class, sum_micros },
            version: Version::new(7, Millis(253_402_300_799_000)),
        }
    }

    #[test]
    fn a_row_comes_back_to_the_unit() {
        for sum in [0, 1, -1, i128::MAX, i128::MIN, 1 << 100] {
            for posted in [None, Some(0), Some(u32::MAX)] {
                let wanted = sample(sum, posted);
                let place = (owner(&wanted.key), wanted.minute.0 / HOUR);
                let found = row(View::Ad, 7, place, &field(&wanted), &value(&wanted));
                assert_eq!(found.ok(), Some(wanted.clone()), "{sum} {posted:?}");
            }
        }
    }

    #[test]
    fn cut_or_strange_bytes_are_refused() {
        let good = sample(5, None);
        let (field, value) = (field(&good), value(&good));
        for cut in 0..value.len() {
            assert!(row(View::Ad, 7, ("a", 0), &field, &value[..cut]).is_err());
        }
        for cut in 0..field.len() {
            assert!(row(View::Ad, 7, ("a", 0), &field[..cut], &value).is_err());
        }
        assert!(row(View::Ad, 7, ("a", 0), &[0xff; 40], &value).is_err());
    }
}
