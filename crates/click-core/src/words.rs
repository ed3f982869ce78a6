//! Text as 64-bit words, the last one filled up with zeros: how it is hashed, kept and compared.

use alloc::vec::Vec;

/// A text where it lies: what is behind it may be looked at with it, so that a word that it does
/// not fill takes one load and no branch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lying<'a> {
    len: usize,
    rest: &'a [u8],
}

impl<'a> Lying<'a> {
    /// Of no bytes.
    pub(crate) const NOTHING: Lying<'static> = Lying { len: 0, rest: &[] };

    /// The first `len` bytes of `rest`, which is no shorter.
    #[inline]
    pub(crate) fn new(len: usize, rest: &'a [u8]) -> Lying<'a> {
        debug_assert!(len <= rest.len(), "a text ends where its bytes end");
        Lying { len, rest }
    }

    #[inline]
    pub(crate) const fn len(self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) const fn is_empty(self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.rest.get(..self.len).unwrap_or_default()
    }

    /// Calls `f` with each word.
    #[inline(always)]
    pub(crate) fn for_each_word(self, mut f: impl FnMut(u64)) {
        let (mut left, mut rest) = (self.len, self.rest);
        while left > 0 {
            let Some((word, behind)) = rest.split_first_chunk::<8>() else {
                return f(short(rest.get(..left).unwrap_or_default()));
            };
            let word = u64::from_le_bytes(*word);
            if left <= 8 {
                return f(word & u64::MAX >> (64 - 8 * left));
            }
            f(word);
            (left, rest) = (left - 8, behind);
        }
    }
}

impl<'a> From<&'a [u8]> for Lying<'a> {
    #[inline]
    fn from(bytes: &'a [u8]) -> Lying<'a> {
        Lying { len: bytes.len(), rest: bytes }
    }
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
fn short(bytes: &[u8]) -> u64 {
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
            for behind in 0..=(text.len() - len).min(9) {
                let lying = Lying::new(len, &text[..len + behind]);
                let mut found = Vec::new();
                lying.for_each_word(|word| found.push(word));
                let mut expected = text[..len].to_vec();
                assert_eq!(lying.bytes(), expected);
                expected.resize(count(len) * 8, 0);
                assert_eq!(bytes(&found), expected, "{len} bytes, {behind} behind them");
            }
        }
    }
}
