//! Text fields of a payload: UTF-8, bounded, and for ids without control characters. Nearly all of
//! it is printable ASCII, which is checked sixteen bytes at a time.
#![expect(unsafe_code, reason = "ASCII that has just been checked need not be checked as UTF-8")]

use super::DecodeError;
use crate::limits::MAX_ID_BYTES;

const BLOCK: usize = 16;

/// A bit for each of the bytes that is no printable ASCII (0x20 to 0x7e).
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn unprintable(block: &[u8; BLOCK]) -> u32 {
    use core::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8,
    };
    // SAFETY: every x86-64 processor has SSE2, and the load is of sixteen bytes that are there.
    let marks = unsafe {
        let bytes = _mm_loadu_si128(block.as_ptr().cast());
        // As signed numbers, bytes from 0x80 on are below the space, too.
        let below_space = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
        let delete = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
        _mm_movemask_epi8(_mm_or_si128(below_space, delete))
    };
    marks.cast_unsigned()
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn unprintable(block: &[u8; BLOCK]) -> u32 {
    let mark =
        |marks, (place, byte): (usize, &u8)| marks | u32::from(!is_printable(*byte)) << place;
    block.iter().enumerate().fold(0, mark)
}

const fn is_printable(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e)
}

/// Whether `text` is printable ASCII. It begins `rest`, of which more may be looked at.
#[inline(always)]
pub(super) fn is_text(text: &[u8], mut rest: &[u8]) -> bool {
    let mut left = text.len();
    while let Some((block, behind)) = rest.split_first_chunk::<BLOCK>() {
        let marks = unprintable(block);
        if left <= BLOCK {
            return marks & ((1 << left) - 1) == 0;
        }
        if marks != 0 {
            return false;
        }
        (rest, left) = (behind, left - BLOCK);
    }
    rest.iter().take(left).all(|byte| is_printable(*byte))
}

/// An id or empty text: at most 128 bytes, no control characters. It begins `rest`.
#[inline(always)]
pub(super) fn id_in<'a>(bytes: &'a [u8], rest: &[u8]) -> Result<&'a str, DecodeError> {
    if bytes.len() > MAX_ID_BYTES {
        return Err(DecodeError::Id);
    }
    if is_text(bytes, rest) {
        // SAFETY: ASCII is UTF-8, and every byte has just been seen to be below 0x7f.
        return Ok(unsafe { core::str::from_utf8_unchecked(bytes) });
    }
    unusual_id(bytes)
}

/// An id or empty text on its own.
pub(super) fn optional_id(bytes: &[u8]) -> Result<&str, DecodeError> {
    id_in(bytes, bytes)
}

#[cold]
pub(super) fn unusual_id(bytes: &[u8]) -> Result<&str, DecodeError> {
    let text = core::str::from_utf8(bytes).map_err(|_| DecodeError::NotUtf8)?;
    if text.chars().any(char::is_control) { Err(DecodeError::Id) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_what_utf8_without_control_characters_is() {
        for length in 0..40 {
            for place in 0..length {
                for byte in 0..=255u8 {
                    let mut bytes = [b'a'; 40];
                    bytes[place] = byte;
                    let bytes = &bytes[..length];
                    let plain = core::str::from_utf8(bytes)
                        .is_ok_and(|text| !text.chars().any(char::is_control));
                    assert_eq!(optional_id(bytes).is_ok(), plain, "{bytes:?}");
                    for behind in [0, 1, 16, 40] {
                        let mut rest = bytes.to_vec();
                        rest.resize(length + behind, 0);
                        assert_eq!(id_in(bytes, &rest).is_ok(), plain, "{bytes:?} {behind}");
                    }
                }
            }
        }
    }

    #[test]
    fn lengths_at_and_beyond_the_limit() {
        let long = [b'a'; MAX_ID_BYTES + 1];
        assert!(optional_id(&long[..MAX_ID_BYTES]).is_ok());
        assert_eq!(optional_id(&long), Err(DecodeError::Id));
    }
}
