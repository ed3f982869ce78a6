//! The fields of a click's message as they lie in the payload, checked against the limits. What the
//! fold needs of a click it takes from here, without putting a whole [`super::Click`] together.

use super::text::is_text;
use super::wire::{LENGTH_DELIMITED, Reader, VARINT};
use super::{DecodeError, address, bounded};
use crate::limits::{
    MAX_EXTRAS_BYTES, MAX_ID_BYTES, MAX_PRICE_MICROS, MAX_SOURCE_KEY_BYTES, MAX_TEXT_BYTES,
    MAX_TIME_MS,
};
use crate::types::{Micros, Millis};

/// Field numbers of `proto/click.proto` are below this.
const FIELDS: usize = 32;

/// A field's type, and the greatest number or length that it takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Unknown,
    Number(u64),
    Time,
    Price,
    Id,
    Text(usize),
    Address,
    Bytes(usize),
}

/// By field number.
const TYPES: [Type; FIELDS] = {
    let mut types = [Type::Number(u64::MAX); FIELDS];
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
            Type::Number(_) | Type::Time | Type::Price => VARINT,
            Type::Id | Type::Text(_) | Type::Address | Type::Bytes(_) => LENGTH_DELIMITED,
        }
    }

    /// The greatest number, or the greatest length.
    const fn most(self) -> u64 {
        match self {
            Type::Unknown => 0,
            Type::Number(most) => most,
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

/// [`Type`] worked out: what reading a field asks.
#[derive(Clone, Copy)]
struct Rule {
    most: u64,
    wire: u64,
    is_text: bool,
}

static RULES: [Rule; FIELDS] = {
    let mut rules = [Rule { most: 0, wire: u64::MAX, is_text: false }; FIELDS];
    let mut at = 0;
    while at < FIELDS {
        let of = TYPES[at];
        rules[at] = Rule { most: of.most(), wire: of.wire(), is_text: of.is_text() };
        at += 1;
    }
    rules
};

/// Fields by number; those that were not there have no value.
pub(crate) struct Fields<'a> {
    bytes: [&'a [u8]; FIELDS],
    numbers: [u64; FIELDS],
    /// A bit for each field that was there. Values of others are of an earlier message.
    seen: u32,
}

impl Default for Fields<'_> {
    fn default() -> Self {
        Fields { bytes: [&[]; FIELDS], numbers: [0; FIELDS], seen: 0 }
    }
}

impl<'a> Fields<'a> {
    /// Reads a message; of a field that occurs twice the last one counts.
    #[inline]
    pub(crate) fn read(&mut self, message: &'a [u8]) -> Result<(), DecodeError> {
        self.seen = 0;
        let mut reader = Reader::new(message);
        while !reader.is_empty() {
            let tag = reader.tag()?;
            let number = usize::try_from(tag >> 3).unwrap_or(FIELDS);
            match RULES.get(number) {
                Some(rule) if rule.wire == tag & 7 => self.field(number, rule, &mut reader)?,
                _ => reader.skip(tag, |number| (1..FIELDS as u64).contains(&number))?,
            }
        }
        if self.bytes::<1>().is_empty() || self.bytes::<6>().is_empty() {
            return Err(DecodeError::Id);
        }
        Ok(())
    }

    #[inline(always)]
    fn field(
        &mut self,
        number: usize,
        rule: &Rule,
        reader: &mut Reader<'a>,
    ) -> Result<(), DecodeError> {
        let value = reader.varint()?;
        if value > rule.most {
            return Err(too_much(number, value, reader));
        }
        if rule.wire == VARINT {
            self.numbers[number] = value;
        } else {
            let rest = reader.rest();
            #[expect(clippy::cast_possible_truncation, reason = "a length within the limit")]
            let bytes = reader.take(value as usize)?;
            if !(rule.is_text && is_text(bytes, rest)) {
                unusual(number, bytes)?;
            }
            self.bytes[number] = bytes;
        }
        self.seen |= 1 << number;
        Ok(())
    }

    #[inline(always)]
    const fn has<const NUMBER: usize>(&self) -> bool {
        self.seen >> NUMBER & 1 == 1
    }

    /// A length-delimited field, empty if it was not there.
    #[inline(always)]
    pub(crate) const fn bytes<const NUMBER: usize>(&self) -> &'a [u8] {
        const { assert!(TYPES[NUMBER].wire() == LENGTH_DELIMITED) };
        if self.has::<NUMBER>() { self.bytes[NUMBER] } else { &[] }
    }

    /// A text field, if it was there.
    #[inline]
    pub(super) fn text<const NUMBER: usize>(&self) -> Option<&'a str> {
        const { assert!(TYPES[NUMBER].is_text()) };
        // Text has been checked when it was read.
        self.has::<NUMBER>().then(|| core::str::from_utf8(self.bytes[NUMBER]).unwrap_or_default())
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

/// What is wrong with a number or a length above its limit.
#[cold]
fn too_much(number: usize, value: u64, reader: &Reader<'_>) -> DecodeError {
    let of = TYPES[number];
    if of.wire() == LENGTH_DELIMITED && value > reader.rest().len() as u64 {
        return DecodeError::Truncated;
    }
    match of {
        Type::Time => DecodeError::Time,
        Type::Price => DecodeError::Price,
        Type::Id => DecodeError::Id,
        Type::Address => DecodeError::Address,
        Type::Text(_) | Type::Bytes(_) => DecodeError::TooLong,
        Type::Number(_) | Type::Unknown => DecodeError::Malformed,
    }
}

/// Checks bytes that are not printable ASCII, or not text.
fn unusual(number: usize, bytes: &[u8]) -> Result<(), DecodeError> {
    match TYPES[number] {
        Type::Address => address(bytes).map(|_| ()),
        Type::Bytes(limit) => bounded(bytes, limit).map(|_| ()),
        Type::Id => super::text::unusual_id(bytes).map(|_| ()),
        Type::Text(_) => match core::str::from_utf8(bytes) {
            Ok(_) => Ok(()),
            Err(_) => Err(DecodeError::NotUtf8),
        },
        Type::Number(_) | Type::Time | Type::Price | Type::Unknown => Err(DecodeError::Malformed),
    }
}
