//! The click: every field of SPEC §1, borrowed from the payload that it was read from.

use super::fields::Fields;
use super::source::Source;
use super::wire::{put_bytes, put_bytes_nonempty, put_u64, put_u64_nonzero};
use crate::types::{Micros, Millis};
use alloc::vec::Vec;

/// How a click came in; the number is the one of the schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u64)]
pub enum Capture {
    /// Not recorded.
    #[default]
    Unknown = 0,
    /// A visitor was redirected.
    Redirect = 1,
    /// A beacon.
    Beacon = 2,
    /// `<a ping>`.
    Ping = 3,
    /// Server to server.
    S2s = 4,
    /// A file was imported.
    Import = 5,
}

/// Who made an id or a price; the number is the one of the schema (0 unknown).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceCode(pub u64);

impl SourceCode {
    /// From signed bytes.
    pub const LINK: SourceCode = SourceCode(1);
    /// Minted by our server (click ids), said by an edge (user ids), the catalogue (prices).
    pub const SERVER: SourceCode = SourceCode(2);
    /// A price said by an edge.
    pub const EDGE_PRICE: SourceCode = SourceCode(3);
}

/// A request whose link was genuine. Empty text is unknown unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Click<'a> {
    /// Unique name of the link that was clicked; 1-128 bytes.
    pub click_id: &'a str,
    /// Who made the click id: link or server.
    pub click_id_source: SourceCode,
    /// Who owns the signing or API key.
    pub issuer: &'a str,
    /// The person or device.
    pub user_id: &'a str,
    /// Who said the user id: link or edge.
    pub user_id_source: SourceCode,
    /// The ad; 1-128 bytes.
    pub ad_id: &'a str,
    /// The ad's campaign.
    pub campaign_id: &'a str,
    /// Who pays.
    pub advertiser_id: &'a str,
    /// Who is paid.
    pub publisher_id: &'a str,
    /// Place on the publisher's pages.
    pub placement_id: &'a str,
    /// The impression that was clicked.
    pub impression_id: &'a str,
    /// What a valid click costs the advertiser.
    pub price: Micros,
    /// Currency of price and payout.
    pub currency: &'a str,
    /// What a valid click brings the publisher.
    pub payout: Micros,
    /// Where the price came from: link, catalogue, edge.
    pub price_source: SourceCode,
    /// Version of the catalogue that was used, 0 for none.
    pub catalogue_version: u64,
    /// The tracker's clock when the request arrived.
    pub received_at: Millis,
    /// The client's clock; data only.
    pub client_time: Option<Millis>,
    /// How the click came in.
    pub capture: Capture,
    /// HTTP method.
    pub method: &'a str,
    /// `Sec-Purpose`, `Purpose`, `X-Purpose`, `X-Moz`.
    pub purpose: &'a str,
    /// The person's address, 0, 4 or 16 bytes in network order.
    pub ip: &'a [u8],
    /// The caller's address, 0, 4 or 16 bytes in network order.
    pub peer_ip: &'a [u8],
    /// Keyed hash of the source, kept when `ip` is truncated.
    pub source_key: &'a [u8],
    /// `None` is unknown, empty is a client that sent none.
    pub user_agent: Option<&'a str>,
    /// `Referer` header.
    pub referrer: &'a str,
    /// ISO country code.
    pub country: &'a str,
    /// Consent string.
    pub consent: &'a str,
    /// Unsigned parameters of the link, as a raw query string.
    pub extras: &'a str,
    /// When the link expires.
    pub expires_at: Option<Millis>,
    /// Whether the ad ran when the click was received.
    pub ad_active: Option<bool>,
}

impl<'a> Click<'a> {
    /// The user key, by which clicks are partitioned: user id, else click id.
    pub const fn user_key(&self) -> &'a str {
        if self.user_id.is_empty() { self.click_id } else { self.user_id }
    }

    /// Where it came from.
    pub fn source(&self) -> Source<'a> {
        Source::of(self.ip, self.source_key)
    }

    /// A click of these fields.
    pub(super) fn of(fields: &Fields<'a>) -> Click<'a> {
        Click {
            client_time: fields.time::<18>(),
            capture: capture(fields.number_or_zero::<19>()),
            method: fields.text::<20>().unwrap_or_default(),
            purpose: fields.text::<21>().unwrap_or_default(),
            ip: fields.bytes::<22>(),
            peer_ip: fields.bytes::<23>(),
            source_key: fields.bytes::<24>(),
            user_agent: fields.text::<25>(),
            referrer: fields.text::<26>().unwrap_or_default(),
            country: fields.text::<27>().unwrap_or_default(),
            consent: fields.text::<28>().unwrap_or_default(),
            extras: fields.text::<29>().unwrap_or_default(),
            expires_at: fields.time::<30>(),
            ad_active: fields.number::<31>().map(|active| active != 0),
            ..Click::of_ids(fields)
        }
    }

    fn of_ids(fields: &Fields<'a>) -> Click<'a> {
        Click {
            click_id: fields.text::<1>().unwrap_or_default(),
            click_id_source: SourceCode(fields.number_or_zero::<2>()),
            issuer: fields.text::<3>().unwrap_or_default(),
            user_id: fields.text::<4>().unwrap_or_default(),
            user_id_source: SourceCode(fields.number_or_zero::<5>()),
            ad_id: fields.text::<6>().unwrap_or_default(),
            campaign_id: fields.text::<7>().unwrap_or_default(),
            advertiser_id: fields.text::<8>().unwrap_or_default(),
            publisher_id: fields.text::<9>().unwrap_or_default(),
            placement_id: fields.text::<10>().unwrap_or_default(),
            impression_id: fields.text::<11>().unwrap_or_default(),
            price: fields.price::<12>(),
            currency: fields.text::<13>().unwrap_or_default(),
            payout: fields.price::<14>(),
            price_source: SourceCode(fields.number_or_zero::<15>()),
            catalogue_version: fields.number_or_zero::<16>(),
            received_at: fields.time::<17>().unwrap_or_default(),
            ..Click::default()
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_bytes_nonempty(out, 1, self.click_id.as_bytes());
        put_u64_nonzero(out, 2, self.click_id_source.0);
        put_bytes_nonempty(out, 3, self.issuer.as_bytes());
        put_bytes_nonempty(out, 4, self.user_id.as_bytes());
        put_u64_nonzero(out, 5, self.user_id_source.0);
        put_bytes_nonempty(out, 6, self.ad_id.as_bytes());
        put_bytes_nonempty(out, 7, self.campaign_id.as_bytes());
        put_bytes_nonempty(out, 8, self.advertiser_id.as_bytes());
        put_bytes_nonempty(out, 9, self.publisher_id.as_bytes());
        put_bytes_nonempty(out, 10, self.placement_id.as_bytes());
        put_bytes_nonempty(out, 11, self.impression_id.as_bytes());
        put_u64_nonzero(out, 12, self.price.0);
        put_bytes_nonempty(out, 13, self.currency.as_bytes());
        put_u64_nonzero(out, 14, self.payout.0);
        put_u64_nonzero(out, 15, self.price_source.0);
        put_u64_nonzero(out, 16, self.catalogue_version);
        self.encode_request(out);
    }

    fn encode_request(&self, out: &mut Vec<u8>) {
        put_u64_nonzero(out, 17, self.received_at.0);
        if let Some(time) = self.client_time {
            put_u64(out, 18, time.0);
        }
        put_u64_nonzero(out, 19, self.capture as u64);
        put_bytes_nonempty(out, 20, self.method.as_bytes());
        put_bytes_nonempty(out, 21, self.purpose.as_bytes());
        put_bytes_nonempty(out, 22, self.ip);
        put_bytes_nonempty(out, 23, self.peer_ip);
        put_bytes_nonempty(out, 24, self.source_key);
        if let Some(agent) = self.user_agent {
            put_bytes(out, 25, agent.as_bytes());
        }
        put_bytes_nonempty(out, 26, self.referrer.as_bytes());
        put_bytes_nonempty(out, 27, self.country.as_bytes());
        put_bytes_nonempty(out, 28, self.consent.as_bytes());
        put_bytes_nonempty(out, 29, self.extras.as_bytes());
        if let Some(time) = self.expires_at {
            put_u64(out, 30, time.0);
        }
        if let Some(active) = self.ad_active {
            put_u64(out, 31, u64::from(active));
        }
    }
}

const fn capture(value: u64) -> Capture {
    match value {
        1 => Capture::Redirect,
        2 => Capture::Beacon,
        3 => Capture::Ping,
        4 => Capture::S2s,
        5 => Capture::Import,
        _ => Capture::Unknown,
    }
}
