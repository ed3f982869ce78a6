//! The stream: a click is on it at once, filters hold, a slow client starts over.

use crate::world::World;
use click_core::row::{Counts, Row, RowKey};
use click_core::types::{Millis, Minute, Version};
use click_core::verdict::CLASSES;
use click_engine::live::{LiveRow, LiveSink, LiveUpdate};
use clickledger::http::api::access::AccessRule;
use std::time::{Duration, Instant};

#[test]
fn a_click_is_on_the_stream_at_once_and_final_a_second_later() {
    let world = World::new(AccessRule::Loopback);
    let mut events = world.stream("?view=ad");
    let (name, time) = events.next();
    assert_eq!(name, "time");
    assert!(time["as_of_ms"].is_u64());
    world.click("c1", "u1", "ad-1");
    let began = Instant::now();
    let first = events.rows();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let row = &first["rows"][0];
    assert_eq!((&row["ad_id"], &row["view"]), (&"ad-1".into(), &"ad".into()));
    assert_eq!((&row["measured"], &row["pending"]), (&1.into(), &1.into()));
    assert_eq!(row["change"]["pending"], 1);
    assert_eq!(row["state"], "provisional");
    let second = events.rows();
    let row = &second["rows"][0];
    assert_eq!((&row["pending"], &row["classes"]["V"]), (&0.into(), &1.into()));
    assert_eq!((&row["change"]["pending"], &row["change"]["V"]), (&(-1).into(), &1.into()));
    assert_eq!(row["spend_micros"], "250000");
    assert!(second["as_of_ms"].as_u64() > first["as_of_ms"].as_u64());
}

#[test]
fn filters_let_only_their_rows_through() {
    let world = World::new(AccessRule::Loopback);
    let mut one = world.stream("?ad=ad-2");
    let mut advertiser = world.stream("?advertiser=advertiser-1");
    let mut publisher = world.stream("?view=publisher");
    world.click("c1", "u1", "ad-1");
    assert_eq!(advertiser.rows()["rows"][0]["ad_id"], "ad-1");
    let row = publisher.rows()["rows"][0].clone();
    assert_eq!((&row["publisher_id"], &row["view"]), (&"publisher-1".into(), &"publisher".into()));
    world.click("c2", "u2", "ad-2");
    assert_eq!(one.rows()["rows"][0]["ad_id"], "ad-2");
}

/// Updates of half a megabyte each: more than a socket and the queue hold together.
const LAST: u64 = 500;

fn row(ad: usize, at: u64) -> LiveRow {
    let counts = Counts { measured: at, pending: at, by_class: [0; CLASSES], sum_micros: 0 };
    let key = RowKey::Ad {
        ad_id: format!("ad-{ad}"),
        currency: "EUR".into(),
        campaign_id: "c".repeat(100),
        advertiser_id: "a".repeat(100),
    };
    let row = Row {
        key: key.into(),
        minute: Minute(1),
        posted_minute: None,
        counts,
        version: Version(at * 1000),
    };
    LiveRow { row, sealed: false }
}

#[test]
fn a_client_that_does_not_read_is_reset_and_holds_nobody_up() {
    let world = World::new(AccessRule::Loopback);
    let mut slow = world.stream("");
    let mut quick = world.stream("?ad=ad-7");
    let began = Instant::now();
    for at in 1..=LAST {
        let rows = (0..1000).map(|ad| row(ad, at)).collect();
        world.live.publish(LiveUpdate { as_of: Millis(60_000 + at), arriving: 0, rows });
        assert_eq!(quick.rows()["rows"][0]["measured"], at);
    }
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let mut seen = 0u64;
    let skipped = loop {
        let (name, data) = slow.next();
        match name.as_str() {
            "reset" => break data["skipped_events"].as_u64().expect("a number"),
            "rows" => seen += 1,
            _ => {}
        }
        assert!(seen < LAST, "nothing was skipped");
    };
    assert!(skipped > 0);
    // What is left in the queue still comes, the newest included.
    while slow.rows()["rows"][0]["measured"] != LAST {}
}

#[test]
fn the_stream_ends_when_the_hub_closes() {
    let world = World::new(AccessRule::Loopback);
    let _events = world.stream("");
    let began = Instant::now();
    drop(world);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
