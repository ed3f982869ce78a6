//! Rows and journals as bytes, for checkpoints, run files and hosts that move them between
//! machines. Same conventions as snapshots: little-endian, length-prefixed, checksums elsewhere.

use crate::row::{Counts, Row, RowKey};
use crate::snapshot::{Reader, SnapshotError, Writer};
use crate::stage::user::{Claim, Journal, PairClick};
use crate::types::{Millis, Minute, Version};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A journal as bytes.
pub fn encode_journal(journal: &Journal) -> Vec<u8> {
    let mut out = Writer::default();
    out.len(journal.claims.len());
    for claim in &journal.claims {
        out.u8(claim.group);
        out.u128(claim.identity);
        out.u64(claim.fold_time.0);
    }
    out.len(journal.pairs.len());
    for pair in &journal.pairs {
        out.u8(pair.group);
        out.u128(pair.identity);
        out.u64(pair.fold_time.0);
        out.u32(pair.age_ms);
    }
    out.into_bytes()
}

/// Reads what [`encode_journal`] wrote.
pub fn decode_journal(bytes: &[u8]) -> Result<Journal, SnapshotError> {
    let mut input = Reader::new(bytes);
    let mut journal = Journal::default();
    for _ in 0..input.len(25)? {
        let (group, identity) = (take_group(&mut input)?, input.u128()?);
        journal.claims.push(Claim { group, identity, fold_time: Millis(input.u64()?) });
    }
    for _ in 0..input.len(29)? {
        let (group, identity) = (take_group(&mut input)?, input.u128()?);
        let (fold_time, age_ms) = (Millis(input.u64()?), input.u32()?);
        journal.pairs.push(PairClick { group, identity, fold_time, age_ms });
    }
    input.end()?;
    Ok(journal)
}

fn take_group(input: &mut Reader<'_>) -> Result<u8, SnapshotError> {
    let group = input.u8()?;
    if u16::from(group) < crate::limits::KEY_GROUPS { Ok(group) } else { Err(SnapshotError) }
}

const AD: u8 = b'a';
const PUBLISHER: u8 = b'p';

/// Rows as bytes, their keys in words.
pub fn encode_rows<'a>(rows: impl ExactSizeIterator<Item = &'a Row>) -> Vec<u8> {
    let mut out = Writer::default();
    out.len(rows.len());
    for row in rows {
        put_key(&mut out, &row.key);
        out.u32(row.minute.0);
        out.option(row.posted_minute.map(|minute| u64::from(minute.0)));
        put_counts(&mut out, &row.counts);
        out.u64(row.version.0);
    }
    out.into_bytes()
}

/// Reads what [`encode_rows`] wrote.
pub fn decode_rows(bytes: &[u8]) -> Result<Vec<Row>, SnapshotError> {
    let mut input = Reader::new(bytes);
    let mut rows = Vec::new();
    for _ in 0..input.len(100)? {
        rows.push(Row {
            key: Arc::new(take_key(&mut input)?),
            minute: Minute(input.u32()?),
            posted_minute: take_minute(&mut input)?,
            counts: take_counts(&mut input)?,
            version: Version(input.u64()?),
        });
    }
    input.end()?;
    Ok(rows)
}

fn put_key(out: &mut Writer, key: &RowKey) {
    let mut put = |tag: u8, parts: &[&String]| {
        out.u8(tag);
        parts.iter().for_each(|part| out.slice(part.as_bytes()));
    };
    match key {
        RowKey::Ad { ad_id, currency, campaign_id, advertiser_id } => {
            put(AD, &[ad_id, currency, campaign_id, advertiser_id]);
        }
        RowKey::Publisher { publisher_id, placement_id, currency } => {
            put(PUBLISHER, &[publisher_id, placement_id, currency]);
        }
    }
}

fn take_key(input: &mut Reader<'_>) -> Result<RowKey, SnapshotError> {
    match input.u8()? {
        AD => Ok(RowKey::Ad {
            ad_id: input.text()?,
            currency: input.text()?,
            campaign_id: input.text()?,
            advertiser_id: input.text()?,
        }),
        PUBLISHER => Ok(RowKey::Publisher {
            publisher_id: input.text()?,
            placement_id: input.text()?,
            currency: input.text()?,
        }),
        _ => Err(SnapshotError),
    }
}

pub(super) fn take_minute(input: &mut Reader<'_>) -> Result<Option<Minute>, SnapshotError> {
    let minute = input.option()?.map(u32::try_from).transpose();
    minute.map(|minute| minute.map(Minute)).map_err(|_| SnapshotError)
}

pub(super) fn put_counts(out: &mut Writer, counts: &Counts) {
    out.u64(counts.measured);
    out.u64(counts.pending);
    counts.by_class.iter().for_each(|count| out.u64(*count));
    out.i128(counts.sum_micros);
}

pub(super) fn take_counts(input: &mut Reader<'_>) -> Result<Counts, SnapshotError> {
    let mut counts = Counts { measured: input.u64()?, pending: input.u64()?, ..Counts::default() };
    for count in &mut counts.by_class {
        *count = input.u64()?;
    }
    counts.sum_micros = input.i128()?;
    if counts.conserved() { Ok(counts) } else { Err(SnapshotError) }
}
