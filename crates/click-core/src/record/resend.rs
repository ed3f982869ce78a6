//! Handing a record on that was kept for a while: it is the same record with a new `sent_at`
//! (SPEC §1). Nothing else of it may change, and what cannot be read is handed on as it is.

use super::wire::{Reader, put_u64};
use super::{CLICK_NUMBER, Envelope, Fields};
use crate::types::Millis;
use alloc::vec::Vec;

/// Appends `payload` to `out` as one that is sent at `now`.
pub fn restamp(payload: &[u8], now: Millis, out: &mut Vec<u8>) {
    let mut reader = Reader::new(payload);
    match reader.number_if_next::<1>() {
        Ok(Some(_)) => {
            put_u64(out, 1, now.0);
            out.extend_from_slice(reader.rest());
        }
        // A sender that does not know its time says nothing of it.
        Ok(None) | Err(_) => out.extend_from_slice(payload),
    }
}

/// The user key of a payload that is a click; `None` for anything else.
pub fn user_key(payload: &[u8]) -> Option<&str> {
    let (number, body) = Envelope::decode(payload).ok()?.kind;
    if number != CLICK_NUMBER {
        return None;
    }
    let mut fields = Fields::default();
    fields.read(body).ok()?;
    Some(super::Click::of(&fields).user_key())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Click, Kind, Record, Transport};

    fn record(sent_at: Option<u64>) -> Record<'static> {
        let click = Click { click_id: "c", user_id: "u", ad_id: "a", ..Click::default() };
        let transport = Some(Transport { tracker_id: "t", epoch: 1, seq: 7 });
        let sent_at = sent_at.map(Millis);
        Record { sent_at, transport, previous: None, kind: Kind::Click(click) }
    }

    fn restamped(payload: &[u8], now: u64) -> Vec<u8> {
        let mut out = Vec::new();
        restamp(payload, Millis(now), &mut out);
        out
    }

    #[test]
    fn only_the_time_of_sending_changes() {
        for now in [0, 1, 127, 128, 1_700_000_000_000, 253_402_300_799_999] {
            for before in [0, 5, 1_500_000_000_000] {
                let sent = restamped(&record(Some(before)).to_bytes(), now);
                assert_eq!(Record::decode(&sent), Ok(record(Some(now))), "{before} -> {now}");
            }
        }
    }

    #[test]
    fn what_tells_no_time_is_not_made_to() {
        let payload = record(None).to_bytes();
        assert_eq!(restamped(&payload, 5), payload);
        for garbage in [&b""[..], b"\x08", b"\xff\xff", b"no record"] {
            assert_eq!(restamped(garbage, 5), garbage);
        }
    }

    #[test]
    fn the_key_is_the_user_or_else_the_click() {
        let mut click = Click { click_id: "c", ad_id: "a", ..Click::default() };
        let payload = |click: &Click<'static>| {
            let kind = Kind::Click(*click);
            Record { sent_at: None, transport: None, previous: None, kind }.to_bytes()
        };
        assert_eq!(user_key(&payload(&click)), Some("c"));
        click.user_id = "u";
        assert_eq!(user_key(&payload(&click)), Some("u"));
        assert_eq!(user_key(&Record::tick(Millis(1)).to_bytes()), None);
        assert_eq!(user_key(b"garbage"), None);
    }
}
