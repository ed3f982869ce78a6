//! A table: entries packed one behind the other in pages, in the order they came, and an index of
//! cache lines that says where they are. The index is small enough to stay near the processor, new
//! entries go where the last one went, and growing moves four bytes an entry, never the entry.

use super::line::{Line, PLACES, POSITIONS};
use super::pool::{PAGE_BYTES, PageId, Pool};
use crate::planted::{Bug, planted};
use alloc::vec::Vec;

/// A table of entries with `V` value bytes.
#[derive(Clone, Default)]
#[repr(align(64))]
pub(crate) struct Table<const V: usize> {
    lines: Vec<Line>,
    pages: Vec<PageId>,
    len: u32,
    /// Entries that call for more lines.
    capacity: u32,
    /// The page of the next entry, unless that needs a new one.
    tail: PageId,
    /// How often the index was made anew.
    indexed: u32,
}

/// What was seen of the line of an identity: good for as long as the index is the same, and as no
/// position has been added.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen {
    home: u32,
    indexed: u32,
    /// Positions of the line plus one, if the identity was none of theirs and on no other line.
    absent: u8,
}

/// The bits of an identity that an entry keeps.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct EntryId {
    low: u64,
    high: u32,
}

const ID_BYTES: usize = 12;

impl EntryId {
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "other bits are not kept")]
    pub(super) const fn of(id: u128) -> EntryId {
        EntryId { low: id as u64, high: (id >> 64) as u32 }
    }

    #[inline]
    fn read(entry: &[u8]) -> EntryId {
        let (low, rest) = entry.split_first_chunk().unwrap_or((&[0; 8], entry));
        let high = rest.first_chunk().unwrap_or(&[0; 4]);
        EntryId { low: u64::from_le_bytes(*low), high: u32::from_le_bytes(*high) }
    }

    #[inline]
    fn write(self, entry: &mut [u8]) {
        entry[..8].copy_from_slice(&self.low.to_le_bytes());
        entry[8..ID_BYTES].copy_from_slice(&self.high.to_le_bytes());
    }

    /// The bits that its line keeps.
    #[inline]
    const fn tag(self) -> u8 {
        (self.low >> 56) as u8
    }

    /// Its line, of so many.
    #[inline]
    const fn home(self, lines: usize) -> usize {
        ((self.high as u64 * lines as u64) >> 32) as usize
    }
}

/// Places in a hundred that are taken when the index counts as full.
const FILL_PERCENT: usize = 86;
/// Lines in a hundred by which the index grows, tables by unequal steps: were the steps equal, all
/// tables would be at their emptiest at once.
const GROWTH_PERCENT: [usize; 4] = [60, 80, 100, 120];

/// Lines for `entries`.
const fn lines_for(entries: usize) -> usize {
    (entries * 100).div_ceil(PLACES * FILL_PERCENT)
}

/// Entries that count as full for so many lines.
#[expect(clippy::cast_possible_truncation, reason = "a table holds 2^20 entries")]
const fn capacity_of(lines: usize) -> u32 {
    (lines * PLACES * FILL_PERCENT).div_ceil(100) as u32
}

impl<const V: usize> Table<V> {
    const ENTRY: usize = ID_BYTES + V;
    const PAGE_ENTRIES: usize = PAGE_BYTES / Self::ENTRY;

    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether room has to be made before an insertion.
    #[inline]
    pub(super) const fn is_full(&self) -> bool {
        self.len >= self.capacity
    }

    #[inline]
    const fn after(&self, line: usize) -> usize {
        if line + 1 == self.lines.len() { 0 } else { line + 1 }
    }

    #[inline]
    fn line(&self, id: EntryId) -> Option<(usize, &Line)> {
        let home = id.home(self.lines.len());
        self.lines.get(home).map(|line| (home, line))
    }

    /// Asks for the line of `id` and for the place of the next entry.
    #[inline]
    pub(super) fn hint_line(&self, pool: &Pool, id: EntryId) -> Seen {
        #[expect(clippy::cast_possible_truncation, reason = "fewer lines than positions")]
        let seen =
            Seen { home: id.home(self.lines.len()) as u32, indexed: self.indexed, absent: 0 };
        if let Some(line) = self.lines.get(seen.home as usize) {
            crate::prefetch::read(line);
            let place = self.len() % Self::PAGE_ENTRIES;
            crate::prefetch::read(&pool.page(self.tail)[place * Self::ENTRY]);
        }
        seen
    }

    /// Asks for what the line of `id` leads to: the next line, the page that may hold the entry;
    /// whether there may be one.
    #[inline]
    pub(super) fn hint_page(&self, id: EntryId, seen: &mut Seen) -> bool {
        let home = seen.home as usize;
        let is_home = seen.indexed == self.indexed;
        let Some(line) = self.lines.get(home).filter(|_| is_home) else { return false };
        let candidate = line.candidates(id.tag()).next();
        if line.went_on() || line.is_full() {
            crate::prefetch::read(&self.lines[self.after(home)]);
        } else if candidate.is_none() {
            seen.absent = line.count() + 1;
        }
        if let Some(position) = candidate {
            crate::prefetch::read(&self.pages[position / Self::PAGE_ENTRIES]);
        }
        candidate.is_some()
    }

    /// Asks for the entry that may be the one.
    pub(super) fn hint_entry(&self, pool: &Pool, id: EntryId) {
        let Some((_, line)) = self.line(id) else { return };
        if let Some(position) = line.candidates(id.tag()).next() {
            crate::prefetch::read(&self.entry(pool, position)[0]);
        }
    }

    /// The value of `id`, of which that was seen; an absent id is inserted with `value`. There
    /// must be room.
    #[inline]
    pub(super) fn get_or_insert<'p>(
        &mut self,
        pool: &'p mut Pool,
        id: EntryId,
        seen: Seen,
        value: [u8; V],
    ) -> Option<&'p mut [u8; V]> {
        if seen.indexed == self.indexed
            && let Some(line) = self.lines.get(seen.home as usize)
            && seen.absent == line.count() + 1
        {
            let position = self.append(pool, id, &value);
            self.note(seen.home as usize, id.tag(), position);
            return None;
        }
        self.search_or_insert(pool, id, value)
    }

    #[inline(never)]
    fn search_or_insert<'p>(
        &mut self,
        pool: &'p mut Pool,
        id: EntryId,
        value: [u8; V],
    ) -> Option<&'p mut [u8; V]> {
        let mut number = id.home(self.lines.len());
        loop {
            let line = &self.lines[number];
            let is_it = |position: &usize| {
                EntryId::read(self.entry(pool, *position)) == id || planted(Bug::TagIsEnough)
            };
            if let Some(position) = line.candidates(id.tag()).find(is_it) {
                return self.entry_mut(pool, position).last_chunk_mut();
            }
            if !line.went_on() {
                break;
            }
            number = self.after(number);
        }
        let position = self.append(pool, id, &value);
        self.note(number, id.tag(), position);
        None
    }

    #[inline]
    fn entry<'p>(&self, pool: &'p Pool, position: usize) -> &'p [u8] {
        let place = position % Self::PAGE_ENTRIES * Self::ENTRY;
        &pool.page(self.pages[position / Self::PAGE_ENTRIES])[place..place + Self::ENTRY]
    }

    #[inline]
    fn entry_mut<'p>(&self, pool: &'p mut Pool, position: usize) -> &'p mut [u8] {
        let place = position % Self::PAGE_ENTRIES * Self::ENTRY;
        &mut pool.page_mut(self.pages[position / Self::PAGE_ENTRIES])[place..place + Self::ENTRY]
    }

    /// Puts an entry behind the others.
    #[inline]
    fn append(&mut self, pool: &mut Pool, id: EntryId, value: &[u8; V]) -> usize {
        let position = self.len();
        assert!(position < POSITIONS, "a table of the dedup set holds 2^20 entries");
        let place = position % Self::PAGE_ENTRIES * Self::ENTRY;
        if place == 0 {
            self.tail = pool.take();
            self.pages.push(self.tail);
        }
        let entry = &mut pool.page_mut(self.tail)[place..place + Self::ENTRY];
        id.write(entry);
        entry[ID_BYTES..].copy_from_slice(value);
        self.len += 1;
        position
    }

    /// Notes a position in the first line with room, from `number` on.
    #[inline]
    fn note(&mut self, mut number: usize, tag: u8, position: usize) {
        while self.lines[number].is_full() {
            self.lines[number].set_went_on();
            number = self.after(number);
        }
        self.lines[number].push(tag, position);
    }

    /// Makes room: by clearing the dead if there are many, else by growing. Returns how many dead
    /// entries went. `number` is the table's.
    #[cold]
    pub(super) fn make_room(
        &mut self,
        pool: &mut Pool,
        number: usize,
        alive: impl Fn([u8; V]) -> bool,
    ) -> u64 {
        let oldest = if self.len == 0 { None } else { self.entry(pool, 0).last_chunk() };
        let dead =
            if oldest.is_some_and(|value| !alive(*value)) { self.pack(pool, alive) } else { 0 };
        let (lines, needed) = (self.lines.len(), lines_for(self.len() + 1));
        let few_dead = needed * 8 >= lines * 7;
        self.index(pool, if few_dead { self.larger(number).max(needed) } else { lines });
        dead
    }

    const fn larger(&self, number: usize) -> usize {
        let percent = GROWTH_PERCENT[number % GROWTH_PERCENT.len()];
        self.lines.len() + (self.lines.len() * percent).div_ceil(100)
    }

    /// Clears dead entries away and gives back memory that is not needed. Returns their number.
    pub(super) fn clear_dead(&mut self, pool: &mut Pool, alive: impl Fn([u8; V]) -> bool) -> u64 {
        let dead = self.pack(pool, alive);
        if dead > 0 {
            let needed = lines_for(self.len() + 1);
            let roomy = needed + needed.div_ceil(4);
            self.index(pool, self.lines.len().min(roomy));
        }
        dead
    }

    /// Moves the living together, in their order; returns how many dead there were.
    fn pack(&mut self, pool: &mut Pool, alive: impl Fn([u8; V]) -> bool) -> u64 {
        let mut kept = 0;
        for position in 0..self.len() {
            let entry = self.entry(pool, position);
            if !entry.last_chunk().is_some_and(|value| alive(*value)) {
                continue;
            }
            if kept < position {
                let mut moved = [0; PAGE_BYTES];
                moved[..Self::ENTRY].copy_from_slice(entry);
                self.entry_mut(pool, kept).copy_from_slice(&moved[..Self::ENTRY]);
            }
            kept += 1;
        }
        let dead = self.len() - kept;
        #[expect(clippy::cast_possible_truncation, reason = "no more than before")]
        let len = kept as u32;
        self.len = len;
        while self.pages.len() > kept.div_ceil(Self::PAGE_ENTRIES) {
            self.pages.pop().into_iter().for_each(|page| pool.give(page));
        }
        self.tail = self.pages.last().copied().unwrap_or_default();
        dead as u64
    }

    /// Makes the index anew, with so many lines.
    fn index(&mut self, pool: &Pool, lines: usize) {
        if lines == self.lines.len() {
            self.lines.fill(Line::EMPTY);
        } else {
            self.lines = alloc::vec![Line::EMPTY; lines];
        }
        self.capacity = capacity_of(lines);
        self.indexed = self.indexed.wrapping_add(1);
        let mut position = 0;
        for number in 0..self.pages.len() {
            if let Some(next) = self.pages.get(number + 1) {
                pool.page(*next).chunks(size_of::<Line>()).for_each(|line| {
                    crate::prefetch::read(&line[0]);
                });
            }
            let page = pool.page(self.pages[number]);
            let left = (self.len() - position).min(Self::PAGE_ENTRIES);
            for entry in page.chunks_exact(Self::ENTRY).take(left) {
                let id = EntryId::read(entry);
                self.note(id.home(lines), id.tag(), position);
                position += 1;
            }
        }
    }

    /// Hands out the kept bits of each identity with its value.
    pub(super) fn for_each(&self, pool: &Pool, mut f: impl FnMut(u128, [u8; V])) {
        let mut left = self.len();
        for page in &self.pages {
            for entry in pool.page(*page).chunks_exact(Self::ENTRY).take(left) {
                let id = EntryId::read(entry);
                if let Some(value) = entry.last_chunk::<V>() {
                    f(u128::from(id.high) << 64 | u128::from(id.low), *value);
                }
            }
            left -= left.min(Self::PAGE_ENTRIES);
        }
    }

    /// Bytes of the index and of the page list.
    pub(super) fn memory(&self) -> usize {
        self.lines.capacity() * size_of::<Line>() + self.pages.capacity() * size_of::<PageId>()
    }
}
