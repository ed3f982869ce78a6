//! One small table of the dedup set: pages of buckets, filled to nine tenths. An entry's home is
//! its identity scaled to the number of buckets; a full bucket passes it on to the next.

use super::ID_BYTES;
use super::bucket::{EntryId, slots};
use super::pool::{PAGE_BUCKETS, PageId, Pool};
use alloc::vec::Vec;

/// A table of entries with `V` value bytes.
#[derive(Clone, Default)]
pub(crate) struct Table<const V: usize> {
    pages: Vec<PageId>,
    len: u32,
}

/// Entries in ten slots before a table counts as full.
const FILL_TENTHS: usize = 9;
/// A table grows by this fraction of its pages, at least one.
const GROWTH: usize = 8;

fn entry_id(id: u128) -> EntryId {
    let mut bytes = [0; ID_BYTES];
    bytes.copy_from_slice(&id.to_le_bytes()[..ID_BYTES]);
    bytes
}

/// The 32 bits of an identity that decide its home, out of the 112 that are kept.
#[inline]
fn home_bits(id: &EntryId) -> u64 {
    u64::from(u32::from_le_bytes([id[10], id[11], id[12], id[13]]))
}

impl<const V: usize> Table<V> {
    #[inline]
    const fn buckets(&self) -> usize {
        self.pages.len() * PAGE_BUCKETS
    }

    #[inline]
    const fn capacity(&self) -> usize {
        self.buckets() * slots::<V>() * FILL_TENTHS / 10
    }

    #[inline]
    fn home(&self, id: &EntryId) -> usize {
        ((home_bits(id) * self.buckets() as u64) >> 32) as usize
    }

    #[inline]
    fn page(&self, bucket: usize) -> PageId {
        self.pages[bucket / PAGE_BUCKETS]
    }

    #[inline]
    pub(super) fn hint_page(&self, id: u128) {
        if !self.pages.is_empty() {
            let home = self.home(&entry_id(id));
            crate::prefetch::read(&self.pages[home / PAGE_BUCKETS]);
        }
    }

    #[inline]
    pub(super) fn hint_bucket(&self, pool: &Pool, id: u128) {
        if !self.pages.is_empty() {
            let home = self.home(&entry_id(id));
            let bucket = pool.bucket(self.page(home), home % PAGE_BUCKETS);
            crate::prefetch::read(&bucket.0[0]);
            crate::prefetch::read(&bucket.0[64]);
        }
    }

    #[inline]
    pub(super) const fn is_full(&self) -> bool {
        self.len as usize >= self.capacity()
    }

    /// The value of `id`; an absent id is inserted with `value`. There must be room.
    #[inline]
    pub(super) fn get_or_insert<'p>(
        &mut self,
        pool: &'p mut Pool,
        id: u128,
        value: [u8; V],
    ) -> Option<&'p mut [u8; V]> {
        let id = entry_id(id);
        let Some((bucket, place)) = self.find(pool, &id) else {
            self.insert(pool, &id, &value);
            return None;
        };
        pool.bucket_mut(self.page(bucket), bucket % PAGE_BUCKETS).value_mut(place)
    }

    #[inline]
    fn find(&self, pool: &Pool, id: &EntryId) -> Option<(usize, usize)> {
        let mut number = self.home(id);
        for _ in 0..self.buckets() {
            let bucket = pool.bucket(self.page(number), number % PAGE_BUCKETS);
            if let Some(place) = bucket.find::<V>(id) {
                return Some((number, place));
            }
            if !bucket.went_on() {
                return None;
            }
            number = self.after(number);
        }
        None
    }

    #[inline]
    fn insert(&mut self, pool: &mut Pool, id: &EntryId, value: &[u8; V]) {
        let mut number = self.home(id);
        loop {
            let bucket = pool.bucket_mut(self.page(number), number % PAGE_BUCKETS);
            if bucket.count() < slots::<V>() {
                bucket.push(id, value);
                self.len += 1;
                return;
            }
            bucket.set_went_on();
            number = self.after(number);
        }
    }

    #[inline]
    const fn after(&self, bucket: usize) -> usize {
        if bucket + 1 == self.buckets() { 0 } else { bucket + 1 }
    }

    /// Makes room in a full table: by clearing the dead if they are many, else by growing. Returns
    /// how many dead entries went.
    #[cold]
    pub(super) fn make_room(
        &mut self,
        pool: &mut Pool,
        scratch: &mut Vec<u8>,
        alive: impl Fn([u8; V]) -> bool,
    ) -> u64 {
        let dead = self.collect(pool, scratch, alive);
        let living = scratch.len() / (ID_BYTES + V);
        if living * (GROWTH + 1) >= self.capacity() * GROWTH {
            for _ in 0..(self.pages.len() / GROWTH).max(1) {
                if self.pages.len() == self.pages.capacity() {
                    self.pages.reserve_exact((self.pages.len() / GROWTH).max(1));
                }
                self.pages.push(pool.take());
            }
        }
        self.refill(pool, scratch);
        dead
    }

    /// Clears dead entries away and gives back pages that are not needed. Returns their number.
    pub(super) fn clear_dead(
        &mut self,
        pool: &mut Pool,
        scratch: &mut Vec<u8>,
        alive: impl Fn([u8; V]) -> bool,
    ) -> u64 {
        let dead = self.collect(pool, scratch, alive);
        if dead == 0 {
            return 0;
        }
        let living = scratch.len() / (ID_BYTES + V);
        let per_page = PAGE_BUCKETS * slots::<V>() * FILL_TENTHS / 10;
        while self.pages.len() > living / per_page + 1 {
            self.pages.pop().into_iter().for_each(|page| pool.give(page));
        }
        self.refill(pool, scratch);
        dead
    }

    /// Copies the living entries into `scratch`; returns how many are dead.
    fn collect(&self, pool: &Pool, scratch: &mut Vec<u8>, alive: impl Fn([u8; V]) -> bool) -> u64 {
        scratch.clear();
        let mut dead = 0;
        for number in 0..self.buckets() {
            let bucket = pool.bucket(self.page(number), number % PAGE_BUCKETS);
            for entry in bucket.entries::<V>().chunks_exact(ID_BYTES + V) {
                if entry.last_chunk::<V>().is_some_and(|value| alive(*value)) {
                    scratch.extend_from_slice(entry);
                } else {
                    dead += 1;
                }
            }
        }
        dead
    }

    fn refill(&mut self, pool: &mut Pool, scratch: &[u8]) {
        for page in &self.pages {
            pool.clear(*page);
        }
        self.len = 0;
        for entry in scratch.chunks_exact(ID_BYTES + V) {
            if let (Some(id), Some(value)) = (entry.first_chunk(), entry.last_chunk()) {
                self.insert(pool, id, value);
            }
        }
    }

    /// Hands out the kept bits of each identity with its value.
    pub(super) fn for_each(&self, pool: &Pool, mut f: impl FnMut(u128, [u8; V])) {
        for number in 0..self.buckets() {
            let bucket = pool.bucket(self.page(number), number % PAGE_BUCKETS);
            for entry in bucket.entries::<V>().chunks_exact(ID_BYTES + V) {
                let mut id = [0; 16];
                id[..ID_BYTES].copy_from_slice(&entry[..ID_BYTES]);
                if let Some(value) = entry.last_chunk::<V>() {
                    f(u128::from_le_bytes(id), *value);
                }
            }
        }
    }

    /// Bytes of the page list.
    pub(super) fn memory(&self) -> usize {
        self.pages.capacity() * size_of::<PageId>()
    }
}
