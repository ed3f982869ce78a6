//! Whose click it is: the visitor's address behind trusted proxies (SPEC, FAILURES 4.1.3).
//!
//! Forwarding headers are believed only from configured peers and walked from the right. Whatever
//! cannot be told is unknown, never a guess.

use super::limits::MAX_HOPS;
use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::PoisonError;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Span over which the peers of clicks are compared, ms.
const SPAN_MS: u64 = 30_000;
/// Clicks below which half a minute says nothing.
const MIN_CLICKS: u32 = 20;

/// The visitor's address, `None` if unknown.
pub fn client_ip(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|net| net.contains(&ip));
    let peer = peer.to_canonical();
    if !is_trusted(peer) || !is_forwarded(headers) {
        return public(peer);
    }
    let mut last = None;
    for hop in hops(headers) {
        let Some(ip) = parse_hop(hop) else { break };
        if !is_trusted(ip) {
            return public(ip);
        }
        last = Some(ip);
    }
    last.and_then(public)
}

/// Whether the request carries a forwarding header.
pub fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(FORWARDED)
}

/// The hops, nearest first. `X-Forwarded-For` wins where both headers stand.
fn hops(headers: &HeaderMap) -> Vec<&str> {
    let plain = headers.contains_key(X_FORWARDED_FOR);
    let name = if plain { X_FORWARDED_FOR } else { FORWARDED };
    let mut hops = Vec::new();
    for line in headers.get_all(name) {
        let Ok(line) = line.to_str() else { return Vec::new() };
        let elements = line.split(',').map(str::trim);
        hops.extend(elements.map(|hop| if plain { hop } else { forwarded_for(hop) }));
    }
    hops.reverse();
    hops.truncate(MAX_HOPS);
    hops
}

/// The `for=` of one element of `Forwarded` (RFC 7239), empty if there is none.
fn forwarded_for(element: &str) -> &str {
    let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("for"));
    values.next().map_or("", |(_, value)| value.trim_matches('"'))
}

/// `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]` or `[::1]:80`.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop);
    let ip = bare.parse::<IpAddr>().ok();
    ip.or_else(|| hop.parse::<SocketAddr>().ok().map(|a| a.ip())).map(|ip| ip.to_canonical())
}

/// `ip` unless it is an address that many people share behind some gateway of ours.
fn public(ip: IpAddr) -> Option<IpAddr> {
    let private = match ip {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || shared
        }
        IpAddr::V6(v6) => {
            let local = v6.is_unique_local() || v6.is_unicast_link_local();
            v6.is_loopback() || v6.is_unspecified() || local
        }
    };
    (!private).then_some(ip)
}

/// Finds out that `trusted_proxies` is probably missing: most clicks of half a minute came from one
/// untrusted peer that sends forwarding headers.
#[derive(Debug, Default)]
pub struct ProxyDetector {
    state: Mutex<Span>,
}

#[derive(Debug, Default)]
struct Span {
    started: u64,
    clicks: u32,
    /// Majority candidate (Boyer and Moore) and its weight, then its exact lower count.
    peer: Option<IpAddr>,
    weight: u32,
    from_peer: u32,
    suspect: Option<IpAddr>,
}

impl ProxyDetector {
    /// Notes a click from `peer`; `suspicious` if it is untrusted and sent forwarding headers.
    pub fn note(&self, now_ms: u64, peer: IpAddr, suspicious: bool) {
        let mut span = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        span.roll(now_ms);
        span.clicks += 1;
        if suspicious && (span.weight == 0 || span.peer == Some(peer)) {
            if span.peer != Some(peer) {
                span.peer = Some(peer);
                span.from_peer = 0;
            }
            span.weight += 1;
            span.from_peer += 1;
        } else {
            span.weight = span.weight.saturating_sub(1);
        }
        if span.clicks >= MIN_CLICKS && span.from_peer > span.clicks / 2 {
            span.suspect = span.peer;
        }
    }

    /// The peer that is probably a proxy of ours.
    pub fn suspect(&self, now_ms: u64) -> Option<IpAddr> {
        let span = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        span.suspect.filter(|_| now_ms.saturating_sub(span.started) < 2 * SPAN_MS)
    }
}

impl Span {
    /// Begins a new span after half a minute; what the old one found stands for one more.
    fn roll(&mut self, now_ms: u64) {
        if now_ms.saturating_sub(self.started) >= SPAN_MS {
            let suspect = (self.clicks >= MIN_CLICKS && self.from_peer > self.clicks / 2)
                .then_some(self.peer)
                .flatten();
            *self = Span { started: now_ms, suspect, ..Span::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(peer: &str, lines: &[(&'static str, &str)], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let ip = client_ip(peer.parse().unwrap(), &headers, &trusted);
        ip.map_or_else(|| "-".to_owned(), |ip| ip.to_string())
    }

    /// Peer, header lines, trusted networks, and the visitor's address.
    type Case = (
        &'static str,
        &'static [(&'static str, &'static str)],
        &'static [&'static str],
        &'static str,
    );

    #[test]
    fn addresses_are_believed_from_trusted_peers_only() {
        const XFF: &str = "x-forwarded-for";
        let lo: &'static [&'static str] = &["127.0.0.0/8"];
        let two: &'static [&'static str] = &["127.0.0.1/32", "10.0.0.0/8"];
        let cases: [Case; 21] = [
            ("8.8.8.8", &[], &[], "8.8.8.8"),
            ("8.8.8.8", &[(XFF, "9.9.9.9")], &[], "8.8.8.8"),
            ("::ffff:8.8.8.8", &[], &[], "8.8.8.8"),
            ("127.0.0.1", &[], &[], "-"),
            ("10.1.2.3", &[(XFF, "9.9.9.9")], &[], "-"),
            ("fd00::1", &[], &[], "-"),
            ("127.0.0.1", &[], lo, "-"),
            ("127.0.0.1", &[(XFF, "9.9.9.9")], lo, "9.9.9.9"),
            ("::ffff:127.0.0.1", &[(XFF, "9.9.9.9")], lo, "9.9.9.9"),
            ("127.0.0.1", &[(XFF, "1.1.1.1, 9.9.9.9")], lo, "9.9.9.9"),
            ("127.0.0.1", &[(XFF, "1.1.1.1"), (XFF, "9.9.9.9")], lo, "9.9.9.9"),
            ("127.0.0.1", &[(XFF, "1.1.1.1, 9.9.9.9, 10.0.0.1")], two, "9.9.9.9"),
            ("127.0.0.1", &[(XFF, "10.0.0.7, 10.0.0.1")], two, "-"),
            ("127.0.0.1", &[(XFF, "9.9.9.9, 192.168.0.1")], lo, "-"),
            ("127.0.0.1", &[(XFF, "9.9.9.9, unknown")], lo, "-"),
            ("127.0.0.1", &[(XFF, "9.9.9.9,")], lo, "-"),
            ("127.0.0.1", &[(XFF, "9.9.9.9:4711")], lo, "9.9.9.9"),
            ("127.0.0.1", &[(XFF, "2001:db8::1")], lo, "2001:db8::1"),
            (
                "127.0.0.1",
                &[("forwarded", "for=1.1.1.1, for=\"[2001:db8::2]:80\";proto=http")],
                lo,
                "2001:db8::2",
            ),
            ("127.0.0.1", &[("forwarded", "proto=http")], lo, "-"),
            ("127.0.0.1", &[("forwarded", "for=1.1.1.1"), (XFF, "9.9.9.9")], lo, "9.9.9.9"),
        ];
        for (peer, lines, trusted, expected) in cases {
            assert_eq!(resolve(peer, lines, trusted), expected, "{peer} {lines:?} {trusted:?}");
        }
    }

    #[test]
    fn one_untrusted_forwarder_of_most_clicks_is_noticed() {
        let proxy: IpAddr = "10.0.0.9".parse().unwrap();
        let other: IpAddr = "8.8.8.8".parse().unwrap();
        let detector = ProxyDetector::default();
        for n in 0..MIN_CLICKS {
            assert_eq!(detector.suspect(1_000_000), None);
            detector.note(1_000_000, if n % 4 == 0 { other } else { proxy }, n % 4 != 0);
        }
        assert_eq!(detector.suspect(1_000_000), Some(proxy));
        detector.note(1_000_000 + SPAN_MS, other, false);
        assert_eq!(detector.suspect(1_000_000 + SPAN_MS), Some(proxy));
        detector.note(1_000_000 + 2 * SPAN_MS, other, false);
        assert_eq!(detector.suspect(1_000_000 + 2 * SPAN_MS), None);
    }

    #[test]
    fn honest_traffic_raises_no_suspicion() {
        let detector = ProxyDetector::default();
        for n in 0..200u8 {
            detector.note(1_000_000, IpAddr::from([8, 8, 8, n]), n % 3 == 0);
        }
        assert_eq!(detector.suspect(1_000_000), None);
    }
}
