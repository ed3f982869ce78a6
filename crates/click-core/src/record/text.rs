//! Text fields of a payload: UTF-8, bounded, and for ids without control characters. Nearly all of
//! it is printable ASCII, which is checked eight bytes at a time.
#![expect(unsafe_code, reason = "ASCII that has just been checked need not be checked as UTF-8")]

use super::DecodeError;
use crate::limits::MAX_ID_BYTES;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Marks, in the high bits, if any of eight bytes is no printable ASCII (0x20 to 0x7e).
#[inline(always)]
const fn unprintable(word: u64) -> u64 {
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let delete = (word ^ (ONES * 0x7f)).wrapping_sub(ONES) & !(word ^ (ONES * 0x7f));
    (word | below_space | delete) & HIGH
}

/// Words of eight from the front and one that ends at the end: no copying.
#[inline(always)]
fn is_printable_ascii(bytes: &[u8]) -> bool {
    let Some(last) = bytes.last_chunk::<8>() else {
        let filling = (ONES * 0x20) << (8 * bytes.len());
        return unprintable(crate::words::short(bytes) | filling) == 0;
    };
    let (words, _) = bytes.as_chunks::<8>();
    let marks = |word: &[u8; 8]| unprintable(u64::from_le_bytes(*word));
    words.iter().fold(marks(last), |found, word| found | marks(word)) == 0
}

/// An id or empty text: at most 128 bytes, no control characters.
#[inline(always)]
pub(super) fn optional_id(bytes: &[u8]) -> Result<&str, DecodeError> {
    if bytes.len() > MAX_ID_BYTES {
        return Err(DecodeError::Id);
    }
    if is_printable_ascii(bytes) {
        // SAFETY: ASCII is UTF-8, and every byte has just been seen to be below 0x7f.
        return Ok(unsafe { core::str::from_utf8_unchecked(bytes) });
    }
    unusual_id(bytes)
}

#[cold]
fn unusual_id(bytes: &[u8]) -> Result<&str, DecodeError> {
    let text = core::str::from_utf8(bytes).map_err(|_| DecodeError::NotUtf8)?;
    if text.chars().any(char::is_control) { Err(DecodeError::Id) } else { Ok(text) }
}

/// Any text up to `limit` bytes.
#[inline]
pub(super) fn text(bytes: &[u8], limit: usize) -> Result<&str, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLong);
    }
    if bytes.is_ascii() {
        // SAFETY: ASCII is UTF-8, and every byte has just been seen to be ASCII.
        return Ok(unsafe { core::str::from_utf8_unchecked(bytes) });
    }
    core::str::from_utf8(bytes).map_err(|_| DecodeError::NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_what_utf8_without_control_characters_is() {
        for length in 0..20 {
            for place in 0..length {
                for byte in 0..=255u8 {
                    let mut bytes = [b'a'; 20];
                    bytes[place] = byte;
                    let bytes = &bytes[..length];
                    let plain = core::str::from_utf8(bytes)
                        .is_ok_and(|text| !text.chars().any(char::is_control));
                    assert_eq!(optional_id(bytes).is_ok(), plain, "{bytes:?}");
                    assert_eq!(text(bytes, 99).is_ok(), core::str::from_utf8(bytes).is_ok());
                }
            }
        }
    }

    #[test]
    fn lengths_at_and_beyond_the_limit() {
        let long = [b'a'; MAX_ID_BYTES + 1];
        assert!(optional_id(&long[..MAX_ID_BYTES]).is_ok());
        assert_eq!(optional_id(&long), Err(DecodeError::Id));
        assert_eq!(text(&long, MAX_ID_BYTES), Err(DecodeError::TooLong));
    }
}
