//! Text as 64-bit words, the last one filled up with zeros: how it is hashed, kept and compared.

use alloc::vec::Vec;

/// Calls `f` with each word of `bytes`.
#[inline(always)]
pub(crate) fn for_each(bytes: &[u8], mut f: impl FnMut(u64)) {
    let (words, tail) = bytes.as_chunks::<8>();
    words.iter().for_each(|word| f(u64::from_le_bytes(*word)));
    if tail.is_empty() {
        return;
    }
    f(match bytes.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last) >> (64 - 8 * tail.len()),
        None => short(bytes),
    });
}

/// The bytes that fill these words, zeros included.
pub(crate) fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// How many words `len` bytes fill.
#[inline]
pub(crate) const fn count(len: usize) -> usize {
    len.div_ceil(8)
}

/// Fewer than eight bytes as a word: loads that overlap instead of a loop.
#[inline(always)]
pub(crate) fn short(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return u64::from(first) | u64::from(last) << (8 * (bytes.len() - 4));
    }
    match bytes {
        [] => 0,
        [a] => u64::from(*a),
        [a, .., last] => {
            let (middle, end) = (bytes.len() / 2, bytes.len() - 1);
            u64::from(*a) | u64::from(bytes[middle]) << (8 * middle) | u64::from(*last) << (8 * end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_bytes_and_zeros() {
        let text: Vec<u8> = (1..=40).collect();
        for len in 0..=text.len() {
            let mut found = Vec::new();
            for_each(&text[..len], |word| found.push(word));
            let mut expected = text[..len].to_vec();
            expected.resize(count(len) * 8, 0);
            assert_eq!(bytes(&found), expected, "{len} bytes");
        }
    }
}
