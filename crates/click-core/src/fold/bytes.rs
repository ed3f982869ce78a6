//! Rows and journals as bytes, for checkpoints, run files and hosts that move them between
//! machines. Same conventions as snapshots: little-endian, length-prefixed, checksums elsewhere.

use crate::codec::{self, put_counts, take_counts, take_group, take_minute};
use crate::row::{Row, RowKey};
use crate::snapshot::{Reader, SnapshotError, Writer};
use crate::stage::user::{Claim, Journal, PairClick};
use crate::types::{Millis, Minute, Version};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A claim and a pair, their groups before them.
const CLAIM_BYTES: usize = 1 + codec::CLAIM_BYTES;
const PAIR_BYTES: usize = 1 + codec::PAIR_BYTES;

/// A journal as bytes.
pub fn encode_journal(journal: &Journal) -> Vec<u8> {
    let mut bytes = JournalBytes::default();
    bytes.append(journal);
    bytes.pieces().concat()
}

/// Journals as bytes, put together step by step.
#[derive(Default)]
pub struct JournalBytes {
    claims: Vec<[u8; CLAIM_BYTES]>,
    pairs: Vec<[u8; PAIR_BYTES]>,
    counts: [[u8; 8]; 2],
}

impl JournalBytes {
    /// Goes on with what `journal` says.
    pub fn append(&mut self, journal: &Journal) {
        let claim = |claim: &Claim| with_group(claim.group, codec::claim_bytes(claim));
        let pair = |pair: &PairClick| with_group(pair.group, codec::pair_bytes(pair));
        self.claims.extend(journal.claims.iter().map(claim));
        self.pairs.extend(journal.pairs.iter().map(pair));
        self.counts = [self.claims.len(), self.pairs.len()].map(|len| (len as u64).to_le_bytes());
    }

    /// How many bytes wait.
    pub const fn len(&self) -> usize {
        self.claims.len() * CLAIM_BYTES + self.pairs.len() * PAIR_BYTES
    }

    /// Whether nothing waits.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it in pieces: what [`encode_journal`] gives of one journal.
    pub const fn pieces(&self) -> [&[u8]; 4] {
        let [claims, pairs] = &self.counts;
        [claims, self.claims.as_slice().as_flattened(), pairs, self.pairs.as_slice().as_flattened()]
    }

    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.claims.clear();
        self.pairs.clear();
        self.counts = Default::default();
    }
}

/// The group, then what a snapshot of the group holds.
fn with_group<const N: usize, const M: usize>(group: u8, bytes: [u8; N]) -> [u8; M] {
    const { assert!(M == N + 1, "a group is a byte") };
    let mut all = [group; M];
    all[1..].copy_from_slice(&bytes);
    all
}

/// Reads what [`encode_journal`] wrote.
pub fn decode_journal(bytes: &[u8]) -> Result<Journal, SnapshotError> {
    let mut input = Reader::new(bytes);
    let mut journal = Journal::default();
    for _ in 0..input.len(CLAIM_BYTES)? {
        let (group, identity) = (take_group(&mut input)?, input.u128()?);
        journal.claims.push(Claim { group, identity, fold_time: Millis(input.u64()?) });
    }
    for _ in 0..input.len(PAIR_BYTES)? {
        let (group, identity) = (take_group(&mut input)?, input.u128()?);
        let (fold_time, age_ms) = (Millis(input.u64()?), input.u32()?);
        journal.pairs.push(PairClick { group, identity, fold_time, age_ms });
    }
    input.end()?;
    Ok(journal)
}

const AD: u8 = b'a';
const PUBLISHER: u8 = b'p';

/// Rows as bytes, their keys in words.
pub fn encode_rows<'a>(rows: impl ExactSizeIterator<Item = &'a Row>) -> Vec<u8> {
    let mut out = Writer::default();
    out.len(rows.len());
    for row in rows {
        put_row(&mut out, row);
    }
    out.into_bytes()
}

pub(crate) fn put_row(out: &mut Writer, row: &Row) {
    put_key(out, &row.key);
    out.u32(row.minute.0);
    out.option(row.posted_minute.map(|minute| u64::from(minute.0)));
    put_counts(out, &row.counts);
    out.u64(row.version.0);
}

/// Reads what [`encode_rows`] wrote.
pub fn decode_rows(bytes: &[u8]) -> Result<Vec<Row>, SnapshotError> {
    let mut input = Reader::new(bytes);
    let mut rows = Vec::new();
    for _ in 0..input.len(100)? {
        rows.push(take_row(&mut input)?);
    }
    input.end()?;
    Ok(rows)
}

/// Passes over the fields that tell rows apart: a row begins with them.
pub(crate) fn skip_row_id(input: &mut Reader<'_>) -> Result<(), SnapshotError> {
    take_key(input)?;
    input.u32()?;
    take_minute(input)?;
    Ok(())
}

pub(crate) fn take_row(input: &mut Reader<'_>) -> Result<Row, SnapshotError> {
    Ok(Row {
        key: Arc::new(take_key(input)?),
        minute: Minute(input.u32()?),
        posted_minute: take_minute(input)?,
        counts: take_counts(input)?,
        version: Version(input.u64()?),
    })
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
