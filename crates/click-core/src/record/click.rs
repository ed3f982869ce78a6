//! The click: every field of SPEC §1, borrowed from the payload that it was read from.

use super::wire::{Reader, Value, put_bytes, put_bytes_nonempty, put_u64, put_u64_nonzero};
use super::{DecodeError, bounded, id, millis, optional_id, price, text};
use crate::limits::{MAX_EXTRAS_BYTES, MAX_ID_BYTES, MAX_SOURCE_KEY_BYTES, MAX_TEXT_BYTES};
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

    pub(super) fn decode(bytes: &'a [u8]) -> Result<Click<'a>, DecodeError> {
        let mut click = Click::default();
        let mut reader = Reader::new(bytes);
        while let Some((number, value)) = reader.field()? {
            match value {
                Value::Bytes(bytes) => click.set_bytes(number, bytes)?,
                Value::Varint(value) => click.set_number(number, value)?,
                Value::Other if (1..=31).contains(&number) => return Err(DecodeError::Malformed),
                Value::Other => {}
            }
        }
        id(click.click_id.as_bytes())?;
        id(click.ad_id.as_bytes())?;
        Ok(click)
    }

    #[inline]
    fn set_bytes(&mut self, number: u64, bytes: &'a [u8]) -> Result<(), DecodeError> {
        match number {
            1 => self.click_id = optional_id(bytes)?,
            3 => self.issuer = optional_id(bytes)?,
            4 => self.user_id = optional_id(bytes)?,
            6 => self.ad_id = optional_id(bytes)?,
            7 => self.campaign_id = optional_id(bytes)?,
            8 => self.advertiser_id = optional_id(bytes)?,
            9 => self.publisher_id = optional_id(bytes)?,
            10 => self.placement_id = optional_id(bytes)?,
            11 => self.impression_id = optional_id(bytes)?,
            13 => self.currency = optional_id(bytes)?,
            20 => self.method = text(bytes, MAX_ID_BYTES)?,
            21 => self.purpose = text(bytes, MAX_TEXT_BYTES)?,
            22 => self.ip = address(bytes)?,
            23 => self.peer_ip = address(bytes)?,
            24 => self.source_key = bounded(bytes, MAX_SOURCE_KEY_BYTES)?,
            25 => self.user_agent = Some(text(bytes, MAX_TEXT_BYTES)?),
            26 => self.referrer = text(bytes, MAX_TEXT_BYTES)?,
            27 => self.country = text(bytes, MAX_ID_BYTES)?,
            28 => self.consent = text(bytes, MAX_TEXT_BYTES)?,
            29 => self.extras = text(bytes, MAX_EXTRAS_BYTES)?,
            2 | 5 | 12 | 14..=19 | 30 | 31 => return Err(DecodeError::Malformed),
            _ => {}
        }
        Ok(())
    }

    #[inline]
    fn set_number(&mut self, number: u64, value: u64) -> Result<(), DecodeError> {
        match number {
            2 => self.click_id_source = SourceCode(value),
            5 => self.user_id_source = SourceCode(value),
            12 => self.price = price(value)?,
            14 => self.payout = price(value)?,
            15 => self.price_source = SourceCode(value),
            16 => self.catalogue_version = value,
            17 => self.received_at = millis(value)?,
            18 => self.client_time = Some(millis(value)?),
            19 => self.capture = capture(value),
            30 => self.expires_at = Some(millis(value)?),
            31 => self.ad_active = Some(value != 0),
            1 | 3 | 4 | 6..=11 | 13 | 20..=29 => return Err(DecodeError::Malformed),
            _ => {}
        }
        Ok(())
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

fn address(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    match bytes.len() {
        0 | 4 | 16 => Ok(bytes),
        _ => Err(DecodeError::Address),
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
