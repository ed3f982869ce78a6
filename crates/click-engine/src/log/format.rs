//! Bytes of records and segment headers (`docs/formats/log.md`). Pure: no I/O, no state.
//! Must never accept a record at another place, of another log, or behind another record than the
//! one it was written behind.
//!
//! Record: `crc32c u32, length u32, offset u64, append_time u64, durable_end u64, previous crc
//! u32`, then the payload; little endian. The checksum starts from log id and partition and covers
//! all that follows it. `durable_end`: all records below it were durable when this one was written.

use super::LogId;
use click_core::planted::{Bug, planted};

/// Bytes in front of a payload.
pub(crate) const RECORD_HEADER: usize = 36;
/// Bytes in front of a segment's first record.
pub(crate) const SEGMENT_HEADER: usize = 64;

const MAGIC: &[u8; 8] = b"CLKSEG01";

/// Place in a partition's chain of records: where the next record must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Offset of the next record.
    pub offset: u64,
    /// Its byte position in the segment.
    pub at: u64,
    /// Checksum of the record before it.
    pub previous: u32,
}

/// A decoded record header. `size` is that of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHead {
    pub crc: u32,
    pub size: usize,
    pub offset: u64,
    pub append_time: u64,
    pub durable_end: u64,
    pub previous: u32,
}

impl RecordHead {
    pub fn frame_size(&self) -> usize {
        RECORD_HEADER + self.size
    }
}

/// Why bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    /// More bytes are needed: at least this many.
    Short(usize),
    Empty,
    Length,
    Checksum,
    Offset,
    Chain,
}

impl Bad {
    pub fn reason(self) -> &'static str {
        match self {
            Bad::Short(_) => "record cut off by the end of the file",
            Bad::Empty => "no record where one is known to be",
            Bad::Length => "impossible record length",
            Bad::Checksum => "record checksum does not match",
            Bad::Offset => "record of another offset",
            Bad::Chain => "record was written behind another record than the one before it",
        }
    }
}

/// Start value of record checksums: binds log and partition.
pub(crate) fn record_seed(id: LogId, partition: u32) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&id.0), &partition.to_le_bytes())
}

/// Appends a frame without checksum, `durable_end` and chain; [`seal_record`] fills them in.
pub(crate) fn push_record(buf: &mut Vec<u8>, offset: u64, append_time: u64, payload: &[u8]) {
    let size = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut head = [0; RECORD_HEADER];
    head[4..8].copy_from_slice(&size.to_le_bytes());
    head[8..16].copy_from_slice(&offset.to_le_bytes());
    head[16..24].copy_from_slice(&append_time.to_le_bytes());
    buf.reserve(RECORD_HEADER + payload.len());
    buf.extend_from_slice(&head);
    buf.extend_from_slice(payload);
}

/// Completes the frame at the start of `frames`; returns its checksum.
pub(crate) fn seal_record(seed: u32, frame: &mut [u8], durable_end: u64, previous: u32) -> u32 {
    frame[24..32].copy_from_slice(&durable_end.to_le_bytes());
    frame[32..36].copy_from_slice(&previous.to_le_bytes());
    let crc = crc32c::crc32c_append(seed, &frame[4..]);
    frame[..4].copy_from_slice(&crc.to_le_bytes());
    crc
}

/// Size of the frame at the start of `frames`, written by [`push_record`].
pub(crate) fn frame_size(frames: &[u8]) -> usize {
    RECORD_HEADER + u32_at(frames, 4) as usize
}

/// `(offset, append_time)` of the frame at the start of `frames`.
pub(crate) fn frame_place(frames: &[u8]) -> (u64, u64) {
    (u64_at(frames, 8), u64_at(frames, 16))
}

/// Decodes and verifies the record at the start of `bytes`, wherever it claims to belong.
pub(crate) fn decode_any(seed: u32, bytes: &[u8]) -> Result<RecordHead, Bad> {
    if bytes.len() < RECORD_HEADER {
        return Err(Bad::Short(RECORD_HEADER));
    }
    let head = RecordHead {
        crc: u32_at(bytes, 0),
        size: u32_at(bytes, 4) as usize,
        offset: u64_at(bytes, 8),
        append_time: u64_at(bytes, 16),
        durable_end: u64_at(bytes, 24),
        previous: u32_at(bytes, 32),
    };
    match head.size {
        0 => return Err(Bad::Empty),
        size if size > super::MAX_PAYLOAD => return Err(Bad::Length),
        _ => {}
    }
    let frame = bytes.get(4..head.frame_size()).ok_or(Bad::Short(head.frame_size()))?;
    if crc32c::crc32c_append(seed, frame) != head.crc && !planted(Bug::ChecksumIgnored) {
        return Err(Bad::Checksum);
    }
    Ok(head)
}

/// Decodes and verifies the record that must be at `cursor`; moves it behind the record.
pub(crate) fn decode(seed: u32, bytes: &[u8], cursor: &mut Cursor) -> Result<RecordHead, Bad> {
    let head = decode_any(seed, bytes)?;
    if !planted(Bug::PlaceUnchecked) {
        check_place(&head, cursor)?;
    }
    cursor.offset += 1;
    cursor.at += head.frame_size() as u64;
    cursor.previous = head.crc;
    Ok(head)
}

/// A record of another place, time or log is none.
fn check_place(head: &RecordHead, cursor: &Cursor) -> Result<(), Bad> {
    if head.offset != cursor.offset {
        return Err(Bad::Offset);
    }
    if head.previous != cursor.previous {
        return Err(Bad::Chain);
    }
    Ok(())
}

/// Head of a segment file; `base` also names the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    pub id: LogId,
    pub partition: u32,
    /// Offset of the first record.
    pub base: u64,
    /// `append_time` and checksum of the record before; 0 and the seed at the very start.
    pub base_time: u64,
    pub previous: u32,
}

impl SegmentHead {
    /// `magic 8, log id 16, partition u32, previous u32, base u64, base_time u64, zeros 12,
    /// crc32c`.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut bytes = [0; SEGMENT_HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..24].copy_from_slice(&self.id.0);
        bytes[24..28].copy_from_slice(&self.partition.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.previous.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.base.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.base_time.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() < SEGMENT_HEADER {
            return Err("segment header cut off");
        }
        if &bytes[..8] != MAGIC {
            return Err("not a log segment of a known format version");
        }
        if crc32c::crc32c(&bytes[..60]) != u32_at(bytes, 60) {
            return Err("segment header checksum does not match");
        }
        let mut id = [0; 16];
        id.copy_from_slice(&bytes[8..24]);
        Ok(SegmentHead {
            id: LogId(id),
            partition: u32_at(bytes, 24),
            previous: u32_at(bytes, 28),
            base: u64_at(bytes, 32),
            base_time: u64_at(bytes, 40),
        })
    }

    pub fn cursor(&self) -> Cursor {
        Cursor { offset: self.base, at: SEGMENT_HEADER as u64, previous: self.previous }
    }
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}
