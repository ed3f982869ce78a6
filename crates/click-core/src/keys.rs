//! Row keys as small numbers: clicks travel with a number, the key is kept once, as words to look
//! it up by and as text to publish.
//!
//! Numbers are local to one table and mean nothing elsewhere; whoever sends rows or events across
//! a border sends the text.

use crate::hash::{Identity, MAX_WORDS, lengths};
use crate::limits::MAX_ID_BYTES;
use crate::record::Fields;
use crate::row::RowKey;
use crate::words::{self, Lying};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Number of a row key in its table.
pub type KeyId = u32;

const AD: u8 = b'a';
const PUBLISHER: u8 = b'p';

/// Parts of a key, with what it begins with.
pub(crate) struct Parts<'a, const N: usize>(u8, [Lying<'a>; N]);

/// The advertiser view's key.
#[inline]
pub(crate) fn ad_key<'a>(click: &Fields<'a>) -> Parts<'a, 4> {
    Parts(AD, [click.lying::<6>(), click.lying::<13>(), click.lying::<7>(), click.lying::<8>()])
}

/// The publisher view's key.
#[inline]
pub(crate) fn publisher_key<'a>(click: &Fields<'a>) -> Parts<'a, 3> {
    Parts(PUBLISHER, [click.lying::<9>(), click.lying::<10>(), click.lying::<13>()])
}

impl<const N: usize> Parts<'_, N> {
    /// Stands for the key.
    #[inline]
    pub(crate) fn identity(&self, identity: &Identity) -> u128 {
        identity.of_parts(u64::from(self.0), self.1)
    }
}

/// Row keys one behind the other, each as words: what it begins with and the lengths of its parts,
/// then the parts.
#[derive(Clone, Default)]
pub(crate) struct Keys {
    words: Vec<u64>,
    ends: Vec<u32>,
}

impl Keys {
    fn len(&self) -> usize {
        self.ends.len()
    }

    /// The words of key `number`.
    pub(crate) fn get(&self, number: usize) -> &[u64] {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.words[start as usize..self.ends[number] as usize]
    }

    /// Appends a key.
    pub(crate) fn push<const N: usize>(&mut self, Parts(kind, parts): &Parts<'_, N>) {
        self.words.push(lengths(u64::from(*kind), parts));
        parts.iter().for_each(|part| part.for_each_word(|word| self.words.push(word)));
        self.end();
    }

    fn push_words(&mut self, key: &[u64]) {
        self.words.extend_from_slice(key);
        self.end();
    }

    fn end(&mut self) {
        #[expect(clippy::cast_possible_truncation, reason = "2^32 words are 32 GiB of keys")]
        let end = self.words.len() as u32;
        self.ends.push(end);
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
fn well_formed(key: &[u64]) -> bool {
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

/// Numbers by identity: open addressing, at most half full.
#[derive(Clone, Default)]
struct Numbers {
    slots: Vec<Numbered>,
    len: usize,
}

/// An identity and its number plus one, 0 for none.
#[derive(Clone, Copy, Default)]
struct Numbered {
    low: u64,
    high: u64,
    next_id: u32,
}

impl Numbered {
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "in two halves")]
    const fn is(&self, identity: u128) -> bool {
        self.low == identity as u64 && self.high == (identity >> 64) as u64
    }
}

impl Numbers {
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "masked to the table's length")]
    const fn home(&self, low: u64) -> usize {
        low as usize & self.slots.len().wrapping_sub(1)
    }

    #[inline]
    fn find(&self, identity: u128) -> Option<KeyId> {
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is uniform, too")]
        let mut at = if self.slots.is_empty() { return None } else { self.home(identity as u64) };
        loop {
            let slot = &self.slots[at];
            let id = slot.next_id.checked_sub(1)?;
            if slot.is(identity) {
                return Some(id);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Gives the next number to an identity that has none.
    fn add(&mut self, identity: u128) -> KeyId {
        if self.slots.len() < 2 * (self.len + 1) {
            let len = (4 * (self.len + 1)).next_power_of_two();
            let old = core::mem::replace(&mut self.slots, alloc::vec![Numbered::default(); len]);
            old.into_iter().filter(|slot| slot.next_id != 0).for_each(|slot| self.put(slot));
        }
        #[expect(clippy::cast_possible_truncation, reason = "memory ends before 2^32 keys")]
        let id = self.len as KeyId;
        #[expect(clippy::cast_possible_truncation, reason = "in two halves")]
        let (low, high) = (identity as u64, (identity >> 64) as u64);
        self.put(Numbered { low, high, next_id: id + 1 });
        self.len += 1;
        id
    }

    fn put(&mut self, numbered: Numbered) {
        let mut at = self.home(numbered.low);
        while self.slots[at].next_id != 0 {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = numbered;
    }
}

/// Row keys with a number each, in the order of their first appearance, and the key group that
/// each is folded in. Keys of one identity count as equal.
#[derive(Clone)]
pub struct KeyTable {
    keys: Keys,
    numbers: Numbers,
    groups: Vec<u8>,
    texts: Vec<Arc<RowKey>>,
    identity: Identity,
}

impl KeyTable {
    /// An empty table; `identity` decides the key groups.
    pub fn new(identity: Identity) -> KeyTable {
        KeyTable {
            keys: Keys::default(),
            numbers: Numbers::default(),
            groups: Vec::new(),
            texts: Vec::new(),
            identity,
        }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the table's identities are made by.
    #[inline]
    pub(crate) const fn identity(&self) -> &Identity {
        &self.identity
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
        self.keys.get(id as usize)
    }

    /// Hints that a key is wanted soon.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is uniform, too")]
    pub(crate) fn hint(&self, identity: u128) {
        if let Some(slot) = self.numbers.slots.get(self.numbers.home(identity as u64)) {
            crate::prefetch::read(slot);
        }
    }

    /// The number of the key with this identity, if it is known.
    #[inline]
    pub(crate) fn find(&self, identity: u128) -> Option<KeyId> {
        self.numbers.find(identity)
    }

    /// The number of a key that is [`well_formed`].
    pub(crate) fn intern(&mut self, key: &[u64]) -> KeyId {
        let identity = self.identity.of_words(key.iter().copied());
        self.find(identity).unwrap_or_else(|| self.add(key, identity))
    }

    /// The number of a key as another table had it; none if no table could have.
    pub(crate) fn read(&mut self, key: &[[u8; 8]]) -> Option<KeyId> {
        if key.len() > MAX_WORDS {
            return None;
        }
        let words = key.iter().map(|word| u64::from_le_bytes(*word));
        let identity = self.identity.of_words(words.clone());
        // What is known has been looked at.
        self.find(identity).or_else(|| {
            let key: Vec<u64> = words.collect();
            well_formed(&key).then(|| self.add(&key, identity))
        })
    }

    fn add(&mut self, key: &[u64], identity: u128) -> KeyId {
        self.keys.push_words(key);
        let text = text_of(key);
        let (RowKey::Ad { ad_id: first, .. } | RowKey::Publisher { publisher_id: first, .. }) =
            &text;
        self.groups.push(self.identity.group(first.as_bytes().into()));
        self.texts.push(Arc::new(text));
        self.numbers.add(identity)
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

#[cfg(test)]
mod tests {
    use super::{AD, KeyTable, Keys, Parts};
    use crate::hash::{Identity, MAX_WORDS};
    use crate::words::Lying;
    use alloc::vec;
    use alloc::vec::Vec;

    fn table() -> KeyTable {
        KeyTable::new(Identity::new(&[7; 16]))
    }

    fn key() -> Vec<[u8; 8]> {
        let parts: [&[u8]; 4] = [b"an ad of two words", b"EUR", b"", b"advertiser"];
        let mut keys = Keys::default();
        keys.push(&Parts(AD, parts.map(Lying::from)));
        keys.get(0).iter().map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn a_key_that_is_read_again_has_its_number() {
        let mut table = table();
        let mut other = key();
        other[1][0] = b'A';
        assert_eq!(table.read(&key()), Some(0));
        assert_eq!(table.read(&other), Some(1));
        assert_eq!(table.read(&key()), Some(0));
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_kept() {
        let mut table = table();
        let key = key();
        for end in 0..key.len() {
            assert_eq!(table.read(&key[..end]), None, "{end} words of {}", key.len());
        }
        assert_eq!(table.read(&[&key[..], &[[0; 8]]].concat()), None, "a word too many");
        for words in [MAX_WORDS - 1, MAX_WORDS, MAX_WORDS + 1] {
            assert_eq!(table.read(&vec![[0xff; 8]; words]), None, "{words} words");
        }
        assert!(table.is_empty());
    }
}
