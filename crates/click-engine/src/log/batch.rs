//! A batch of records as read: one contiguous buffer and an index into it, reused from read to
//! read, so that reading allocates nothing per record. Must never expose bytes that were not
//! verified.

use super::format::RECORD_HEADER;

/// Records in offset order, as filled by `EventLog::read`. [`clear`](Self::clear) keeps the memory.
#[derive(Debug, Default)]
pub struct RecordBatch {
    /// Scratch and record bytes; `bytes[..used]` belongs to `entries`, the rest is spare.
    bytes: Vec<u8>,
    used: usize,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    offset: u64,
    append_time: u64,
    start: usize,
    end: usize,
}

impl RecordBatch {
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the records, keeps the memory.
    pub fn clear(&mut self) {
        self.used = 0;
        self.entries.clear();
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// `(offset, append_time, payload)` of the record at `index`, counted from 0 in this batch.
    pub fn get(&self, index: usize) -> Option<(u64, u64, &[u8])> {
        self.entries.get(index).map(|e| self.view(e))
    }

    /// The newest record, if any; `offset + 1` is where the next read goes on.
    pub fn last(&self) -> Option<(u64, u64, &[u8])> {
        self.entries.last().map(|e| self.view(e))
    }

    pub fn iter(&self) -> Records<'_> {
        Records { batch: self, entries: self.entries.iter() }
    }

    /// Copies one record in; for logs other than the embedded one.
    pub fn push(&mut self, offset: u64, append_time: u64, payload: &[u8]) {
        let start = self.used;
        self.split(payload.len()).0.copy_from_slice(payload);
        self.used = start + payload.len();
        self.entries.push(Entry { offset, append_time, start, end: self.used });
    }

    /// Copies in consecutive records, the first at `from`: as many as fit in `max_bytes` (with
    /// headers), but at least one; for logs in memory.
    pub fn fill<'a>(
        &mut self,
        from: u64,
        records: impl Iterator<Item = (u64, &'a [u8])>,
        max_bytes: usize,
    ) {
        let mut taken = 0;
        for (offset, (append_time, payload)) in (from..).zip(records) {
            taken += RECORD_HEADER + payload.len();
            if taken > max_bytes && offset > from {
                break;
            }
            self.push(offset, append_time, payload);
        }
    }

    /// `len` writable bytes behind the used ones (contents undefined), and who notes what is there.
    pub(crate) fn split(&mut self, len: usize) -> (&mut [u8], Notes<'_>) {
        if self.bytes.len() < self.used + len {
            self.bytes.resize(self.used + len, 0);
        }
        let base = self.used;
        (&mut self.bytes[base..base + len], Notes { base, entries: &mut self.entries })
    }

    /// Moves the first `len` spare bytes into the used part.
    pub(crate) fn keep(&mut self, len: usize) {
        self.used += len;
        assert!(self.used <= self.bytes.len(), "kept more than was read");
    }

    fn view(&self, entry: &Entry) -> (u64, u64, &[u8]) {
        (entry.offset, entry.append_time, &self.bytes[entry.start..entry.end])
    }
}

/// Notes records found in the spare area; positions are relative to it.
pub(crate) struct Notes<'a> {
    base: usize,
    entries: &'a mut Vec<Entry>,
}

impl Notes<'_> {
    pub fn note(&mut self, offset: u64, append_time: u64, payload: std::ops::Range<usize>) {
        let (start, end) = (self.base + payload.start, self.base + payload.end);
        self.entries.push(Entry { offset, append_time, start, end });
    }
}

/// Iterator over `(offset, append_time, payload)`.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    batch: &'a RecordBatch,
    entries: std::slice::Iter<'a, Entry>,
}

impl<'a> Iterator for Records<'a> {
    type Item = (u64, u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.entries.next().map(|e| self.batch.view(e))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl ExactSizeIterator for Records<'_> {}

impl<'a> IntoIterator for &'a RecordBatch {
    type Item = (u64, u64, &'a [u8]);
    type IntoIter = Records<'a>;

    fn into_iter(self) -> Records<'a> {
        self.iter()
    }
}
