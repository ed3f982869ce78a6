//! The click: every field of SPEC §1, borrowed from the payload that it was read from.

use super::text::{optional_id, text};
use super::wire::{Reader, bytes, put_bytes, put_bytes_nonempty, put_u64, put_u64_nonzero, varint};
use super::{DecodeError, bounded, millis, price};
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

const CLICK_ID: u64 = bytes(1);
const CLICK_ID_SOURCE: u64 = varint(2);
const ISSUER: u64 = bytes(3);
const USER_ID: u64 = bytes(4);
const USER_ID_SOURCE: u64 = varint(5);
const AD_ID: u64 = bytes(6);
const CAMPAIGN_ID: u64 = bytes(7);
const ADVERTISER_ID: u64 = bytes(8);
const PUBLISHER_ID: u64 = bytes(9);
const PLACEMENT_ID: u64 = bytes(10);
const IMPRESSION_ID: u64 = bytes(11);
const PRICE: u64 = varint(12);
const CURRENCY: u64 = bytes(13);
const PAYOUT: u64 = varint(14);
const PRICE_SOURCE: u64 = varint(15);
const CATALOGUE_VERSION: u64 = varint(16);
const RECEIVED_AT: u64 = varint(17);
const CLIENT_TIME: u64 = varint(18);
const CAPTURE: u64 = varint(19);
const METHOD: u64 = bytes(20);
const PURPOSE: u64 = bytes(21);
const IP: u64 = bytes(22);
const PEER_IP: u64 = bytes(23);
const SOURCE_KEY: u64 = bytes(24);
const USER_AGENT: u64 = bytes(25);
const REFERRER: u64 = bytes(26);
const COUNTRY: u64 = bytes(27);
const CONSENT: u64 = bytes(28);
const EXTRAS: u64 = bytes(29);
const EXPIRES_AT: u64 = varint(30);
const AD_ACTIVE: u64 = varint(31);

impl<'a> Click<'a> {
    /// The user key, by which clicks are partitioned: user id, else click id.
    pub const fn user_key(&self) -> &'a str {
        if self.user_id.is_empty() { self.click_id } else { self.user_id }
    }

    /// Reads a message into `self`, which must be the default.
    pub(crate) fn read(&mut self, message: &'a [u8]) -> Result<(), DecodeError> {
        let mut reader = Reader::new(message);
        let mut tag = reader.tag()?;
        while tag != 0 {
            tag = self.read_identity(tag, &mut reader)?;
            tag = self.read_money(tag, &mut reader)?;
            tag = self.read_request(tag, &mut reader)?;
            tag = self.read_client(tag, &mut reader)?;
            if !is_known(tag) {
                reader.skip(tag, |number| (1..=31).contains(&number))?;
                tag = reader.tag()?;
            }
        }
        if self.click_id.is_empty() || self.ad_id.is_empty() {
            return Err(DecodeError::Id);
        }
        Ok(())
    }

    // Writers put fields in order of their numbers: a run of comparisons, each nearly always as
    // the one before, beats a jump table. Fields in another order take another round.

    #[inline]
    fn read_identity(&mut self, mut tag: u64, reader: &mut Reader<'a>) -> Result<u64, DecodeError> {
        if tag == CLICK_ID {
            self.click_id = optional_id(reader.bytes()?)?;
            tag = reader.tag()?;
        }
        if tag == CLICK_ID_SOURCE {
            self.click_id_source = SourceCode(reader.varint()?);
            tag = reader.tag()?;
        }
        if tag == ISSUER {
            self.issuer = optional_id(reader.bytes()?)?;
            tag = reader.tag()?;
        }
        if tag == USER_ID {
            self.user_id = optional_id(reader.bytes()?)?;
            tag = reader.tag()?;
        }
        if tag == USER_ID_SOURCE {
            self.user_id_source = SourceCode(reader.varint()?);
            tag = reader.tag()?;
        }
        if tag == AD_ID {
            self.ad_id = optional_id(reader.bytes()?)?;
            tag = reader.tag()?;
        }
        if tag == CAMPAIGN_ID {
            self.campaign_id = optional_id(reader.bytes()?)?;
            tag = reader.tag()?;
        }
        if tag == ADVERTISER_ID {
            self.advertiser_id = optional_id(reader.bytes()?)?;
            tag = reader.tag()?;
        }
        Ok(tag)
    }

    #[inline]
    fn read_money(&mut self, mut tag: u64, reader: &mut Reader<'a>) -> Result<u64, DecodeError> {
        if tag == PUBLISHER_ID {
            self.publisher_id = optional_id(reader.bytes()?)?;
            tag = reader.tag()?;
        }
        if tag == PLACEMENT_ID {
            self.placement_id = optional_id(reader.bytes()?)?;
            tag = reader.tag()?;
        }
        if tag == IMPRESSION_ID {
            self.impression_id = optional_id(reader.bytes()?)?;
            tag = reader.tag()?;
        }
        if tag == PRICE {
            self.price = price(reader.varint()?)?;
            tag = reader.tag()?;
        }
        if tag == CURRENCY {
            self.currency = optional_id(reader.bytes()?)?;
            tag = reader.tag()?;
        }
        if tag == PAYOUT {
            self.payout = price(reader.varint()?)?;
            tag = reader.tag()?;
        }
        if tag == PRICE_SOURCE {
            self.price_source = SourceCode(reader.varint()?);
            tag = reader.tag()?;
        }
        if tag == CATALOGUE_VERSION {
            self.catalogue_version = reader.varint()?;
            tag = reader.tag()?;
        }
        Ok(tag)
    }

    #[inline]
    fn read_request(&mut self, mut tag: u64, reader: &mut Reader<'a>) -> Result<u64, DecodeError> {
        if tag == RECEIVED_AT {
            self.received_at = millis(reader.varint()?)?;
            tag = reader.tag()?;
        }
        if tag == CLIENT_TIME {
            self.client_time = Some(millis(reader.varint()?)?);
            tag = reader.tag()?;
        }
        if tag == CAPTURE {
            self.capture = capture(reader.varint()?);
            tag = reader.tag()?;
        }
        if tag == METHOD {
            self.method = text(reader.bytes()?, MAX_ID_BYTES)?;
            tag = reader.tag()?;
        }
        if tag == PURPOSE {
            self.purpose = text(reader.bytes()?, MAX_TEXT_BYTES)?;
            tag = reader.tag()?;
        }
        if tag == IP {
            self.ip = address(reader.bytes()?)?;
            tag = reader.tag()?;
        }
        if tag == PEER_IP {
            self.peer_ip = address(reader.bytes()?)?;
            tag = reader.tag()?;
        }
        if tag == SOURCE_KEY {
            self.source_key = bounded(reader.bytes()?, MAX_SOURCE_KEY_BYTES)?;
            tag = reader.tag()?;
        }
        Ok(tag)
    }

    #[inline]
    fn read_client(&mut self, mut tag: u64, reader: &mut Reader<'a>) -> Result<u64, DecodeError> {
        if tag == USER_AGENT {
            self.user_agent = Some(text(reader.bytes()?, MAX_TEXT_BYTES)?);
            tag = reader.tag()?;
        }
        if tag == REFERRER {
            self.referrer = text(reader.bytes()?, MAX_TEXT_BYTES)?;
            tag = reader.tag()?;
        }
        if tag == COUNTRY {
            self.country = text(reader.bytes()?, MAX_ID_BYTES)?;
            tag = reader.tag()?;
        }
        if tag == CONSENT {
            self.consent = text(reader.bytes()?, MAX_TEXT_BYTES)?;
            tag = reader.tag()?;
        }
        if tag == EXTRAS {
            self.extras = text(reader.bytes()?, MAX_EXTRAS_BYTES)?;
            tag = reader.tag()?;
        }
        if tag == EXPIRES_AT {
            self.expires_at = Some(millis(reader.varint()?)?);
            tag = reader.tag()?;
        }
        if tag == AD_ACTIVE {
            self.ad_active = Some(reader.varint()? != 0);
            tag = reader.tag()?;
        }
        Ok(tag)
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

/// Whether a field with this tag is read, or the message is at its end.
const fn is_known(tag: u64) -> bool {
    const BYTES: u64 =
        1 << 1 | 1 << 3 | 1 << 4 | 0b1_1111 << 6 | 1 << 11 | 1 << 13 | 0b11_1111_1111 << 20;
    const VARINTS: u64 = 1 << 2 | 1 << 5 | 1 << 12 | 0b11_1111 << 14 | 0b11 << 30;
    match (tag >> 3, tag & 7) {
        (0, _) => true,
        (number @ 1..=31, 0) => VARINTS >> number & 1 == 1,
        (number @ 1..=31, 2) => BYTES >> number & 1 == 1,
        _ => false,
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
