//! Row keys as small numbers: clicks travel with a number, the key is kept once, as words to look
//! it up by and as text to publish.
//!
//! Numbers are local to one table and mean nothing elsewhere; whoever sends rows or events across
//! a border sends the text.

use crate::hash::{Identity, mix};
use crate::limits::MAX_ID_BYTES;
use crate::record::Click;
use crate::row::RowKey;
use crate::words;
use alloc::string::String;
use alloc::sync::Arc;
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

/// Mixes a word in. Whoever chooses ids can at worst make look-ups slow, never wrong, and would
/// have to know the log's id for that.
#[inline]
const fn hash_word(hash: u64, word: u64) -> u64 {
    mix(hash ^ word)
}

/// Row keys one behind the other, each as words: what it begins with and the lengths of its parts,
/// then the parts.
#[derive(Clone, Default)]
struct Keys {
    words: Vec<u64>,
    ends: Vec<u32>,
    hashes: Vec<u64>,
}

impl Keys {
    fn len(&self) -> usize {
        self.ends.len()
    }

    #[inline]
    fn start(&self, id: KeyId) -> u32 {
        if id == 0 { 0 } else { self.ends[id as usize - 1] }
    }

    #[inline]
    fn get(&self, id: KeyId) -> &[u64] {
        &self.words[self.start(id) as usize..self.ends[id as usize] as usize]
    }

    /// Whether the key that begins at `start` is `key`: the first word tells the length.
    #[inline]
    fn begins(&self, start: u32, key: &[u64]) -> bool {
        let start = start as usize;
        self.words.get(start..start + key.len()).is_some_and(|words| same(words, key))
    }

    /// Appends a key of parts of at most 255 bytes each.
    #[inline]
    fn push<const N: usize>(&mut self, Parts(kind, parts): &Parts<'_, N>, seed: u64) {
        const { assert!(N <= 4, "the lengths fit into a word") };
        let head = parts.iter().rev().fold(0, |word, part| word << 8 | part.len() as u64);
        let head = head << 8 | u64::from(*kind);
        self.words.reserve(1 + N * words::count(MAX_ID_BYTES));
        self.words.push(head);
        let mut hash = hash_word(seed, head);
        for part in parts {
            words::for_each(part.as_bytes(), |word| {
                self.words.push(word);
                hash = hash_word(hash, word);
            });
        }
        self.end(hash);
    }

    fn push_words(&mut self, key: &[u64], hash: u64) {
        self.words.extend_from_slice(key);
        self.end(hash);
    }

    #[inline]
    fn end(&mut self, hash: u64) {
        #[expect(clippy::cast_possible_truncation, reason = "2^32 words are 32 GiB of keys")]
        let end = self.words.len() as u32;
        self.ends.push(end);
        self.hashes.push(hash);
    }
}

/// The parts of a key as text.
fn parts(key: &[u64]) -> impl Iterator<Item = String> {
    let head = key[0].to_le_bytes();
    let mut rest = &key[1..];
    let lengths = head.into_iter().skip(1).take(parts_of(head[0]));
    lengths.map(move |len| {
        let (part, tail) = rest.split_at(words::count(usize::from(len)));
        rest = tail;
        let mut bytes = words::bytes(part);
        bytes.truncate(usize::from(len));
        // Keys are made of text.
        String::from_utf8(bytes).unwrap_or_default()
    })
}

const fn parts_of(kind: u8) -> usize {
    if kind == AD { 4 } else { 3 }
}

/// Whether `key` could have been made by this module.
pub(crate) fn well_formed(key: &[u64]) -> bool {
    let Some((head, mut rest)) = key.split_first() else { return false };
    let [kind, lengths @ ..] = head.to_le_bytes();
    let (lengths, none) = lengths.split_at(parts_of(kind));
    for len in lengths.iter().map(|len| usize::from(*len)) {
        let Some((part, tail)) = rest.split_at_checked(words::count(len)) else { return false };
        let bytes = words::bytes(part);
        let (text, filling) = bytes.split_at(len);
        let id = len <= MAX_ID_BYTES && core::str::from_utf8(text).is_ok();
        if !id || filling.iter().any(|byte| *byte != 0) {
            return false;
        }
        rest = tail;
    }
    matches!(kind, AD | PUBLISHER) && none.iter().all(|byte| *byte == 0) && rest.is_empty()
}

/// The keys of a chunk's clicks, each as often as it occurs: first the ad's, then the publisher's.
#[derive(Clone, Default)]
pub(crate) struct KeyList {
    seed: u64,
    keys: Keys,
}

impl KeyList {
    /// An empty list with room for so many clicks.
    pub(crate) fn new(seed: u64, clicks: usize) -> KeyList {
        let mut keys = Keys::default();
        keys.words.reserve(10 * clicks);
        keys.ends.reserve(2 * clicks);
        keys.hashes.reserve(2 * clicks);
        KeyList { seed, keys }
    }

    /// Appends a key.
    #[inline]
    pub(crate) fn push<const N: usize>(&mut self, parts: &Parts<'_, N>) {
        self.keys.push(parts, self.seed);
    }
}

/// A set of keys with a number each, in the order of their first appearance.
#[derive(Clone, Default)]
struct KeySet {
    keys: Keys,
    /// Open addressing.
    slots: Vec<KeySlot>,
}

/// Half of a key's hash, where its words begin, and its number plus one, 0 for none.
#[derive(Clone, Copy, Default)]
struct KeySlot {
    half: u32,
    start: u32,
    next_id: u32,
}

impl KeySet {
    /// The number of a key with this hash, and whether it is new.
    #[inline]
    fn intern(&mut self, key: &[u64], hash: u64) -> (KeyId, bool) {
        if let Some(id) = self.find(key, hash) {
            return (id, false);
        }
        self.keys.push_words(key, hash);
        (self.insert(), true)
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "masked to the table's length")]
    const fn home(&self, hash: u64) -> usize {
        hash as usize & self.slots.len().wrapping_sub(1)
    }

    #[inline]
    fn find(&self, key: &[u64], hash: u64) -> Option<KeyId> {
        let mut at = if self.slots.is_empty() { return None } else { self.home(hash) };
        loop {
            let slot = self.slots[at];
            let id = slot.next_id.checked_sub(1)?;
            if slot.half == upper(hash) && self.keys.begins(slot.start, key) {
                return Some(id);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Numbers the key that has just been appended.
    fn insert(&mut self) -> KeyId {
        #[expect(clippy::cast_possible_truncation, reason = "memory ends before 2^32 keys")]
        let id = self.keys.len() as KeyId - 1;
        if self.slots.len() < 2 * self.keys.len() {
            self.slots.clear();
            let len = (4 * self.keys.len()).next_power_of_two();
            self.slots.resize(len, KeySlot::default());
            (0..id).for_each(|id| self.put(id));
        }
        self.put(id);
        id
    }

    fn put(&mut self, id: KeyId) {
        let hash = self.keys.hashes[id as usize];
        let mut at = self.home(hash);
        while self.slots[at].next_id != 0 {
            at = (at + 1) & (self.slots.len() - 1);
        }
        let (half, start) = (upper(hash), self.keys.start(id));
        self.slots[at] = KeySlot { half, start, next_id: id + 1 };
    }

    /// First of two hints that a key with this hash is wanted soon, a pass over a block each.
    #[inline]
    fn hint_slot(&self, hash: u64) {
        if let Some(slot) = self.slots.get(self.home(hash)) {
            crate::prefetch::read(slot);
        }
    }

    /// Second hint.
    #[inline]
    fn hint_words(&self, hash: u64) {
        if let Some(slot) = self.slots.get(self.home(hash))
            && let Some(word) = self.keys.words.get(slot.start as usize)
        {
            crate::prefetch::read(word);
        }
    }
}

/// Equality of as many words, few of them, without a call.
#[inline]
fn same(one: &[u64], other: &[u64]) -> bool {
    one.iter().zip(other).fold(0, |differ, (a, b)| differ | a ^ b) == 0
}

const fn upper(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// Row keys with the key group that each is folded in.
#[derive(Clone)]
pub struct KeyTable {
    set: KeySet,
    groups: Vec<u8>,
    texts: Vec<Arc<RowKey>>,
    identity: Identity,
}

impl KeyTable {
    /// An empty table; `identity` decides the key groups.
    pub fn new(identity: Identity) -> KeyTable {
        KeyTable { set: KeySet::default(), groups: Vec::new(), texts: Vec::new(), identity }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.set.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key group of a key: by ad, or by publisher.
    #[inline]
    pub fn group(&self, id: KeyId) -> u8 {
        self.groups[id as usize]
    }

    /// The key as text.
    pub fn row_key(&self, id: KeyId) -> Arc<RowKey> {
        Arc::clone(&self.texts[id as usize])
    }

    /// The key as it is kept: one order and one form wherever it is.
    pub(crate) fn words(&self, id: KeyId) -> &[u64] {
        self.set.keys.get(id)
    }

    /// The number of a key that is [`well_formed`].
    pub(crate) fn intern(&mut self, key: &[u64]) -> KeyId {
        let hash = key.iter().fold(self.identity.seed(), |hash, word| hash_word(hash, *word));
        self.intern_words(key, hash)
    }

    /// Hands out the numbers here of all keys of a list, in pairs, a block at a time.
    pub(crate) fn intern_all(&mut self, list: &KeyList, mut f: impl FnMut(KeyId, KeyId)) {
        let (mut next, mut before) = (0, 0);
        for block in list.keys.hashes.chunks(BLOCK) {
            block.iter().for_each(|hash| self.set.hint_slot(*hash));
            block.iter().for_each(|hash| self.set.hint_words(*hash));
            for hash in block {
                let id = self.intern_words(list.keys.get(next), *hash);
                if next % 2 == 1 {
                    f(before, id);
                }
                (next, before) = (next + 1, id);
            }
        }
    }

    #[inline]
    fn intern_words(&mut self, key: &[u64], hash: u64) -> KeyId {
        let (id, new) = self.set.intern(key, hash);
        if new {
            let key = text_of(key);
            let (RowKey::Ad { ad_id: first, .. } | RowKey::Publisher { publisher_id: first, .. }) =
                &key;
            self.groups.push(self.identity.group(first.as_bytes()));
            self.texts.push(Arc::new(key));
        }
        id
    }
}

fn text_of(key: &[u64]) -> RowKey {
    let mut parts = parts(key);
    let mut next = || parts.next().unwrap_or_default();
    if key[0].to_le_bytes()[0] == AD {
        RowKey::Ad { ad_id: next(), currency: next(), campaign_id: next(), advertiser_id: next() }
    } else {
        RowKey::Publisher { publisher_id: next(), placement_id: next(), currency: next() }
    }
}
