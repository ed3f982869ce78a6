//! Minting: the one documented way to write a link, and the check of every snippet in other
//! languages. What [`mint`] writes, [`ParsedLink::parse`] accepts.

use super::destination::check_hosts;
use super::parse::{check_currency, is_id};
use super::{LinkError, ParsedLink, SigningKey, base64url, limits};
use alloc::string::{String, ToString};

/// Where a link leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Target<'a> {
    /// Nowhere: for beacons and server-to-server batches.
    #[default]
    Nowhere,
    /// `d`: this absolute URL.
    Url(&'a str),
    /// `h`: the URL comes in `r=`, whose host must be one of these (`host` or `host_port`).
    Hosts(&'a [&'a str]),
}

/// What a link says. Empty strings and `None` leave the parameter out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkSpec<'a> {
    /// `c`; empty makes a placement link.
    pub click_id: &'a str,
    /// `u`.
    pub user_id: &'a str,
    /// `a`, required.
    pub ad_id: &'a str,
    /// `m`.
    pub campaign_id: &'a str,
    /// `v`.
    pub advertiser_id: &'a str,
    /// `p`.
    pub publisher_id: &'a str,
    /// `l`.
    pub placement_id: &'a str,
    /// `q`, micro-units.
    pub price_micros: Option<u64>,
    /// `o`, micro-units.
    pub payout_micros: Option<u64>,
    /// `y`.
    pub currency: &'a str,
    /// `e`, seconds since 1970; may be absent on placement links alone.
    pub expires_s: Option<u64>,
    /// `d` or `h`.
    pub target: Target<'a>,
}

/// The link as `/c?...&s=...`; put `https://` and the tracker's host before it.
///
/// The parameters stand in the order `k c u a m v p l q o y e d|h s`.
///
/// # Errors
/// The same as parsing: an id, number, currency or host outside the limits, or a missing one.
pub fn mint(spec: &LinkSpec<'_>, key: &SigningKey) -> Result<String, LinkError> {
    let mut out = String::with_capacity(384);
    out.push_str("/c?k=");
    out.push_str(key.id());
    write_ids(spec, &mut out)?;
    write_terms(spec, &mut out)?;
    write_target(spec.target, &mut out)?;
    let signature = key.sign(&out.as_bytes()[3..]);
    out.push_str("&s=");
    base64url::encode_into(&signature, &mut out);
    ParsedLink::parse(&out.as_bytes()[3..])?;
    Ok(out)
}

fn write_ids(spec: &LinkSpec<'_>, out: &mut String) -> Result<(), LinkError> {
    let ids = [
        ('c', spec.click_id),
        ('u', spec.user_id),
        ('a', spec.ad_id),
        ('m', spec.campaign_id),
        ('v', spec.advertiser_id),
        ('p', spec.publisher_id),
        ('l', spec.placement_id),
    ];
    for (name, id) in ids.into_iter().filter(|(_, id)| !id.is_empty()) {
        if !is_id(id) {
            return Err(LinkError::BadId(name));
        }
        open(name, out);
        push_id(id, out);
    }
    Ok(())
}

fn write_terms(spec: &LinkSpec<'_>, out: &mut String) -> Result<(), LinkError> {
    let numbers = [
        ('q', spec.price_micros, limits::MAX_MICROS),
        ('o', spec.payout_micros, limits::MAX_MICROS),
        ('y', None, 0),
        ('e', spec.expires_s, limits::MAX_EXPIRES_S),
    ];
    for (name, number, max) in numbers {
        if name == 'y' && !spec.currency.is_empty() {
            check_currency(spec.currency)?;
            open('y', out);
            out.push_str(spec.currency);
        }
        let Some(number) = number else { continue };
        if number > max {
            return Err(LinkError::BadNumber(name));
        }
        open(name, out);
        out.push_str(&number.to_string());
    }
    Ok(())
}

fn write_target(target: Target<'_>, out: &mut String) -> Result<(), LinkError> {
    match target {
        Target::Nowhere => {}
        Target::Url(url) => {
            open('d', out);
            base64url::encode_into(url.as_bytes(), out);
        }
        Target::Hosts(hosts) => {
            let list = hosts.join("~");
            check_hosts(&list)?;
            open('h', out);
            out.push_str(&list);
        }
    }
    Ok(())
}

fn open(name: char, out: &mut String) {
    out.push('&');
    out.push(name);
    out.push('=');
}

/// Plain where the grammar allows it, else `~` and base64url.
fn push_id(id: &str, out: &mut String) {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-');
    if id.bytes().all(plain) && !id.starts_with('~') {
        out.push_str(id);
    } else {
        out.push('~');
        base64url::encode_into(id.as_bytes(), out);
    }
}
