//! By what clicks count as coming from one source (SPEC §4).

use crate::planted::{Bug, planted};

/// Where a click came from, as far as the activity rule tells sources apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// Nothing is known of it.
    Unknown,
    /// The keyed hash that was kept when the address was truncated.
    Key(&'a [u8]),
    /// An IPv4 address, also one that was mapped into IPv6.
    V4([u8; 4]),
    /// The /64 of an IPv6 address.
    Subnet([u8; 8]),
}

impl<'a> Source<'a> {
    /// Of an address of 0, 4 or 16 bytes and a source key, which may be empty.
    #[inline]
    pub fn of(ip: &[u8], source_key: &'a [u8]) -> Source<'a> {
        if !source_key.is_empty() {
            return Source::Key(source_key);
        }
        match ip {
            [a, b, c, d] => Source::V4([*a, *b, *c, *d]),
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
                if !planted(Bug::MappedAddressApart) =>
            {
                Source::V4([*a, *b, *c, *d])
            }
            [.., low] if ip.len() == 16 && planted(Bug::SourceIsWholeAddress) => {
                Source::Subnet([0, 0, 0, 0, 0, 0, 0, *low])
            }
            [a, b, c, d, e, f, g, h, _, _, _, _, _, _, _, _] => {
                Source::Subnet([*a, *b, *c, *d, *e, *f, *g, *h])
            }
            _ => Source::Unknown,
        }
    }
}
