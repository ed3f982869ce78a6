//! The dataset `clicks/`: every record of the log, a row each, so that the log can be written again
//! from it, byte for byte. Columns are named as SPEC §11 names them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use click_core::policy::Policy;
use click_core::record::{Capture, Click, Kind, Previous, Record, Source, SourceCode, Transport};
use click_core::types::{Micros, Millis};
use click_core::verdict::Reasons;

use super::table::{Columns, Kind as Cell, RowReader, Table};
use super::verdicts;
use crate::hex::hex;

use Cell::{Bool, Bytes, Int, Text};

pub(super) const NAME: &str = "clicks";
pub(super) const LOOKED_UP: &str = "click_id";

pub(super) const COLUMNS: Columns = &[
    ("partition", Int),
    ("offset", Int),
    ("append_time", Int),
    ("fold_time", Int),
    ("kind", Text),
    ("payload", Bytes),
    ("sent_at", Int),
    ("tracker_id", Text),
    ("epoch", Int),
    ("seq", Int),
    ("previous_tracker_id", Text),
    ("previous_epoch", Int),
    ("previous_seq", Int),
    ("next_seq", Int),
    ("policy_id", Text),
    ("effective_from", Int),
    ("link_lifetime_ms", Int),
    ("spool_limit_ms", Int),
    ("horizon_ms", Int),
    ("seal_after_ms", Int),
    ("double_click_ms", Int),
    ("burst_clicks", Int),
    ("click_id", Text),
    ("click_id_source", Int),
    ("issuer", Text),
    ("user_id", Text),
    ("user_id_source", Int),
    ("ad_id", Text),
    ("campaign_id", Text),
    ("advertiser_id", Text),
    ("publisher_id", Text),
    ("placement_id", Text),
    ("impression_id", Text),
    ("price_micros", Int),
    ("currency", Text),
    ("payout_micros", Int),
    ("price_source", Int),
    ("catalogue_version", Int),
    ("received_at", Int),
    ("client_time", Int),
    ("capture", Text),
    ("method", Text),
    ("purpose", Text),
    ("ip", Text),
    ("peer_ip", Text),
    ("source_key", Bytes),
    ("user_agent", Text),
    ("referrer", Text),
    ("country", Text),
    ("consent", Text),
    ("extras", Text),
    ("expires_at", Int),
    ("ad_active", Bool),
    ("source", Text),
    ("stateless", Text),
];

/// Where a record is, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) partition: u32,
    pub(super) offset: u64,
    pub(super) append_time: Millis,
    pub(super) fold_time: Millis,
}

/// Puts a record in, or what cannot be decoded; `judged` are its reasons if it is a
/// measured click.
pub(super) fn put(
    table: &mut Table,
    place: Place,
    record: Option<&Record<'_>>,
    payload: &[u8],
    judged: Option<Reasons>,
) {
    table.int(Some(u64::from(place.partition)));
    table.int(Some(place.offset));
    table.int(Some(place.append_time.0));
    table.int(Some(place.fold_time.0));
    match record {
        Some(record) => put_record(table, record, payload, judged),
        None => {
            table.text(Some("undecodable"));
            table.bytes(Some(payload));
        }
    }
    table.end_row();
}

fn put_record(table: &mut Table, record: &Record<'_>, payload: &[u8], judged: Option<Reasons>) {
    // Senders may write a field in more than one way, and numbers that no row can hold.
    let as_is = fits(record) && record.to_bytes() == payload;
    table.text(Some(kind_name(&record.kind)));
    let raw = !as_is || matches!(record.kind, Kind::Header(_) | Kind::Layout(_));
    table.bytes(raw.then_some(payload));
    table.int(record.sent_at.map(|time| time.0));
    let transport = record.transport;
    table.text(transport.map(|t| t.tracker_id));
    table.int(transport.and_then(|t| int(t.epoch)));
    table.int(transport.and_then(|t| int(t.seq)));
    let previous = record.previous;
    table.text(previous.map(|p| p.tracker_id));
    table.int(previous.and_then(|p| int(p.epoch)));
    table.int(previous.and_then(|p| int(p.next_seq)));
    table.int(match record.kind {
        Kind::Heartbeat { next_seq } => int(next_seq),
        Kind::Click(_) | Kind::Tick | Kind::Policy(_) | Kind::Header(_) | Kind::Layout(_) => None,
    });
    match &record.kind {
        Kind::Policy(policy) => put_policy(table, policy),
        Kind::Click(click) => {
            skip_policy(table);
            put_ids(table, click);
            put_request(table, click);
            table.text(source(click).as_deref());
            let stateless = judged.map(|reasons| reasons.stateless().to_string());
            table.text(stateless.as_deref());
        }
        Kind::Tick | Kind::Heartbeat { .. } | Kind::Header(_) | Kind::Layout(_) => {}
    }
}

fn kind_name(kind: &Kind<'_>) -> &'static str {
    match kind {
        Kind::Click(_) => "click",
        Kind::Tick => "tick",
        Kind::Heartbeat { .. } => "heartbeat",
        Kind::Policy(_) => "policy",
        Kind::Header(_) => "header",
        Kind::Layout(_) => "layout",
    }
}

/// Whether every number fits in a cell.
fn fits(record: &Record<'_>) -> bool {
    let own = match &record.kind {
        Kind::Heartbeat { next_seq } => vec![*next_seq],
        Kind::Click(c) => {
            vec![c.click_id_source.0, c.user_id_source.0, c.price_source.0, c.catalogue_version]
        }
        Kind::Policy(p) => {
            vec![p.link_lifetime_ms, p.spool_limit_ms, p.double_click_ms, p.burst_clicks]
        }
        Kind::Tick | Kind::Header(_) | Kind::Layout(_) => Vec::new(),
    };
    let transport = record.transport.map_or([0, 0], |t| [t.epoch, t.seq]);
    let previous = record.previous.map_or([0, 0], |p| [p.epoch, p.next_seq]);
    own.into_iter().chain(transport).chain(previous).all(|number| int(number).is_some())
}

/// A number that a cell can hold.
fn int(number: u64) -> Option<u64> {
    i64::try_from(number).is_ok().then_some(number)
}

fn put_policy(table: &mut Table, policy: &Policy) {
    table.text(Some(&policy.policy_id));
    table.int(Some(policy.effective_from.0));
    let numbers = [
        policy.link_lifetime_ms,
        policy.spool_limit_ms,
        policy.horizon_ms,
        policy.seal_after_ms,
        policy.double_click_ms,
        policy.burst_clicks,
    ];
    numbers.into_iter().for_each(|number| table.int(int(number)));
}

fn skip_policy(table: &mut Table) {
    table.text(None);
    (0..7).for_each(|_| table.int(None));
}

fn put_ids(table: &mut Table, click: &Click<'_>) {
    table.text(known(click.click_id));
    table.int(int(click.click_id_source.0));
    table.text(known(click.issuer));
    table.text(known(click.user_id));
    table.int(int(click.user_id_source.0));
    table.text(known(click.ad_id));
    table.text(known(click.campaign_id));
    table.text(known(click.advertiser_id));
    table.text(known(click.publisher_id));
    table.text(known(click.placement_id));
    table.text(known(click.impression_id));
    table.int(Some(click.price.0));
    table.text(known(click.currency));
    table.int(Some(click.payout.0));
    table.int(int(click.price_source.0));
    table.int(int(click.catalogue_version));
}

fn put_request(table: &mut Table, click: &Click<'_>) {
    table.int(Some(click.received_at.0));
    table.int(click.client_time.map(|time| time.0));
    table.text(capture_name(click.capture));
    table.text(known(click.method));
    table.text(known(click.purpose));
    table.text(address(click.ip).as_deref());
    table.text(address(click.peer_ip).as_deref());
    table.bytes((!click.source_key.is_empty()).then_some(click.source_key));
    table.text(click.user_agent);
    table.text(known(click.referrer));
    table.text(known(click.country));
    table.text(known(click.consent));
    table.text(known(click.extras));
    table.int(click.expires_at.map(|time| time.0));
    table.bool(click.ad_active);
}

/// Empty text is unknown.
fn known(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(bytes).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).to_string())
}

fn address_bytes(text: Option<&str>) -> Result<Vec<u8>, String> {
    let Some(text) = text else { return Ok(Vec::new()) };
    match text.parse() {
        Ok(IpAddr::V4(address)) => Ok(address.octets().to_vec()),
        Ok(IpAddr::V6(address)) => Ok(address.octets().to_vec()),
        Err(_) => Err(format!("{text:?} is no address")),
    }
}

/// The source of SPEC §4 by which bursts are found, for readers that cannot take addresses apart:
/// `k:` and the source key, `4:` and an IPv4 address, `6:` and a /64, in hex.
fn source(click: &Click<'_>) -> Option<String> {
    match click.source() {
        Source::Unknown => None,
        Source::Key(key) => Some(format!("k:{}", hex(key))),
        Source::V4(address) => Some(format!("4:{}", hex(&address))),
        Source::Subnet(subnet) => Some(format!("6:{}", hex(&subnet))),
    }
}

fn capture_name(capture: Capture) -> Option<&'static str> {
    match capture {
        Capture::Unknown => None,
        Capture::Redirect => Some("redirect"),
        Capture::Beacon => Some("beacon"),
        Capture::Ping => Some("ping"),
        Capture::S2s => Some("s2s"),
        Capture::Import => Some("import"),
    }
}

fn capture(name: Option<&str>) -> Result<Capture, String> {
    let all = [Capture::Redirect, Capture::Beacon, Capture::Ping, Capture::S2s, Capture::Import];
    match name {
        None => Ok(Capture::Unknown),
        Some(name) => {
            let found = all.into_iter().find(|capture| capture_name(*capture) == Some(name));
            found.ok_or_else(|| format!("no capture is called {name:?}"))
        }
    }
}

/// The reasons that the record alone decides, as they were recorded; `None` of no measured click.
///
/// # Errors
/// What is wrong with the cell.
pub(super) fn stateless(row: &mut RowReader<'_>) -> Result<Option<Reasons>, String> {
    row.skip_to(COLUMNS.len() - 1);
    row.text().map(verdicts::reasons).transpose()
}

/// Takes a record out: its place and its payload.
///
/// # Errors
/// What is wrong with the row.
pub(super) fn get(row: &mut RowReader<'_>) -> Result<(Place, Vec<u8>), String> {
    let missing = || "a position or time is missing".to_owned();
    let mut number = || row.int().ok_or_else(missing);
    let place = Place {
        partition: u32::try_from(number()?).map_err(|e| e.to_string())?,
        offset: number()?,
        append_time: Millis(number()?),
        fold_time: Millis(number()?),
    };
    let kind = row.text().ok_or("kind is missing")?;
    if let Some(payload) = row.bytes() {
        return Ok((place, payload.to_vec()));
    }
    Ok((place, record(row, kind)?))
}

/// A record is written again from its cells.
fn record(row: &mut RowReader<'_>, kind: &str) -> Result<Vec<u8>, String> {
    let sent_at = row.int().map(Millis);
    let sender = (row.text(), row.int(), row.int());
    let transport = sender.0.map(|tracker_id| {
        let (epoch, seq) = (sender.1.unwrap_or(0), sender.2.unwrap_or(0));
        Transport { tracker_id, epoch, seq }
    });
    let before = (row.text(), row.int(), row.int());
    let previous = before.0.map(|tracker_id| {
        let (epoch, next_seq) = (before.1.unwrap_or(0), before.2.unwrap_or(0));
        Previous { tracker_id, epoch, next_seq }
    });
    let next_seq = row.int();
    let policy = policy(row);
    let (ip, peer_ip);
    let kind = match kind {
        "tick" => Kind::Tick,
        "heartbeat" => Kind::Heartbeat { next_seq: next_seq.unwrap_or(0) },
        "policy" => Kind::Policy(policy.ok_or("a number of the policy is missing")?),
        "click" => {
            let click = ids(row);
            let rest = request(row, click)?;
            (ip, peer_ip) = (address_bytes(rest.1)?, address_bytes(rest.2)?);
            Kind::Click(Click { ip: &ip, peer_ip: &peer_ip, ..rest.0 })
        }
        other => return Err(format!("a {other} without its payload")),
    };
    Ok(Record { sent_at, transport, previous, kind }.to_bytes())
}

fn policy(row: &mut RowReader<'_>) -> Option<Policy> {
    let policy_id = row.text();
    let numbers: [Option<u64>; 7] = std::array::from_fn(|_| row.int());
    Some(Policy {
        policy_id: policy_id?.to_owned(),
        effective_from: Millis(numbers[0]?),
        link_lifetime_ms: numbers[1]?,
        spool_limit_ms: numbers[2]?,
        horizon_ms: numbers[3]?,
        seal_after_ms: numbers[4]?,
        double_click_ms: numbers[5]?,
        burst_clicks: numbers[6]?,
    })
}

fn ids<'a>(row: &mut RowReader<'a>) -> Click<'a> {
    Click {
        click_id: row.text().unwrap_or_default(),
        click_id_source: SourceCode(row.int().unwrap_or(0)),
        issuer: row.text().unwrap_or_default(),
        user_id: row.text().unwrap_or_default(),
        user_id_source: SourceCode(row.int().unwrap_or(0)),
        ad_id: row.text().unwrap_or_default(),
        campaign_id: row.text().unwrap_or_default(),
        advertiser_id: row.text().unwrap_or_default(),
        publisher_id: row.text().unwrap_or_default(),
        placement_id: row.text().unwrap_or_default(),
        impression_id: row.text().unwrap_or_default(),
        price: Micros(row.int().unwrap_or(0)),
        currency: row.text().unwrap_or_default(),
        payout: Micros(row.int().unwrap_or(0)),
        price_source: SourceCode(row.int().unwrap_or(0)),
        catalogue_version: row.int().unwrap_or(0),
        ..Click::default()
    }
}

/// The rest of the click, and its two addresses as text.
type WithAddresses<'a> = (Click<'a>, Option<&'a str>, Option<&'a str>);

fn request<'a>(row: &mut RowReader<'a>, ids: Click<'a>) -> Result<WithAddresses<'a>, String> {
    let received_at = Millis(row.int().unwrap_or(0));
    let client_time = row.int().map(Millis);
    let capture = capture(row.text())?;
    let method = row.text().unwrap_or_default();
    let purpose = row.text().unwrap_or_default();
    let addresses = (row.text(), row.text());
    let click = Click {
        received_at,
        client_time,
        capture,
        method,
        purpose,
        source_key: row.bytes().unwrap_or_default(),
        user_agent: row.text(),
        referrer: row.text().unwrap_or_default(),
        country: row.text().unwrap_or_default(),
        consent: row.text().unwrap_or_default(),
        extras: row.text().unwrap_or_default(),
        expires_at: row.int().map(Millis),
        ad_active: row.bool(),
        ..ids
    };
    Ok((click, addresses.0, addresses.1))
}
