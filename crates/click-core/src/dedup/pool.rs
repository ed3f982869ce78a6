//! Memory of a map: pages that its tables take and give back, in segments of 2 MiB.

use alloc::vec::Vec;

/// Size of a page.
pub(super) const PAGE_BYTES: usize = 512;
const SEGMENT_PAGES: usize = 2 * 1024 * 1024 / PAGE_BYTES;

/// Number of a page in its pool.
pub(super) type PageId = u32;

/// Entries of consecutive positions.
pub(super) type Page = [u8; PAGE_BYTES];

/// A growing set of pages with a free list.
#[derive(Clone, Default)]
pub(crate) struct Pool {
    segments: Vec<Vec<Page>>,
    free: Vec<PageId>,
}

impl Pool {
    /// A page with anything in it.
    pub(super) fn take(&mut self) -> PageId {
        if self.free.is_empty() {
            self.add_segment();
        }
        self.free.pop().unwrap_or_default()
    }

    /// Gives a page back.
    pub(super) fn give(&mut self, page: PageId) {
        self.free.push(page);
    }

    #[inline]
    pub(super) fn page(&self, page: PageId) -> &Page {
        &self.segments[page as usize / SEGMENT_PAGES][page as usize % SEGMENT_PAGES]
    }

    #[inline]
    pub(super) fn page_mut(&mut self, page: PageId) -> &mut Page {
        &mut self.segments[page as usize / SEGMENT_PAGES][page as usize % SEGMENT_PAGES]
    }

    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        self.segments.len() * SEGMENT_PAGES * PAGE_BYTES
            + self.free.capacity() * size_of::<PageId>()
    }

    fn add_segment(&mut self) {
        #[expect(clippy::cast_possible_truncation, reason = "2^32 pages are 2 TiB")]
        let first = (self.segments.len() * SEGMENT_PAGES) as PageId;
        // Comes from the system as zeros and is not touched before it is used.
        self.segments.push(alloc::vec![[0; PAGE_BYTES]; SEGMENT_PAGES]);
        #[expect(clippy::cast_possible_truncation, reason = "a segment has 4096 pages")]
        let pages = SEGMENT_PAGES as PageId;
        self.free.extend((first..first + pages).rev());
    }
}
