//! Parsing a link's query into its signed fields, signature and extras, without copying.
//!
//! Parsing proves the grammar only; nothing in a [`ParsedLink`] may be believed before
//! [`ParsedLink::verify`] has said so.

use super::{KeyRights, LinkError, SigningKey, base64url, extras, limits};
use alloc::borrow::Cow;
use alloc::string::String;

/// The signed names in the order in which links are minted.
pub(super) const NAMES: &[u8; 14] = b"kcuamvplqoyedh";

/// Which bytes a signed value may hold.
const VALUE_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        table[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-');
        byte += 1;
    }
    table
};

/// An id as it stands in the link: plain, or `~` and base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Id<'a>(&'a str);

impl<'a> Id<'a> {
    /// The id itself; allocates only for one that is written as base64url.
    #[must_use]
    pub fn decode(self) -> Cow<'a, str> {
        match self.0.strip_prefix('~') {
            None => Cow::Borrowed(self.0),
            // Checked when parsed; an impossible failure becomes the unknown id, never a panic.
            Some(coded) => Cow::Owned(decode_id(coded).unwrap_or_default()),
        }
    }

    /// Whether the id is unknown.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

fn decode_id(coded: &str) -> Option<String> {
    String::from_utf8(base64url::decode(coded.as_bytes())?).ok()
}

/// Whether `id` may be an id at all (SPEC, head section); the empty id is for the caller.
pub(super) fn is_id(id: &str) -> bool {
    id.len() <= limits::MAX_ID && !id.chars().any(char::is_control)
}

/// A link that obeys the grammar. Borrowed from the request's bytes.
#[derive(Debug, Clone, Copy)]
pub struct ParsedLink<'a> {
    signed: &'a str,
    signature: &'a str,
    extras: &'a str,
    landing: Option<&'a str>,
    fields: [Option<&'a str>; NAMES.len()],
    price_micros: Option<u64>,
    payout_micros: Option<u64>,
    expires_s: Option<u64>,
}

impl<'a> ParsedLink<'a> {
    /// Parses the bytes behind `/c?` (or `/b?`).
    ///
    /// # Errors
    /// The first breach of the grammar, see [`LinkError`].
    pub fn parse(query: &'a [u8]) -> Result<Self, LinkError> {
        if query.len() > limits::MAX_QUERY {
            return Err(LinkError::TooLong);
        }
        if !every_byte(query, |b| b > b' ' && b != 0x7f) {
            return Err(LinkError::BadByte);
        }
        let query = core::str::from_utf8(query).map_err(|_| LinkError::BadByte)?;
        let mut link = Self::split(query)?;
        link.check_signed_values()?;
        let hosts_signed = link.field(b'h').is_some();
        let (plain, landing) = extras::cut_destination(link.extras, hosts_signed);
        link.landing = landing;
        extras::check(plain, |name| name == "s" || link.is_signed_name(name))?;
        Ok(link)
    }

    /// Cuts the query at `s`: fields before, signature, extras behind.
    fn split(query: &'a str) -> Result<Self, LinkError> {
        let mut fields = [None; NAMES.len()];
        let mut at = 0;
        loop {
            let rest = query.get(at..).unwrap_or("");
            // Pieces are short: a plain loop is faster than a search made for long texts.
            let end = rest.bytes().position(|b| b == b'&');
            let piece = end.map_or(rest, |end| &rest[..end]);
            if let Some(signature) = piece.strip_prefix("s=") {
                let extras = query.get(at + piece.len() + 1..).unwrap_or("");
                let signed = query.get(..at.saturating_sub(1)).unwrap_or("");
                return Self::assemble(signed, signature, extras, fields);
            }
            let slot = fields.get_mut(slot_of(piece)?).ok_or(LinkError::UnknownName)?;
            if slot.replace(&piece[2..]).is_some() {
                return Err(LinkError::RepeatedName);
            }
            at += piece.len() + 1;
            if at > query.len() {
                return Err(LinkError::Missing('s'));
            }
        }
    }

    fn assemble(
        signed: &'a str,
        signature: &'a str,
        extras: &'a str,
        fields: [Option<&'a str>; NAMES.len()],
    ) -> Result<Self, LinkError> {
        if signed.len() > limits::MAX_SIGNED {
            return Err(LinkError::TooLong);
        }
        if signature.len() != 43 {
            return Err(LinkError::NotCanonical('s'));
        }
        let (price_micros, payout_micros, expires_s) = (None, None, None);
        Ok(Self {
            signed,
            signature,
            extras,
            landing: None,
            fields,
            price_micros,
            payout_micros,
            expires_s,
        })
    }

    fn check_signed_values(&mut self) -> Result<(), LinkError> {
        for (&name, value) in NAMES.iter().zip(self.fields) {
            if let Some(value) = value {
                check_value(char::from(name), value)?;
            }
        }
        for name in [b'k', b'a'] {
            self.field(name).ok_or(LinkError::Missing(char::from(name)))?;
        }
        self.price_micros = self.number(b'q', limits::MAX_MICROS)?;
        self.payout_micros = self.number(b'o', limits::MAX_MICROS)?;
        self.expires_s = self.number(b'e', limits::MAX_EXPIRES_S)?;
        if self.expires_s.is_none() && !self.is_placement() {
            return Err(LinkError::Missing('e'));
        }
        if self.field(b'd').is_some() && self.field(b'h').is_some() {
            return Err(LinkError::TwoDestinations);
        }
        Ok(())
    }

    fn number(&self, name: u8, max: u64) -> Result<Option<u64>, LinkError> {
        let Some(text) = self.field(name) else { return Ok(None) };
        canonical_number(text, max).map(Some).ok_or(LinkError::BadNumber(char::from(name)))
    }

    pub(super) fn field(&self, name: u8) -> Option<&'a str> {
        let at = NAMES.iter().position(|&n| n == name)?;
        self.fields[at]
    }

    fn is_signed_name(&self, name: &str) -> bool {
        match name.as_bytes() {
            &[letter] => self.field(letter).is_some(),
            _ => false,
        }
    }

    fn id(&self, name: u8) -> Id<'a> {
        Id(self.field(name).unwrap_or(""))
    }

    /// Whether these bytes were signed with `key` and the key may sign such a link.
    ///
    /// # Errors
    /// `UnknownKey` if `key` is another key than `k` names, `BadSignature`, `NotCanonical('s')`,
    /// `KeyNotAllowed`.
    pub fn verify(&self, key: &SigningKey, rights: KeyRights) -> Result<(), LinkError> {
        if key.id() != self.key_id() {
            return Err(LinkError::UnknownKey);
        }
        key.check(self.signed.as_bytes(), self.signature.as_bytes())?;
        let allowed = if self.is_placement() { rights.placement } else { rights.link };
        if allowed { Ok(()) } else { Err(LinkError::KeyNotAllowed) }
    }

    /// `k`: names the key, with it issuer and rights.
    #[must_use]
    pub fn key_id(&self) -> &'a str {
        self.field(b'k').unwrap_or("")
    }

    /// No `c`: the tracker mints a click id for each request.
    #[must_use]
    pub fn is_placement(&self) -> bool {
        self.field(b'c').is_none()
    }

    /// `c`; empty on a placement link.
    #[must_use]
    pub fn click_id(&self) -> Id<'a> {
        self.id(b'c')
    }

    /// `u`; empty if unknown.
    #[must_use]
    pub fn user_id(&self) -> Id<'a> {
        self.id(b'u')
    }

    /// `a`.
    #[must_use]
    pub fn ad_id(&self) -> Id<'a> {
        self.id(b'a')
    }

    /// `m`; empty if unknown.
    #[must_use]
    pub fn campaign_id(&self) -> Id<'a> {
        self.id(b'm')
    }

    /// `v`; empty if unknown.
    #[must_use]
    pub fn advertiser_id(&self) -> Id<'a> {
        self.id(b'v')
    }

    /// `p`; empty if unknown.
    #[must_use]
    pub fn publisher_id(&self) -> Id<'a> {
        self.id(b'p')
    }

    /// `l`; empty if unknown.
    #[must_use]
    pub fn placement_id(&self) -> Id<'a> {
        self.id(b'l')
    }

    /// `q`, micro-units of [`Self::currency`].
    #[must_use]
    pub const fn price_micros(&self) -> Option<u64> {
        self.price_micros
    }

    /// `o`, micro-units of [`Self::currency`], to the publisher.
    #[must_use]
    pub const fn payout_micros(&self) -> Option<u64> {
        self.payout_micros
    }

    /// `y`; `None` means the default currency.
    #[must_use]
    pub fn currency(&self) -> Option<&'a str> {
        self.field(b'y')
    }

    /// `e` as milliseconds since 1970; `None` only on placement links.
    #[must_use]
    pub fn expires_at_ms(&self) -> Option<u64> {
        self.expires_s.map(|s| s * 1000)
    }

    /// The exact bytes the signature covers, without the leading `/c?`: what names this link.
    #[must_use]
    pub const fn signed_part(&self) -> &'a str {
        self.signed
    }

    /// `s`, 43 characters of base64url; of a genuine link it names the link.
    #[must_use]
    pub const fn signature(&self) -> &'a str {
        self.signature
    }

    /// Name and value of each unsigned extra, raw; the destination in `r=` is not among them.
    pub fn extras(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        extras::iter(self.plain_extras())
    }

    /// The extras to keep with the click: whole parameters, at most 1 KiB, raw.
    #[must_use]
    pub fn stored_extras(&self) -> &'a str {
        extras::stored(self.extras)
    }

    pub(super) fn plain_extras(&self) -> &'a str {
        extras::cut_destination(self.extras, self.field(b'h').is_some()).0
    }

    pub(super) const fn landing(&self) -> Option<&'a str> {
        self.landing
    }
}

/// Whether all bytes are so. Looks at each of them, whatever the first ones are: that way it takes
/// many at a time.
#[inline]
pub fn every_byte(bytes: &[u8], is_so: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |so_far, byte| so_far & is_so(*byte))
}

/// The field that `piece` (`x=value`) fills.
fn slot_of(piece: &str) -> Result<usize, LinkError> {
    match piece.as_bytes() {
        [b'x', b'=', ..] => Err(LinkError::ReservedName),
        &[name, b'=', ..] => NAMES.iter().position(|&n| n == name).ok_or(LinkError::UnknownName),
        _ if piece.contains('=') && !piece.starts_with('=') => Err(LinkError::UnknownName),
        _ => Err(LinkError::NotAParameter),
    }
}

fn check_value(name: char, value: &str) -> Result<(), LinkError> {
    if !every_byte(value.as_bytes(), |b| VALUE_BYTES[usize::from(b)]) {
        return Err(LinkError::BadCharacter(name));
    }
    match name {
        'k' | 'c' | 'a' | 'd' | 'y' if value.is_empty() => Err(LinkError::Empty(name)),
        'k' => check_key_id(value),
        'y' => check_currency(value),
        'h' => super::destination::check_hosts(value),
        'c' | 'u' | 'a' | 'm' | 'v' | 'p' | 'l' => check_id(name, value),
        _ => Ok(()),
    }
}

fn check_key_id(value: &str) -> Result<(), LinkError> {
    let fits = value.len() <= limits::MAX_KEY_ID && !value.contains('~');
    if fits { Ok(()) } else { Err(LinkError::BadId('k')) }
}

pub(super) fn check_currency(value: &str) -> Result<(), LinkError> {
    let letter = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    let fits = limits::CURRENCY_LEN.contains(&value.len()) && value.bytes().all(letter);
    if fits { Ok(()) } else { Err(LinkError::BadCurrency) }
}

fn check_id(name: char, value: &str) -> Result<(), LinkError> {
    let fits = match value.strip_prefix('~') {
        None => value.len() <= limits::MAX_ID,
        Some(coded) => {
            let bytes = base64url::decode(coded.as_bytes());
            let bytes = bytes.ok_or(LinkError::NotCanonical(name))?;
            !bytes.is_empty() && core::str::from_utf8(&bytes).is_ok_and(is_id)
        }
    };
    if fits { Ok(()) } else { Err(LinkError::BadId(name)) }
}

/// A decimal without sign or leading zeros, at most `max`.
fn canonical_number(text: &str, max: u64) -> Option<u64> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.parse().ok().filter(|&n| n <= max)
}
