//! The byte form of state, a part per key group or partition (SPEC §6). Written and read by hand:
//! little-endian numbers, length-prefixed bytes, no references between parts. Checksums and
//! atomicity are the host's.

use crate::limits::{LOOK_AHEAD_MS, MAX_TIME_MS};
use crate::types::Millis;
use alloc::string::String;
use alloc::vec::Vec;

/// Bytes that are no snapshot of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotError;

impl core::fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("not a snapshot of this kind, or cut short")
    }
}

impl core::error::Error for SnapshotError {}

/// Writes state.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u128(&mut self, value: u128) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn i128(&mut self, value: i128) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn option(&mut self, value: Option<u64>) {
        self.u8(u8::from(value.is_some()));
        self.u64(value.unwrap_or_default());
    }

    pub(crate) fn len(&mut self, len: usize) {
        self.u64(len as u64);
    }

    /// Writes behind what is there.
    pub(crate) const fn behind(bytes: Vec<u8>) -> Writer {
        Writer { bytes }
    }

    /// Makes room for so many bytes.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// Leaves room for a length that is not known yet, for [`Writer::put_len`].
    pub(crate) fn place_for_len(&mut self) -> usize {
        self.len(0);
        self.bytes.len() - size_of::<u64>()
    }

    /// Writes a length into the room that was left for it.
    pub(crate) fn put_len(&mut self, at: usize, len: usize) {
        self.bytes[at..at + size_of::<u64>()].copy_from_slice(&(len as u64).to_le_bytes());
    }

    /// Bytes of a part that was written elsewhere.
    pub(crate) fn part(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn slice(&mut self, value: &[u8]) {
        self.len(value.len());
        self.bytes.extend_from_slice(value);
    }

    /// Words with their number before them.
    pub(crate) fn words(&mut self, words: &[u64]) {
        self.len(words.len());
        self.plain_words(words);
    }

    /// Up to 255 words with their number in a byte.
    pub(crate) fn short_words(&mut self, words: &[u64]) {
        debug_assert!(u8::try_from(words.len()).is_ok(), "too many words");
        #[expect(clippy::cast_possible_truncation, reason = "as documented")]
        self.u8(words.len() as u8);
        self.plain_words(words);
    }

    fn plain_words(&mut self, words: &[u64]) {
        let from = self.bytes.len();
        self.bytes.resize(from + 8 * words.len(), 0);
        let (places, _) = self.bytes[from..].as_chunks_mut();
        places.iter_mut().zip(words).for_each(|(place, word)| *place = word.to_le_bytes());
    }
}

/// Reads state.
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from their beginning.
    pub const fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes }
    }

    /// Checks that nothing is left.
    pub const fn end(&self) -> Result<(), SnapshotError> {
        if self.bytes.is_empty() { Ok(()) } else { Err(SnapshotError) }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many bytes are left.
    pub(crate) const fn left(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let (head, rest) = self.bytes.split_first_chunk::<N>().ok_or(SnapshotError)?;
        self.bytes = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, SnapshotError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, SnapshotError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, SnapshotError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, SnapshotError> {
        self.array().map(i32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, SnapshotError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn u128(&mut self) -> Result<u128, SnapshotError> {
        self.array().map(u128::from_le_bytes)
    }

    pub(crate) fn i128(&mut self) -> Result<i128, SnapshotError> {
        self.array().map(i128::from_le_bytes)
    }

    /// An instant that records can have: all that is computed from it stays in range.
    pub(crate) fn time(&mut self) -> Result<Millis, SnapshotError> {
        let time = Millis(self.u64()?);
        if time.0 <= MAX_TIME_MS { Ok(time) } else { Err(SnapshotError) }
    }

    /// An instant at which rows change: of the grid, and of records or their verdicts.
    pub(crate) fn grid_instant(&mut self) -> Result<Millis, SnapshotError> {
        let at = Millis(self.u64()?);
        let last = Millis(MAX_TIME_MS).plus(LOOK_AHEAD_MS).grid_ceil();
        if at <= last && at == at.grid_floor() { Ok(at) } else { Err(SnapshotError) }
    }

    pub(crate) fn option(&mut self) -> Result<Option<u64>, SnapshotError> {
        let (some, value) = (self.u8()?, self.u64()?);
        match some {
            0 => Ok(None),
            1 => Ok(Some(value)),
            _ => Err(SnapshotError),
        }
    }

    /// A number of things that take at least `least` bytes each: bounded by what is left.
    pub(crate) fn len(&mut self, least: usize) -> Result<usize, SnapshotError> {
        let len = usize::try_from(self.u64()?).map_err(|_| SnapshotError)?;
        if len > self.bytes.len() / least.max(1) { Err(SnapshotError) } else { Ok(len) }
    }

    pub(crate) fn slice(&mut self) -> Result<&'a [u8], SnapshotError> {
        let len = self.len(1)?;
        let (head, rest) = self.bytes.split_at_checked(len).ok_or(SnapshotError)?;
        self.bytes = rest;
        Ok(head)
    }

    /// Words with their number before them, in the order of their bytes.
    pub(crate) fn words(&mut self) -> Result<&'a [[u8; 8]], SnapshotError> {
        let len = self.len(8)?;
        self.plain_words(len)
    }

    /// Words with their number in a byte.
    pub(crate) fn short_words(&mut self) -> Result<&'a [[u8; 8]], SnapshotError> {
        let len = self.u8()?;
        self.plain_words(usize::from(len))
    }

    fn plain_words(&mut self, len: usize) -> Result<&'a [[u8; 8]], SnapshotError> {
        let (head, rest) = self.bytes.split_at_checked(8 * len).ok_or(SnapshotError)?;
        self.bytes = rest;
        Ok(head.as_chunks().0)
    }

    pub(crate) fn text(&mut self) -> Result<String, SnapshotError> {
        core::str::from_utf8(self.slice()?).map(String::from).map_err(|_| SnapshotError)
    }
}
