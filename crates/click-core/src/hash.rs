//! Identity hashes: SipHash-1-3 with 128 bits, keyed by the log id, of length-prefixed parts.
//!
//! The key is a fact of the log, so every host that reads it computes the same identities, and a
//! stranger who does not know it cannot aim for a collision. Equal hashes count as equal ids.

use crate::limits::{KEY_GROUPS, MAX_ID_BYTES};
use siphasher::sip128::SipHasher13 as Sip128;

/// The one map alias: a fixed hasher, for look-up only, never iterated into output.
pub(crate) type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

const LONG: usize = 3 * (MAX_ID_BYTES + 1);
const SHORT: usize = 96;

/// Computes the identities that the stages are keyed by.
#[derive(Clone)]
pub struct Identity {
    sip: Sip128,
    seed: u64,
}

impl Identity {
    /// For the log with this id.
    pub fn new(log_id: &[u8; 16]) -> Identity {
        let sip = Sip128::new_with_key(log_id);
        #[expect(clippy::cast_possible_truncation, reason = "a seed takes half of it")]
        let seed = sip.hash(b"key groups").as_u128() as u64;
        Identity { sip, seed }
    }

    /// A secret of the log for hash tables.
    pub(crate) const fn seed(&self) -> u64 {
        self.seed
    }

    /// 128 bits that stand for the parts, each at most 128 bytes, in this order.
    #[inline]
    pub fn of<const N: usize>(&self, parts: [&str; N]) -> u128 {
        let len: usize = parts.iter().map(|part| part.len() + 1).sum();
        if len <= SHORT {
            self.of_at_most::<SHORT, N>(parts)
        } else {
            self.of_at_most::<LONG, N>(parts)
        }
    }

    /// Clearing a large buffer would cost more than hashing what is mostly short.
    #[inline]
    fn of_at_most<const BYTES: usize, const N: usize>(&self, parts: [&str; N]) -> u128 {
        let mut buffer = [0u8; BYTES];
        let mut len = 0;
        for part in parts {
            #[expect(clippy::cast_possible_truncation, reason = "ids are at most 128 bytes")]
            let size = part.len() as u8;
            buffer[len] = size;
            buffer[len + 1..len + 1 + part.len()].copy_from_slice(part.as_bytes());
            len += 1 + part.len();
        }
        self.bytes(&buffer[..len])
    }

    /// 128 bits that stand for `bytes`.
    #[inline]
    pub fn bytes(&self, bytes: &[u8]) -> u128 {
        self.sip.hash(bytes).as_u128()
    }

    /// The key group of an id. Only spreads load: a quick keyed mix is enough.
    #[inline]
    pub fn group(&self, id: &[u8]) -> u8 {
        let (words, tail) = id.as_chunks::<8>();
        let tail = tail.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        let seed = self.seed ^ id.len() as u64;
        let mixed = words.iter().fold(seed, |mixed, word| mix(mixed ^ u64::from_le_bytes(*word)));
        group_of(mix(mixed ^ tail))
    }

    /// The key group of a source.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "both halves are mixed in")]
    pub const fn group_of_source(&self, source: u128) -> u8 {
        group_of(mix(mix(self.seed ^ source as u64) ^ (source >> 64) as u64))
    }
}

/// Multiplies and folds the product's halves together.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
pub(crate) const fn mix(word: u64) -> u64 {
    let product = word as u128 * 0x9e37_79b9_7f4a_7c15;
    (product >> 64) as u64 ^ product as u64
}

#[expect(clippy::cast_possible_truncation, reason = "there are 128 groups")]
const fn group_of(hash: u64) -> u8 {
    ((hash >> 32) % KEY_GROUPS as u64) as u8
}
