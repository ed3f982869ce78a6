//! Base64url without padding, canonical both ways (RFC 4648 §5).
//!
//! A text decodes only if encoding the result gives the same text: no padding, no stray bits.

use alloc::string::String;
use alloc::vec::Vec;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const BAD: u8 = 0xff;

const VALUES: [u8; 256] = {
    let mut table = [BAD; 256];
    let mut i = 0u8;
    while i < 64 {
        table[ALPHABET[i as usize] as usize] = i;
        i += 1;
    }
    table
};

/// Decoded length of `len` characters, `None` where no such text exists.
#[must_use]
pub const fn decoded_len(len: usize) -> Option<usize> {
    match len % 4 {
        1 => None,
        rest => Some(len / 4 * 3 + rest.saturating_sub(1)),
    }
}

/// Appends the text of `bytes` to `out`.
pub fn encode_into(bytes: &[u8], out: &mut String) {
    for chunk in bytes.chunks(3) {
        let mut group = [0u8; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let word = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for position in 0..=chunk.len() {
            let index = (word >> (18 - 6 * position)) & 63;
            out.push(char::from(ALPHABET[index as usize]));
        }
    }
}

/// The text of `bytes`.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    encode_into(bytes, &mut out);
    out
}

/// Decodes `text` into `out`, which must have exactly the decoded length. `None` if not canonical.
#[must_use]
pub fn decode_into(text: &[u8], out: &mut [u8]) -> Option<()> {
    if decoded_len(text.len())? != out.len() {
        return None;
    }
    let mut written = out.chunks_mut(3);
    for chunk in text.chunks(4) {
        let mut word = 0u32;
        for &byte in chunk {
            let value = VALUES[usize::from(byte)];
            if value == BAD {
                return None;
            }
            word = word << 6 | u32::from(value);
        }
        word <<= 6 * (4 - chunk.len());
        let bytes = word.to_be_bytes();
        let target = written.next()?;
        let (kept, spare) = bytes[1..].split_at(target.len());
        if spare.iter().any(|&b| b != 0) {
            return None;
        }
        target.copy_from_slice(kept);
    }
    Some(())
}

/// Decodes `text`; `None` if it is not canonical unpadded base64url.
#[must_use]
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = alloc::vec![0; decoded_len(text.len())?];
    decode_into(text, &mut out)?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_vectors_both_ways() {
        let cases: [(&[u8], &str); 7] = [
            (b"", ""),
            (b"f", "Zg"),
            (b"fo", "Zm8"),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg"),
            (b"\xfb\xff", "-_8"),
            (b"foobar", "Zm9vYmFy"),
        ];
        for (bytes, text) in cases {
            assert_eq!(encode(bytes), text);
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes), "{text}");
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in ["A", "Zh", "Zm9", "Zg==", "Zm+v", "Zm/v", "Zm9vY", "Zg\n", "Zm 9v", "Zm9v="] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn every_length_round_trips() {
        let bytes: Vec<u8> = (0..=255).collect();
        for len in 0..bytes.len() {
            let text = encode(&bytes[..len]);
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(&bytes[..len]));
        }
    }
}
