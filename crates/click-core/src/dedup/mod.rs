//! The dedup set: an exact map from 128-bit identities to a few bytes, within 24 bytes of memory
//! per entry from ten million on.
//!
//! Cut into many small tables (key group x 32). A table's entries lie one behind the other in
//! pages of one pool and never move; a small index says where each is, and grows by six to twelve
//! tenths, one table at a time: no step ever takes long. An entry keeps 96 bits of its identity
//! beside the 12 bits that its table stands for.

mod line;
mod pool;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use pool::Pool;
pub(crate) use table::Table;
use table::{EntryId, Seen};

use alloc::vec::Vec;

/// Tables of a key group.
const TABLES: usize = 32;
/// Bits of an identity that its entry keeps.
const ID_BITS: u32 = 96;

/// Where an identity is looked for: its table, what tells it from others there, and what was seen
/// of it when it was asked for.
#[derive(Clone, Copy, Default)]
pub(crate) struct Probe {
    table: u32,
    id: EntryId,
    seen: Seen,
}

/// An exact map from identities to `V` bytes each, for a range of key groups.
#[derive(Clone)]
pub(crate) struct PagedMap<const V: usize> {
    first_group: u8,
    tables: Vec<Table<V>>,
    pool: Pool,
    len: u64,
    swept: usize,
}

impl<const V: usize> PagedMap<V> {
    pub(crate) fn new(groups: core::ops::Range<u8>) -> PagedMap<V> {
        PagedMap {
            first_group: groups.start,
            tables: alloc::vec![Table::default(); groups.len() * TABLES],
            pool: Pool::default(),
            len: 0,
            swept: 0,
        }
    }

    /// Entries held, dead ones that have not been cleared away included.
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// Where `id` is looked for; asks for its table.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a few of the bits each")]
    pub(crate) fn probe(&self, group: u8, id: u128) -> Probe {
        let in_group = (id >> (128 - TABLES.ilog2())) as u32;
        let table = u32::from(group - self.first_group) * TABLES as u32 + in_group;
        let probe = Probe { table, id: EntryId::of(id), seen: Seen::default() };
        crate::prefetch::read(self.table(&probe));
        probe
    }

    #[inline]
    fn table(&self, probe: &Probe) -> &Table<V> {
        &self.tables[probe.table as usize]
    }

    /// First of three hints that the entry is wanted soon; a pass over a block of probes each.
    #[inline]
    pub(crate) fn hint_line(&self, probe: &mut Probe) {
        probe.seen = self.table(probe).hint_line(&self.pool, probe.id);
    }

    /// Second hint; whether the third is worth its while.
    #[inline]
    pub(crate) fn hint_page(&self, probe: &mut Probe) -> bool {
        self.table(probe).hint_page(probe.id, &mut probe.seen)
    }

    /// Third hint.
    pub(crate) fn hint_entry(&self, probe: &Probe) {
        self.table(probe).hint_entry(&self.pool, probe.id);
    }

    /// The value there, to read or overwrite; absent ids get `value`. `alive` says of a value
    /// whether it still matters: dead entries make room when a table is full.
    #[inline]
    pub(crate) fn get_or_insert(
        &mut self,
        probe: &Probe,
        value: [u8; V],
        alive: impl Fn([u8; V]) -> bool,
    ) -> Option<&mut [u8; V]> {
        let table = &mut self.tables[probe.table as usize];
        if table.is_full() {
            self.len -= table.make_room(&mut self.pool, probe.table as usize, alive);
        }
        let found = table.get_or_insert(&mut self.pool, probe.id, probe.seen, value);
        self.len += u64::from(found.is_none());
        found
    }

    /// Clears dead entries out of the next `tables` tables, round and round.
    pub(crate) fn sweep(&mut self, tables: usize, alive: impl Fn([u8; V]) -> bool) {
        for _ in 0..tables.min(self.tables.len()) {
            let table = &mut self.tables[self.swept];
            self.len -= table.clear_dead(&mut self.pool, &alive);
            self.swept = (self.swept + 1) % self.tables.len();
        }
    }

    /// How many tables there are.
    pub(crate) fn tables(&self) -> usize {
        self.tables.len()
    }

    /// Hands out every entry of a key group, sorted by identity: `(table and identity, value)`.
    pub(crate) fn for_each(&self, group: u8, mut f: impl FnMut(u128, [u8; V])) {
        let (mut entries, mut ends) = (Vec::new(), Vec::new());
        for (number, table) in self.of_group(group).iter().enumerate() {
            let high = (number as u128) << (128 - TABLES.ilog2());
            self.sorted(table, &mut entries, &mut ends);
            // Those of the next table are all higher.
            entries.iter().for_each(|(id, value)| f(high | *id, *value));
        }
    }

    /// A table's entries, sorted: their identities are hashes, so that each is near its place as
    /// soon as the first bits have been looked at.
    fn sorted(&self, table: &Table<V>, entries: &mut Vec<(u128, [u8; V])>, ends: &mut Vec<usize>) {
        ends.clear();
        ends.resize(table.len().next_power_of_two(), 0);
        let bits = ends.len().ilog2();
        let bucket = |id: u128| (id >> (ID_BITS - bits)) as usize;
        table.for_each(&self.pool, |id, _| ends[bucket(id)] += 1);
        let mut begin = 0;
        for end in &mut *ends {
            begin += core::mem::replace(end, begin);
        }
        entries.clear();
        entries.resize(table.len(), (0, [0; V]));
        table.for_each(&self.pool, |id, value| {
            let end = &mut ends[bucket(id)];
            entries[*end] = (id, value);
            *end += 1;
        });
        let mut begin = 0;
        for end in ends {
            entries[begin..*end].sort_unstable_by_key(|(id, _)| *id);
            begin = *end;
        }
    }

    /// Entries of a key group, dead ones included.
    pub(crate) fn len_of(&self, group: u8) -> usize {
        self.of_group(group).iter().map(Table::len).sum()
    }

    fn of_group(&self, group: u8) -> &[Table<V>] {
        let first = usize::from(group - self.first_group) * TABLES;
        &self.tables[first..first + TABLES]
    }

    /// Bytes of memory that the map holds.
    pub(crate) fn memory(&self) -> usize {
        let lists: usize = self.tables.iter().map(Table::memory).sum();
        lists + self.tables.capacity() * size_of::<Table<V>>() + self.pool.memory()
    }
}
