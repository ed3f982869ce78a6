//! Destinations: macros, forwarded extras, and a corpus of open-redirect tricks.

use super::tests::{key, signed};
use super::*;
use alloc::format;
use alloc::string::{String, ToString};

const MACROS: Macros<'static> = Macros { click_id: "c/1" };

fn follow(query: &str, policy: &DestinationPolicy<'_>) -> Result<String, LinkError> {
    let link = ParsedLink::parse(query.as_bytes())?;
    link.verify(&key(), KeyRights::ALL)?;
    link.destination(policy, &MACROS)
}

fn to(url: &str) -> Result<String, LinkError> {
    let d = base64url::encode(url.as_bytes());
    let query = signed(&format!("k=k1&c=c1&u=~w7wvJg&a=a1&e=1&d={d}"));
    follow(&query, &DestinationPolicy::default())
}

fn via(landing: &str) -> Result<String, LinkError> {
    let query = signed("k=k1&c=c1&a=a1&e=1&h=shop.example~www.shop.example_8443");
    follow(&format!("{query}&{landing}"), &DestinationPolicy::default())
}

#[test]
fn good_destinations_come_out_ready_for_a_header() {
    let cases = [
        ("https://shop.example", "https://shop.example"),
        ("HTTP://Shop.Example:8080/a?b#c", "HTTP://Shop.Example:8080/a?b#c"),
        ("http://127.0.0.1:9000/", "http://127.0.0.1:9000/"),
        ("http://[::1]:9000/x", "http://[::1]:9000/x"),
        ("https://a/?u={user_id}&a={ad_id}", "https://a/?u=%C3%BC%2F%26&a=a1"),
        ("https://a/{click_id}/{nothing}{", "https://a/c%2F1/{nothing}{"),
        ("https://a/{{ad_id}}", "https://a/{a1}"),
        ("https://a/grün", "https://a/gr%C3%BCn"),
        ("https://a/?next=http://b@c", "https://a/?next=http://b@c"),
    ];
    for (url, location) in cases {
        assert_eq!(to(url).as_deref(), Ok(location), "{url}");
    }
}

#[test]
fn tricks_in_signed_destinations_are_refused() {
    use LinkError as E;
    let cases = [
        ("javascript:alert(1)", E::BadScheme),
        ("JaVaScRiPt://a/%0aalert(1)", E::BadScheme),
        ("data:text/html,x", E::BadScheme),
        ("file:///etc/passwd", E::BadScheme),
        ("blob:https://a/1", E::BadScheme),
        ("ftp://a/", E::BadScheme),
        ("market://details", E::BadScheme),
        ("//evil.example/", E::BadDestination),
        ("/relative", E::BadDestination),
        ("shop.example", E::BadDestination),
        ("http:evil.example", E::BadDestination),
        ("http:/evil.example", E::BadDestination),
        ("http:///evil.example", E::BadDestination),
        ("http://", E::BadDestination),
        ("http://?x", E::BadDestination),
        ("https://user@evil.example/", E::UserInfo),
        ("https://user:pw@evil.example/", E::UserInfo),
        ("https://shop.example%40evil.example/", E::BadDestination),
        ("https://shop.example\\@evil.example/", E::BadDestination),
        ("https:\\\\evil.example", E::BadDestination),
        ("https://a/\r\nSet-Cookie: x=1", E::BadDestination),
        ("https://a/ b", E::BadDestination),
        ("\u{1}https://a/", E::BadDestination),
        (" https://a/", E::BadDestination),
        ("https://a/\u{85}", E::BadDestination),
        ("https://a/\u{2028}", E::BadDestination),
        ("https://ev\u{ff49}l.example/", E::BadDestination),
        ("https://a..b/", E::BadDestination),
        ("https://a./", E::BadDestination),
        ("https://a:/", E::BadDestination),
        ("https://a:99999/", E::BadDestination),
        ("https://a:080/", E::BadDestination),
        ("https://[::1/", E::BadDestination),
        ("https://{user_id}.example/", E::BadDestination),
    ];
    for (url, error) in cases {
        assert_eq!(to(url), Err(error), "{url:?}");
    }
}

#[test]
fn landing_pages_must_have_exactly_a_signed_host() {
    let good = [
        ("r=https://shop.example/a?b=1&c=2", "https://shop.example/a?b=1&c=2"),
        ("r=https%3A%2F%2Fshop.example%2Fa%3Fb%3D1%26c%3D2", "https://shop.example/a?b=1&c=2"),
        ("z=1&gclid=9&r=https://SHOP.example/", "https://SHOP.example/?gclid=9"),
        ("r=https://www.shop.example:8443/", "https://www.shop.example:8443/"),
        (
            "r=https://shop.example/?r=https://evil.example",
            "https://shop.example/?r=https://evil.example",
        ),
    ];
    for (tail, location) in good {
        assert_eq!(via(tail).as_deref(), Ok(location), "{tail}");
    }
    use LinkError as E;
    let bad = [
        ("", E::NoDestination),
        ("q2=1", E::NoDestination),
        ("r=", E::BadDestination),
        ("r=https://evil.example/", E::HostNotAllowed),
        ("r=https://shop.example.evil.example/", E::HostNotAllowed),
        ("r=https://evilshop.example/", E::HostNotAllowed),
        ("r=https://sub.shop.example/", E::HostNotAllowed),
        ("r=https://shop.example:444/", E::HostNotAllowed),
        ("r=https://www.shop.example/", E::HostNotAllowed),
        ("r=https://evil.example/shop.example", E::HostNotAllowed),
        ("r=https://evil.example?shop.example", E::HostNotAllowed),
        ("r=https://evil.example%23@shop.example/", E::UserInfo),
        ("r=https://shop.example@evil.example/", E::UserInfo),
        ("r=https://shop.example%5C@evil.example/", E::UserInfo),
        ("r=https%3A%2F%2Fshop.example%5C%40evil.example", E::BadDestination),
        ("r=https%3A%2F%2Fshop.example%0d%0aX-Y:1", E::BadDestination),
        ("r=https%253A%252F%252Fshop.example", E::BadDestination),
        ("r=//shop.example/", E::BadDestination),
        ("r=%2F%2Fshop.example", E::BadDestination),
        ("r=javascript:alert(1)//shop.example", E::BadScheme),
        ("r=javascript%3Aalert(1)", E::BadScheme),
        ("r=https://shop.example./", E::BadDestination),
        ("r=https://shop.example%2Eevil.example/", E::BadDestination),
        ("r=https%3A%2F%2Fshop.example%zz", E::BadDestination),
    ];
    for (tail, error) in bad {
        assert_eq!(via(tail), Err(error), "{tail}");
    }
}

#[test]
fn known_extras_travel_on_and_override_nothing() {
    let link = |url: &str, extras: &str| {
        let d = base64url::encode(url.as_bytes());
        let query = signed(&format!("k=k1&c=c1&a=a1&e=1&d={d}"));
        follow(&format!("{query}&{extras}"), &DestinationPolicy::default()).unwrap()
    };
    let cases = [
        ("https://a/", "gclid=1&other=2", "https://a/?gclid=1"),
        ("https://a/?x=1#f", "utm_source=n&s1=a%20b", "https://a/?x=1&utm_source=n&s1=a%20b#f"),
        ("https://a/?", "fbclid=1", "https://a/?fbclid=1"),
        (
            "https://a/?utm_source=own",
            "utm_source=x&ttclid=3",
            "https://a/?utm_source=own&ttclid=3",
        ),
        ("https://a/", "s6=1&utm_=2&utm_A=3&u=4&r=https://evil.example", "https://a/"),
        ("https://a/", "gclid=\"<>`", "https://a/?gclid=%22%3C%3E%60"),
        ("https://a/#f?x", "gclid=1", "https://a/?gclid=1#f?x"),
    ];
    for (url, extras, location) in cases {
        assert_eq!(link(url, extras), location, "{url} {extras}");
    }
}

#[test]
fn operators_allow_schemes_and_hosts_but_never_script() {
    let schemes = ["market", "javascript"].map(ToString::to_string);
    let hosts = ["shop.example".to_string()];
    let policy = DestinationPolicy { extra_schemes: &schemes, allowed_hosts: Some(&hosts) };
    let go = |url: &str| {
        let d = base64url::encode(url.as_bytes());
        follow(&signed(&format!("k=k1&c=c1&a=a1&e=1&d={d}")), &policy)
    };
    assert_eq!(go("market://details?id=1").as_deref(), Ok("market://details?id=1"));
    assert_eq!(go("market://u@details"), Err(LinkError::UserInfo));
    assert_eq!(go("javascript:alert(1)"), Err(LinkError::BadScheme));
    assert_eq!(go("https://shop.example/").as_deref(), Ok("https://shop.example/"));
    assert_eq!(go("https://evil.example/"), Err(LinkError::HostNotAllowed));
}

#[test]
fn random_landing_pages_never_leave_the_signed_hosts() {
    let pieces = [
        "https:",
        "http:",
        "//",
        "/",
        "\\",
        "@",
        ":",
        "shop.example",
        "evil.example",
        ".",
        "%2F",
        "%40",
        "%5C",
        "#",
        "?",
        "%0a",
        "javascript:",
        "%00",
        ";",
        "\t",
        "&r=",
        "[",
        "]",
        "443",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut accepted = 0;
    for _ in 0..20_000 {
        let mut landing = String::from("r=");
        for _ in 0..6 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let pick = usize::try_from(state >> 33).unwrap() % pieces.len();
            landing.push_str(pieces[pick]);
        }
        let Ok(location) = via(&landing) else { continue };
        accepted += 1;
        let rest = location.split_once("://").unwrap().1;
        let host = rest.split(['/', '?', '#']).next().unwrap();
        assert_eq!(host.to_lowercase(), "shop.example", "{landing}");
        assert!(location.bytes().all(|b| (0x21..0x7f).contains(&b)));
    }
    assert!(accepted > 0);
}
