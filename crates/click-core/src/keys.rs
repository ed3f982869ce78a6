//! Row keys as small numbers: clicks travel with a number, the text is kept once.
//!
//! Numbers are local to one table and mean nothing elsewhere; whoever sends rows or events across
//! a border sends the text.

use crate::hash::Identity;
use crate::record::Click;
use crate::row::RowKey;
use alloc::string::String;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use hashbrown::HashTable;

/// Number of a row key in its table.
pub type KeyId = u32;

const AD: u8 = b'a';
const PUBLISHER: u8 = b'p';

/// Appends the bytes of the advertiser view's key.
pub(crate) fn put_ad_key(click: &Click<'_>, out: &mut Vec<u8>) {
    out.push(AD);
    for part in [click.ad_id, click.currency, click.campaign_id, click.advertiser_id] {
        put_part(part, out);
    }
}

/// Appends the bytes of the publisher view's key.
pub(crate) fn put_publisher_key(click: &Click<'_>, out: &mut Vec<u8>) {
    out.push(PUBLISHER);
    for part in [click.publisher_id, click.placement_id, click.currency] {
        put_part(part, out);
    }
}

#[inline]
fn put_part(part: &str, out: &mut Vec<u8>) {
    #[expect(clippy::cast_possible_truncation, reason = "ids are at most 128 bytes")]
    out.push(part.len() as u8);
    out.extend_from_slice(part.as_bytes());
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

/// A set of byte strings with a number each, in the order of their first appearance.
#[derive(Clone, Default)]
pub(crate) struct KeySet {
    index: HashTable<KeyId>,
    hasher: foldhash::fast::FixedState,
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

impl KeySet {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, id: KeyId) -> &[u8] {
        slice(&self.bytes, &self.ends, id)
    }

    /// The number of `key` and whether it is new.
    #[inline]
    pub(crate) fn intern(&mut self, key: &[u8]) -> (KeyId, bool) {
        let hash = self.hasher.hash_one(key);
        let (bytes, ends) = (&self.bytes, &self.ends);
        if let Some(id) = self.index.find(hash, |id| slice(bytes, ends, *id) == key) {
            return (*id, false);
        }
        #[expect(clippy::cast_possible_truncation, reason = "memory ends before 2^32 keys")]
        let id = self.ends.len() as KeyId;
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
        let (bytes, ends, hasher) = (&self.bytes, &self.ends, &self.hasher);
        self.index.insert_unique(hash, id, |id| hasher.hash_one(slice(bytes, ends, *id)));
        (id, true)
    }
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
        KeyTable { set: KeySet::default(), groups: Vec::new(), identity }
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
        let (id, new) = self.set.intern(key);
        if new {
            let first = parts(key).next().unwrap_or_default();
            self.groups.push(self.identity.group(first.as_bytes()));
        }
        id
    }
}
