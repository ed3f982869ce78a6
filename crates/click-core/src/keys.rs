//! Row keys as small numbers: clicks travel with a number, the text is kept once.
//!
//! Numbers are local to one table and mean nothing elsewhere; whoever sends rows or events across
//! a border sends the text.

use crate::hash::{Identity, mix};
use crate::record::Click;
use crate::row::RowKey;
use alloc::string::String;
use alloc::vec::Vec;

/// Number of a row key in its table.
pub type KeyId = u32;

/// Keys that are asked for ahead.
const BLOCK: usize = 32;
const AD: u8 = b'a';
const PUBLISHER: u8 = b'p';

/// Parts of a key, with what it begins with.
pub(crate) struct Parts<'a, const N: usize>(u8, [&'a str; N]);

/// The advertiser view's key.
#[inline]
pub(crate) const fn ad_key<'a>(click: &Click<'a>) -> Parts<'a, 4> {
    Parts(AD, [click.ad_id, click.currency, click.campaign_id, click.advertiser_id])
}

/// The publisher view's key.
#[inline]
pub(crate) const fn publisher_key<'a>(click: &Click<'a>) -> Parts<'a, 3> {
    Parts(PUBLISHER, [click.publisher_id, click.placement_id, click.currency])
}

impl<const N: usize> Parts<'_, N> {
    /// Same as `hash_of` of the key's bytes, without putting them together.
    #[inline]
    fn hash(&self, seed: u64) -> u64 {
        self.1.iter().fold(seed ^ u64::from(self.0), |hash, part| hash_part(hash, part.as_bytes()))
    }

    #[inline]
    fn is(&self, key: &[u8]) -> bool {
        let Some((kind, mut rest)) = key.split_first() else { return false };
        for part in self.1 {
            let Some((len, tail)) = rest.split_first() else { return false };
            let Some((stored, tail)) = tail.split_at_checked(usize::from(*len)) else {
                return false;
            };
            if !same(stored, part.as_bytes()) {
                return false;
            }
            rest = tail;
        }
        *kind == self.0
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.push(self.0);
        for part in self.1 {
            #[expect(clippy::cast_possible_truncation, reason = "ids are at most 128 bytes")]
            out.push(part.len() as u8);
            out.extend_from_slice(part.as_bytes());
        }
    }
}

/// Equality of what is mostly short.
#[inline]
fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match (one.first_chunk::<8>(), one.last_chunk::<8>(), other.first_chunk(), other.last_chunk()) {
        (Some(a), Some(b), Some(c), Some(d)) if one.len() <= 16 => a == c && b == d,
        _ => one == other,
    }
}

/// Mixes a part and its length in. Whoever chooses ids can at worst make look-ups slow, never
/// wrong, and would have to know the log's id for that.
#[inline]
fn hash_part(hash: u64, part: &[u8]) -> u64 {
    let hash = hash ^ part.len() as u64;
    let Some(last) = part.last_chunk::<8>() else {
        return mix(hash ^ part.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
    };
    let (words, _) = part.as_chunks::<8>();
    let words = words.iter().chain([last]);
    words.fold(hash, |hash, word| mix(hash ^ u64::from_le_bytes(*word)))
}

fn hash_of(key: &[u8], seed: u64) -> u64 {
    let Some((kind, _)) = key.split_first() else { return seed };
    parts(key).fold(seed ^ u64::from(*kind), |hash, part| hash_part(hash, part.as_bytes()))
}

fn parts(key: &[u8]) -> impl Iterator<Item = &str> {
    let mut rest = &key[1..];
    core::iter::from_fn(move || {
        let (len, tail) = rest.split_first()?;
        let (part, tail) = tail.split_at_checked(usize::from(*len))?;
        rest = tail;
        core::str::from_utf8(part).ok()
    })
}

/// Whether `key` could have been written by this module.
pub(crate) fn well_formed(key: &[u8]) -> bool {
    let expected = match key.first() {
        Some(&AD) => 4,
        Some(&PUBLISHER) => 3,
        _ => return false,
    };
    let text: usize = parts(key).map(|part| part.len() + 1).sum();
    parts(key).count() == expected && text + 1 == key.len()
}

/// A set of keys with a number each, in the order of their first appearance.
#[derive(Clone, Default)]
pub(crate) struct KeySet {
    seed: u64,
    /// Open addressing: half of the hash, and the number plus one.
    slots: Vec<(u32, KeyId)>,
    hashes: Vec<u64>,
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

impl KeySet {
    pub(crate) fn new(seed: u64) -> KeySet {
        KeySet { seed, ..KeySet::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, id: KeyId) -> &[u8] {
        slice(&self.bytes, &self.ends, id)
    }

    /// The number of a key in parts.
    #[inline]
    pub(crate) fn intern_parts<const N: usize>(&mut self, parts: &Parts<'_, N>) -> KeyId {
        let hash = parts.hash(self.seed);
        if let Some(id) = self.find(hash, |key| parts.is(key)) {
            return id;
        }
        parts.put(&mut self.bytes);
        self.insert(hash)
    }

    /// The number of a key with this hash, and whether it is new.
    #[inline]
    fn intern(&mut self, key: &[u8], hash: u64) -> (KeyId, bool) {
        if let Some(id) = self.find(hash, |other| other == key) {
            return (id, false);
        }
        self.bytes.extend_from_slice(key);
        (self.insert(hash), true)
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "masked to the table's length")]
    const fn home(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    #[inline]
    fn find(&self, hash: u64, is: impl Fn(&[u8]) -> bool) -> Option<KeyId> {
        let mut at = if self.slots.is_empty() { return None } else { self.home(hash) };
        loop {
            let (half, id) = self.slots[at];
            let id = id.checked_sub(1)?;
            if half == upper(hash) && is(self.get(id)) {
                return Some(id);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Numbers the key whose bytes have just been appended.
    fn insert(&mut self, hash: u64) -> KeyId {
        #[expect(clippy::cast_possible_truncation, reason = "memory ends before 2^32 keys")]
        let id = self.ends.len() as KeyId;
        self.ends.push(self.bytes.len());
        self.hashes.push(hash);
        if self.slots.len() < 2 * self.len() {
            self.slots.clear();
            self.slots.resize((4 * self.len()).next_power_of_two(), (0, 0));
            (0..id).for_each(|id| self.put(id));
        }
        self.put(id);
        id
    }

    fn put(&mut self, id: KeyId) {
        let hash = self.hashes[id as usize];
        let mut at = self.home(hash);
        while self.slots[at].1 != 0 {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = (upper(hash), id + 1);
    }

    /// Three hints that a key with this hash is wanted soon, a pass over a block each.
    #[inline]
    fn hint(&self, hash: u64, pass: usize) {
        if self.slots.is_empty() {
            return;
        }
        let slot = &self.slots[self.home(hash)];
        if pass == 0 {
            crate::prefetch::read(slot);
        } else if let Some(id) = slot.1.checked_sub(1) {
            if pass == 1 {
                crate::prefetch::read(&self.ends[id as usize]);
            } else if let Some(byte) = self.get(id).first() {
                crate::prefetch::read(byte);
            }
        }
    }
}

const fn upper(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[inline]
fn slice<'a>(bytes: &'a [u8], ends: &[usize], id: KeyId) -> &'a [u8] {
    let start = if id == 0 { 0 } else { ends[id as usize - 1] };
    &bytes[start..ends[id as usize]]
}

/// Row keys with the key group that each is folded in.
#[derive(Clone)]
pub struct KeyTable {
    set: KeySet,
    groups: Vec<u8>,
    identity: Identity,
}

impl KeyTable {
    /// An empty table; `identity` decides the key groups.
    pub fn new(identity: Identity) -> KeyTable {
        KeyTable { set: KeySet::new(identity.seed()), groups: Vec::new(), identity }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.set.len() == 0
    }

    /// The key group of a key: by ad, or by publisher.
    #[inline]
    pub fn group(&self, id: KeyId) -> u8 {
        self.groups[id as usize]
    }

    /// The key in words.
    pub fn row_key(&self, id: KeyId) -> RowKey {
        let key = self.set.get(id);
        let mut parts = parts(key).map(String::from);
        let mut next = || parts.next().unwrap_or_default();
        if key[0] == AD {
            RowKey::Ad {
                ad_id: next(),
                currency: next(),
                campaign_id: next(),
                advertiser_id: next(),
            }
        } else {
            RowKey::Publisher { publisher_id: next(), placement_id: next(), currency: next() }
        }
    }

    pub(crate) fn bytes(&self, id: KeyId) -> &[u8] {
        self.set.get(id)
    }

    pub(crate) fn intern(&mut self, key: &[u8]) -> KeyId {
        self.intern_hashed(key, hash_of(key, self.set.seed))
    }

    /// The numbers here of all keys of a set with the same seed, a block at a time.
    pub(crate) fn intern_all(&mut self, keys: &KeySet) -> Vec<KeyId> {
        let mut ids = Vec::with_capacity(keys.len());
        for block in keys.hashes.chunks(BLOCK) {
            for pass in 0..3 {
                block.iter().for_each(|hash| self.set.hint(*hash, pass));
            }
            for hash in block {
                #[expect(clippy::cast_possible_truncation, reason = "a set's numbers are u32")]
                let id = ids.len() as KeyId;
                ids.push(self.intern_hashed(keys.get(id), *hash));
            }
        }
        ids
    }

    #[inline]
    fn intern_hashed(&mut self, key: &[u8], hash: u64) -> KeyId {
        let (id, new) = self.set.intern(key, hash);
        if new {
            let first = parts(key).next().unwrap_or_default();
            self.groups.push(self.identity.group(first.as_bytes()));
        }
        id
    }
}
