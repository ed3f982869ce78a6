//! The paged map against a `BTreeMap`: growth, expiry, sweeping and crowded homes.

use super::PagedMap;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// An entry's value is the time it was made; it matters for this long, inclusively.
const LIFE: u32 = 1_000;
/// The bits that an entry keeps; its table stands for the highest 5, and those between are dropped.
const KEPT: u128 = (1 << 96) - 1;
const DROPPED: u128 = 0x7ff_ffff << 96;

fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn wide(state: &mut u64) -> u128 {
    u128::from(next(state)) << 64 | u128::from(next(state))
}

/// The map under test beside a plain one that forgets nothing.
struct Twins {
    map: PagedMap<4>,
    plain: BTreeMap<(u8, u128), u32>,
}

impl Twins {
    fn new() -> Twins {
        Twins { map: PagedMap::new(3..6), plain: BTreeMap::new() }
    }

    /// What the stages do: take the id, unless it is taken and alive.
    fn claim(&mut self, group: u8, id: u128, now: u32) -> bool {
        let taken = self.plain.get(&(group, id)).is_some_and(|at| now - at <= LIFE);
        let alive = |value| now - u32::from_le_bytes(value) <= LIFE;
        let probe = self.map.probe(group, id);
        let held = self.map.get_or_insert(&probe, now.to_le_bytes(), alive);
        let is_new = match held {
            Some(held) if alive(*held) => false,
            Some(held) => {
                *held = now.to_le_bytes();
                true
            }
            None => true,
        };
        assert_eq!(is_new, !taken, "id {id:x} of group {group} at {now}");
        if is_new {
            self.plain.insert((group, id), now);
        }
        is_new
    }

    fn sweep(&mut self, tables: usize, now: u32) {
        self.map.sweep(tables, |value| now - u32::from_le_bytes(value) <= LIFE);
    }

    /// All that is alive is held, with its value; nothing is held that was never put in.
    fn compare(&self, now: u32) {
        let mut held = 0;
        for group in 3..6 {
            let mut entries = Vec::new();
            self.map.for_each(group, |id, value| entries.push((id, value)));
            assert_eq!(entries.len(), self.map.len_of(group));
            assert!(entries.is_sorted());
            held += entries.len() as u64;
            let alive = |at: u32| now - at <= LIFE;
            let found: Vec<(u128, u32)> = entries
                .into_iter()
                .map(|(id, value)| (id, u32::from_le_bytes(value)))
                .filter(|(_, at)| alive(*at))
                .collect();
            let plain = self.plain.iter().filter(|((of, _), at)| *of == group && alive(**at));
            let expected: Vec<(u128, u32)> =
                plain.map(|((_, id), at)| (id & KEPT | id >> 123 << 123, *at)).collect();
            assert_eq!(found, expected, "group {group} at {now}");
        }
        assert_eq!(held, self.map.len());
    }
}

#[test]
fn same_as_a_plain_map_over_a_long_life() {
    for seed in 0..20 {
        let (mut twins, mut state, mut now) = (Twins::new(), seed, 0);
        let ids: Vec<u128> = (0..500).map(|_| wide(&mut state) & !DROPPED).collect();
        for step in 0..20_000_u32 {
            let [a, b, c, ..] = next(&mut state).to_le_bytes();
            let id = ids[usize::from(u16::from_le_bytes([a, b])) % ids.len()];
            twins.claim(3 + c % 3, id, now);
            now += u32::from(a % 4 == 0);
            if step % 97 == 0 {
                twins.sweep(usize::from(b), now);
            }
            if step % 4_000 == 0 {
                twins.compare(now);
            }
        }
        twins.compare(now);
    }
}

#[test]
fn expires_after_its_life_and_not_before() {
    for sweep in [false, true] {
        for (age, is_new) in [(0, false), (LIFE - 1, false), (LIFE, false), (LIFE + 1, true)] {
            let mut twins = Twins::new();
            assert!(twins.claim(4, 7, 50));
            if sweep {
                twins.sweep(usize::MAX, 50 + age);
            }
            assert_eq!(twins.claim(4, 7, 50 + age), is_new, "aged {age}, swept {sweep}");
        }
    }
}

#[test]
fn grows_and_shrinks_again() {
    let (mut twins, mut state) = (Twins::new(), 9);
    for _ in 0..200_000 {
        twins.claim(5, wide(&mut state) & !DROPPED, 0);
    }
    assert_eq!(twins.map.len(), 200_000);
    twins.compare(0);
    twins.sweep(usize::MAX, LIFE);
    assert_eq!(twins.map.len(), 200_000);
    let full = twins.map.memory();
    twins.sweep(usize::MAX, LIFE + 1);
    assert_eq!(twins.map.len(), 0);
    for _ in 0..200_000 {
        twins.claim(4, wide(&mut state) & !DROPPED, LIFE + 1);
    }
    let again = twins.map.memory();
    assert!(again <= full + full / 10, "pages are used again: {full}, then {again}");
    twins.compare(LIFE + 1);
}

/// Many identities whose home is one bucket, the last of a table, too.
#[test]
fn a_crowded_home_spills_over() {
    for home in [0, u128::from(u32::MAX)] {
        let mut twins = Twins::new();
        let id = |n: u128| home << 64 | n;
        for n in 0..2_000 {
            twins.claim(3, id(n), 1);
            twins.claim(3, id(n), 1);
        }
        twins.compare(1);
        twins.sweep(usize::MAX, LIFE + 2);
        assert_eq!(twins.map.len(), 0);
        for n in 0..50 {
            assert!(twins.claim(3, id(n), LIFE + 2));
        }
        twins.compare(LIFE + 2);
    }
}

#[test]
fn identities_that_differ_in_one_kept_bit_differ() {
    let mut twins = Twins::new();
    let id = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef & !DROPPED;
    twins.claim(3, id, 0);
    for bit in (0..96).chain(123..128) {
        assert!(twins.claim(3, id ^ (1 << bit), 0), "bit {bit}");
    }
    assert!(twins.claim(4, id, 0), "another group");
    twins.compare(0);
}
