//! D1 and D2 (SPEC §4).

use crate::door::{Click, H, HOUR, MINUTE, SECOND, check, click, policy, tick};

fn two(first: Click, second: Click, expect: &str) {
    check([first.into(), second.into()], expect);
}

#[test]
fn d1_within_the_horizon_of_the_claim() {
    two(click("c"), click("c"), "V D1");
    two(click("c"), click("c").at(H - 1), "V D1");
    two(click("c"), click("c").at(H), "V D1");
    two(click("c"), click("c").at(H + 1), "V V");
}

#[test]
fn d1_is_not_refreshed_by_a_duplicate() {
    let at = |at| click("c").at(at).into();
    check([at(0), at(H), at(H + 1), at(2 * H + 1), at(2 * H + 2)], "V D1 V D1 V");
}

#[test]
fn d1_needs_issuer_click_and_user_equal() {
    let c = || click("c").user("u");
    two(c(), c().at(HOUR).with(|c| c.issuer = "i".into()), "V V");
    two(c(), c().at(HOUR).user("v"), "V V");
    two(c(), c().at(HOUR).user(""), "V V");
    two(c(), click("d").user("u").at(HOUR), "V V");
    two(c(), c().at(HOUR).with(|c| c.ad_id = "other".into()), "V D1");
    two(c(), c().at(HOUR).on(1), "V D1");
}

#[test]
fn d1_looks_at_claims_billed_or_not() {
    let head = || click("c").with(|c| c.method = Some("HEAD".into()));
    two(head(), click("c").at(1), "G8 V");
    two(click("c"), head().at(1), "V G8");
    // A double click claims, though it is not billed.
    let u = |id: &str, at| click(id).user("u").at(at).into();
    check([u("c", 0), u("d", 1), u("d", 2)], "V D2 D1");
}

#[test]
fn d1_follows_fold_order_across_partitions() {
    let late = click("c").on(0).at(5);
    let early = click("c").on(1).at(4);
    two(late, early, "D1 V");
    two(click("c").on(1).at(4), click("c").on(0).at(4), "D1 V");
}

#[test]
fn d1_takes_the_horizon_in_force_at_the_claim() {
    let short = |p: &mut click_sim::reference::PlainPolicy| {
        p.link_lifetime_ms = HOUR;
        p.spool_limit_ms = HOUR;
        p.horizon_ms = 3 * HOUR;
    };
    let at = |at| click("c").at(at).into();
    let short = || policy(0, "short", short);
    check([short(), at(MINUTE - 1), at(3 * HOUR + MINUTE)], "V D1");
    check([short(), at(MINUTE), at(3 * HOUR + MINUTE)], "V D1");
    check([short(), at(MINUTE), at(3 * HOUR + MINUTE + 1)], "V V");
}

fn u(id: &str) -> Click {
    click(id).user("u")
}

#[test]
fn d2_within_thirty_seconds() {
    two(u("c"), u("d").at(30 * SECOND - 1), "V D2");
    two(u("c"), u("d").at(30 * SECOND), "V D2");
    two(u("c"), u("d").at(30 * SECOND + 1), "V V");
}

#[test]
fn d2_on_either_side() {
    let first = || u("c").at(MINUTE);
    two(first(), u("d").at(MINUTE).received(30 * SECOND), "V D2");
    two(first(), u("d").at(MINUTE).received(30 * SECOND - 1), "V V");
}

#[test]
fn d2_within_ten_minutes_of_log_time() {
    let spooled = |at| u("d").received(0).at(at);
    two(u("c"), spooled(10 * MINUTE - 1), "V D2");
    two(u("c"), spooled(10 * MINUTE), "V D2");
    two(u("c"), spooled(10 * MINUTE + 1), "V V");
}

#[test]
fn d2_needs_a_user_and_the_same_ad() {
    two(click("c"), click("d"), "V V");
    two(u("c"), click("d").user("v"), "V V");
    two(u("c"), u("d").with(|c| c.ad_id = "other".into()), "V V");
    two(u("c"), u("d").with(|c| c.issuer = "other".into()), "V D2");
    two(u("c"), u("d").on(1), "V D2");
}

#[test]
fn d2_compares_with_the_last_that_was_not_one_itself() {
    let at = |id: &str, at| u(id).at(at * SECOND).into();
    check([at("a", 0), at("b", 20), at("c", 40), at("d", 60)], "V D2 V D2");
    // The last one alone: an older one within reach does not count.
    let spooled = u("c").at(MINUTE + 1).received(0).into();
    check([at("a", 0), at("b", 60), spooled], "V V V");
}

#[test]
fn d2_only_claims_count() {
    let at = |id: &str, at| u(id).at(at * SECOND).into();
    check([at("a", 0), at("a", 29), at("b", 31)], "V D1 V");
    let head = u("b").with(|c| c.method = Some("HEAD".into()));
    check([at("a", 0), head.at(29_000).into(), at("c", 31)], "V G8 V");
}

#[test]
fn d2_takes_the_span_in_force_at_the_later_click() {
    let short = || policy(0, "short", |p| p.double_click_ms = 10);
    let pair = |at: u64, after: u64| [short(), u("c").at(at).into(), u("d").at(at + after).into()];
    check(pair(MINUTE - 20, 19), "V D2");
    check(pair(MINUTE - 20, 20), "V V");
    check(pair(MINUTE - 10, 10), "V D2");
    check(pair(MINUTE, 11), "V V");
}

/// Times that differ by this have the same low 32 bits.
const WRAP: u64 = 1 << 32;

#[test]
fn a_claim_of_long_ago_stays_forgotten() {
    let forty_days = 40 * 24 * HOUR;
    for after in [WRAP - 1, WRAP, WRAP + 1, WRAP + HOUR, WRAP + H, 2 * WRAP + HOUR, 9 * WRAP] {
        two(click("c"), click("c").at(after), "V V");
        two(u("c"), u("d").at(after), "V V");
        check([click("c").into(), tick(after - MINUTE), click("c").at(after).into()], "V V");
        let other = click("d").at(forty_days);
        check([click("c").into(), other.into(), click("c").at(after).into()], "V V V");
    }
}
