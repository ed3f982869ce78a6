//! Batches in Protocol Buffers: for senders that count every microsecond.
//!
//! The body is a sequence of messages `Record` of `proto/click.proto`, each behind its length as a
//! varint; every one carries a `click` and nothing else. They need an edge key; clicks that stand
//! on a signed link go in JSON. What the log adds (identity, `sent_at`) may not be stated.

use super::batch::{Caller, too_many};
use super::batch_item::{check_currency, received_at};
use super::limits::MAX_BATCH_ITEMS;
use super::refusal::Refusal;
use click_core::limits::MAX_PAYLOAD_BYTES;
use click_core::record::{Capture, Click, Kind, Record, SourceCode};
use click_core::types::Millis;

/// The clicks of a body, in order.
///
/// # Errors
/// If there is no edge key or the body cannot be cut into messages; per click if that one is bad.
pub(super) fn clicks<'a>(
    mut body: &'a [u8],
    caller: &Caller<'a>,
) -> Result<Vec<Result<Click<'a>, Refusal>>, Refusal> {
    let Some((issuer, ip_optional)) = caller.edge else {
        let message = "clicks in Protocol Buffers need an edge key";
        return Err(Refusal::new(401, "edge_key_required", message));
    };
    let mut clicks = Vec::new();
    while !body.is_empty() {
        if clicks.len() == MAX_BATCH_ITEMS {
            return Err(too_many());
        }
        let (message, rest) = cut(body).ok_or_else(|| {
            let message = format!("click {} is cut off or longer than 64 KiB", clicks.len());
            Refusal::new(400, "bad_framing", message)
        })?;
        clicks.push(click(message, caller, issuer, ip_optional));
        body = rest;
    }
    Ok(clicks)
}

/// The first message and what follows it.
fn cut(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut len = 0usize;
    for (index, &byte) in body.iter().enumerate().take(3) {
        len |= usize::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return body[index + 1..].split_at_checked(len).filter(|_| len <= MAX_PAYLOAD_BYTES);
        }
    }
    None
}

fn click<'a>(
    message: &'a [u8],
    caller: &Caller<'a>,
    issuer: &'a str,
    ip_optional: bool,
) -> Result<Click<'a>, Refusal> {
    let bad = |code, message: &'static str| Refusal::new(400, code, message);
    let record = Record::decode(message)
        .map_err(|error| Refusal::new(400, "bad_item", error.to_string()))?;
    let Record { sent_at: None, transport: None, previous: None, kind: Kind::Click(mut click) } =
        record
    else {
        return Err(bad("bad_item", "send records with a click and nothing else"));
    };
    if !click.issuer.is_empty() && click.issuer != issuer {
        return Err(bad("bad_issuer", "the issuer is that of the key: leave it out"));
    }
    if click.ip.is_empty() && !ip_optional {
        let message = "ip (the visitor's) is required, unless the key is made with --ip-optional";
        return Err(bad("ip_required", message));
    }
    let stated = Some(click.received_at.0).filter(|&ms| ms != 0);
    click.received_at = Millis(received_at(stated, caller)?);
    click.currency = check_currency(click.currency)?;
    click.issuer = issuer;
    click.capture = Capture::S2s;
    click.peer_ip = &[];
    click.click_id_source = SourceCode::SERVER;
    click.catalogue_version = 0;
    let priced = click.price.0 != 0;
    click.price_source = if priced { SourceCode::EDGE_PRICE } else { SourceCode::default() };
    let named = !click.user_id.is_empty();
    click.user_id_source = if named { SourceCode::SERVER } else { SourceCode::default() };
    Ok(click)
}
