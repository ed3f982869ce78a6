//! `POST /v1/clicks` in its three formats.

use super::world::{Answer, World, now_ms};
use click_core::record::{Capture, Click, Kind, Record};
use serde_json::{Value, json};

fn post(world: &World, kind: &str, token: Option<&str>, body: &[u8]) -> Answer {
    let kind = format!("Content-Type: {kind}");
    let token = token.map(|token| format!("Authorization: Bearer {token}"));
    let headers: Vec<&str> = [Some(&*kind), token.as_deref()].into_iter().flatten().collect();
    world.send("POST /v1/clicks", &headers, body)
}

fn items(world: &World, token: Option<&str>, items: &Value) -> Vec<String> {
    let answer = post(world, "application/json", token, items.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    let results = answer.json()["results"].as_array().cloned().unwrap_or_default();
    let word = |result: &Value| {
        let error = result["error"].as_str().or(result["status"].as_str());
        error.unwrap_or_default().to_owned()
    };
    results.iter().map(word).collect()
}

#[test]
fn links_need_no_key_but_say_nothing_of_the_visitor() {
    let world = World::new();
    let link = |id: &str| format!("https://t.example{}", world.link(id));
    let forged = link("c9").replace("ad1", "ad2");
    let results = items(
        &world,
        None,
        &json!([
            {"link": link("c1")},
            {"link": link("c2"), "ip": "9.9.9.9"},
            {"link": link("c3"), "user_agent": ""},
            {"link": link("c4"), "received_at": now_ms()},
            {"link": link("c5"), "ad_id": "other"},
            {"link": forged},
            {"link": "https://t.example/"},
            {"click_id": "c6", "ad_id": "ad1"},
            {"link": link("c7"), "nonsense": 1},
            7,
            {"link": link("c8"), "user_agent": null, "country": "DE"},
        ]),
    );
    let expected = [
        "accepted",
        "edge_key_required",
        "edge_key_required",
        "edge_key_required",
        "conflicts_with_link",
        "link_bad_signature",
        "bad_link",
        "edge_key_required",
        "bad_item",
        "bad_item",
        "accepted",
    ];
    assert_eq!(results, expected);
    assert_eq!(world.click_ids(), ["c1", "c8"]);
    world.each_click(|click| {
        assert_eq!((click.capture, click.ip, click.user_agent), (Capture::S2s, &[][..], None));
        assert_eq!((click.issuer, click.ad_id), ("default", "ad1"));
    });
    world.stop();
}

#[test]
fn an_edge_key_speaks_for_the_visitor_within_limits() {
    let world = World::new();
    let key = world.edge_key(false);
    let (hour, now) = (3_600_000, now_ms());
    let base = |id: &str| json!({"click_id": id, "ad_id": "ad7", "ip": "2001:db8::1"});
    let with = |id: &str, name: &str, value: Value| {
        let mut item = base(id);
        item[name] = value;
        item
    };
    let results = items(
        &world,
        Some(&key.secret),
        &json!([
            base("c1"),
            with("c2", "received_at", json!(now - 71 * hour)),
            with("c3", "received_at", json!(now - 73 * hour)),
            with("c4", "received_at", json!(now + 4 * 60_000)),
            with("c5", "received_at", json!(now + 6 * 60_000)),
            with("c6", "ip", json!("")),
            with("c7", "ip", json!("localhost")),
            with("c8", "price_micros", json!("9007199254740992")),
            with("c9", "price_micros", json!(9_007_199_254_740_993_u64)),
            with("", "user_id", json!("u")),
            with("c10", "user_id", json!("a\u{1}b")),
            with("c11", "currency", json!("eur")),
            with("c12", "received_at", json!("2001-01-01T00:00:00Z")),
            with("c13", "user_agent", json!("é\n")),
            with("c14", "issuer", json!("other")),
        ]),
    );
    let expected = [
        "accepted",
        "accepted",
        "received_at_range",
        "accepted",
        "received_at_range",
        "ip_required",
        "bad_ip",
        "accepted",
        "bad_price",
        "bad_id",
        "bad_id",
        "bad_currency",
        "received_at_range",
        "accepted",
        "bad_item",
    ];
    assert_eq!(results, expected);
    assert_eq!(world.click_ids(), ["c1", "c2", "c4", "c8", "c13"]);
    let mut times = Vec::new();
    world.each_click(|click| {
        times.push(click.received_at.0);
        assert_eq!((click.issuer, click.ip.len(), click.currency), ("edge-issuer", 16, "USD"));
    });
    assert_eq!(times[1], now - 71 * hour);
    world.stop();
}

#[test]
fn ndjson_is_read_line_by_line() {
    let world = World::new();
    let key = world.edge_key(true);
    let line = |id: &str| format!("{{\"click_id\":\"{id}\",\"ad_id\":\"x\"}}");
    let body = format!("{}\n\n{{\"click_id\":\n{}", line("a"), line("b"));
    let answer = post(&world, "application/x-ndjson", Some(&key.secret), body.as_bytes());
    assert_eq!(answer.status, 200);
    let counts = ["accepted", "refused", "throttled"].map(|name| answer.json()[name].clone());
    assert_eq!(counts, [json!(2), json!(1), json!(0)]);
    assert_eq!(world.click_ids(), ["a", "b"]);
    world.stop();
}

#[test]
fn protobuf_batches_carry_records() {
    let world = World::new();
    let key = world.edge_key(false);
    let click = Click { click_id: "p1", ad_id: "x", ip: &[1, 2, 3, 4], ..Click::default() };
    let record = |click: Click<'static>| {
        let kind = Kind::Click(click);
        let bytes = Record { sent_at: None, transport: None, previous: None, kind }.to_bytes();
        let len = u8::try_from(bytes.len()).expect("a short record");
        assert!(len < 0x80);
        [&[len][..], &bytes].concat()
    };
    let good = record(click);
    let anonymous = record(Click { ip: &[], ..click });
    let foreign = record(Click { issuer: "other", ..click });
    let body = [&good[..], &anonymous, &foreign, &[2, 0x58, 0x00]].concat();
    let answer = post(&world, "application/x-protobuf", Some(&key.secret), &body);
    assert_eq!(answer.status, 200, "{answer:?}");
    let errors: Vec<Value> = (0..4).map(|n| answer.json()["results"][n]["error"].clone()).collect();
    assert_eq!(errors, [Value::Null, json!("ip_required"), json!("bad_issuer"), json!("bad_item")]);
    assert_eq!(world.click_ids(), ["p1"]);
    for (body, status) in [(&good[..5], 400), (&[0xff, 0xff, 0xff, 0xff][..], 400)] {
        assert_eq!(post(&world, "application/x-protobuf", Some(&key.secret), body).status, status);
    }
    assert_eq!(post(&world, "application/x-protobuf", None, &good).status, 401);
    world.stop();
}

#[test]
fn whole_batches_are_refused_for_what_concerns_them_whole() {
    let world = World::new();
    let key = world.edge_key(true);
    let json = "application/json";
    let cut = &key.secret[..key.secret.len() - 1];
    let big = vec![b' '; 5 * 1024 * 1024];
    let cases: [(&str, Option<&str>, &[u8], u16); 7] = [
        (json, Some(cut), b"[]", 401),
        (json, Some("x"), b"[]", 401),
        ("text/plain", None, b"[]", 415),
        (json, None, b"{}", 400),
        (json, None, b"[", 400),
        (json, None, &big, 413),
        (json, None, b"[]", 200),
    ];
    for (kind, token, body, status) in cases {
        assert_eq!(post(&world, kind, token, body).status, status, "{kind} {token:?}");
    }
    assert_eq!(world.get("/v1/clicks", &[]).status, 405);
    let admin = world.store.create("ops", clickledger::keys::Right::Admin).unwrap();
    world.tracker.set_keys(world.store.ring().unwrap());
    assert_eq!(post(&world, json, Some(&admin.secret), b"[]").status, 403);
    assert_eq!(world.click_ids(), Vec::<String>::new());
    world.stop();
}
