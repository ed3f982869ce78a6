//! Where a genuine link leads: decoding, checking, filling macros, forwarding extras.
//!
//! Whatever comes out of here goes into a `Location` header: printable ASCII only, an allowed
//! scheme, no user info, and for `r=` exactly one of the hosts that were signed.

use super::{LinkError, ParsedLink, base64url, extras, limits};
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// Schemes that no operator can allow: they run code or read local data.
const NEVER: [&str; 8] =
    ["javascript", "data", "file", "blob", "vbscript", "filesystem", "about", "view-source"];

/// What the operator allows beyond http and https, and what the key narrows.
#[derive(Debug, Clone, Copy, Default)]
pub struct DestinationPolicy<'p> {
    /// Further schemes, lower case, such as `market`. Script and local schemes stay refused.
    pub extra_schemes: &'p [String],
    /// If set, http(s) destinations must have one of these hosts (`host` or `host:port`).
    pub allowed_hosts: Option<&'p [String]>,
}

/// Values for `{click_id}` and its like in the destination.
#[derive(Debug, Clone, Copy)]
pub struct Macros<'m> {
    /// The click id, minted by the tracker on a placement link.
    pub click_id: &'m str,
}

impl ParsedLink<'_> {
    /// The `Location` of this link: decoded, checked, macros filled, extras forwarded.
    ///
    /// Call it after [`ParsedLink::verify`] only.
    ///
    /// # Errors
    /// `NoDestination`, `NotCanonical('d')`, `BadDestination`, `BadScheme`, `UserInfo`,
    /// `HostNotAllowed`, `TooLong`.
    pub fn destination(
        &self,
        policy: &DestinationPolicy<'_>,
        macros: &Macros<'_>,
    ) -> Result<String, LinkError> {
        let raw = self.raw_destination()?;
        let host = check(&raw, policy)?;
        if let Some(hosts) = self.field(b'h') {
            let signed = |h: Host<'_>| hosts.split('~').any(|entry| h.is(entry, '_'));
            if !host.is_some_and(signed) {
                return Err(LinkError::HostNotAllowed);
            }
        }
        let mut out = self.fill(raw, macros);
        extras::forward(self.plain_extras(), &mut out);
        if out.len() > limits::MAX_LOCATION { Err(LinkError::TooLong) } else { Ok(out) }
    }

    /// Whether the link says where it leads (a link for beacons need not).
    #[must_use]
    pub fn has_destination(&self) -> bool {
        self.field(b'd').is_some() || (self.field(b'h').is_some() && self.landing().is_some())
    }

    fn raw_destination(&self) -> Result<String, LinkError> {
        if let Some(coded) = self.field(b'd') {
            let bytes = base64url::decode(coded.as_bytes());
            let bytes = bytes.ok_or(LinkError::NotCanonical('d'))?;
            return String::from_utf8(bytes).map_err(|_| LinkError::BadDestination);
        }
        let landing = self.landing().ok_or(LinkError::NoDestination)?;
        if scheme_of(landing).is_some() {
            return Ok(landing.into());
        }
        percent_decode(landing).ok_or(LinkError::BadDestination)
    }

    /// `raw` with macros replaced and non-ASCII percent-encoded; most have neither.
    fn fill(&self, raw: String, macros: &Macros<'_>) -> String {
        if raw.is_ascii() && !raw.contains('{') {
            return raw;
        }
        let mut out = String::with_capacity(raw.len() + 64);
        let mut rest = raw.as_str();
        while let Some(open) = rest.find('{') {
            push_ascii(&rest[..open], &mut out);
            rest = &rest[open..];
            let value = rest.find('}').and_then(|end| {
                self.macro_value(&rest[1..end], macros).map(|value| (value, end + 1))
            });
            let taken = match value {
                Some((value, taken)) => {
                    push_component(&value, &mut out);
                    taken
                }
                None => {
                    out.push('{');
                    1
                }
            };
            rest = &rest[taken..];
        }
        push_ascii(rest, &mut out);
        out
    }

    fn macro_value<'s>(&'s self, name: &str, macros: &Macros<'s>) -> Option<Cow<'s, str>> {
        Some(match name {
            "click_id" => Cow::Borrowed(macros.click_id),
            "user_id" => self.user_id().decode(),
            "ad_id" => self.ad_id().decode(),
            "campaign_id" => self.campaign_id().decode(),
            "advertiser_id" => self.advertiser_id().decode(),
            "publisher_id" => self.publisher_id().decode(),
            "placement_id" => self.placement_id().decode(),
            _ => return None,
        })
    }
}

/// Host and explicit port of an authority.
#[derive(Clone, Copy)]
struct Host<'a> {
    name: &'a str,
    port: Option<&'a str>,
}

impl Host<'_> {
    /// Equal to `entry` (`name` or name, `separator`, port); names compare without case, ports
    /// exactly, so that `shop.example` allows the scheme's own port only.
    fn is(self, entry: &str, separator: char) -> bool {
        let (name, port) = split_port(entry, separator);
        self.name.eq_ignore_ascii_case(name) && self.port == port
    }
}

fn split_port(entry: &str, separator: char) -> (&str, Option<&str>) {
    match entry.rsplit_once(separator) {
        Some((name, port)) if is_port(port) => (name, Some(port)),
        _ => (entry, None),
    }
}

fn is_port(port: &str) -> bool {
    !port.starts_with('0')
        && port.bytes().all(|b| b.is_ascii_digit())
        && port.parse::<u16>().is_ok()
}

/// Letters, digits, `-`, `.`, `_`; no empty label, so no leading, trailing or doubled dot.
fn is_host(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    name.len() <= 253 && name.split('.').all(|l| !l.is_empty() && l.bytes().all(plain))
}

/// The value of `h`: hosts joined by `~`, each `host` or `host_port`.
pub(super) fn check_hosts(value: &str) -> Result<(), LinkError> {
    let fits = |entry: &str| is_host(split_port(entry, '_').0);
    let few = value.split('~').count() <= limits::MAX_HOSTS;
    if few && value.split('~').all(fits) { Ok(()) } else { Err(LinkError::BadHosts) }
}

/// The scheme if `url` begins with one.
fn scheme_of(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once(':')?;
    let tail = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    let starts = scheme.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
    (starts && scheme.bytes().all(tail)).then_some(scheme)
}

/// Checks an undecorated destination; gives the host of http(s) ones.
fn check<'a>(url: &'a str, policy: &DestinationPolicy<'_>) -> Result<Option<Host<'a>>, LinkError> {
    if url.len() > limits::MAX_DESTINATION {
        return Err(LinkError::TooLong);
    }
    let never =
        |c: char| c.is_control() || c.is_whitespace() || matches!(c, '\\' | '"' | '<' | '>');
    if url.chars().any(never) {
        return Err(LinkError::BadDestination);
    }
    let scheme = scheme_of(url).ok_or(LinkError::BadDestination)?;
    let rest = &url[scheme.len() + 1..];
    let is = |name: &str| scheme.eq_ignore_ascii_case(name);
    if is("http") || is("https") {
        let host = check_authority(rest)?;
        check_allowed(host, policy)?;
        return Ok(Some(host));
    }
    let listed = policy.extra_schemes.iter().any(|s| is(s));
    if !listed || NEVER.iter().any(|name| is(name)) {
        return Err(LinkError::BadScheme);
    }
    let authority = rest.strip_prefix("//").map_or("", authority_of);
    if authority.contains('@') { Err(LinkError::UserInfo) } else { Ok(None) }
}

fn authority_of(rest: &str) -> &str {
    let end = rest.bytes().position(|b| matches!(b, b'/' | b'?' | b'#'));
    end.map_or(rest, |end| &rest[..end])
}

fn check_authority(rest: &str) -> Result<Host<'_>, LinkError> {
    let rest = rest.strip_prefix("//").ok_or(LinkError::BadDestination)?;
    let authority = authority_of(rest);
    if authority.contains('@') {
        return Err(LinkError::UserInfo);
    }
    let (name, port) = split_port(authority, ':');
    let literal = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    let good = match literal {
        Some(v6) => v6.parse::<core::net::Ipv6Addr>().is_ok(),
        None => is_host(name),
    };
    if good { Ok(Host { name, port }) } else { Err(LinkError::BadDestination) }
}

fn check_allowed(host: Host<'_>, policy: &DestinationPolicy<'_>) -> Result<(), LinkError> {
    let allowed = |hosts: &[String]| hosts.iter().any(|entry| host.is(entry, ':'));
    if policy.allowed_hosts.is_none_or(allowed) { Ok(()) } else { Err(LinkError::HostNotAllowed) }
}

/// Undoes one layer of percent-encoding; `None` for a broken escape or bytes that are not UTF-8.
fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// Copies URL text; bytes beyond ASCII become `%XX`.
fn push_ascii(text: &str, out: &mut String) {
    if text.is_ascii() {
        return out.push_str(text);
    }
    for byte in text.bytes() {
        if byte.is_ascii() { out.push(char::from(byte)) } else { extras::push_percent(byte, out) }
    }
}

/// Copies a value so that it can be nothing but a value: all but unreserved bytes become `%XX`.
fn push_component(value: &str, out: &mut String) {
    for byte in value.bytes() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if plain { out.push(char::from(byte)) } else { extras::push_percent(byte, out) }
    }
}
