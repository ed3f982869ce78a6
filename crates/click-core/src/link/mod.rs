//! The signed click link: grammar, signature, destination and minting (SPEC §12).
//!
//! A link is parsed without copying, then verified, and only then asked where it leads. Everything
//! that can be wrong has its own [`LinkError`]. This module reads no clock (expiry is a verdict of
//! the fold, not an error here), looks up no keys, and never trusts a byte behind the signature.
//!
//! How a value is written: ids made of `A-Za-z0-9._~-` stand as they are; any other id is `~`
//! followed by the unpadded base64url of its UTF-8 bytes (so a plain value never begins with `~`).
//! `d` is always unpadded base64url. `h` is a list of hosts joined by `~`, each `host` or
//! `host_port`. Numbers are decimal without leading zeros. `docs/links.md` tells integrators.

pub mod base64url;
mod destination;
mod error;
mod extras;
mod key;
pub mod limits;
mod mint;
mod parse;

pub use destination::{DestinationPolicy, Macros};
pub use error::LinkError;
pub use extras::is_forwarded;
pub use key::{KeyRights, SigningKey};
pub use mint::{LinkSpec, Target, mint};
pub use parse::{Id, ParsedLink, every_byte};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_destination;
