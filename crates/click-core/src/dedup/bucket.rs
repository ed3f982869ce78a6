//! A bucket: two cache lines of entries. Byte 0 is the count, byte 1 is set once an entry that
//! belongs here or before had to go on to the next bucket; entries follow without gaps.

use super::ID_BYTES;
use super::pool::Bucket;

/// Size of a bucket.
pub(super) const BUCKET_BYTES: usize = 128;
const HEADER: usize = 2;

/// Entries of `V` value bytes that fit.
pub(super) const fn slots<const V: usize>() -> usize {
    (BUCKET_BYTES - HEADER) / (ID_BYTES + V)
}

pub(super) type EntryId = [u8; ID_BYTES];

impl Bucket {
    pub(super) const fn count(&self) -> usize {
        self.0[0] as usize
    }

    pub(super) const fn went_on(&self) -> bool {
        self.0[1] != 0
    }

    pub(super) const fn set_went_on(&mut self) {
        self.0[1] = 1;
    }

    /// Place of the entry with this id.
    #[inline]
    pub(super) fn find<const V: usize>(&self, id: &EntryId) -> Option<usize> {
        let entries = &self.0[HEADER..HEADER + self.count() * (ID_BYTES + V)];
        entries.chunks_exact(ID_BYTES + V).position(|entry| entry[..ID_BYTES] == id[..])
    }

    /// Appends an entry; the bucket must have room.
    #[inline]
    pub(super) fn push<const V: usize>(&mut self, id: &EntryId, value: &[u8; V]) {
        let at = HEADER + self.count() * (ID_BYTES + V);
        self.0[at..at + ID_BYTES].copy_from_slice(id);
        self.0[at + ID_BYTES..at + ID_BYTES + V].copy_from_slice(value);
        self.0[0] += 1;
    }

    /// The value at `place`.
    #[inline]
    pub(super) fn value_mut<const V: usize>(&mut self, place: usize) -> Option<&mut [u8; V]> {
        let at = HEADER + place * (ID_BYTES + V) + ID_BYTES;
        self.0[at..].first_chunk_mut::<V>()
    }

    /// The entries as bytes, each `ID_BYTES + V` long.
    pub(super) fn entries<const V: usize>(&self) -> &[u8] {
        &self.0[HEADER..HEADER + self.count() * (ID_BYTES + V)]
    }
}
