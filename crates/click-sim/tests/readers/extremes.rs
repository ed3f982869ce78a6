//! Payloads that a reader might trip over: the largest numbers, every kind of text and of bytes,
//! and what cannot be decoded.

use click_core::limits::{
    MAX_EXTRAS_BYTES, MAX_PRICE_MICROS, MAX_SOURCE_KEY_BYTES, MAX_TEXT_BYTES, MAX_TIME_MS,
};
use click_core::policy::Policy;
use click_core::record::{Capture, Click, Kind, Previous, Record, SourceCode, Transport};
use click_core::types::{Micros, Millis};

/// The largest number that a cell can hold.
pub const LARGEST: u64 = i64::MAX.unsigned_abs();
/// An id may hold any letter.
pub const UNICODE: &str = "клик-点击-🖱️-e\u{301}-\u{202e}\u{2028}\u{fffd}\u{10ffff}";
/// What a text may hold besides.
const CONTROLS: &str = "\0\u{1}\u{1f}\u{7f}\u{85}\t\r\n\\\"'`,;|\u{feff}";

pub fn payloads() -> Vec<Vec<u8>> {
    let long = "ё".repeat(MAX_TEXT_BYTES / 2);
    let extras = "&".repeat(MAX_EXTRAS_BYTES);
    let key = [0xff; MAX_SOURCE_KEY_BYTES];
    let clicks = [
        largest(LARGEST),
        largest(u64::MAX),
        Click { user_id: UNICODE, publisher_id: UNICODE, placement_id: UNICODE, ..click(UNICODE) },
        Click { user_agent: Some(CONTROLS), referrer: CONTROLS, consent: CONTROLS, ..click("a") },
        Click { user_agent: Some(&long), referrer: &long, extras: &extras, ..click("b") },
        Click { user_agent: Some(""), source_key: &key, ip: &[0; 4], ..click("c") },
        Click { user_agent: None, ip: &[0xff; 16], peer_ip: &[0; 16], ..click("d") },
        Click { source_key: &[0], capture: Capture::Import, ad_active: Some(false), ..click("e") },
    ];
    let clicks = clicks.into_iter().map(|click| record(Kind::Click(click)).to_bytes());
    clicks.chain(others()).collect()
}

fn others() -> Vec<Vec<u8>> {
    let transport = |epoch, seq| Some(Transport { tracker_id: UNICODE, epoch, seq });
    let previous = Some(Previous { tracker_id: UNICODE, epoch: LARGEST, next_seq: LARGEST });
    let heartbeat = |next_seq| record(Kind::Heartbeat { next_seq });
    let policy = Policy { policy_id: UNICODE.into(), burst_clicks: LARGEST, ..Policy::default() };
    let tick = record(Kind::Tick);
    // A field that nobody knows, behind a whole record.
    let with_more = [tick.to_bytes(), vec![0xf8, 0x7f, 1]].concat();
    vec![
        Record { transport: transport(LARGEST, LARGEST), previous, ..heartbeat(LARGEST) }
            .to_bytes(),
        Record { transport: transport(u64::MAX, 0), ..heartbeat(0) }.to_bytes(),
        record(Kind::Policy(policy)).to_bytes(),
        Record { sent_at: Some(Millis(MAX_TIME_MS)), ..tick }.to_bytes(),
        with_more,
        Vec::new(),
        (0..=u8::MAX).collect(),
    ]
}

fn record(kind: Kind<'_>) -> Record<'_> {
    Record { sent_at: None, transport: None, previous: None, kind }
}

fn click(id: &str) -> Click<'_> {
    Click { click_id: id, ad_id: UNICODE, currency: "USD", method: "GET", ..Click::default() }
}

fn largest(number: u64) -> Click<'static> {
    Click {
        click_id_source: SourceCode(number),
        user_id_source: SourceCode(number),
        price_source: SourceCode(number),
        catalogue_version: number,
        price: Micros(MAX_PRICE_MICROS),
        payout: Micros(MAX_PRICE_MICROS),
        client_time: Some(Millis(MAX_TIME_MS)),
        expires_at: Some(Millis(MAX_TIME_MS)),
        received_at: Millis(MAX_TIME_MS),
        ..click("largest")
    }
}
