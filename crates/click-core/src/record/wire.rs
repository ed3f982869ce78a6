//! The part of the Protocol Buffers wire format that our one schema uses: varints and
//! length-delimited fields, read without copying. Unknown fields are skipped, as the format asks.

use super::DecodeError;
use alloc::vec::Vec;

/// A cursor over an encoded message.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
}

/// A field's number and wire type as they stand before it; 0 is the end of the message.
pub(super) type Tag = u64;

/// Wire type of a varint.
pub(super) const VARINT: u64 = 0;
/// Wire type of bytes with their length before them.
pub(super) const LENGTH_DELIMITED: u64 = 2;

/// Tag of a varint field.
pub(super) const fn varint(number: u64) -> Tag {
    number << 3 | VARINT
}

/// Tag of a length-delimited field.
pub(super) const fn bytes(number: u64) -> Tag {
    number << 3 | LENGTH_DELIMITED
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether the next field has this tag in its usual form; if so, goes beyond it.
    #[inline(always)]
    fn go_on(&mut self, tag: Tag) -> bool {
        let (rest, is_next) = match self.bytes {
            [first, rest @ ..] if tag < 0x80 => (rest, u64::from(*first) == tag),
            [first, second, rest @ ..] => {
                (rest, u64::from(*first) == tag & 0x7f | 0x80 && u64::from(*second) == tag >> 7)
            }
            _ => return false,
        };
        if is_next {
            self.bytes = rest;
        }
        is_next
    }

    /// The bytes of length-delimited field `NUMBER`, if that is the next one.
    #[inline(always)]
    pub(super) fn bytes_if_next<const NUMBER: u64>(
        &mut self,
    ) -> Result<Option<&'a [u8]>, DecodeError> {
        if self.go_on(const { bytes(NUMBER) }) { self.bytes().map(Some) } else { Ok(None) }
    }

    /// The value of varint field `NUMBER`, if that is the next one.
    #[inline(always)]
    pub(super) fn number_if_next<const NUMBER: u64>(&mut self) -> Result<Option<u64>, DecodeError> {
        if self.go_on(const { varint(NUMBER) }) { self.varint().map(Some) } else { Ok(None) }
    }

    /// The next field's tag, 0 at the end.
    #[inline(always)]
    pub(super) fn tag(&mut self) -> Result<Tag, DecodeError> {
        if self.bytes.is_empty() {
            return Ok(0);
        }
        match self.varint()? {
            0..8 => Err(DecodeError::Malformed),
            tag => Ok(tag),
        }
    }

    /// The bytes of a length-delimited field.
    #[inline(always)]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = usize::try_from(self.varint()?).map_err(|_| DecodeError::Truncated)?;
        self.take(len)
    }

    /// Skips a field that the schema does not know; a known one has the wrong type.
    #[cold]
    pub(super) fn skip(
        &mut self,
        tag: Tag,
        known: impl Fn(u64) -> bool,
    ) -> Result<(), DecodeError> {
        let number = tag >> 3;
        if known(number) || number > (1 << 29) - 1 {
            return Err(DecodeError::Malformed);
        }
        match tag & 7 {
            0 => self.varint().map(|_| ()),
            1 => self.take(8).map(|_| ()),
            2 => self.bytes().map(|_| ()),
            5 => self.take(4).map(|_| ()),
            _ => Err(DecodeError::Malformed),
        }
    }

    /// What has not been read.
    #[inline(always)]
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// The next `len` bytes.
    #[inline(always)]
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.bytes.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.bytes = rest;
        Ok(head)
    }

    /// A varint.
    #[inline(always)]
    pub(super) fn varint(&mut self) -> Result<u64, DecodeError> {
        match self.bytes {
            [first, rest @ ..] if *first < 0x80 => {
                self.bytes = rest;
                Ok(u64::from(*first))
            }
            [first, second, rest @ ..] if *second < 0x80 => {
                self.bytes = rest;
                Ok(u64::from(*first & 0x7f) | u64::from(*second) << 7)
            }
            _ => self.word_varint(),
        }
    }

    /// Up to eight bytes at once.
    #[inline(always)]
    fn word_varint(&mut self) -> Result<u64, DecodeError> {
        let Some(word) = self.bytes.first_chunk::<8>() else { return self.long_varint() };
        let Some((value, len)) = word_varint(u64::from_le_bytes(*word)) else {
            return self.long_varint();
        };
        self.bytes = &self.bytes[len..];
        Ok(value)
    }

    #[cold]
    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for (index, byte) in self.bytes.iter().enumerate().take(10) {
            let low = u64::from(byte & 0x7f);
            if index == 9 && low > 1 {
                return Err(DecodeError::Malformed);
            }
            value |= low << (7 * index);
            if *byte < 0x80 {
                self.bytes = &self.bytes[index + 1..];
                return Ok(value);
            }
        }
        Err(if self.bytes.len() < 10 { DecodeError::Truncated } else { DecodeError::Malformed })
    }
}

/// The varint that begins a word, and how many of its bytes it takes; none if that is more than
/// all: finds the last byte, then closes the gaps of a bit each.
#[inline(always)]
pub(super) const fn word_varint(word: u64) -> Option<(u64, usize)> {
    const STOPS: u64 = 0x8080_8080_8080_8080;
    let stops = !word & STOPS;
    if stops == 0 {
        return None;
    }
    let mut value = word & (stops ^ (stops - 1)) & !STOPS;
    value = (value & 0x7f00_7f00_7f00_7f00) >> 1 | value & 0x007f_007f_007f_007f;
    value = (value & 0xffff_0000_ffff_0000) >> 2 | value & 0x0000_ffff_0000_ffff;
    value = (value & 0xffff_ffff_0000_0000) >> 4 | value & 0x0000_0000_ffff_ffff;
    Some((value, stops.trailing_zeros() as usize / 8 + 1))
}

/// Appends a varint.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// Appends a varint field, also where it is 0.
pub(super) fn put_u64(out: &mut Vec<u8>, number: u64, value: u64) {
    put_varint(out, varint(number));
    put_varint(out, value);
}

/// Appends a varint field unless it is 0, the default.
pub(super) fn put_u64_nonzero(out: &mut Vec<u8>, number: u64, value: u64) {
    if value != 0 {
        put_u64(out, number, value);
    }
}

/// Appends a length-delimited field, also where it is empty.
pub(super) fn put_bytes(out: &mut Vec<u8>, number: u64, value: &[u8]) {
    put_varint(out, bytes(number));
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Appends a length-delimited field unless it is empty, the default.
pub(super) fn put_bytes_nonempty(out: &mut Vec<u8>, number: u64, value: &[u8]) {
    if !value.is_empty() {
        put_bytes(out, number, value);
    }
}
