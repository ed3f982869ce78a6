//! One row of cells made into a click with its place in the log, checked against the limits of the
//! core, so that nothing undecodable can get into a log by import (SPEC §10, §11).
//! A reason for refusal names the column, the value and what is allowed.

use std::net::IpAddr;

use click_core::limits::{MAX_ID_BYTES, MAX_PRICE_MICROS, MAX_TEXT_BYTES, MAX_TIME_MS};
use click_core::record::{Capture, Click, Kind, Record, SourceKeys, Transport, valid_id};
use click_core::types::{Micros, Millis};

use super::columns::{Cells, Column};
use crate::log::MAX_PARTITIONS;

/// How cells are read.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Times without a zone are UTC, instead of being refused.
    pub assume_utc: bool,
    /// Clicks with an address get the key of their source.
    pub source_keys: Option<SourceKeys>,
}

/// A row's place in the log, beside its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub partition: u32,
    /// `None` where the row does not say.
    pub append_time: Option<u64>,
    pub received_at: u64,
}

/// Encodes the row as a payload, appended to `out`. A row without transport columns gets none yet.
///
/// # Errors
/// Why the row is refused, for its writer to read; `out` is unchanged.
pub fn encode(cells: &Cells, reading: &Reading, out: &mut Vec<u8>) -> Result<Place, String> {
    let ip = address(cells)?;
    let ip = ip.as_ref().map_or(&[][..], |ip| ip.bytes());
    let source_key = reading.source_keys.as_ref().and_then(|keys| keys.of(ip));
    let click = Click {
        click_id: required_id(cells, Column::ClickId)?,
        issuer: id(cells, Column::Issuer)?,
        user_id: id(cells, Column::UserId)?,
        ad_id: required_id(cells, Column::AdId)?,
        campaign_id: id(cells, Column::CampaignId)?,
        advertiser_id: id(cells, Column::AdvertiserId)?,
        publisher_id: id(cells, Column::PublisherId)?,
        placement_id: id(cells, Column::PlacementId)?,
        price: Micros(number(cells, Column::PriceMicros, MAX_PRICE_MICROS)?.unwrap_or(0)),
        currency: default_to(id(cells, Column::Currency)?, "USD"),
        payout: Micros(number(cells, Column::PayoutMicros, MAX_PRICE_MICROS)?.unwrap_or(0)),
        received_at: Millis(received_at(cells, reading)?),
        capture: Capture::Import,
        method: default_to(text(cells, Column::Method, MAX_ID_BYTES)?, "GET"),
        purpose: text(cells, Column::Purpose, MAX_TEXT_BYTES)?,
        ip,
        source_key: source_key.as_ref().map_or(&[], |key| key),
        user_agent: user_agent(cells)?,
        referrer: text(cells, Column::Referrer, MAX_TEXT_BYTES)?,
        country: text(cells, Column::Country, MAX_ID_BYTES)?,
        expires_at: time(cells, Column::ExpiresAt, reading)?.map(Millis),
        ad_active: boolean(cells, Column::AdActive)?,
        ..Click::default()
    };
    let place = Place {
        partition: partition(cells)?,
        append_time: time(cells, Column::AppendTime, reading)?,
        received_at: click.received_at.0,
    };
    let transport = transport(cells)?;
    let kind = Kind::Click(click);
    Record { sent_at: None, transport, previous: None, kind }.encode(out, &mut Vec::new());
    Ok(place)
}

enum Address {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl Address {
    fn bytes(&self) -> &[u8] {
        match self {
            Address::V4(bytes) => bytes,
            Address::V6(bytes) => bytes,
        }
    }
}

fn address(cells: &Cells) -> Result<Option<Address>, String> {
    let Some(value) = cells.get(Column::Ip) else { return Ok(None) };
    match value.trim().parse() {
        Ok(IpAddr::V4(ip)) => Ok(Some(Address::V4(ip.octets()))),
        Ok(IpAddr::V6(ip)) => Ok(Some(Address::V6(ip.octets()))),
        Err(_) => Err(refusal(Column::Ip, value, "is no IPv4 or IPv6 address")),
    }
}

fn required_id(cells: &Cells, column: Column) -> Result<&str, String> {
    match id(cells, column)? {
        "" => Err(format!("{} is empty; every row needs one", column.name())),
        value => Ok(value),
    }
}

fn id(cells: &Cells, column: Column) -> Result<&str, String> {
    match cells.get(column) {
        None => Ok(""),
        Some(value) if valid_id(value.as_bytes()) => Ok(value),
        Some(value) if value.len() > MAX_ID_BYTES => Err(format!(
            "{} has {} bytes; an id has at most {MAX_ID_BYTES}",
            column.name(),
            value.len()
        )),
        Some(value) => Err(refusal(column, value, "has control characters")),
    }
}

fn text(cells: &Cells, column: Column, limit: usize) -> Result<&str, String> {
    let value = cells.get(column).unwrap_or("");
    if value.len() > limit {
        return Err(format!("{} has {} bytes, limit {limit}", column.name(), value.len()));
    }
    Ok(value)
}

fn user_agent(cells: &Cells) -> Result<Option<&str>, String> {
    let value = text(cells, Column::UserAgent, MAX_TEXT_BYTES)?;
    Ok(cells.get(Column::UserAgent).map(|_| value))
}

const fn default_to<'a>(value: &'a str, default: &'a str) -> &'a str {
    if value.is_empty() { default } else { value }
}

fn received_at(cells: &Cells, reading: &Reading) -> Result<u64, String> {
    let found = time(cells, Column::ReceivedAt, reading)?;
    found.ok_or_else(|| "received_at is empty; every row needs one".to_owned())
}

fn time(cells: &Cells, column: Column, reading: &Reading) -> Result<Option<u64>, String> {
    let Some(value) = cells.get(column) else { return Ok(None) };
    let refuse = |why| refusal(column, value, why);
    let ms = match value.bytes().all(|byte| byte.is_ascii_digit()) {
        true => value.parse().map_err(|_| refuse("is after the year 9999"))?,
        false => calendar(value, reading).map_err(refuse)?,
    };
    if ms > MAX_TIME_MS {
        return Err(refuse("is after the year 9999"));
    }
    Ok(Some(ms))
}

fn calendar(value: &str, reading: &Reading) -> Result<u64, &'static str> {
    const NEITHER: &str = "is neither integer milliseconds nor RFC 3339 such as \
                           2017-11-07T09:30:00.000Z";
    let zoned: Result<jiff::Timestamp, _> = value.parse();
    let instant = match (zoned, value.parse::<jiff::civil::DateTime>()) {
        (Ok(instant), _) => instant,
        (Err(_), Ok(civil)) if reading.assume_utc => {
            civil.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| NEITHER)?.timestamp()
        }
        (Err(_), Ok(_)) if value.len() > 10 => {
            return Err("has no time zone; write one, or say --assume-utc");
        }
        (Err(_), _) => return Err(NEITHER),
    };
    u64::try_from(instant.as_millisecond()).map_err(|_| "is before 1970")
}

fn number(cells: &Cells, column: Column, limit: u64) -> Result<Option<u64>, String> {
    let Some(value) = cells.get(column) else { return Ok(None) };
    match value.parse::<u64>() {
        Ok(number) if number <= limit => Ok(Some(number)),
        Ok(_) => Err(refusal(column, value, &format!("is above {limit}"))),
        Err(_) => Err(refusal(column, value, "is no whole number from 0 up")),
    }
}

fn boolean(cells: &Cells, column: Column) -> Result<Option<bool>, String> {
    let Some(value) = cells.get(column) else { return Ok(None) };
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(Some(true)),
        "false" | "0" => Ok(Some(false)),
        _ => Err(refusal(column, value, "is neither true nor false")),
    }
}

fn partition(cells: &Cells) -> Result<u32, String> {
    let limit = u64::from(MAX_PARTITIONS) - 1;
    let value = number(cells, Column::Partition, limit)?.unwrap_or(0);
    u32::try_from(value).map_err(|_| "partition is out of range".to_owned())
}

fn transport(cells: &Cells) -> Result<Option<Transport<'_>>, String> {
    let tracker_id = id(cells, Column::TrackerId)?;
    let epoch = number(cells, Column::Epoch, u64::MAX)?;
    let seq = number(cells, Column::Seq, u64::MAX - 1)?;
    match (tracker_id, epoch, seq) {
        ("", None, None) => Ok(None),
        (_, Some(epoch), Some(seq)) if !tracker_id.is_empty() => {
            Ok(Some(Transport { tracker_id, epoch, seq }))
        }
        _ => Err("tracker_id, epoch and seq: all three or none".to_owned()),
    }
}

/// `column 'value' why`, the value cut to a readable length.
fn refusal(column: Column, value: &str, why: &str) -> String {
    let shown: String = value.chars().take(64).flat_map(char::escape_debug).collect();
    format!("{} '{shown}' {why}", column.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cells: &[(Column, &str)]) -> Result<(Vec<u8>, Place), String> {
        let mut row = Cells::default();
        for (column, value) in
            [(Column::ClickId, "c"), (Column::AdId, "a"), (Column::ReceivedAt, "1510047000000")]
        {
            row.set(column, value);
        }
        cells.iter().for_each(|(column, value)| row.set(*column, value));
        let mut out = Vec::new();
        let place = encode(&row, &Reading::default(), &mut out)?;
        Record::decode(&out).map_err(|error| error.to_string())?;
        Ok((out, place))
    }

    fn click_of(cells: &[(Column, &str)], look: impl FnOnce(&Click<'_>)) {
        let (payload, _) = check(cells).unwrap();
        let Kind::Click(click) = Record::decode(&payload).unwrap().kind else { panic!("a click") };
        look(&click);
    }

    #[test]
    fn unknown_cells_take_the_defaults() {
        click_of(&[], |click| {
            assert_eq!((click.currency, click.method, click.user_agent), ("USD", "GET", None));
            assert_eq!((click.price, click.ad_active, click.expires_at), (Micros(0), None, None));
        });
        click_of(&[(Column::UserAgent, ""), (Column::Currency, "")], |click| {
            assert_eq!((click.user_agent, click.currency), (Some(""), "USD"));
        });
    }

    #[test]
    fn times_are_milliseconds_or_rfc_3339() {
        for (value, ms) in [
            ("2017-11-07T09:30:00Z", 1_510_047_000_000),
            ("2017-11-07T10:30:00.999999+01:00", 1_510_047_000_999),
            ("0", 0),
            ("253402300799999", MAX_TIME_MS),
        ] {
            let (_, place) = check(&[(Column::ReceivedAt, value)]).unwrap();
            assert_eq!(place.received_at, ms, "{value}");
        }
    }

    #[test]
    fn what_the_limits_forbid_is_refused_with_a_reason() {
        let long = "x".repeat(129);
        let agent = "x".repeat(4097);
        for (column, value, expected) in [
            (Column::ClickId, "", "click_id is empty"),
            (Column::AdId, long.as_str(), "ad_id has 129 bytes"),
            (Column::UserId, "a\tb", "user_id 'a\\tb' has control characters"),
            (Column::ReceivedAt, "253402300800000", "after the year 9999"),
            (Column::ReceivedAt, "99999999999999999999999", "after the year 9999"),
            (Column::ReceivedAt, "1969-12-31T23:59:59Z", "before 1970"),
            (Column::ReceivedAt, "2017-11-07 09:30:00", "has no time zone"),
            (Column::ReceivedAt, "soon", "neither integer milliseconds nor RFC 3339"),
            (Column::ReceivedAt, "-5", "neither integer milliseconds nor RFC 3339"),
            (Column::PriceMicros, "9007199254740993", "is above 9007199254740992"),
            (Column::PriceMicros, "1.5", "no whole number"),
            (Column::PriceMicros, "-1", "no whole number"),
            (Column::Partition, "256", "is above 255"),
            (Column::Ip, "1.2.3", "no IPv4 or IPv6 address"),
            (Column::AdActive, "maybe", "neither true nor false"),
            (Column::UserAgent, agent.as_str(), "user_agent has 4097 bytes"),
            (Column::Seq, "3", "all three or none"),
        ] {
            let reason = check(&[(column, value)]).unwrap_err();
            assert!(reason.contains(expected), "{column:?} {value}: {reason}");
        }
    }

    #[test]
    fn transport_is_taken_as_it_is() {
        let cells = [(Column::TrackerId, "t"), (Column::Epoch, "2"), (Column::Seq, "7")];
        let (payload, _) = check(&cells).unwrap();
        let transport = Record::decode(&payload).unwrap().transport;
        assert_eq!(transport, Some(Transport { tracker_id: "t", epoch: 2, seq: 7 }));
    }
}
