//! Which partition a user key belongs to: murmur2 as Kafka's own partitioner computes it, so that
//! any Kafka client that sets the record key agrees with us.

use crate::types::Partition;

const SEED: u32 = 0x9747_b28c;
const M: u32 = 0x5bd1_e995;

/// The partition of `user_key` among `partitions` (at least 1).
pub fn partition_of(user_key: &str, partitions: u32) -> Partition {
    Partition((murmur2(user_key.as_bytes()) & 0x7fff_ffff) % partitions)
}

fn murmur2(bytes: &[u8]) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "the algorithm mixes in 32 bits of it")]
    let mut hash = SEED ^ bytes.len() as u32;
    let mut chunks = bytes.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let tail = chunks.remainder();
    if !tail.is_empty() {
        for (index, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    // Values of Kafka's own unit test of its partitioner hash.
    #[test]
    fn agrees_with_kafka() {
        let cases: [(&[u8], i32); 5] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ];
        for (bytes, expected) in cases {
            assert_eq!(murmur2(bytes).cast_signed(), expected, "{bytes:?}");
        }
    }
}
