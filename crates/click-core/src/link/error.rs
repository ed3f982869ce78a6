//! Why a link was refused: one variant a cause, each with a stable code and a message that tells
//! the caller what to fix. Messages never repeat bytes of the link (they may be hostile).

use super::limits;
use core::fmt;

/// A refused link. `char` payloads are the one-letter parameter name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkError {
    /// Longer than [`limits::MAX_QUERY`] or the signed part than [`limits::MAX_SIGNED`].
    TooLong,
    /// Not UTF-8, or a control byte or space somewhere.
    BadByte,
    /// A piece between two `&` without `=`, or empty, in the signed part.
    NotAParameter,
    /// A name in the signed part that is none of ours.
    UnknownName,
    /// `x`, kept for a sealed price.
    ReservedName,
    /// A name twice.
    RepeatedName,
    /// A value in the signed part with a byte outside `A-Za-z0-9._~-`.
    BadCharacter(char),
    /// A required parameter is not there.
    Missing(char),
    /// A required value is empty.
    Empty(char),
    /// Base64url that is padded, has stray bits or another alphabet.
    NotCanonical(char),
    /// An id that is too long, not UTF-8 or has a control character.
    BadId(char),
    /// A number with a leading zero, a sign, other characters, or too large.
    BadNumber(char),
    /// A currency that is not 3 to 8 capital letters or digits.
    BadCurrency,
    /// Both `d` and `h`.
    TwoDestinations,
    /// Neither `d` nor `h`, or `h` without `r=`.
    NoDestination,
    /// `h` that is empty, too long a list or holds something that is no host.
    BadHosts,
    /// More than [`limits::MAX_EXTRAS`] extras.
    TooManyExtras,
    /// The key is unknown or revoked.
    UnknownKey,
    /// The signature does not belong to these bytes and this key.
    BadSignature,
    /// The key may not sign this kind of link.
    KeyNotAllowed,
    /// A destination that is no absolute URL, or has control bytes, spaces or backslashes.
    BadDestination,
    /// A scheme that is not http, https or on the operator's list.
    BadScheme,
    /// A destination with a user name or password.
    UserInfo,
    /// A destination whose host is not among the allowed ones.
    HostNotAllowed,
}

impl LinkError {
    /// Stable, lower case, for metrics and machines.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "link_too_long",
            Self::BadByte => "link_bad_byte",
            Self::NotAParameter => "link_not_a_parameter",
            Self::UnknownName => "link_unknown_name",
            Self::ReservedName => "link_reserved_name",
            Self::RepeatedName => "link_repeated_name",
            Self::BadCharacter(_) => "link_bad_character",
            Self::Missing(_) => "link_missing",
            Self::Empty(_) => "link_empty",
            Self::NotCanonical(_) => "link_not_canonical",
            Self::BadId(_) => "link_bad_id",
            Self::BadNumber(_) => "link_bad_number",
            Self::BadCurrency => "link_bad_currency",
            Self::TwoDestinations => "link_two_destinations",
            Self::NoDestination => "link_no_destination",
            Self::BadHosts => "link_bad_hosts",
            Self::TooManyExtras => "link_too_many_extras",
            Self::UnknownKey => "link_unknown_key",
            Self::BadSignature => "link_bad_signature",
            Self::KeyNotAllowed => "link_key_not_allowed",
            Self::BadDestination => "link_bad_destination",
            Self::BadScheme => "link_bad_scheme",
            Self::UserInfo => "link_user_info",
            Self::HostNotAllowed => "link_host_not_allowed",
        }
    }

    /// HTTP status: 403 where the link is well formed but nobody vouches for it, else 400.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::UnknownKey
            | Self::BadSignature
            | Self::KeyNotAllowed
            | Self::HostNotAllowed
            | Self::UserInfo
            | Self::BadScheme => 403,
            Self::TooLong => 414,
            Self::BadByte
            | Self::NotAParameter
            | Self::UnknownName
            | Self::ReservedName
            | Self::RepeatedName
            | Self::BadCharacter(_)
            | Self::Missing(_)
            | Self::Empty(_)
            | Self::NotCanonical(_)
            | Self::BadId(_)
            | Self::BadNumber(_)
            | Self::BadCurrency
            | Self::TwoDestinations
            | Self::NoDestination
            | Self::BadHosts
            | Self::TooManyExtras
            | Self::BadDestination => 400,
        }
    }

    const fn parameter(self) -> Option<char> {
        match self {
            Self::BadCharacter(name)
            | Self::Missing(name)
            | Self::Empty(name)
            | Self::NotCanonical(name)
            | Self::BadId(name)
            | Self::BadNumber(name) => Some(name),
            Self::TooLong
            | Self::BadByte
            | Self::NotAParameter
            | Self::UnknownName
            | Self::ReservedName
            | Self::RepeatedName
            | Self::BadCurrency
            | Self::TwoDestinations
            | Self::NoDestination
            | Self::BadHosts
            | Self::TooManyExtras
            | Self::UnknownKey
            | Self::BadSignature
            | Self::KeyNotAllowed
            | Self::BadDestination
            | Self::BadScheme
            | Self::UserInfo
            | Self::HostNotAllowed => None,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::TooLong => "the link is too long: shorten the destination or the extras",
            Self::BadByte => "the link has a control byte, a space or bytes that are not UTF-8",
            Self::NotAParameter => "the signed part has a piece that is not name=value",
            Self::UnknownName => "the signed part has an unknown name: put extras after s",
            Self::ReservedName => "x is reserved: leave it out",
            Self::RepeatedName => "a parameter stands twice: give each name once",
            Self::BadCharacter(_) => {
                "has a character outside A-Za-z0-9._~- : write it as ~ and base64url"
            }
            Self::Missing(_) => "is missing",
            Self::Empty(_) => "is empty",
            Self::NotCanonical(_) => "is not canonical base64url without padding",
            Self::BadId(_) => "is not an id of 1 to 128 bytes UTF-8 without control characters",
            Self::BadNumber(_) => "is not a decimal number in range without leading zeros",
            Self::BadCurrency => "currency (y) must be 3 to 8 capital letters or digits",
            Self::TwoDestinations => "give d or h, not both",
            Self::NoDestination => "no destination: sign d, or sign h and append r= as last extra",
            Self::BadHosts => "h must list 1 to 16 hosts joined by ~, each host or host_port",
            Self::TooManyExtras => "too many unsigned parameters",
            Self::UnknownKey => "the key (k) is unknown or revoked",
            Self::BadSignature => {
                "the signature (s) does not match: sign the exact bytes from /c? up to &s="
            }
            Self::KeyNotAllowed => "this key may not sign this kind of link",
            Self::BadDestination => "the destination is not an absolute URL in plain characters",
            Self::BadScheme => "the destination's scheme is not allowed: use http or https",
            Self::UserInfo => "the destination has a user name or password: remove it",
            Self::HostNotAllowed => "the destination's host is not among the allowed hosts",
        }
    }
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.parameter() {
            write!(f, "parameter {name} ")?;
        }
        f.write_str(self.text())?;
        if *self == Self::TooLong {
            write!(f, " (at most {} bytes)", limits::MAX_SIGNED)?;
        }
        Ok(())
    }
}

impl core::error::Error for LinkError {}
