//! The bytes of `show` (SPEC §11).

use click_sim::reference::{PlainRecord, Reference};

use crate::door::{Click, MINUTE, T0, click, header, ledger, tick};

const COUNTS: &str = "measured,pending,T2,T3,T4,G8,G5,G9,G2,G1,G4,D1,D2,G3,S1,V";

fn named(click_id: &str, ad: &str) -> Click {
    click(click_id).with(|c| c.ad_id = ad.to_owned())
}

#[test]
fn ads_with_version() {
    let late = named("d", "b").at(16 * MINUTE).received(0).with(|c| c.campaign_id = "m".into());
    let odd = named("e", "a,\"x\"").at(16 * MINUTE);
    let ledger = ledger(&[header(3), named("c", "b").into(), late.into(), odd.into()]);
    let version = |ms: u64| (3 << 48) | (T0 + ms);
    let (first, later) = (version(1_000), version(16 * MINUTE + 1_000));
    let expect = format!(
        "ad_id,minute,posted_minute,currency,campaign_id,advertiser_id,\
        {COUNTS},spend_micros,version
\"a,\"\"x\"\"\",2017-11-07T09:46Z,,USD,,,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,7,{later}
b,2017-11-07T09:30Z,,USD,,,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,7,{first}
b,2017-11-07T09:30Z,2017-11-07T09:46Z,USD,m,,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,7,{later}
"
    );
    assert_eq!(ledger.show_ads(true), expect);
    let without = ledger.show_ads(false);
    assert!(without.lines().all(|line| line.ends_with("micros") || line.ends_with(",1,7")));
}

#[test]
fn publishers() {
    let paid = click("c").with(|c| (c.publisher_id, c.payout_micros) = ("p".into(), 2));
    let ledger = ledger(&[paid.into(), click("d").into()]);
    let expect = format!(
        "publisher_id,placement_id,minute,posted_minute,currency,{COUNTS},payout_micros
,,2017-11-07T09:30Z,,USD,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,0
p,,2017-11-07T09:30Z,,USD,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,2
"
    );
    assert_eq!(ledger.show_publishers(false), expect);
}

#[test]
fn verdicts() {
    let both = click("c").with(|c| {
        (c.ad_active, c.method) = (Some(false), Some("HEAD".into()));
    });
    let ledger = ledger(&[click("c").on(1).into(), both.at(1).into(), tick(2)]);
    let expect = "partition,offset,click_id,class,reasons\n0,0,c,T3,T3+G8\n1,0,c,V,\n";
    assert_eq!(ledger.show_verdicts(), expect);
}

#[test]
fn tells_of_the_last_grid_instant() {
    let records = |ticked| -> Vec<PlainRecord> {
        let entry: crate::door::Entry = click("c").at(500).into();
        [(0, entry), (1, tick(ticked))]
            .map(|(offset, e)| PlainRecord {
                partition: 0,
                offset,
                append_time: e.append_time,
                payload: e.payload,
            })
            .to_vec()
    };
    let lines = |ticked| {
        let ledger = Reference::new(records(ticked), 1);
        (ledger.show_ads(false).lines().count(), ledger.show_verdicts().lines().count())
    };
    assert_eq!(lines(999), (1, 1));
    assert_eq!(lines(1_000), (2, 1));
    assert_eq!(lines(1_999), (2, 1));
    assert_eq!(lines(2_000), (2, 2));
}

#[test]
fn minutes_of_the_calendar() {
    let cases = [
        (0, "1970-01-01T00:00Z"),
        (951_782_399_999, "2000-02-28T23:59Z"),
        (951_782_400_000, "2000-02-29T00:00Z"),
        (951_868_800_000, "2000-03-01T00:00Z"),
        (1_735_689_599_999, "2024-12-31T23:59Z"),
        (4_107_542_400_000, "2100-03-01T00:00Z"),
        (253_402_300_799_999, "9999-12-31T23:59Z"),
    ];
    for (received_at, printed) in cases {
        let shown = ledger(&[Click::from_1970(received_at)]).show_ads(false);
        assert!(shown.contains(&format!("\nad,{printed},")), "{received_at}: {shown}");
    }
}
