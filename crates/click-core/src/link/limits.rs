//! Every bound of a click link, in one place. Units are bytes unless the name says otherwise.
//!
//! A link that breaks one of these is refused with an error that names the bound.

/// Longest query string, signed part, signature and extras together.
pub const MAX_QUERY: usize = 7 * 1024;
/// Longest signed part (from `k=` up to and without `&s=`).
pub const MAX_SIGNED: usize = 4 * 1024;
/// Longest id after decoding (SPEC, head section).
pub const MAX_ID: usize = crate::limits::MAX_ID_BYTES;
/// Longest key id.
pub const MAX_KEY_ID: usize = 64;
/// Longest destination after decoding, before macros are filled.
pub const MAX_DESTINATION: usize = 2_900;
/// Longest `Location` that is ever sent.
pub const MAX_LOCATION: usize = 8 * 1024;
/// Most hosts in `h`.
pub const MAX_HOSTS: usize = 16;
/// Most unsigned extras.
pub const MAX_EXTRAS: usize = 32;
/// Unsigned extras kept with the click (SPEC §12).
pub const MAX_STORED_EXTRAS: usize = crate::limits::MAX_EXTRAS_BYTES;
/// Greatest price or payout in micro-units (SPEC, head section).
pub const MAX_MICROS: u64 = crate::limits::MAX_PRICE_MICROS;
/// Last instant of the year 9999 in seconds (SPEC, head section).
pub const MAX_EXPIRES_S: u64 = 253_402_300_799;
/// Shortest and longest currency name.
pub const CURRENCY_LEN: core::ops::RangeInclusive<usize> = 3..=8;
