//! Identity hashes: SipHash-1-3 with 128 bits, keyed by the log id, of length-prefixed parts.
//!
//! The key is a fact of the log, so every host that reads it computes the same identities, and a
//! stranger who does not know it cannot aim for a collision. Equal hashes count as equal ids.

use crate::limits::{KEY_GROUPS, MAX_ID_BYTES};
use core::hash::{BuildHasher, Hasher as _};
use siphasher::sip128::SipHasher13 as Sip128;

/// The one map alias: a fixed hasher, for look-up only, never iterated into output.
pub(crate) type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

const PART_BYTES: usize = MAX_ID_BYTES + 1;

/// Computes the identities that the stages are keyed by.
#[derive(Clone)]
pub struct Identity {
    sip: Sip128,
    groups: foldhash::fast::FixedState,
}

impl Identity {
    /// For the log with this id.
    pub fn new(log_id: &[u8; 16]) -> Identity {
        let seed = u64::from_le_bytes([
            log_id[0], log_id[1], log_id[2], log_id[3], log_id[4], log_id[5], log_id[6], log_id[7],
        ]);
        Identity {
            sip: Sip128::new_with_key(log_id),
            groups: foldhash::fast::FixedState::with_seed(seed),
        }
    }

    /// 128 bits that stand for the parts, each at most 128 bytes, in this order.
    #[inline]
    pub fn of<const N: usize>(&self, parts: [&str; N]) -> u128 {
        let mut buffer = [0u8; 3 * PART_BYTES];
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

    /// The key group of an id.
    #[inline]
    pub fn group(&self, id: &[u8]) -> u8 {
        group_of(self.bytes(id))
    }

    /// The key group of a number that may be chosen by a stranger.
    #[inline]
    pub fn group_of_source(&self, source: u128) -> u8 {
        let mut hasher = self.groups.build_hasher();
        hasher.write_u128(source);
        group_of(u128::from(hasher.finish()))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "there are 128 groups")]
const fn group_of(hash: u128) -> u8 {
    (hash % KEY_GROUPS as u128) as u8
}
