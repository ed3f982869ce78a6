//! A click before it becomes a record: owns what had to be decoded, lends a [`Click`].

use super::refusal::Refusal;
use crate::keys::{Signer, hex, random};
use click_core::link::ParsedLink;
use click_core::record::{Capture, Click, SourceCode};
use click_core::types::{Micros, Millis};
use std::borrow::Cow;
use std::net::IpAddr;

/// Currency of a link that names none.
pub const DEFAULT_CURRENCY: &str = "USD";

/// An address in the record's form: 0, 4 or 16 bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct IpBytes {
    bytes: [u8; 16],
    len: usize,
}

impl From<Option<IpAddr>> for IpBytes {
    fn from(ip: Option<IpAddr>) -> IpBytes {
        let mut out = IpBytes::default();
        match ip {
            None => {}
            Some(IpAddr::V4(v4)) => {
                out.bytes[..4].copy_from_slice(&v4.octets());
                out.len = 4;
            }
            Some(IpAddr::V6(v6)) => {
                out.bytes = v6.octets();
                out.len = 16;
            }
        }
        out
    }
}

impl IpBytes {
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Ids and money, from signed bytes or from an edge key.
#[derive(Debug, Default)]
pub struct Terms<'a> {
    pub click_id: Cow<'a, str>,
    pub click_id_source: SourceCode,
    pub issuer: &'a str,
    pub user_id: Cow<'a, str>,
    pub user_id_source: SourceCode,
    pub ad_id: Cow<'a, str>,
    pub campaign_id: Cow<'a, str>,
    pub advertiser_id: Cow<'a, str>,
    pub publisher_id: Cow<'a, str>,
    pub placement_id: Cow<'a, str>,
    pub impression_id: Cow<'a, str>,
    pub price: u64,
    pub payout: u64,
    pub currency: Cow<'a, str>,
    pub price_source: SourceCode,
    pub expires_at: Option<u64>,
    pub extras: Cow<'a, str>,
}

/// What the request said about itself.
#[derive(Debug, Default)]
pub struct Circumstances<'a> {
    pub received_at: u64,
    pub client_time: Option<u64>,
    pub capture: Capture,
    pub method: Cow<'a, str>,
    pub purpose: Cow<'a, str>,
    pub ip: IpBytes,
    pub peer_ip: IpBytes,
    pub user_agent: Option<Cow<'a, str>>,
    pub referrer: Cow<'a, str>,
    pub country: Cow<'a, str>,
    pub consent: Cow<'a, str>,
}

/// Both together.
#[derive(Debug, Default)]
pub struct Draft<'a> {
    pub terms: Terms<'a>,
    pub circumstances: Circumstances<'a>,
    pub ad_active: Option<bool>,
}

impl<'a> Terms<'a> {
    /// What a genuine link says; verifies it first. Mints the click id of a placement link.
    ///
    /// # Errors
    /// `link_bad_signature` and the like.
    pub fn from_link(link: &ParsedLink<'a>, signer: &'a Signer) -> Result<Terms<'a>, Refusal> {
        link.verify(&signer.key, signer.rights)?;
        let (click_id, click_id_source) = if link.is_placement() {
            (Cow::Owned(hex(&random::<16>())), SourceCode::SERVER)
        } else {
            (link.click_id().decode(), SourceCode::LINK)
        };
        let known = |there: bool| if there { SourceCode::LINK } else { SourceCode::default() };
        Ok(Terms {
            click_id,
            click_id_source,
            issuer: &signer.issuer,
            user_id: link.user_id().decode(),
            user_id_source: known(!link.user_id().is_empty()),
            ad_id: link.ad_id().decode(),
            campaign_id: link.campaign_id().decode(),
            advertiser_id: link.advertiser_id().decode(),
            publisher_id: link.publisher_id().decode(),
            placement_id: link.placement_id().decode(),
            impression_id: Cow::Borrowed(""),
            price: link.price_micros().unwrap_or(0),
            payout: link.payout_micros().unwrap_or(0),
            currency: Cow::Borrowed(link.currency().unwrap_or(DEFAULT_CURRENCY)),
            price_source: known(link.price_micros().is_some()),
            expires_at: link.expires_at_ms(),
            extras: Cow::Borrowed(link.stored_extras()),
        })
    }
}

impl Draft<'_> {
    /// The click to encode.
    pub fn click(&self) -> Click<'_> {
        let (terms, seen) = (&self.terms, &self.circumstances);
        Click {
            click_id: &terms.click_id,
            click_id_source: terms.click_id_source,
            issuer: terms.issuer,
            user_id: &terms.user_id,
            user_id_source: terms.user_id_source,
            ad_id: &terms.ad_id,
            campaign_id: &terms.campaign_id,
            advertiser_id: &terms.advertiser_id,
            publisher_id: &terms.publisher_id,
            placement_id: &terms.placement_id,
            impression_id: &terms.impression_id,
            price: Micros(terms.price),
            currency: &terms.currency,
            payout: Micros(terms.payout),
            price_source: terms.price_source,
            received_at: Millis(seen.received_at),
            client_time: seen.client_time.map(Millis),
            capture: seen.capture,
            method: &seen.method,
            purpose: &seen.purpose,
            ip: seen.ip.as_slice(),
            peer_ip: seen.peer_ip.as_slice(),
            user_agent: seen.user_agent.as_deref(),
            referrer: &seen.referrer,
            country: &seen.country,
            consent: &seen.consent,
            extras: &terms.extras,
            expires_at: terms.expires_at.map(Millis),
            ad_active: self.ad_active,
            ..Click::default()
        }
    }
}
