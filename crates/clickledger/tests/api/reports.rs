//! Reports: what a click becomes in each of them, and what a wrong question is told.

use crate::world::World;
use clickledger::http::api::access::AccessRule;

/// A world with three valid clicks, a duplicate and a publisher, stored and final.
fn clicked() -> World {
    let world = World::new(AccessRule::Loopback);
    for (click, user, ad) in
        [("c1", "u1", "ad-1"), ("c1", "u1", "ad-1"), ("c2", "u22", "ad-1"), ("c3", "u333", "ad/ü")]
    {
        world.click(click, user, ad);
    }
    world.wait_for("/v1/totals?group_by=all&limit=1", |answer| {
        answer["totals"][0]["measured"] == 4 && answer["totals"][0]["pending"] == 0
    });
    world
}

#[test]
fn totals_tops_and_minutes_tell_of_the_same_clicks() {
    let world = clicked();
    let ads = world.get("/v1/totals").json();
    assert_eq!(ads["totals"][0]["ad_id"], "ad-1");
    assert_eq!(ads["totals"][0]["classes"]["V"], 2);
    assert_eq!(ads["totals"][0]["classes"]["D1"], 1);
    assert_eq!(ads["totals"][0]["spend_micros"], "500000");
    assert_eq!(ads["totals"][0]["currency"], "EUR");
    assert_eq!(ads["totals"][0]["state"], "provisional");
    assert_eq!(ads["totals"][1]["ad_id"], "ad/ü");
    let publishers = world.get("/v1/totals?group_by=publisher").json();
    assert_eq!(publishers["totals"][0]["publisher_id"], "publisher-1");
    assert_eq!(publishers["totals"][0]["payout_micros"], "300000");
    let advertisers = world.get("/v1/totals?group_by=advertiser&step=day&tz=Asia/Kolkata").json();
    let lines = advertisers["totals"].as_array().expect("lines");
    assert!(lines[0]["start"].as_str().expect("a time").ends_with("+05:30"));
    let valid: u64 = lines.iter().filter_map(|line| line["classes"]["V"].as_u64()).sum();
    assert_eq!(valid, 3);
    let top = world.get("/v1/top?limit=1").json();
    assert_eq!((&top["totals"][0]["ad_id"], &top["truncated"]), (&"ad-1".into(), &true.into()));
    let minutes = world.get("/v1/ads/ad%2F%C3%BC/minutes").json();
    let rows = minutes["rows"].as_array().expect("rows");
    let valid: u64 = rows.iter().filter_map(|row| row["classes"]["V"].as_u64()).sum();
    assert_eq!((valid, &minutes["ad_id"]), (1, &"ad/ü".into()));
    assert!(rows[0]["version"].is_string() && rows[0]["posted_minute"].is_null());
    assert!(minutes["as_of_ms"].as_u64() > Some(0));
}

#[test]
fn the_last_hour_in_memory_agrees_with_the_store() {
    let world = clicked();
    let live = world.wait_for("/v1/live?top=1", |live| live["top_ads"][0]["pending"] == 0);
    let minutes = live["minutes"].as_array().expect("minutes");
    assert_eq!(minutes.len(), 60);
    let sum = |name: &str| -> u64 {
        minutes.iter().filter_map(|minute| minute["classes"][name].as_u64()).sum()
    };
    assert_eq!((sum("V"), sum("D1")), (3, 1));
    assert_eq!(live["top_ads"][0]["ad_id"], "ad-1");
    assert_eq!(live["top_ads"][0]["spend_micros"]["EUR"], "500000");
    assert_eq!(live["ads"], 2);
}

#[test]
fn a_wrong_question_is_told_what_to_write() {
    let world = World::new(AccessRule::Loopback);
    for (path, parameter, hint) in [
        ("/v1/totals?from=yesterday", "from", "2026-11-23T21:00:00Z"),
        ("/v1/totals?from=2000&to=1000", "from", "before"),
        ("/v1/totals?group_by=user", "group_by", "advertiser"),
        ("/v1/totals?tz=Mars/Olympus&step=day", "tz", "Europe/Berlin"),
        ("/v1/totals?limit=0", "limit", "from 1 to 100000"),
        ("/v1/totals?limit=1&limit=2", "limit", "once"),
        ("/v1/totals?form=1", "form", "known: group_by, from"),
        ("/v1/totals?step=hour&from=0&to=2000-01-01T00:00:00Z", "step", "narrow"),
        ("/v1/ads/x/minutes?to=253402300800000", "to", "milliseconds"),
        ("/v1/top?by=click", "by", "campaign"),
        ("/v1/live?top=101", "top", "100"),
        ("/v1/stream?view=publisher&ad=1", "view", "leave view out"),
        ("/v1/status?verbose=1", "verbose", "no such parameter"),
    ] {
        let answer = world.get(path);
        assert_eq!(answer.status, 400, "{path}");
        let error = &answer.json()["error"];
        assert_eq!(error["code"], "bad_parameter", "{path}");
        assert_eq!(error["parameter"], parameter, "{path}");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(hint), "{path}: {message}");
    }
    assert_eq!(world.get("/v1/none").json()["error"]["code"], "not_found");
    assert_eq!(world.send("POST /v1/totals", &[], "").status, 405);
}
