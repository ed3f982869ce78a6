//! The click: every field of SPEC §1, borrowed from the payload that it was read from.

use super::text::{optional_id, text};
use super::wire::{Reader, put_bytes, put_bytes_nonempty, put_u64, put_u64_nonzero};
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

impl<'a> Click<'a> {
    /// The user key, by which clicks are partitioned: user id, else click id.
    pub const fn user_key(&self) -> &'a str {
        if self.user_id.is_empty() { self.click_id } else { self.user_id }
    }

    /// Reads a message into `self`, which must be the default.
    ///
    /// Writers put fields in order of their numbers: looking for each in turn, which is nearly
    /// always there or not as in the click before, beats a jump table. Fields in another order or
    /// of unusual form are read one by one.
    pub(crate) fn read(&mut self, message: &'a [u8]) -> Result<(), DecodeError> {
        let mut reader = Reader::new(message);
        loop {
            self.read_who(&mut reader)?;
            self.read_what(&mut reader)?;
            self.read_how(&mut reader)?;
            if reader.is_empty() {
                break;
            }
            self.read_any(&mut reader)?;
        }
        if self.click_id.is_empty() || self.ad_id.is_empty() {
            return Err(DecodeError::Id);
        }
        Ok(())
    }

    #[inline]
    fn read_who(&mut self, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
        self.bytes_if_next::<1>(reader)?;
        self.number_if_next::<2>(reader)?;
        self.bytes_if_next::<3>(reader)?;
        self.bytes_if_next::<4>(reader)?;
        self.number_if_next::<5>(reader)?;
        self.bytes_if_next::<6>(reader)?;
        self.bytes_if_next::<7>(reader)?;
        self.bytes_if_next::<8>(reader)?;
        self.bytes_if_next::<9>(reader)?;
        self.bytes_if_next::<10>(reader)?;
        self.bytes_if_next::<11>(reader)
    }

    #[inline]
    fn read_what(&mut self, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
        self.number_if_next::<12>(reader)?;
        self.bytes_if_next::<13>(reader)?;
        self.number_if_next::<14>(reader)?;
        self.number_if_next::<15>(reader)?;
        self.number_if_next::<16>(reader)?;
        self.number_if_next::<17>(reader)?;
        self.number_if_next::<18>(reader)?;
        self.number_if_next::<19>(reader)
    }

    #[inline]
    fn read_how(&mut self, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
        self.bytes_if_next::<20>(reader)?;
        self.bytes_if_next::<21>(reader)?;
        self.bytes_if_next::<22>(reader)?;
        self.bytes_if_next::<23>(reader)?;
        self.bytes_if_next::<24>(reader)?;
        self.bytes_if_next::<25>(reader)?;
        self.bytes_if_next::<26>(reader)?;
        self.bytes_if_next::<27>(reader)?;
        self.bytes_if_next::<28>(reader)?;
        self.bytes_if_next::<29>(reader)?;
        self.number_if_next::<30>(reader)?;
        self.number_if_next::<31>(reader)
    }

    #[inline(always)]
    fn bytes_if_next<const NUMBER: u64>(
        &mut self,
        reader: &mut Reader<'a>,
    ) -> Result<(), DecodeError> {
        match reader.bytes_if_next::<NUMBER>()? {
            Some(bytes) => self.set_bytes(NUMBER, bytes),
            None => Ok(()),
        }
    }

    #[inline(always)]
    fn number_if_next<const NUMBER: u64>(
        &mut self,
        reader: &mut Reader<'a>,
    ) -> Result<(), DecodeError> {
        match reader.number_if_next::<NUMBER>()? {
            Some(value) => self.set_number(NUMBER, value),
            None => Ok(()),
        }
    }

    /// Reads the next field, whichever it is.
    #[cold]
    fn read_any(&mut self, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
        const BYTES: u64 = 1 << 1 | 0b11 << 3 | 0b11_1111 << 6 | 1 << 13 | 0b11_1111_1111 << 20;
        const NUMBERS: u64 = 0xffff_fffe & !BYTES;
        let tag = reader.tag()?;
        match (tag >> 3, tag & 7) {
            (number @ 1..=31, 0) if NUMBERS >> number & 1 == 1 => {
                self.set_number(number, reader.varint()?)
            }
            (number @ 1..=31, 2) if BYTES >> number & 1 == 1 => {
                self.set_bytes(number, reader.bytes()?)
            }
            _ => reader.skip(tag, |number| (1..=31).contains(&number)),
        }
    }

    #[inline(always)]
    fn set_bytes(&mut self, number: u64, value: &'a [u8]) -> Result<(), DecodeError> {
        match number {
            1 => self.click_id = optional_id(value)?,
            3 => self.issuer = optional_id(value)?,
            4 => self.user_id = optional_id(value)?,
            6 => self.ad_id = optional_id(value)?,
            7 => self.campaign_id = optional_id(value)?,
            8 => self.advertiser_id = optional_id(value)?,
            9 => self.publisher_id = optional_id(value)?,
            10 => self.placement_id = optional_id(value)?,
            11 => self.impression_id = optional_id(value)?,
            13 => self.currency = optional_id(value)?,
            20 => self.method = text(value, MAX_ID_BYTES)?,
            21 => self.purpose = text(value, MAX_TEXT_BYTES)?,
            22 => self.ip = address(value)?,
            23 => self.peer_ip = address(value)?,
            24 => self.source_key = bounded(value, MAX_SOURCE_KEY_BYTES)?,
            25 => self.user_agent = Some(text(value, MAX_TEXT_BYTES)?),
            26 => self.referrer = text(value, MAX_TEXT_BYTES)?,
            27 => self.country = text(value, MAX_ID_BYTES)?,
            28 => self.consent = text(value, MAX_TEXT_BYTES)?,
            _ => self.extras = text(value, MAX_EXTRAS_BYTES)?,
        }
        Ok(())
    }

    #[inline(always)]
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
            _ => self.ad_active = Some(value != 0),
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
