//! The core's own codec against prost, and against `proto/click.proto`.

mod schema;

use std::collections::BTreeMap;

use click_core::policy::Policy;
use click_core::record::{
    Capture, Click, Header, Kind, Layout, Part, Previous, Record, SourceCode, Transport,
};
use click_core::types::{Micros, Millis};
use click_sim::check::Dice;
use prost::Message as _;

const ROUNDS: u64 = 20_000;
const TEXTS: [&str; 5] =
    ["", "a", "é,\"", "0123456789012345678901234567890123", "Mozilla/5.0 (X11)"];
const IDS: [&str; 3] = ["c", "id-7", "\u{fffd}x"];

fn number(dice: &mut Dice) -> u64 {
    let bits = dice.between(0, 47);
    dice.number() & ((1 << bits) - 1)
}

fn time(dice: &mut Dice) -> Option<Millis> {
    dice.percent(50).then(|| Millis(number(dice)))
}

fn click<'a>(dice: &mut Dice, bytes: &'a [u8; 32]) -> Click<'a> {
    let ip = |dice: &mut Dice| &bytes[..dice.pick(&[0, 4, 16])];
    Click {
        click_id: dice.pick(&IDS),
        click_id_source: SourceCode(dice.between(0, 2)),
        issuer: dice.pick(&TEXTS),
        user_id: dice.pick(&TEXTS),
        user_id_source: SourceCode(dice.between(0, 2)),
        ad_id: dice.pick(&IDS),
        campaign_id: dice.pick(&TEXTS),
        advertiser_id: dice.pick(&TEXTS),
        publisher_id: dice.pick(&TEXTS),
        placement_id: dice.pick(&TEXTS),
        impression_id: dice.pick(&TEXTS),
        price: Micros(number(dice)),
        currency: dice.pick(&TEXTS),
        payout: Micros(number(dice)),
        price_source: SourceCode(dice.between(0, 3)),
        catalogue_version: number(dice),
        received_at: Millis(number(dice)),
        client_time: time(dice),
        capture: dice.pick(&[Capture::Unknown, Capture::Redirect, Capture::Import, Capture::S2s]),
        method: dice.pick(&TEXTS),
        purpose: dice.pick(&TEXTS),
        ip: ip(dice),
        peer_ip: ip(dice),
        source_key: &bytes[..dice.below(33)],
        user_agent: dice.pick(&[None, Some(""), Some("x")]),
        referrer: dice.pick(&TEXTS),
        country: dice.pick(&TEXTS),
        consent: dice.pick(&TEXTS),
        extras: dice.pick(&TEXTS),
        expires_at: time(dice),
        ad_active: dice.pick(&[None, Some(true), Some(false)]),
    }
}

fn policy(dice: &mut Dice) -> Policy {
    Policy {
        policy_id: dice.pick(&IDS).to_owned(),
        effective_from: Millis(number(dice)),
        link_lifetime_ms: number(dice),
        spool_limit_ms: number(dice),
        horizon_ms: number(dice),
        seal_after_ms: number(dice),
        double_click_ms: number(dice),
        burst_clicks: number(dice),
    }
}

fn record<'a>(dice: &mut Dice, bytes: &'a [u8; 32]) -> Record<'a> {
    let transport = Transport { tracker_id: "t", epoch: number(dice), seq: number(dice) };
    let previous = Previous { tracker_id: "p", epoch: number(dice), next_seq: number(dice) };
    let mut numbered = dice.percent(50);
    let kind = match dice.below(9) {
        0 => Kind::Tick,
        1 => {
            numbered = true;
            Kind::Heartbeat { next_seq: number(dice) }
        }
        2 => Kind::Policy(policy(dice)),
        3 => {
            let log_id = *bytes.first_chunk().expect("32 bytes");
            Kind::Header(Header { log_id, generation: dice.pick(&[0, 7]), partitions: 64 })
        }
        4 => {
            let log_id = *bytes.first_chunk().expect("32 bytes");
            let part = |topic: &str| Part { topic: topic.to_owned(), partitions: 64 };
            let parts = dice.pick(&[&["a", "b"][..], &["a", "a", "é"]]);
            let parts = parts.iter().map(|topic| part(topic)).collect();
            Kind::Layout(Layout { log_id, number: dice.pick(&[1, 2, u32::MAX]), parts })
        }
        _ => Kind::Click(click(dice, bytes)),
    };
    let previous = dice.percent(20).then_some(previous);
    Record { sent_at: time(dice), transport: numbered.then_some(transport), previous, kind }
}

#[test]
fn prost_reads_what_we_write_and_we_read_what_it_writes() {
    let mut dice = Dice::new(3);
    for _ in 0..ROUNDS {
        let bytes: [u8; 32] = std::array::from_fn(|_| dice.number().to_le_bytes()[0]);
        let record = record(&mut dice, &bytes);
        let ours = record.to_bytes();
        assert_eq!(Record::decode(&ours).as_ref(), Ok(&record));
        let theirs = schema::Record::decode(&ours[..]).expect("prost reads it");
        let again = theirs.encode_to_vec();
        assert_eq!(Record::decode(&again).as_ref(), Ok(&record));
        if let Kind::Click(click) = &record.kind {
            assert_eq!(ours, again, "the bytes of a click");
            same_click(click, &theirs);
        }
    }
}

/// Field by field for those that decide money; the rest is covered by the way there and back.
fn same_click(click: &Click<'_>, theirs: &schema::Record) {
    let Some(schema::Kind::Click(found)) = &theirs.kind else { panic!("a click") };
    let texts = [&found.click_id, &found.user_id, &found.ad_id, &found.currency, &found.issuer];
    let ours = [click.click_id, click.user_id, click.ad_id, click.currency, click.issuer];
    assert_eq!(texts.map(String::as_str), ours);
    assert_eq!((found.price_micros, found.payout_micros), (click.price.0, click.payout.0));
    assert_eq!(found.received_at, click.received_at.0);
    assert_eq!(found.expires_at, click.expires_at.map(|time| time.0));
    assert_eq!(found.user_agent.as_deref(), click.user_agent);
    assert_eq!(found.ad_active, click.ad_active);
}

/// Whatever the core takes, prost takes, too, and both see one record.
#[test]
fn what_is_taken_of_damaged_bytes_is_a_record_to_prost() {
    let mut dice = Dice::new(4);
    let mut taken = 0;
    for _ in 0..ROUNDS {
        let mut bytes = record(&mut dice, &[5; 32]).to_bytes();
        for _ in 0..dice.between(1, 3) {
            let at = dice.below(bytes.len());
            bytes[at] = dice.number().to_le_bytes()[0];
        }
        bytes.truncate(dice.pick(&[bytes.len(), bytes.len() * 3 / 4]));
        if let Ok(record) = Record::decode(&bytes) {
            taken += 1;
            // Groups, which prost would have to skip, are malformed to us.
            let theirs = schema::Record::decode(&bytes[..]).expect("prost reads it");
            if let Kind::Click(click) = &record.kind {
                same_click(click, &theirs);
            }
        }
    }
    assert!(taken > 100, "few damaged records are readable");
}

type Fields = BTreeMap<(String, String), (u64, String)>;

#[test]
fn the_schema_file_says_the_same() {
    let proto = fields_of_proto(include_str!("../../../click-core/proto/click.proto"));
    let mirror = fields_of_mirror(include_str!("schema.rs"));
    assert_eq!(proto, mirror);
    assert_eq!(proto.len(), 13 + 31 + 1 + 8 + 3 + 3 + 2);
}

/// `(message, field)` to number and type; enums are `int32`, messages `message`.
fn fields_of_proto(text: &str) -> Fields {
    let mut fields = Fields::new();
    let mut message = String::new();
    let scalars = ["string", "bytes", "uint64", "bool"];
    // One that opens and closes on one line is as if on three.
    let text = text.replace('{', "{\n").replace('}', "\n}");
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        let words: Vec<&str> = line.trim_end_matches(';').split_whitespace().collect();
        match words[..] {
            ["message", name, "{"] => name.clone_into(&mut message),
            ["enum", ..] => message.clear(),
            [.., kind, name, "=", number] if !message.is_empty() && kind != "=" => {
                let optional = words[0] == "optional";
                let messages = ["Click", "Tick", "Heartbeat", "Policy", "Header", "Layout", "Part"];
                let kind = match kind {
                    _ if messages.contains(&kind) => "message".to_owned(),
                    _ if scalars.contains(&kind) => kind.to_owned(),
                    _ => "int32".to_owned(),
                };
                let kind = if optional { format!("optional {kind}") } else { kind };
                let number = number.parse().expect("a field number");
                fields.insert((message.clone(), name.to_owned()), (number, kind));
            }
            _ => {}
        }
    }
    fields
}

fn fields_of_mirror(text: &str) -> Fields {
    let mut fields = Fields::new();
    let (mut message, mut pending) = (String::new(), None);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("pub struct ").or(line.strip_prefix("pub enum ")) {
            let name = name.split([' ', '{']).next().unwrap_or_default();
            message = if name == "Kind" { "Record".to_owned() } else { name.to_owned() };
        } else if let Some(attribute) = line.strip_prefix("#[prost(") {
            let kind = attribute.split([',', ' ']).next().unwrap_or_default().to_owned();
            let optional = if attribute.contains("optional") { "optional " } else { "" };
            let number = attribute.split("tag = \"").nth(1).and_then(|n| n.split('"').next());
            pending = number.map(|n| (n.parse().expect("a tag"), format!("{optional}{kind}")));
        } else if let Some(field) = pending.take() {
            let name = line.trim_start_matches("pub ").split([':', '(']).next();
            let name = name.unwrap_or_default().to_lowercase();
            fields.insert((message.clone(), name), field);
        }
    }
    fields
}
