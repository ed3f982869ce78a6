//! Identity hashes: 128 bits that stand for texts, by a multilinear hash whose keys follow from the
//! log id.
//!
//! The keys are a fact of the log, so every host that reads it computes the same identities, and a
//! stranger who does not know them cannot aim for a collision: any two different messages share an
//! identity for 2^-128 of all keys. Equal identities count as equal.

use crate::limits::KEY_GROUPS;
use crate::words::{self, Lying};
use alloc::sync::Arc;
use sha2::{Digest, Sha256};

/// The one map alias: a fixed hasher, for look-up only, never iterated into output.
pub(crate) type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

/// Most parts of an identity, and the most bytes of each: the lengths fit into a word.
const MAX_PARTS: usize = 4;
const MAX_PART_BYTES: usize = 255;
/// Most words of an identity's message.
pub(crate) const MAX_WORDS: usize = 1 + MAX_PARTS * words::count(MAX_PART_BYTES);

/// Computes the identities that the stages are keyed by.
#[derive(Clone)]
pub struct Identity {
    keys: Arc<Keys>,
    seed: u64,
}

/// Two hashes of 64 bits each: keys to begin with, and two for every word.
struct Keys {
    first: [u128; 2],
    words: [[u128; 2]; MAX_WORDS],
}

impl Identity {
    /// For the log with this id.
    pub fn new(log_id: &[u8; 16]) -> Identity {
        let mut keys = (0..).map(|number| key(log_id, number));
        let mut two = || [0; 2].map(|_: u128| keys.next().unwrap_or_default());
        let (first, words) = (two(), core::array::from_fn(|_| two()));
        let identity = Identity { keys: Arc::new(Keys { first, words }), seed: 0 };
        #[expect(clippy::cast_possible_truncation, reason = "a seed takes half of it")]
        let seed = identity.of([b"key groups"]) as u64;
        Identity { seed, ..identity }
    }

    /// 128 bits that stand for the parts, at most four of at most 255 bytes, in this order.
    ///
    /// # Panics
    /// If a part is longer.
    #[inline]
    pub fn of<const N: usize>(&self, parts: [&[u8]; N]) -> u128 {
        self.of_parts(N as u64, parts.map(Lying::from))
    }

    /// As [`Identity::of`], for texts that begin with `head` instead of their number.
    #[inline]
    pub(crate) fn of_parts<const N: usize>(&self, head: u64, parts: [Lying<'_>; N]) -> u128 {
        const { assert!(N <= MAX_PARTS, "the lengths fit into a word") };
        let mut sum = Sum::new(&self.keys);
        sum.add(lengths(head, &parts));
        parts.iter().for_each(|part| part.for_each_word(|word| sum.add(word)));
        sum.finish()
    }

    /// The identity of a message that is given in words.
    ///
    /// # Panics
    /// If it is longer than any that parts make.
    #[inline]
    pub(crate) fn of_words(&self, message: impl Iterator<Item = u64>) -> u128 {
        let mut sum = Sum::new(&self.keys);
        message.for_each(|word| sum.add(word));
        sum.finish()
    }

    /// The key group of an id. Only spreads load: a quick keyed mix is enough.
    #[inline]
    pub(crate) fn group(&self, id: Lying<'_>) -> u8 {
        let mut mixed = self.seed ^ id.len() as u64;
        id.for_each_word(|word| mixed = mix(mixed ^ word));
        group_of(mixed)
    }

    /// The key group of a source.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "both halves are mixed in")]
    pub const fn group_of_source(&self, source: u128) -> u8 {
        group_of(mix(mix(self.seed ^ source as u64) ^ (source >> 64) as u64))
    }
}

/// A word that holds the lengths of the parts, the last one's highest, above `head`.
#[inline]
pub(crate) fn lengths<const N: usize>(head: u64, parts: &[Lying<'_>; N]) -> u64 {
    parts.iter().enumerate().fold(head, |word, (number, part)| {
        assert!(part.len() <= MAX_PART_BYTES, "a part of an identity has at most 255 bytes");
        word | (part.len() as u64) << (8 * (number + 1))
    })
}

/// Key `number` of a log: half of SHA-256 of the log id and the number.
fn key(log_id: &[u8; 16], number: u64) -> u128 {
    let digest = Sha256::new().chain_update(log_id).chain_update(number.to_le_bytes()).finalize();
    digest.first_chunk().map_or(0, |half| u128::from_le_bytes(*half))
}

/// The sums of the words times their keys, of which the upper halves are the hash. A message that
/// ends is one that goes on with zeros, and its first word tells its length, so that this is the
/// multilinear hash of vectors of one length: strongly universal, as Dietzfelbinger shows
/// ("Universal hashing and k-wise independent random variables via integer arithmetic", 1996).
struct Sum<'k> {
    keys: core::slice::Iter<'k, [u128; 2]>,
    sums: [u128; 2],
}

impl<'k> Sum<'k> {
    #[inline(always)]
    fn new(keys: &'k Keys) -> Sum<'k> {
        Sum { keys: keys.words.iter(), sums: keys.first }
    }

    #[inline(always)]
    fn add(&mut self, word: u64) {
        let Some(keys) = self.keys.next() else { panic!("longer than any identity's message") };
        for (sum, key) in self.sums.iter_mut().zip(keys) {
            *sum = sum.wrapping_add(key.wrapping_mul(u128::from(word)));
        }
    }

    #[inline(always)]
    const fn finish(self) -> u128 {
        let [low, high] = self.sums;
        high >> 64 << 64 | low >> 64
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// The identity as its definition says, byte by byte, with products of 192 bits by hand.
    fn by_definition(log_id: &[u8; 16], parts: &[&[u8]]) -> u128 {
        let mut message = Vec::from([u8::try_from(parts.len()).expect("few")]);
        message.extend(parts.iter().map(|part| u8::try_from(part.len()).expect("short")));
        message.resize(8, 0);
        for part in parts {
            message.extend_from_slice(part);
            message.resize(message.len().next_multiple_of(8), 0);
        }
        let words = message.as_chunks::<8>().0;
        let hash = |which: u64| {
            let mut sum = key(log_id, which);
            for (number, word) in (1..).zip(words) {
                let key = key(log_id, 2 * number + which);
                for (place, byte) in word.iter().enumerate() {
                    for _ in 0..*byte {
                        sum = sum.wrapping_add(key << (8 * place));
                    }
                }
            }
            sum >> 64
        };
        hash(1) << 64 | hash(0)
    }

    #[test]
    fn is_the_sum_of_the_words_times_their_keys() {
        let text: Vec<u8> = (0..=254).collect();
        let log_id: [u8; 16] = core::array::from_fn(|at| text[at] * 7 + 3);
        let identity = Identity::new(&log_id);
        for len in (0..=40).chain([254, 255]) {
            let (part, third) = (&text[..len], &text[..len / 3]);
            assert_eq!(identity.of([part]), by_definition(&log_id, &[part]), "{len} bytes");
            let both = by_definition(&log_id, &[part, third]);
            assert_eq!(identity.of([part, third]), both, "{len} bytes and a third");
        }
        let long = [text.as_slice(); MAX_PARTS];
        assert_eq!(identity.of(long), by_definition(&log_id, &long));
    }

    #[test]
    fn where_one_part_ends_and_another_begins_matters() {
        let identity = Identity::new(&[1; 16]);
        let of = |parts: [&[u8]; 2]| identity.of(parts);
        assert_ne!(of([b"ab", b"c"]), of([b"a", b"bc"]));
        assert_ne!(of([b"a\0", b"c"]), of([b"a", b"c"]));
        assert_ne!(identity.of([b"a"]), of([b"a", b""]));
    }

    #[test]
    #[should_panic(expected = "at most 255 bytes")]
    fn a_longer_part_is_no_identity() {
        Identity::new(&[1; 16]).of([&[0; 256]]);
    }

    #[test]
    fn a_changed_bit_changes_half_of_the_bits() {
        let identity = Identity::new(&[2; 16]);
        let text = *b"u000000012345678";
        let whole = identity.of([&text]);
        let differ = (0..128).map(|bit| {
            let mut other = text;
            other[bit / 8] ^= 1 << (bit % 8);
            (identity.of([&other]) ^ whole).count_ones()
        });
        let mean = differ.sum::<u32>() / 128;
        assert!((56..=72).contains(&mean), "{mean} of 128 bits");
    }
}
