//! Identity hashes: SipHash-1-3 with 128 bits, keyed by the log id, of a word that holds the
//! lengths of the parts and then the parts, each filled up to whole words.
//!
//! The key is a fact of the log, so every host that reads it computes the same identities, and a
//! stranger who does not know it cannot aim for a collision. Equal hashes count as equal ids.

use crate::limits::KEY_GROUPS;
use crate::words;

/// The one map alias: a fixed hasher, for look-up only, never iterated into output.
pub(crate) type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

/// Computes the identities that the stages are keyed by.
#[derive(Clone)]
pub struct Identity {
    sip: Sip,
    seed: u64,
}

impl Identity {
    /// For the log with this id.
    pub fn new(log_id: &[u8; 16]) -> Identity {
        let sip = Sip::new(u128::from_le_bytes(*log_id));
        let identity = Identity { sip, seed: 0 };
        #[expect(clippy::cast_possible_truncation, reason = "a seed takes half of it")]
        let seed = identity.of([b"key groups"]) as u64;
        Identity { seed, ..identity }
    }

    /// A secret of the log for hash tables.
    pub(crate) const fn seed(&self) -> u64 {
        self.seed
    }

    /// 128 bits that stand for the parts, at most four of at most 255 bytes, in this order.
    #[inline]
    pub fn of<const N: usize>(&self, parts: [&[u8]; N]) -> u128 {
        const { assert!(N <= 4, "the lengths fit into a word") };
        let lengths = parts.iter().fold(N as u64, |word, part| word << 8 | part.len() as u64);
        let mut sip = self.sip;
        sip.word(lengths);
        parts.iter().for_each(|part| words::for_each(part, |word| sip.word(word)));
        sip.finish()
    }

    /// The key group of an id. Only spreads load: a quick keyed mix is enough.
    #[inline]
    pub fn group(&self, id: &[u8]) -> u8 {
        let mut mixed = self.seed ^ id.len() as u64;
        words::for_each(id, |word| mixed = mix(mixed ^ word));
        group_of(mixed)
    }

    /// The key group of a source.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "both halves are mixed in")]
    pub const fn group_of_source(&self, source: u128) -> u8 {
        group_of(mix(mix(self.seed ^ source as u64) ^ (source >> 64) as u64))
    }
}

/// SipHash-1-3 with 128 bits of output over whole words. The library's streams any bytes, which
/// takes three times as long for the few words of an identity; the tests compare the two.
#[derive(Clone, Copy)]
struct Sip {
    v: [u64; 4],
    words: u64,
}

impl Sip {
    #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
    const fn new(key: u128) -> Sip {
        let (k0, k1) = (key as u64, (key >> 64) as u64);
        Sip {
            v: [
                k0 ^ 0x736f_6d65_7073_6575,
                k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
                k0 ^ 0x6c79_6765_6e65_7261,
                k1 ^ 0x7465_6462_7974_6573,
            ],
            words: 0,
        }
    }

    #[inline(always)]
    fn word(&mut self, word: u64) {
        self.words = self.words.wrapping_add(1);
        self.v[3] ^= word;
        self.round();
        self.v[0] ^= word;
    }

    #[inline(always)]
    fn finish(mut self) -> u128 {
        // The last block is the length in bytes, of which eight bits count.
        self.word(self.words << 59);
        self.v[2] ^= 0xee;
        let low = self.drain();
        self.v[1] ^= 0xdd;
        u128::from(self.drain()) << 64 | u128::from(low)
    }

    #[inline(always)]
    fn drain(&mut self) -> u64 {
        (0..3).for_each(|_| self.round());
        self.v[0] ^ self.v[1] ^ self.v[2] ^ self.v[3]
    }

    #[inline(always)]
    const fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.v;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.v = [a, b, c, d];
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
    use siphasher::sip128::SipHasher13;

    /// The message whose hash is the identity of `parts`, put together byte by byte.
    fn message(parts: &[&[u8]]) -> Vec<u8> {
        let mut message = Vec::new();
        for part in parts.iter().rev() {
            message.push(u8::try_from(part.len()).expect("short"));
        }
        message.push(u8::try_from(parts.len()).expect("few"));
        message.resize(8, 0);
        for part in parts {
            message.extend_from_slice(part);
            message.resize(message.len().next_multiple_of(8), 0);
        }
        message
    }

    #[test]
    fn is_siphash_of_the_lengths_and_the_parts() {
        let text: Vec<u8> = (0..=254).collect();
        let key: [u8; 16] = core::array::from_fn(|at| text[at] * 7 + 3);
        let (identity, library) = (Identity::new(&key), SipHasher13::new_with_key(&key));
        for len in 0..=text.len() {
            let part = &text[..len];
            let (one, two) = (identity.of([part]), identity.of([part, &text[..len / 3]]));
            assert_eq!(one, library.hash(&message(&[part])).as_u128(), "{len} bytes");
            let both = message(&[part, &text[..len / 3]]);
            assert_eq!(two, library.hash(&both).as_u128(), "{len} bytes and a third");
        }
    }

    #[test]
    fn where_one_part_ends_and_another_begins_matters() {
        let identity = Identity::new(&[1; 16]);
        let of = |parts: [&[u8]; 2]| identity.of(parts);
        assert_ne!(of([b"ab", b"c"]), of([b"a", b"bc"]));
        assert_ne!(of([b"a\0", b"c"]), of([b"a", b"c"]));
        assert_ne!(identity.of([b"a"]), of([b"a", b""]));
    }
}
