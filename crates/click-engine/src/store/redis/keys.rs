//! Where things lie in Redis: 256 buckets, each in one slot of a cluster, so that the rows of an
//! ad, the list of what there is, and the mark that vouches for them live and die together.
//!
//! | key | what |
//! |---|---|
//! | `cl{TAG}` | hash: `log`, `newest` and `serving` generation, `mark:GENERATION`, `writer:ID` |
//! | `cl{TAG}1a` | set: hours since 1970 that have rows by ad of generation 1 |
//! | `cl{TAG}1a:HOUR` | set: the ads that have rows in that hour |
//! | `cl{TAG}1a:HOUR:AD` | hash: that ad's rows of that hour |
//!
//! `p` in the place of `a`: by publisher; `s`: sums by advertiser.

use super::super::{View, is_summary};

/// Parts of a store. As many hash tags, spread evenly over the 16,384 slots.
pub(super) const BUCKETS: usize = 256;
const SLOTS_OF_A_BUCKET: u16 = 16_384 / 256;

/// What lies apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Ad,
    Publisher,
    Sum,
}

impl Kind {
    pub(super) const ALL: [Kind; 3] = [Kind::Ad, Kind::Publisher, Kind::Sum];

    /// Of the rows of an owner; `None`: of all but sums.
    pub(super) fn of(view: View, owner: Option<&str>) -> Kind {
        match view {
            View::Publisher => Kind::Publisher,
            View::Ad if owner.is_some_and(is_summary) => Kind::Sum,
            View::Ad => Kind::Ad,
        }
    }
}

/// Names of the keys.
pub(super) struct Keys {
    /// The hash tag of each bucket.
    tags: Vec<String>,
}

impl Keys {
    pub(super) fn new() -> Keys {
        let mut tags = vec![String::new(); BUCKETS];
        let mut missing = BUCKETS;
        for number in 0u32.. {
            let tag = number.to_string();
            let bucket = usize::from(slot(tag.as_bytes()) / SLOTS_OF_A_BUCKET);
            if tags[bucket].is_empty() {
                tags[bucket] = tag;
                missing -= 1;
            }
            if missing == 0 {
                break;
            }
        }
        Keys { tags }
    }

    /// The bucket of an ad or publisher.
    pub(super) fn bucket(&self, owner: &str) -> usize {
        usize::from(slot(owner.as_bytes())) % BUCKETS
    }

    pub(super) fn meta(&self, bucket: usize) -> String {
        format!("cl{{{}}}", self.tags[bucket])
    }

    pub(super) fn hours(&self, bucket: usize, generation: u16, kind: Kind) -> String {
        let letter = match kind {
            Kind::Ad => 'a',
            Kind::Publisher => 'p',
            Kind::Sum => 's',
        };
        format!("cl{{{}}}{generation}{letter}", self.tags[bucket])
    }

    pub(super) fn owners(&self, bucket: usize, of: (u16, Kind), hour: u32) -> String {
        format!("{}:{hour}", self.hours(bucket, of.0, of.1))
    }

    pub(super) fn rows(&self, bucket: usize, of: (u16, Kind), hour: u32, owner: &str) -> String {
        format!("{}:{owner}", self.owners(bucket, of, hour))
    }
}

/// CRC-16 (XMODEM) modulo the number of slots, as a cluster routes keys.
fn slot(bytes: &[u8]) -> u16 {
    let mut crc = 0u16;
    for byte in bytes {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
        }
    }
    crc % 16_384
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_a_cluster() {
        assert_eq!(slot(b"123456789"), 0x31c3);
    }

    #[test]
    fn buckets_are_spread_evenly_and_names_tell_everything() {
        let keys = Keys::new();
        for (bucket, tag) in (0u16..).zip(&keys.tags) {
            assert_eq!(slot(tag.as_bytes()) / SLOTS_OF_A_BUCKET, bucket);
        }
        let tag = &keys.tags[3];
        assert_eq!(keys.meta(3), format!("cl{{{tag}}}"));
        assert_eq!(keys.rows(3, (1, Kind::Ad), 7, "x}"), format!("cl{{{tag}}}1a:7:x}}"));
    }
}
