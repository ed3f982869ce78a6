//! What leaves the dataflow: dead letters, verdicts, rows.

use super::HostError;
use crate::fold::bytes::{put_row, skip_row_id, take_row};
use crate::snapshot::{Reader, Writer};
use crate::stage::sequence::DeadLetter;
use crate::stage::source::Verdict;
use crate::stage::window::PublishedRow;
use crate::types::{Millis, Offset, Partition};
use crate::verdict::Reasons;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A record that no click came of, as it left a hosted stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedDeadLetter {
    /// Partition of the record.
    pub partition: Partition,
    /// Offset of the record.
    pub offset: Offset,
    /// Why, in words.
    pub reason: String,
}

pub(super) fn put_dead_letter(out: &mut Writer, letter: &DeadLetter) {
    out.u32(letter.partition.0);
    out.u64(letter.offset.0);
    out.slice(letter.reason.to_string().as_bytes());
}

/// Reads the dead letters of a batch.
pub fn decode_dead_letters(bytes: &[u8]) -> Result<Vec<HostedDeadLetter>, HostError> {
    decode(bytes, |input| {
        let (partition, offset) = (Partition(input.u32()?), Offset(input.u64()?));
        Ok(HostedDeadLetter { partition, offset, reason: input.text()? })
    })
}

/// Bytes of a verdict in a batch, which may be cut between any two.
pub const VERDICT_BYTES: usize = 4 + 8 + 8 + 2 + 4;

pub(super) fn put_verdict(out: &mut Writer, verdict: &Verdict) {
    out.u32(verdict.partition.0);
    out.u64(verdict.offset.0);
    out.u64(verdict.fold_time.0);
    out.u16(verdict.reasons.0);
    out.u32(verdict.policy);
}

/// Reads the verdicts of a batch.
pub fn decode_verdicts(bytes: &[u8]) -> Result<Vec<Verdict>, HostError> {
    decode(bytes, |input| {
        Ok(Verdict {
            partition: Partition(input.u32()?),
            offset: Offset(input.u64()?),
            fold_time: Millis(input.u64()?),
            reasons: Reasons::from_bits(input.u16()?).ok_or(HostError::Malformed)?,
            policy: input.u32()?,
        })
    })
}

pub(super) fn put_published(out: &mut Writer, row: &PublishedRow) {
    put_row(out, &row.row);
    out.u8(u8::from(row.decided));
}

/// Reads the rows of a batch.
pub fn decode_published(bytes: &[u8]) -> Result<Vec<PublishedRow>, HostError> {
    decode(bytes, take_published)
}

fn take_published(input: &mut Reader<'_>) -> Result<PublishedRow, HostError> {
    Ok(PublishedRow { row: take_row(input)?, decided: input.u8()? == 1 })
}

/// A row of a batch as bytes: a batch of this one alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowBytes<'a> {
    /// What [`decode_published`] reads.
    pub item: &'a [u8],
    /// How many of its first bytes tell rows apart, whatever their version.
    pub key_len: usize,
}

/// Cuts a batch of rows into its rows.
pub fn split_published(mut bytes: &[u8]) -> Result<Vec<RowBytes<'_>>, HostError> {
    let mut rows = Vec::new();
    while !bytes.is_empty() {
        let mut input = Reader::new(bytes);
        skip_row_id(&mut input)?;
        let key_len = bytes.len() - input.left();
        let mut input = Reader::new(bytes);
        take_published(&mut input)?;
        let (item, rest) = bytes.split_at(bytes.len() - input.left());
        rows.push(RowBytes { item, key_len });
        bytes = rest;
    }
    Ok(rows)
}

fn decode<T>(
    bytes: &[u8],
    mut item: impl FnMut(&mut Reader<'_>) -> Result<T, HostError>,
) -> Result<Vec<T>, HostError> {
    let (mut input, mut items) = (Reader::new(bytes), Vec::new());
    while !input.is_empty() {
        items.push(item(&mut input)?);
    }
    Ok(items)
}
