//! The fields of a click's message as they lie in the payload, checked against the limits. What the
//! fold needs of a click it takes from here, without putting a whole [`super::Click`] together.

use super::text::is_text;
use super::wire::{LENGTH_DELIMITED, Reader, VARINT, word_varint};
use super::{DecodeError, address, bounded};
use crate::limits::{
    MAX_EXTRAS_BYTES, MAX_ID_BYTES, MAX_PRICE_MICROS, MAX_SOURCE_KEY_BYTES, MAX_TEXT_BYTES,
    MAX_TIME_MS,
};
use crate::types::{Micros, Millis};
use crate::words::Lying;

/// Field numbers of `proto/click.proto` are below this.
const FIELDS: usize = 32;

/// A field's type, and the greatest number or length that it takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Unknown,
    Number,
    Time,
    Price,
    Id,
    Text(usize),
    Address,
    Bytes(usize),
}

/// By field number.
const TYPES: [Type; FIELDS] = {
    let mut types = [Type::Number; FIELDS];
    types[0] = Type::Unknown;
    let ids = [1, 3, 4, 6, 7, 8, 9, 10, 11, 13];
    let mut at = 0;
    while at < ids.len() {
        types[ids[at]] = Type::Id;
        at += 1;
    }
    (types[12], types[14]) = (Type::Price, Type::Price);
    (types[17], types[18], types[30]) = (Type::Time, Type::Time, Type::Time);
    (types[20], types[27]) = (Type::Text(MAX_ID_BYTES), Type::Text(MAX_ID_BYTES));
    (types[21], types[25]) = (Type::Text(MAX_TEXT_BYTES), Type::Text(MAX_TEXT_BYTES));
    (types[26], types[28]) = (Type::Text(MAX_TEXT_BYTES), Type::Text(MAX_TEXT_BYTES));
    types[29] = Type::Text(MAX_EXTRAS_BYTES);
    (types[22], types[23]) = (Type::Address, Type::Address);
    types[24] = Type::Bytes(MAX_SOURCE_KEY_BYTES);
    types
};

impl Type {
    /// The wire type; that of no field where it is unknown.
    const fn wire(self) -> u64 {
        match self {
            Type::Unknown => u64::MAX,
            Type::Number | Type::Time | Type::Price => VARINT,
            Type::Id | Type::Text(_) | Type::Address | Type::Bytes(_) => LENGTH_DELIMITED,
        }
    }

    /// The greatest number, or the greatest length.
    const fn most(self) -> u64 {
        match self {
            Type::Unknown => 0,
            Type::Number => u64::MAX,
            Type::Time => MAX_TIME_MS,
            Type::Price => MAX_PRICE_MICROS,
            Type::Id => MAX_ID_BYTES as u64,
            Type::Text(most) | Type::Bytes(most) => most as u64,
            Type::Address => 16,
        }
    }

    const fn is_text(self) -> bool {
        matches!(self, Type::Id | Type::Text(_))
    }
}

/// Fields by number; those that were not there have no value.
pub(crate) struct Fields<'a> {
    /// From where the field's bytes begin to the end of the message.
    rests: [&'a [u8]; FIELDS],
    /// Values, and lengths.
    numbers: [u64; FIELDS],
    /// A bit for each field that was there. Values of others are of an earlier message.
    seen: u32,
}

impl Default for Fields<'_> {
    fn default() -> Self {
        Fields { rests: [&[]; FIELDS], numbers: [0; FIELDS], seen: 0 }
    }
}

impl<'a> Fields<'a> {
    /// Reads a message; of a field that occurs twice the last one counts.
    #[inline(never)]
    pub(crate) fn read(&mut self, message: &'a [u8]) -> Result<(), DecodeError> {
        self.seen = 0;
        let mut rest = message;
        loop {
            rest = self.in_order(message, rest);
            if rest.is_empty() {
                break;
            }
            rest = self.rare(rest)?;
        }
        if self.lying::<1>().is_empty() || self.lying::<6>().is_empty() {
            return Err(DecodeError::Id);
        }
        Ok(())
    }

    /// Reads the fields of `message` that begin `rest` in the order of their numbers and in their
    /// usual form, as nearly all do; returns what is behind them.
    #[inline(always)]
    fn in_order(&mut self, message: &'a [u8], mut rest: &'a [u8]) -> &'a [u8] {
        macro_rules! next {
            ($($number:literal)*) => { $(rest = self.next::<$number>(message, rest);)* };
        }
        next!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
        next!(17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
        rest
    }

    /// Reads field `NUMBER` of `message` if it begins `rest` in its usual form, and returns what is
    /// behind it; else `rest`.
    #[inline(always)]
    fn next<const NUMBER: usize>(&mut self, message: &'a [u8], rest: &'a [u8]) -> &'a [u8] {
        let Some(value) = behind_tag::<NUMBER>(rest) else { return rest };
        if const { TYPES[NUMBER].wire() == VARINT } {
            return match usual_number(message, value) {
                Some((word, behind)) if word <= const { TYPES[NUMBER].most() } => {
                    self.set_number(NUMBER, word);
                    behind
                }
                _ => rest,
            };
        }
        let Some((len, value)) = usual_len::<NUMBER>(value) else { return rest };
        let Some((bytes, behind)) = value.split_at_checked(len) else { return rest };
        let is_usual = match TYPES[NUMBER] {
            Type::Id | Type::Text(_) => is_text(bytes, value),
            Type::Address => address(bytes).is_ok(),
            Type::Bytes(_) | Type::Number | Type::Time | Type::Price | Type::Unknown => true,
        };
        if !is_usual {
            return rest;
        }
        self.set_bytes(NUMBER, len, value);
        behind
    }

    #[inline(always)]
    const fn set_number(&mut self, number: usize, value: u64) {
        self.numbers[number] = value;
        self.seen |= 1 << number;
    }

    #[inline(always)]
    const fn set_bytes(&mut self, number: usize, len: usize, value: &'a [u8]) {
        (self.rests[number], self.numbers[number]) = (value, len as u64);
        self.seen |= 1 << number;
    }

    /// Reads any field.
    fn rare(&mut self, rest: &'a [u8]) -> Result<&'a [u8], DecodeError> {
        let mut reader = Reader::new(rest);
        let tag = reader.tag()?;
        let number = usize::try_from(tag >> 3).unwrap_or(FIELDS);
        let Some(of) = TYPES.get(number).filter(|of| of.wire() == tag & 7) else {
            reader.skip(tag, |number| (1..FIELDS as u64).contains(&number))?;
            return Ok(reader.rest());
        };
        let (value, rest) = (reader.varint()?, reader.rest());
        if of.wire() == VARINT {
            if value > of.most() {
                return Err(too_much(number));
            }
            self.set_number(number, value);
            return Ok(rest);
        }
        let bytes = usize::try_from(value).ok().and_then(|len| rest.split_at_checked(len));
        let (bytes, behind) = bytes.ok_or(DecodeError::Truncated)?;
        if value > of.most() {
            return Err(too_much(number));
        }
        unusual(number, bytes)?;
        self.set_bytes(number, bytes.len(), rest);
        Ok(behind)
    }

    #[inline(always)]
    const fn has<const NUMBER: usize>(&self) -> bool {
        self.seen >> NUMBER & 1 == 1
    }

    /// A length-delimited field, empty if it was not there.
    #[inline(always)]
    pub(crate) fn lying<const NUMBER: usize>(&self) -> Lying<'a> {
        const { assert!(TYPES[NUMBER].wire() == LENGTH_DELIMITED) };
        #[expect(clippy::cast_possible_truncation, reason = "a length within a payload")]
        let len = if self.has::<NUMBER>() { self.numbers[NUMBER] as usize } else { 0 };
        Lying::new(len, self.rests[NUMBER])
    }

    /// The bytes of a length-delimited field, empty if it was not there.
    #[inline(always)]
    pub(crate) fn bytes<const NUMBER: usize>(&self) -> &'a [u8] {
        self.lying::<NUMBER>().bytes()
    }

    /// A text field, if it was there.
    #[inline]
    pub(super) fn text<const NUMBER: usize>(&self) -> Option<&'a str> {
        const { assert!(TYPES[NUMBER].is_text()) };
        // Text has been checked when it was read.
        let text = || core::str::from_utf8(self.bytes::<NUMBER>()).unwrap_or_default();
        self.has::<NUMBER>().then(text)
    }

    /// A number, if it was there.
    #[inline(always)]
    pub(crate) const fn number<const NUMBER: usize>(&self) -> Option<u64> {
        const { assert!(TYPES[NUMBER].wire() == VARINT) };
        if self.has::<NUMBER>() { Some(self.numbers[NUMBER]) } else { None }
    }

    /// A number, or 0, the default.
    #[inline(always)]
    pub(super) fn number_or_zero<const NUMBER: usize>(&self) -> u64 {
        self.number::<NUMBER>().unwrap_or(0)
    }

    /// A time, if it was there.
    #[inline(always)]
    pub(crate) fn time<const NUMBER: usize>(&self) -> Option<Millis> {
        self.number::<NUMBER>().map(Millis)
    }

    /// A price, 0 if it was not there.
    #[inline(always)]
    pub(crate) fn price<const NUMBER: usize>(&self) -> Micros {
        Micros(self.number_or_zero::<NUMBER>())
    }
}

/// What is behind the tag of field `NUMBER`, if it begins `rest`.
#[inline(always)]
fn behind_tag<const NUMBER: usize>(rest: &[u8]) -> Option<&[u8]> {
    #[expect(clippy::cast_possible_truncation, reason = "a wire type has three bits")]
    let tag = const { (NUMBER as u16) << 3 | TYPES[NUMBER].wire() as u16 };
    if const { NUMBER < 16 } {
        let (first, behind) = rest.split_first()?;
        return (u16::from(*first) == tag).then_some(behind);
    }
    let (two, behind) = rest.split_first_chunk::<2>()?;
    (u16::from_le_bytes(*two) == tag & 0x7f | 0x80 | tag >> 7 << 8).then_some(behind)
}

/// The length that begins `rest`, of one byte or two, and what is behind it; none if it takes more,
/// or is more than field `NUMBER` takes.
#[inline(always)]
fn usual_len<const NUMBER: usize>(rest: &[u8]) -> Option<(usize, &[u8])> {
    let most = const { TYPES[NUMBER].most() };
    let (first, behind) = rest.split_first()?;
    if *first < 0x80 {
        return (most >= 0x7f || u64::from(*first) <= most)
            .then_some((usize::from(*first), behind));
    }
    let (second, behind) = behind.split_first()?;
    let len = usize::from(*first & 0x7f) | usize::from(*second) << 7;
    (*second < 0x80 && len as u64 <= most).then_some((len, behind))
}

/// The number that begins `rest`, which ends where `message` does, and what is behind it; none if
/// it takes more than eight bytes, or more than there are.
#[inline(always)]
fn usual_number<'a>(message: &[u8], rest: &'a [u8]) -> Option<(u64, &'a [u8])> {
    let word = match (rest.first_chunk::<8>(), message.last_chunk::<8>()) {
        (Some(word), _) => u64::from_le_bytes(*word),
        (None, Some(last)) if !rest.is_empty() => {
            u64::from_le_bytes(*last) >> (64 - 8 * rest.len())
        }
        _ => return None,
    };
    if word & 0x80 == 0 {
        return Some((word & 0x7f, &rest[1..]));
    }
    let (value, len) = word_varint(word)?;
    Some((value, rest.get(len..)?))
}

/// What is wrong with a number or a length above its limit.
#[cold]
const fn too_much(number: usize) -> DecodeError {
    match TYPES[number] {
        Type::Time => DecodeError::Time,
        Type::Price => DecodeError::Price,
        Type::Id => DecodeError::Id,
        Type::Address => DecodeError::Address,
        Type::Text(_) | Type::Bytes(_) => DecodeError::TooLong,
        Type::Number | Type::Unknown => DecodeError::Malformed,
    }
}

/// Checks bytes that need not be printable ASCII, or no text.
fn unusual(number: usize, bytes: &[u8]) -> Result<(), DecodeError> {
    match TYPES[number] {
        Type::Address => address(bytes).map(|_| ()),
        Type::Bytes(limit) => bounded(bytes, limit).map(|_| ()),
        Type::Id => super::text::unusual_id(bytes).map(|_| ()),
        Type::Text(_) => match core::str::from_utf8(bytes) {
            Ok(_) => Ok(()),
            Err(_) => Err(DecodeError::NotUtf8),
        },
        Type::Number | Type::Time | Type::Price | Type::Unknown => Err(DecodeError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::{put_bytes, put_u64};
    use super::*;
    use alloc::vec::Vec;

    /// A field's bytes as they lie in a message.
    fn field(number: usize, value: u64, fill: u8) -> Vec<u8> {
        let mut out = Vec::new();
        match TYPES[number].wire() {
            VARINT => put_u64(&mut out, number as u64, value),
            _ => {
                let len = usize::try_from(value).expect("a length");
                put_bytes(&mut out, number as u64, &alloc::vec![fill; len]);
            }
        }
        out
    }

    /// What reading a message of these fields comes to.
    fn read(message: &[&[u8]], number: usize) -> Result<(Option<u64>, Vec<u8>), DecodeError> {
        let message = message.concat();
        let mut fields = Fields::default();
        fields.read(&message)?;
        let seen = fields.seen >> number & 1 == 1;
        let value = fields.numbers[number];
        let is_bytes = seen && TYPES[number].wire() == LENGTH_DELIMITED;
        let len = if is_bytes { usize::try_from(value).expect("a length") } else { 0 };
        Ok((seen.then_some(value), fields.rests[number][..len].to_vec()))
    }

    /// Fields in order take a short way: at, below and above every limit it comes to what the long
    /// way does, which a field takes behind one with a higher number.
    #[test]
    fn the_short_way_comes_to_what_the_long_one_does() {
        let (click, ad, last) = (field(1, 1, b'c'), field(6, 1, b'a'), field(31, 1, 0));
        for number in (1..FIELDS).filter(|number| ![1, 6].contains(number)) {
            let most = TYPES[number].most();
            let at_limit = [most.saturating_sub(1), most, most.saturating_add(1)];
            let lengths = TYPES[number].wire() == LENGTH_DELIMITED;
            let longest = if lengths { 20_000 } else { u64::MAX };
            let others = [0, 1, 4, 15, 16, 17, 127, 128, 129, 255, 16_383, 16_384, 1 << 56];
            for value in others.into_iter().chain(at_limit).filter(|value| *value <= longest) {
                for fill in [b'x', 0xc3, 0x1f] {
                    let field = field(number, value, fill);
                    let in_order: [&[u8]; 3] =
                        if number < 6 { [&click, &field, &ad] } else { [&click, &ad, &field] };
                    let behind: [&[u8]; 4] = [&click, &ad, &last, &field];
                    let (short, long) = (read(&in_order, number), read(&behind, number));
                    assert_eq!(short, long, "field {number}, {value}, {fill:x}");
                    let taken = short.is_ok();
                    assert!(value <= most || !taken, "field {number} of {value}");
                    assert_eq!(read(&[&field, &click, &ad], number).is_ok(), taken);
                }
            }
        }
    }

    #[test]
    fn the_last_of_a_field_counts() {
        let (click, ad) = (field(1, 1, b'c'), field(6, 1, b'a'));
        for number in [4, 17] {
            let (one, other) = (field(number, 3, b'x'), field(number, 5, b'y'));
            for message in [[&click, &one, &other, &ad], [&click, &one, &ad, &other]] {
                let found = read(&message.map(Vec::as_slice), number);
                assert_eq!(found.map(|(value, _)| value), Ok(Some(5)), "{number}");
            }
        }
    }
}
