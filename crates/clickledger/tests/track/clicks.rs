//! `/c` and `/b`: what is answered, and what is recorded.

use super::world::{SHOP, World, now_ms};
use click_core::link::{LinkSpec, Target, mint};
use click_core::record::{Capture, SourceCode};

#[test]
fn a_click_is_recorded_with_what_was_seen_and_redirected() {
    let world = World::new();
    let before = now_ms();
    let headers =
        ["User-Agent: Firefox", "X-Forwarded-For: 9.9.9.9", "Referer: https://n.example/"];
    let answer = world.get(&format!("{}&gclid=7&z=1", world.link("c1")), &headers);
    assert_eq!(answer.status, 302);
    assert_eq!(answer.header("location"), Some("https://shop.example/?gclid=7"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-click-logged"), None);
    assert!(answer.header("date").is_some() && answer.header("set-cookie").is_none());
    let mut seen = 0;
    world.each_click(|click| {
        seen += 1;
        assert_eq!((click.click_id, click.click_id_source), ("c1", SourceCode::LINK));
        assert_eq!((click.issuer, click.user_id, click.ad_id), ("default", "u1", "ad1"));
        assert_eq!((click.price.0, click.currency), (1_000_000, "EUR"));
        assert_eq!((click.capture, click.method), (Capture::Redirect, "GET"));
        assert_eq!((click.ip, click.peer_ip), (&[9u8, 9, 9, 9][..], &[127u8, 0, 0, 1][..]));
        assert_eq!(click.user_agent, Some("Firefox"));
        assert_eq!((click.referrer, click.extras), ("https://n.example/", "gclid=7&z=1"));
        assert!((before..=now_ms()).contains(&click.received_at.0));
        assert!(click.expires_at.is_some() && click.ad_active.is_none());
    });
    assert_eq!(seen, 1);
    world.stop();
}

#[test]
fn methods_and_purposes_are_recorded_as_they_came() {
    let world = World::new();
    let cases: [(&str, &[&str], u16); 9] = [
        ("GET", &[], 302),
        ("HEAD", &[], 302),
        ("POST", &[], 302),
        ("PUT", &[], 302),
        ("GET", &["Sec-Purpose: prefetch;prerender"], 503),
        ("GET", &["Purpose: prefetch"], 503),
        ("GET", &["X-Moz: prefetch"], 503),
        ("GET", &["X-Purpose: preview"], 302),
        ("GET", &["Purpose: PREFETCH"], 503),
    ];
    for (number, (method, headers, status)) in cases.iter().enumerate() {
        let path = world.link(&format!("c{number}"));
        let answer = world.send(&format!("{method} {path}"), headers, b"");
        assert_eq!(answer.status, *status, "{method} {headers:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.body, "");
    }
    let mut seen = Vec::new();
    world.each_click(|click| seen.push((click.method.to_owned(), click.purpose.to_owned())));
    assert_eq!(seen.len(), cases.len());
    assert_eq!(seen[1].0, "HEAD");
    assert_eq!(seen[4].1, "prefetch;prerender");
    assert_eq!(seen[7].1, "preview");
    world.stop();
}

#[test]
fn beacons_and_pings_are_clicks_without_a_way() {
    let world = World::new();
    let path = |id: &str| world.link(id).replacen("/c?", "/b?", 1);
    let ping = ["Content-Type: text/ping"];
    let answer = world.send(&format!("POST {}", path("c1")), &ping, b"PING");
    assert_eq!((answer.status, answer.header("location")), (204, None));
    let answer = world.send(&format!("POST {}", path("c2")), &[], b"");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let spec = LinkSpec { target: Target::Nowhere, ..world.spec("c3") };
    let nowhere = mint(&spec, &world.key).unwrap();
    assert_eq!(world.send(&format!("POST /b{}", &nowhere[2..]), &[], b"").status, 204);
    assert_eq!(world.get(&nowhere, &[]).status, 400);
    assert_eq!(world.get(&path("c4"), &[]).status, 405);
    let big = vec![b'x'; 70_000];
    assert_eq!(world.send(&format!("POST {}", path("c5")), &[], &big).status, 413);
    let mut seen = Vec::new();
    world.each_click(|click| seen.push((click.click_id.to_owned(), click.capture)));
    let expected = [("c1", Capture::Ping), ("c2", Capture::Beacon), ("c3", Capture::Beacon)];
    assert_eq!(seen, expected.map(|(id, capture)| (id.to_owned(), capture)));
    world.stop();
}

#[test]
fn what_is_not_genuine_leaves_no_record() {
    let world = World::new();
    let good = world.link("c1");
    let forged = good.replace("ad1", "ad2");
    let other = good.replace("k=k2", "k=k9");
    let script = LinkSpec { target: Target::Url("javascript:alert(1)"), ..world.spec("c2") };
    let script = mint(&script, &world.key).unwrap();
    let cases = [
        ("/c", 400, "link_not_a_parameter"),
        ("/c?a=b", 400, "link_missing"),
        (&forged, 403, "link_bad_signature"),
        (&other, 403, "link_unknown_key"),
        (&script, 403, "link_bad_scheme"),
        (&format!("{good}&a=ad9"), 400, "link_repeated_name"),
        (&format!("{good}{}", "&x".repeat(3600)), 414, "link_too_long"),
    ];
    for (path, status, code) in cases {
        let answer = world.get(path, &[]);
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.json()["error"], code, "{path}");
        assert_eq!(answer.header("location"), None);
    }
    assert_eq!(world.click_ids(), Vec::<String>::new());
    assert_eq!(world.tracker.metrics().refused.total(), 7);
    assert_eq!(world.get("/elsewhere", &[]).status, 404);
    world.stop();
}

#[test]
fn hostile_bytes_are_answered_with_4xx_or_a_closed_door() {
    let world = World::new();
    let path = world.link("c1");
    let many = "X-A: b\r\n".repeat(100);
    let long = "x".repeat(9_000);
    let requests = [
        "\0\0\0\0\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        format!("GET {path} HTTP/1.1\r\nHost: t\r\n{many}\r\n"),
        format!("GET {path} HTTP/1.1\r\nHost: t\r\nX-Long: {long}\r\n\r\n"),
        format!("GET {path} HTTP/1.1\r\nHost: t\r\nX-A: b\r\n folded\r\n\r\n"),
        format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n"),
        format!(
            "POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
        ),
    ];
    for request in requests {
        let answer = world.raw(request.as_bytes());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{request}: {answer}");
    }
    assert_eq!(world.click_ids(), Vec::<String>::new());
    world.stop();
}

#[test]
fn a_link_that_comes_too_often_is_counted_and_not_stored() {
    let world = World::with(|config| config.records_per_link_hour = 3);
    let hot = world.link("hot");
    for n in 0..5 {
        let answer = world.get(&hot, &[]);
        assert_eq!((answer.status, answer.header("location")), (302, Some(SHOP)));
        assert_eq!(answer.header("x-click-logged"), (n >= 3).then_some("no"));
    }
    let beacon = hot.replacen("/c?", "/b?", 1);
    assert_eq!(world.send(&format!("POST {beacon}"), &[], b"").status, 429);
    assert_eq!(world.get(&world.link("cold"), &[]).status, 302);
    assert_eq!(world.click_ids(), ["hot", "hot", "hot", "cold"]);
    assert_eq!(world.tracker.throttled_by_ad(), [("ad1".to_owned(), 3)]);
    world.stop();
}

#[test]
fn placement_links_get_a_click_id_each_time() {
    let world = World::new();
    let spec = LinkSpec {
        click_id: "",
        expires_s: None,
        target: Target::Url("https://shop.example/{click_id}"),
        ..world.spec("")
    };
    let path = mint(&spec, &world.key).unwrap();
    let places: Vec<String> = (0..2)
        .map(|_| world.get(&path, &[]).header("location").unwrap_or_default().to_owned())
        .collect();
    let ids = world.click_ids();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
    assert_eq!(places, [format!("{SHOP}{}", ids[0]), format!("{SHOP}{}", ids[1])]);
    world.each_click(|click| {
        assert_eq!((click.click_id_source, click.click_id.len()), (SourceCode::SERVER, 32));
        assert_eq!(click.expires_at, None);
    });
    world.stop();
}

#[test]
fn paused_ads_are_recorded_as_such() {
    let list = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(list.path(), "ad1\n").unwrap();
    let world = World::with(|config| config.paused_ads = Some(list.path().to_owned()));
    assert_eq!(world.get(&world.link("c1"), &[]).status, 302);
    world.each_click(|click| assert_eq!(click.ad_active, Some(false)));
    world.stop();
}
