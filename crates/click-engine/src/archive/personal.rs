//! What of a record tells of a person, and records without it.
//!
//! Nothing that counts is ever taken: times, ids, money, and what tells two users or two sources
//! apart. [`Kept`] is the hash of just that: a rewritten file is known for the same clicks by it.

use std::collections::HashSet;

use click_core::record::{Click, Kind, Record};
use sha2::{Digest, Sha256};

use super::clicks::Place;
use crate::hex::hex;

/// What stands for a payload that cannot be decoded: one byte, which cannot be decoded either.
const UNDECODABLE: &[u8] = &[0];
/// Stands for any user in [`Kept`].
const SOMEBODY: &str = "u";

/// What is taken from clicks.
pub(super) enum Taken<'a> {
    /// The end of the address, the peer and the user agent.
    Addresses,
    /// Everything that tells of a person, of the clicks at these positions; and the name that
    /// stands for their user from now on.
    Users(&'a HashSet<(u32, u64)>, &'a str),
}

impl Taken<'_> {
    /// The record without it; `None` if nothing of it is taken.
    ///
    /// # Errors
    /// If a click would lose its address and with it its source.
    pub(super) fn from(&self, place: Place, payload: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let record = Record::decode(payload);
        match (self, record) {
            (Taken::Addresses, Err(_)) => Ok(Some(UNDECODABLE.to_vec())),
            (Taken::Addresses, Ok(record)) => match record.kind {
                Kind::Click(click) => without_address(record, click).map(Some),
                Kind::Tick
                | Kind::Heartbeat { .. }
                | Kind::Policy(_)
                | Kind::Header(_)
                | Kind::Layout(_) => Ok(None),
            },
            (Taken::Users(positions, name), Ok(record))
                if positions.contains(&(place.partition, place.offset)) =>
            {
                Ok(Some(without_person(&record, name)))
            }
            (Taken::Users(..), _) => Ok(None),
        }
    }
}

fn without_address(record: Record<'_>, click: Click<'_>) -> Result<Vec<u8>, String> {
    if !click.ip.is_empty() && click.source_key.is_empty() {
        return Err(format!(
            "click {:?} has an address and no source key: without its address, bursts could not be \
             told any more",
            click.click_id
        ));
    }
    let ip = truncated(click.ip);
    let click = Click { ip: &ip, peer_ip: &[], user_agent: None, ..click };
    Ok(Record { kind: Kind::Click(click), ..record }.to_bytes())
}

/// The /24 of an IPv4 address, also of a mapped one, or the /48 of an IPv6 address.
fn truncated(ip: &[u8]) -> Vec<u8> {
    const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
    let kept = match ip.len() {
        16 if ip.starts_with(&MAPPED) => 15,
        16 => 6,
        len => len.saturating_sub(1),
    };
    let mut ip = ip.to_vec();
    ip.iter_mut().skip(kept).for_each(|byte| *byte = 0);
    ip
}

/// A click without what tells of a person, of a user of this name; another record is as it was.
fn without_person(record: &Record<'_>, name: &str) -> Vec<u8> {
    let Kind::Click(click) = record.kind else { return record.to_bytes() };
    let click = Click {
        user_id: if click.user_id.is_empty() { "" } else { name },
        ip: &[],
        peer_ip: &[],
        user_agent: None,
        referrer: "",
        extras: "",
        ..click
    };
    Record { kind: Kind::Click(click), ..record.clone() }.to_bytes()
}

/// What no rewriting may change of a record, or of what cannot be decoded.
pub(super) fn kept(record: Option<&Record<'_>>) -> Vec<u8> {
    match record {
        Some(record) => without_person(record, SOMEBODY),
        None => UNDECODABLE.to_vec(),
    }
}

/// The hash of what no rewriting of a file may change: of each record its offset, append time and
/// fold time, the length of the rest, and the record without what tells of a person.
#[derive(Default)]
pub(super) struct Kept(Sha256);

impl Kept {
    pub(super) fn add(&mut self, place: Place, record: Option<&Record<'_>>) {
        let kept = kept(record);
        let numbers = [place.offset, place.append_time.0, place.fold_time.0, kept.len() as u64];
        numbers.iter().for_each(|number| self.0.update(number.to_le_bytes()));
        self.0.update(kept);
    }

    pub(super) fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use click_core::types::Millis;

    const PLACE: Place =
        Place { partition: 1, offset: 7, append_time: Millis(5), fold_time: Millis(6) };

    fn payload(change: impl FnOnce(&mut Click<'static>)) -> Vec<u8> {
        let mut click = Click {
            click_id: "c",
            user_id: "somebody@example.org",
            ad_id: "a",
            ip: &[203, 0, 113, 77],
            peer_ip: &[203, 0, 113, 78],
            source_key: &[9; 16],
            user_agent: Some("Mozilla/5.0 (X11)"),
            referrer: "https://example.org/about-me",
            extras: "utm_id=7",
            received_at: Millis(4),
            ..Click::default()
        };
        change(&mut click);
        let kind = Kind::Click(click);
        Record { sent_at: Some(Millis(5)), transport: None, previous: None, kind }.to_bytes()
    }

    fn click(payload: &[u8], look: impl FnOnce(Click<'_>)) {
        let Kind::Click(click) = Record::decode(payload).unwrap().kind else { panic!("a click") };
        look(click);
    }

    fn hash(payload: &[u8]) -> String {
        let mut kept = Kept::default();
        kept.add(PLACE, Record::decode(payload).ok().as_ref());
        kept.finish()
    }

    #[test]
    fn addresses_lose_their_ends() {
        let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 77];
        for (ip, expected) in [
            (&[203, 0, 113, 77][..], vec![203, 0, 113, 0]),
            (&mapped, [&mapped[..15], &[0]].concat()),
            (&[0x20; 16], [[0x20; 6].as_slice(), &[0; 10]].concat()),
            (&[], vec![]),
        ] {
            assert_eq!(truncated(ip), expected);
        }
    }

    #[test]
    fn a_truncated_click_counts_as_before() {
        let whole = payload(|_| {});
        let less = Taken::Addresses.from(PLACE, &whole).unwrap().unwrap();
        click(&less, |click| {
            assert_eq!((click.ip, click.peer_ip), (&[203, 0, 113, 0][..], &[][..]));
            assert_eq!((click.user_agent, click.user_id), (None, "somebody@example.org"));
        });
        assert_eq!(hash(&whole), hash(&less));
    }

    #[test]
    fn an_erased_user_has_another_name_and_no_traces() {
        let whole = payload(|_| {});
        let own = HashSet::from([(1, 7)]);
        let less = Taken::Users(&own, "erased-1").from(PLACE, &whole).unwrap().unwrap();
        click(&less, |click| {
            assert_eq!((click.user_id, click.ip, click.referrer), ("erased-1", &[][..], ""));
            assert_eq!((click.extras, click.user_agent, click.peer_ip), ("", None, &[][..]));
        });
        assert_eq!(hash(&whole), hash(&less));
        let others = HashSet::from([(1, 8)]);
        assert_eq!(Taken::Users(&others, "erased-1").from(PLACE, &whole), Ok(None));
    }

    #[test]
    fn what_counts_changes_the_hash() {
        let whole = hash(&payload(|_| {}));
        let changes: [fn(&mut Click<'static>); 6] = [
            |click| click.user_id = "",
            |click| click.click_id = "d",
            |click| click.ad_id = "b",
            |click| click.received_at = Millis(3),
            |click| click.source_key = &[8; 16],
            |click| click.price = click_core::types::Micros(1),
        ];
        for change in changes {
            assert_ne!(hash(&payload(change)), whole);
        }
        assert_ne!(hash(b"spoilt"), whole);
    }

    #[test]
    fn a_click_that_would_lose_its_source_is_refused() {
        let whole = payload(|click| click.source_key = &[]);
        let refused = Taken::Addresses.from(PLACE, &whole).unwrap_err();
        assert!(refused.contains("no source key"), "{refused}");
    }

    #[test]
    fn bytes_of_no_record_become_other_bytes_of_no_record() {
        let less = Taken::Addresses.from(PLACE, b"\xff 203.0.113.77").unwrap().unwrap();
        assert!(Record::decode(&less).is_err());
        assert_eq!(hash(&less), hash(b"\xff 203.0.113.77"));
    }
}
