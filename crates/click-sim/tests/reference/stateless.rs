//! T2, T3, T4, G8 and G5 (SPEC §4).

use crate::door::{Click, HOUR, MINUTE, check, click, policy};

fn one(click: Click, expect: &str) {
    check([click.into()], expect);
}

#[test]
fn t2_link_expired_when_received() {
    let at = |received| click("c").at(HOUR).expires(MINUTE).received(received);
    one(at(MINUTE - 1), "V");
    one(at(MINUTE), "V");
    one(at(MINUTE + 1), "T2");
}

#[test]
fn t2_reception_decides_even_ahead_of_the_log() {
    one(click("c").at(10).received(51).expires(50), "T2");
    one(click("c").at(51).received(50).expires(50), "V");
}

#[test]
fn t2_link_lives_too_long() {
    let longest = 24 * HOUR + 5 * MINUTE;
    one(click("c").expires(longest - 1), "V");
    one(click("c").expires(longest), "V");
    one(click("c").expires(longest + 1), "T2");
    // From click_time on, which a clock ahead cannot push beyond fold_time.
    one(click("c").received(9).expires(longest + 1), "T2");
    one(click("c").at(9).received(1).expires(longest + 1), "V");
    one(click("c").at(9).received(0).expires(longest + 1), "T2");
}

#[test]
fn t2_needs_an_expiry_and_takes_the_lifetime_in_force() {
    one(click("c"), "V");
    let short = policy(0, "short", |p| p.link_lifetime_ms = HOUR);
    let at = |at: u64| click("c").at(at).expires(at + 2 * HOUR);
    check([short.clone(), at(MINUTE - 1).into()], "V");
    check([short, at(MINUTE).into()], "T2");
}

#[test]
fn t3_only_an_ad_known_to_be_inactive() {
    one(click("c").with(|c| c.ad_active = Some(false)), "T3");
    one(click("c").with(|c| c.ad_active = Some(true)), "V");
    one(click("c").with(|c| c.ad_active = None), "V");
}

#[test]
fn t4_stale_beyond_the_spool_limit() {
    let spool_limit = 72 * HOUR;
    one(click("c").at(spool_limit - 1).received(0), "V");
    one(click("c").at(spool_limit).received(0), "V");
    one(click("c").at(spool_limit + 1).received(0), "T4");
    one(click("c").at(5).received(100 * HOUR), "V");
}

#[test]
fn t4_takes_the_smallest_limit_on_the_way() {
    let set = |at, id: &str, hours| policy(at, id, |p| p.spool_limit_ms = hours * HOUR);
    let waited = |received, at| click("c").received(received).at(at);
    // Two hours are in force from 1 min, three from 61 min on.
    let log = |c: Click| [set(0, "two", 2), set(HOUR, "three", 3), c.into()];
    check(log(waited(0, 2 * HOUR)), "V");
    check(log(waited(0, 2 * HOUR + 1)), "T4");
    check(log(waited(HOUR + MINUTE - 1, 3 * HOUR + MINUTE)), "T4");
    check(log(waited(HOUR + MINUTE, 4 * HOUR + MINUTE)), "V");
    check(log(waited(HOUR + MINUTE, 4 * HOUR + MINUTE + 1)), "T4");
    // In force at the last instant alone is enough.
    let late = |change: u64, at| [set(change, "two", 2), waited(0, at).into()];
    check(late(3 * HOUR - MINUTE, 3 * HOUR - 1), "V");
    check(late(3 * HOUR - MINUTE, 3 * HOUR), "T4");
}

#[test]
fn g8_any_known_method_that_is_no_click() {
    let by = |method: &str| click("c").with(|c| c.method = Some(method.to_owned()));
    for method in ["GET", "POST", "get", "Post", ""] {
        one(by(method), "V");
    }
    for method in ["HEAD", "head", "OPTIONS", "GETX", " GET"] {
        one(by(method), "G8");
    }
    one(click("c").with(|c| c.method = None), "V");
}

#[test]
fn g5_purpose_contains_one_of_the_words() {
    let by = |purpose: &str| click("c").with(|c| c.purpose = Some(purpose.to_owned()));
    for purpose in ["prefetch", "prefetch;prerender", "Preview", "x-PRERENDER-y"] {
        one(by(purpose), "G5");
    }
    for purpose in ["", "fetch", "pre-fetch", "view"] {
        one(by(purpose), "V");
    }
}

#[test]
fn all_reasons_are_kept_in_table_order() {
    let all = click("c").received(1).at(72 * HOUR + 2).expires(0).with(|c| {
        c.ad_active = Some(false);
        c.method = Some("HEAD".to_owned());
        c.purpose = Some("prefetch".to_owned());
    });
    one(all, "T2+T3+T4+G8+G5");
}
