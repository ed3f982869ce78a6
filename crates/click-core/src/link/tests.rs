//! Grammar, signature and minting of links, as tables.

use super::*;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

pub(super) const SECRET: &[u8] = b"k3y-for-tests-0123456789abcdefghijklmnopqrs";

pub(super) fn key() -> SigningKey {
    SigningKey::new("k1", SECRET).unwrap()
}

/// Signs any text as if it were well formed.
pub(super) fn signed(text: &str) -> String {
    format!("{text}&s={}", base64url::encode(&key().sign(text.as_bytes())))
}

fn verdict(query: &str) -> Result<(), LinkError> {
    ParsedLink::parse(query.as_bytes())?.verify(&key(), KeyRights::ALL)
}

fn full() -> LinkSpec<'static> {
    LinkSpec {
        click_id: "c-1",
        user_id: "jürgen@example",
        ad_id: "ad.1",
        campaign_id: "~odd",
        advertiser_id: "v 1",
        publisher_id: "p1",
        placement_id: "l1",
        price_micros: Some(1_250_000),
        payout_micros: Some(0),
        currency: "EUR",
        expires_s: Some(1_900_000_000),
        target: Target::Url("https://shop.example/?id={click_id}"),
    }
}

#[test]
fn minted_links_parse_and_verify() {
    let url = mint(&full(), &key()).unwrap();
    let link = ParsedLink::parse(&url.as_bytes()[3..]).unwrap();
    link.verify(&key(), KeyRights::ALL).unwrap();
    let ids = [link.click_id(), link.user_id(), link.ad_id(), link.campaign_id()];
    let ids: Vec<String> = ids.iter().map(|id| id.decode().into_owned()).collect();
    assert_eq!(ids, ["c-1", "jürgen@example", "ad.1", "~odd"]);
    assert_eq!(link.advertiser_id().decode(), "v 1");
    assert_eq!(link.publisher_id().decode(), "p1");
    assert_eq!(link.placement_id().decode(), "l1");
    assert_eq!((link.price_micros(), link.payout_micros()), (Some(1_250_000), Some(0)));
    assert_eq!((link.currency(), link.expires_at_ms()), (Some("EUR"), Some(1_900_000_000_000)));
}

#[test]
fn the_wire_form_does_not_change() {
    let url = mint(&full(), &key()).unwrap();
    assert_eq!(
        url,
        "/c?k=k1&c=c-1&u=~asO8cmdlbkBleGFtcGxl&a=ad.1&m=~fm9kZA&v=~diAx&p=p1&l=l1&q=1250000&o=0\
         &y=EUR&e=1900000000&d=aHR0cHM6Ly9zaG9wLmV4YW1wbGUvP2lkPXtjbGlja19pZH0\
         &s=MEB9Dj85dVeLTkwLZYpQTnjjD3j7q3wOvP1WedmvDj8"
    );
}

#[test]
fn any_order_is_accepted_and_every_changed_byte_is_noticed() {
    let good = signed("e=1900000000&a=ad1&c=c1&k=k1&d=aHR0cDovL2Ev");
    assert_eq!(verdict(&good), Ok(()));
    for at in 0..good.len() {
        for byte in [b'A', b'z', b'0', b'-'] {
            let mut bad = good.clone().into_bytes();
            if bad[at] == byte {
                continue;
            }
            bad[at] = byte;
            let bad = String::from_utf8(bad).unwrap();
            assert!(verdict(&bad).is_err(), "{bad}");
        }
    }
}

#[test]
fn each_breach_has_its_own_error() {
    use LinkError as E;
    let base = "k=k1&c=c1&a=a1&e=1900000000";
    let long_id = "i".repeat(129);
    let long_part = "i".repeat(limits::MAX_SIGNED);
    let cases: Vec<(String, E)> = [
        ("", E::NotAParameter),
        ("k=k1", E::Missing('s')),
        ("k=k1&", E::NotAParameter),
        ("k=k1&&s=", E::NotAParameter),
        ("=k1&s=", E::NotAParameter),
        ("kk=k1&s=", E::UnknownName),
        ("K=k1&s=", E::UnknownName),
        ("x=1&s=", E::ReservedName),
        ("k=k1&s=short", E::NotCanonical('s')),
        ("k=k1&c=a b&s=", E::BadByte),
        ("k=k1&c=a\0b&s=", E::BadByte),
    ]
    .into_iter()
    .map(|(text, error)| (text.to_string(), error))
    .chain(
        [
            ("&k=k1", E::RepeatedName),
            ("&u=a%20b", E::BadCharacter('u')),
            ("&u=a+b", E::BadCharacter('u')),
            ("&u=j\u{fc}", E::BadCharacter('u')),
            ("&u=~", E::BadId('u')),
            ("&u=~Zh", E::NotCanonical('u')),
            ("&u=~AA", E::BadId('u')),
            ("&u=~_w", E::BadId('u')),
            (&format!("&u={long_id}"), E::BadId('u')),
            (&format!("&u={long_part}"), E::TooLong),
            ("&q=01", E::BadNumber('q')),
            ("&q=", E::BadNumber('q')),
            ("&q=-1", E::BadNumber('q')),
            ("&q=1.5", E::BadNumber('q')),
            ("&q=9007199254740993", E::BadNumber('q')),
            ("&o=99999999999999999999999", E::BadNumber('o')),
            ("&y=eur", E::BadCurrency),
            ("&y=EU", E::BadCurrency),
            ("&d=", E::Empty('d')),
            ("&d=aHR0cDovL2Ev&h=a.example", E::TwoDestinations),
            ("&h=", E::BadHosts),
            ("&h=a..b", E::BadHosts),
            ("&h=a.example~", E::BadHosts),
        ]
        .map(|(tail, error)| (signed(&format!("{base}{tail}")), error)),
    )
    .chain([
        (signed("c=c1&a=a1&e=1"), E::Missing('k')),
        (signed("k=k1&c=c1&e=1"), E::Missing('a')),
        (signed("k=k1&c=c1&a=a1"), E::Missing('e')),
        (signed("k=k1&c=&a=a1&e=1"), E::Empty('c')),
        (signed("k=k1&c=c1&a=&e=1"), E::Empty('a')),
        (signed("k=~az&c=c1&a=a1&e=1"), E::BadId('k')),
        (signed("k=k1&c=c1&a=a1&e=253402300800"), E::BadNumber('e')),
        (signed("k=k2&c=c1&a=a1&e=1"), E::UnknownKey),
        (format!("{}&c=c2", signed(base)), E::RepeatedName),
        (format!("{}&s=c2", signed(base)), E::RepeatedName),
        (format!("{}&z=1&z=2", signed(base)), E::RepeatedName),
    ])
    .collect();
    for (query, error) in cases {
        assert_eq!(verdict(&query), Err(error), "{query}");
    }
}

#[test]
fn a_signature_has_one_spelling() {
    let good = signed("k=k1&c=c1&a=a1&e=1900000000");
    let last = good.chars().last().unwrap();
    let others = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']);
    for other in others.filter(|&c| c != last) {
        let bad = format!("{}{other}", &good[..good.len() - 1]);
        assert!(verdict(&bad).is_err(), "{bad}");
    }
}

#[test]
fn placement_links_need_the_right_and_may_live_without_end() {
    let spec = LinkSpec { ad_id: "a", target: Target::Url("http://a/"), ..LinkSpec::default() };
    let url = mint(&spec, &key()).unwrap();
    let link = ParsedLink::parse(&url.as_bytes()[3..]).unwrap();
    assert!(link.is_placement() && link.click_id().is_empty());
    assert_eq!(link.verify(&key(), KeyRights::ALL), Ok(()));
    let links_only = KeyRights { link: true, placement: false };
    assert_eq!(link.verify(&key(), links_only), Err(LinkError::KeyNotAllowed));
    let dated = LinkSpec { click_id: "c", expires_s: Some(1), ..spec };
    let url = mint(&dated, &key()).unwrap();
    let link = ParsedLink::parse(&url.as_bytes()[3..]).unwrap();
    let placements_only = KeyRights { link: false, placement: true };
    assert_eq!(link.verify(&key(), placements_only), Err(LinkError::KeyNotAllowed));
    assert_eq!(mint(&LinkSpec { expires_s: None, ..dated }, &key()), Err(LinkError::Missing('e')));
}

#[test]
fn empty_optional_ids_are_unknown() {
    let query = signed("k=k1&c=c1&u=&a=a1&m=&v=&p=&l=&e=1");
    let link = ParsedLink::parse(query.as_bytes()).unwrap();
    assert!(link.user_id().is_empty() && link.campaign_id().is_empty());
}

#[test]
fn another_secret_does_not_verify() {
    let url = mint(&full(), &SigningKey::new("k1", b"another").unwrap()).unwrap();
    assert_eq!(verdict(&url[3..]), Err(LinkError::BadSignature));
}

#[test]
fn extras_are_kept_up_to_one_kibibyte_of_whole_parameters() {
    let base = signed("k=k1&c=c1&a=a1&e=1");
    let query = format!("{base}&a1=x&b={}&c2=y", "v".repeat(1015));
    let link = ParsedLink::parse(query.as_bytes()).unwrap();
    assert_eq!(link.stored_extras().len(), 4 + 1 + 2 + 1015);
    let query = format!("{base}&a1=x&b={}&c2=y", "v".repeat(1018));
    let link = ParsedLink::parse(query.as_bytes()).unwrap();
    assert_eq!(link.stored_extras(), "a1=x");
    assert_eq!(link.extras().count(), 3);
    let many: String = (0..33).map(|n| format!("&n{n}=1")).collect();
    assert_eq!(verdict(&format!("{base}{many}")), Err(LinkError::TooManyExtras));
}

#[test]
fn errors_have_distinct_codes_and_tell_what_to_fix() {
    let all = [LinkError::TooLong, LinkError::BadSignature, LinkError::BadId('u')];
    let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts[0],
        "the link is too long: shorten the destination or the extras \
                          (at most 4096 bytes)"
    );
    assert!(texts[2].starts_with("parameter u is not an id"));
    assert_eq!(all[1].code(), "link_bad_signature");
}
