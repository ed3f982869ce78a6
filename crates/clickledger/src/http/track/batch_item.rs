//! One click of a JSON or NDJSON batch, under the column names of SPEC §11.
//!
//! An item is a signed link (`link`), or stands on the word of an edge key. Only an edge key may
//! say when, where from and with what the visitor clicked. Absent, null and empty mean
//! unknown; only `user_agent` tells empty from absent.

use super::batch::Caller;
use super::draft::{Circumstances, DEFAULT_CURRENCY, Draft, IpBytes, Terms};
use super::limits::{AHEAD_MS, MAX_REFERRER, MAX_USER_AGENT, MAX_WORD};
use super::refusal::Refusal;
use crate::keys::KeyRing;
use click_core::limits::{MAX_EXTRAS_BYTES, MAX_PRICE_MICROS, MAX_TEXT_BYTES, MAX_TIME_MS};
use click_core::link::{LinkError, ParsedLink};
use click_core::record::{Capture, SourceCode, valid_id};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

/// Text, `None` if absent or null; borrowed where JSON has no escapes in it.
#[derive(Debug, Default)]
struct Text<'a>(Option<Cow<'a, str>>);

/// A whole number, as number or decimal string.
#[derive(Debug, Default)]
struct Whole(Option<u64>);

/// Milliseconds since 1970, as number, decimal string or RFC 3339.
#[derive(Debug, Default)]
struct Time(Option<u64>);

/// One item as it was sent.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Item<'a> {
    #[serde(borrow)]
    link: Text<'a>,
    #[serde(borrow)]
    click_id: Text<'a>,
    #[serde(borrow)]
    user_id: Text<'a>,
    #[serde(borrow)]
    ad_id: Text<'a>,
    #[serde(borrow)]
    campaign_id: Text<'a>,
    #[serde(borrow)]
    advertiser_id: Text<'a>,
    #[serde(borrow)]
    publisher_id: Text<'a>,
    #[serde(borrow)]
    placement_id: Text<'a>,
    #[serde(borrow)]
    impression_id: Text<'a>,
    price_micros: Whole,
    payout_micros: Whole,
    #[serde(borrow)]
    currency: Text<'a>,
    expires_at: Time,
    #[serde(borrow)]
    extras: Text<'a>,
    received_at: Time,
    client_time: Time,
    #[serde(borrow)]
    ip: Text<'a>,
    #[serde(borrow)]
    user_agent: Text<'a>,
    #[serde(borrow)]
    referrer: Text<'a>,
    #[serde(borrow)]
    country: Text<'a>,
    #[serde(borrow)]
    consent: Text<'a>,
    #[serde(borrow)]
    method: Text<'a>,
    #[serde(borrow)]
    purpose: Text<'a>,
    ad_active: Option<bool>,
}

impl Text<'_> {
    fn get(&self) -> &str {
        self.0.as_deref().unwrap_or("")
    }

    fn is_stated(&self) -> bool {
        !self.get().is_empty()
    }
}

/// Reads one item.
pub(super) fn parse(json: &[u8]) -> Result<Item<'_>, Refusal> {
    serde_json::from_slice(json).map_err(|error| bad("bad_item", error.to_string()))
}

fn bad(code: &'static str, message: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(400, code, message)
}

impl Item<'_> {
    /// The signature of the item's link: what the throttle counts by.
    pub(super) fn signature(&self) -> Option<&str> {
        let link = self.link.get();
        link.split(['?', '&']).find_map(|piece| piece.strip_prefix("s="))
    }
}

/// The click that `item` stands for.
pub(super) fn draft<'a>(
    item: &'a Item<'_>,
    keys: &'a KeyRing,
    caller: &Caller<'a>,
) -> Result<Draft<'a>, Refusal> {
    let terms = match (item.link.is_stated(), caller.edge) {
        (true, _) => linked_terms(item, keys)?,
        (false, Some((issuer, _))) => stated_terms(item, issuer)?,
        (false, None) => {
            let message = "give a signed link, or send the batch with an edge key";
            return Err(bad("edge_key_required", message));
        }
    };
    let circumstances = circumstances(item, caller)?;
    Ok(Draft { terms, circumstances, ad_active: item.ad_active })
}

fn linked_terms<'a>(item: &'a Item<'_>, keys: &'a KeyRing) -> Result<Terms<'a>, Refusal> {
    let ids = stated_ids(item).into_iter().any(|(_, text)| text.is_stated());
    let numbers = item.price_micros.0.or(item.payout_micros.0).or(item.expires_at.0);
    let texts = item.currency.is_stated() || item.extras.is_stated();
    if ids || texts || numbers.is_some() || item.ad_active.is_some() {
        let message = "the link says ids, money and extras: leave them out beside it";
        return Err(bad("conflicts_with_link", message));
    }
    let query = item.link.get().split_once("/c?").map(|(_, query)| query);
    let query = query.ok_or_else(|| bad("bad_link", "a link has the form https://host/c?..."))?;
    let link = ParsedLink::parse(query.as_bytes())?;
    let signer = keys.signer(link.key_id()).ok_or(LinkError::UnknownKey)?;
    Terms::from_link(&link, signer)
}

fn stated_ids<'i, 'a>(item: &'i Item<'a>) -> [(&'static str, &'i Text<'a>); 8] {
    [
        ("click_id", &item.click_id),
        ("user_id", &item.user_id),
        ("ad_id", &item.ad_id),
        ("campaign_id", &item.campaign_id),
        ("advertiser_id", &item.advertiser_id),
        ("publisher_id", &item.publisher_id),
        ("placement_id", &item.placement_id),
        ("impression_id", &item.impression_id),
    ]
}

fn stated_terms<'a>(item: &'a Item<'_>, issuer: &'a str) -> Result<Terms<'a>, Refusal> {
    for (name, id) in stated_ids(item) {
        let required = matches!(name, "click_id" | "ad_id");
        if (required || id.is_stated()) && !valid_id(id.get().as_bytes()) {
            let message = format!("{name} must be 1 to 128 bytes without control characters");
            return Err(bad("bad_id", message));
        }
    }
    let known = |there: bool, source| if there { source } else { SourceCode::default() };
    Ok(Terms {
        click_id: item.click_id.get().into(),
        click_id_source: SourceCode::SERVER,
        issuer,
        user_id: item.user_id.get().into(),
        user_id_source: known(item.user_id.is_stated(), SourceCode::SERVER),
        ad_id: item.ad_id.get().into(),
        campaign_id: item.campaign_id.get().into(),
        advertiser_id: item.advertiser_id.get().into(),
        publisher_id: item.publisher_id.get().into(),
        placement_id: item.placement_id.get().into(),
        impression_id: item.impression_id.get().into(),
        price: micros("price_micros", &item.price_micros)?,
        payout: micros("payout_micros", &item.payout_micros)?,
        currency: check_currency(item.currency.get())?.into(),
        price_source: known(item.price_micros.0.is_some(), SourceCode::EDGE_PRICE),
        expires_at: item.expires_at.0,
        extras: within("extras", &item.extras, MAX_EXTRAS_BYTES)?.into(),
    })
}

fn micros(name: &str, amount: &Whole) -> Result<u64, Refusal> {
    let amount = amount.0.unwrap_or(0);
    if amount > MAX_PRICE_MICROS {
        return Err(bad("bad_price", format!("{name} is above {MAX_PRICE_MICROS}")));
    }
    Ok(amount)
}

/// The currency, or the default if it is empty.
pub(super) fn check_currency(currency: &str) -> Result<&str, Refusal> {
    let letter = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    match currency.len() {
        0 => Ok(DEFAULT_CURRENCY),
        3..=8 if currency.bytes().all(letter) => Ok(currency),
        _ => Err(bad("bad_currency", "currency must be 3 to 8 capital letters or digits")),
    }
}

fn circumstances<'a>(
    item: &'a Item<'_>,
    caller: &Caller<'_>,
) -> Result<Circumstances<'a>, Refusal> {
    let ip = match caller.edge {
        Some((_, ip_optional)) => stated_ip(item.ip.get(), ip_optional)?,
        None => forbid_visitor(item).map(|()| IpBytes::default())?,
    };
    let agent = item.user_agent.0.as_ref();
    if agent.is_some_and(|agent| agent.len() > MAX_USER_AGENT) {
        return Err(too_long("user_agent", MAX_USER_AGENT));
    }
    Ok(Circumstances {
        received_at: received_at(item.received_at.0, caller)?,
        client_time: item.client_time.0,
        capture: Capture::S2s,
        method: within("method", &item.method, MAX_WORD)?.into(),
        purpose: within("purpose", &item.purpose, MAX_TEXT_BYTES)?.into(),
        ip,
        peer_ip: Some(caller.peer).into(),
        user_agent: agent.map(|agent| Cow::Borrowed(&**agent)),
        referrer: within("referrer", &item.referrer, MAX_REFERRER)?.into(),
        country: within("country", &item.country, MAX_WORD)?.into(),
        consent: within("consent", &item.consent, MAX_TEXT_BYTES)?.into(),
    })
}

/// Without an edge key nobody vouches for what is said of the visitor.
fn forbid_visitor(item: &Item<'_>) -> Result<(), Refusal> {
    let agent = item.user_agent.0.is_some();
    if item.received_at.0.is_some() || item.ip.is_stated() || agent {
        let message = "received_at, ip and user_agent need an edge key";
        return Err(bad("edge_key_required", message));
    }
    Ok(())
}

fn stated_ip(text: &str, optional: bool) -> Result<IpBytes, Refusal> {
    if text.is_empty() {
        if optional {
            return Ok(IpBytes::default());
        }
        let message = "ip (the visitor's) is required, unless the key is made with --ip-optional";
        return Err(bad("ip_required", message));
    }
    let ip = text.parse::<IpAddr>().map_err(|_| bad("bad_ip", "ip is no IPv4 or IPv6 address"))?;
    Ok(Some(ip.to_canonical()).into())
}

/// The stated time if it lies from S back to five minutes ahead; now if none is stated.
pub(super) fn received_at(stated: Option<u64>, caller: &Caller<'_>) -> Result<u64, Refusal> {
    let now = caller.now_ms;
    let stated = stated.unwrap_or(now);
    let allowed = now.saturating_sub(caller.spool_limit_ms)..=now + AHEAD_MS;
    if allowed.contains(&stated) {
        return Ok(stated);
    }
    let hours = caller.spool_limit_ms / 3_600_000;
    let message = format!("received_at must lie within {hours} h back and 5 minutes ahead");
    Err(bad("received_at_range", message))
}

fn within<'a>(name: &str, text: &'a Text<'_>, limit: usize) -> Result<&'a str, Refusal> {
    let text = text.get();
    if text.len() > limit { Err(too_long(name, limit)) } else { Ok(text) }
}

fn too_long(name: &str, limit: usize) -> Refusal {
    bad("too_long", format!("{name} has more than {limit} bytes"))
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Borrowed(text))))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(text.to_owned()))))
            }
            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Text(None))
            }
        }
        source.deserialize_any(Read)
    }
}

struct Number {
    expected: &'static str,
    text: fn(&str) -> Option<u64>,
}

impl<'de> Visitor<'de> for Number {
    type Value = Option<u64>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(value))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let unknown = || E::invalid_value(serde::de::Unexpected::Str("text"), &self.expected);
        if text.is_empty() { Ok(None) } else { (self.text)(text).map(Some).ok_or_else(unknown) }
    }
    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let number = Number { expected: "a whole number", text: |text| text.parse().ok() };
        source.deserialize_any(number).map(Whole)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let expected = "milliseconds since 1970 or an RFC 3339 time before the year 10000";
        let time = source.deserialize_any(Number { expected, text: parse_time })?;
        match time {
            Some(ms) if ms > MAX_TIME_MS => {
                Err(D::Error::invalid_value(serde::de::Unexpected::Unsigned(ms), &expected))
            }
            time => Ok(Time(time)),
        }
    }
}

fn parse_time(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| {
        let time: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(time.as_millisecond()).ok()
    })
}
