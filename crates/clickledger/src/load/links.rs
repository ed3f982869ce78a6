//! What to send: signed links from a file, as single requests or in batches.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use click_core::link::ParsedLink;
use click_core::record::{Capture, Click, Kind, Record};
use click_core::types::{Micros, Millis};

/// A link as it is requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// `/c?...`
    pub target: String,
    pub click_id: String,
}

/// Reads a file of links, a URL (or `/c?...`) a line.
pub fn read(path: &Path) -> Result<Vec<Link>> {
    let context = || format!("links {}", path.display());
    let text = std::fs::read_to_string(path).with_context(context)?;
    let mut links = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        let link = parse(line).with_context(|| format!("line {}", number + 1));
        links.push(link.with_context(context)?);
    }
    ensure!(!links.is_empty(), "{}: no links; make some with: clickledger link", path.display());
    Ok(links)
}

fn parse(line: &str) -> Result<Link> {
    let at = line.find("/c?").context("no link: /c? is missing")?;
    let target = line[at..].to_owned();
    let parsed = ParsedLink::parse(&target.as_bytes()[3..])?;
    let click_id = parsed.click_id().decode().into_owned();
    if click_id.is_empty() {
        bail!("a placement link has no click id to keep a journal of");
    }
    Ok(Link { target, click_id })
}

/// The body of a JSON batch: the links themselves, with the visitor's address if there is an edge
/// key to say it.
pub fn json_body(links: &[&Link], address: Option<&dyn Fn(usize) -> [u8; 4]>) -> Vec<u8> {
    let mut body = String::from("[");
    for (index, link) in links.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        body.push_str(&format!("{comma}{{\"link\":\"{}\"", link.target));
        if let Some(address) = address {
            let [a, b, c, d] = address(index);
            body.push_str(&format!(",\"ip\":\"{a}.{b}.{c}.{d}\",\"user_agent\":\"{AGENT}\""));
        }
        body.push('}');
    }
    body.push(']');
    body.into_bytes()
}

/// What the generator calls itself towards the ledger: a browser, so that clicks are valid ones.
pub const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                         Chrome/126.0.0.0 Safari/537.36";

/// The body of a Protocol Buffers batch: what the links say, on an edge key's word.
pub fn protobuf_body(
    links: &[&Link],
    received_at: u64,
    address: &dyn Fn(usize) -> [u8; 4],
) -> Result<Vec<u8>> {
    let (mut body, mut message, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
    for (index, link) in links.iter().enumerate() {
        let parsed = ParsedLink::parse(&link.target.as_bytes()[3..])?;
        let ip = address(index);
        let ids = [parsed.user_id(), parsed.ad_id(), parsed.campaign_id()].map(|id| id.decode());
        let click = Click {
            click_id: &link.click_id,
            user_id: &ids[0],
            ad_id: &ids[1],
            campaign_id: &ids[2],
            price: Micros(parsed.price_micros().unwrap_or(0)),
            currency: parsed.currency().unwrap_or("USD"),
            received_at: Millis(received_at),
            capture: Capture::S2s,
            method: "GET",
            ip: &ip,
            user_agent: Some(AGENT),
            expires_at: parsed.expires_at_ms().map(Millis),
            ..Click::default()
        };
        let kind = Kind::Click(click);
        message.clear();
        Record { sent_at: None, transport: None, previous: None, kind }
            .encode(&mut message, &mut scratch);
        put_length(&mut body, message.len());
        body.extend_from_slice(&message);
    }
    Ok(body)
}

fn put_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push(low_bits(length) | 0x80);
        length >>= 7;
    }
    out.push(low_bits(length));
}

#[expect(clippy::cast_possible_truncation, reason = "seven bits")]
const fn low_bits(length: usize) -> u8 {
    (length & 0x7f) as u8
}
