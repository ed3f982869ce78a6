//! Pages of one kilobyte, taken from segments of two megabytes that are never moved or returned.

use super::bucket::BUCKET_BYTES;
use alloc::vec::Vec;

/// Buckets of a page.
pub(super) const PAGE_BUCKETS: usize = 8;
const SEGMENT_BUCKETS: usize = 2 * 1024 * 1024 / BUCKET_BYTES;
const SEGMENT_PAGES: usize = SEGMENT_BUCKETS / PAGE_BUCKETS;

/// Number of a page in its pool.
pub(super) type PageId = u32;

/// One bucket's bytes, on cache lines of their own.
#[derive(Clone)]
#[repr(align(128))]
pub(super) struct Bucket(pub(super) [u8; BUCKET_BYTES]);

/// A growing set of pages with a free list.
#[derive(Clone, Default)]
pub(crate) struct Pool {
    segments: Vec<Vec<Bucket>>,
    free: Vec<PageId>,
}

impl Pool {
    /// An empty page.
    pub(super) fn take(&mut self) -> PageId {
        if self.free.is_empty() {
            self.add_segment();
        }
        let page = self.free.pop().unwrap_or_default();
        self.clear(page);
        page
    }

    /// Gives a page back.
    pub(super) fn give(&mut self, page: PageId) {
        self.free.push(page);
    }

    /// Empties a page's buckets.
    pub(super) fn clear(&mut self, page: PageId) {
        for bucket in 0..PAGE_BUCKETS {
            let header = &mut self.bucket_mut(page, bucket).0;
            header[0] = 0;
            header[1] = 0;
        }
    }

    #[inline]
    pub(super) fn bucket(&self, page: PageId, bucket: usize) -> &Bucket {
        let page = page as usize;
        &self.segments[page / SEGMENT_PAGES][page % SEGMENT_PAGES * PAGE_BUCKETS + bucket]
    }

    #[inline]
    pub(super) fn bucket_mut(&mut self, page: PageId, bucket: usize) -> &mut Bucket {
        let page = page as usize;
        &mut self.segments[page / SEGMENT_PAGES][page % SEGMENT_PAGES * PAGE_BUCKETS + bucket]
    }

    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        self.segments.len() * SEGMENT_BUCKETS * BUCKET_BYTES
            + self.free.capacity() * size_of::<PageId>()
    }

    fn add_segment(&mut self) {
        #[expect(clippy::cast_possible_truncation, reason = "2^32 pages are 4 TiB")]
        let first = (self.segments.len() * SEGMENT_PAGES) as PageId;
        self.segments.push(alloc::vec![Bucket([0; BUCKET_BYTES]); SEGMENT_BUCKETS]);
        #[expect(clippy::cast_possible_truncation, reason = "a segment has 2048 pages")]
        let pages = SEGMENT_PAGES as PageId;
        self.free.extend((first..first + pages).rev());
    }
}
