//! G3 (SPEC §4).

use click_sim::reference::{PlainClick, PlainIp};

use crate::door::{Click, Entry, MINUTE, click, outcome, policy};

const IP: [u8; 4] = [192, 0, 2, 1];

/// Clicks of one source at these times.
fn burst(times: &[u64]) -> Vec<Click> {
    let named = times.iter().enumerate().map(|(i, at)| click(&format!("c{i}")).at(*at).ip(IP));
    named.collect()
}

/// `expect` has a letter for each click: `3` for G3, `.` for none.
fn check(clicks: Vec<Click>, expect: &str) {
    assert_eq!(letters(&clicks.into_iter().map(Entry::from).collect::<Vec<_>>()), expect);
}

fn letters(entries: &[Entry]) -> String {
    let outcome = outcome(entries);
    outcome.split(' ').map(|word| if word.contains("G3") { '3' } else { '.' }).collect()
}

/// `count` clicks, the last `span` after the first.
fn spread(count: u64, span: u64) -> Vec<u64> {
    (0..count).map(|i| i * span / (count - 1)).collect()
}

#[test]
fn eleven_within_less_than_a_second() {
    check(burst(&spread(10, 0)), "..........");
    check(burst(&spread(11, 0)), "33333333333");
    check(burst(&spread(11, 999)), "33333333333");
    check(burst(&spread(11, 1_000)), "...........");
    check(burst(&spread(11, 1_001)), "...........");
    check(burst(&spread(12, 999)), "333333333333");
}

#[test]
fn any_eleven_consecutive_ones() {
    // The second click is at 99.
    let followed_by = |last: u64| burst(&[spread(11, 999), vec![last]].concat());
    check(followed_by(1_098), "333333333333");
    check(followed_by(1_099), "33333333333.");
    check(burst(&[0, 500, 500, 500, 500, 500, 500, 500, 500, 500, 500, 1_500]), "33333333333.");
    check(burst(&[0, 501, 501, 501, 501, 501, 501, 501, 501, 501, 501, 1_500]), "333333333333");
    check(burst(&[0, 500, 500, 500, 500, 500, 500, 500, 500, 500, 1_000, 1_499]), ".33333333333");
}

#[test]
fn click_times_span_less_than_a_second_too() {
    let received = |last: u64| {
        let mut clicks: Vec<Click> = burst(&[5_000; 11]);
        let first = clicks.remove(0).received(4_000);
        let spooled = clicks.remove(0).received(4_000 + last);
        [vec![first, spooled], clicks.into_iter().map(|c| c.received(4_500)).collect()].concat()
    };
    check(received(999), "33333333333");
    check(received(1_000), "...........");
    check(received(2_000), "...........");
}

#[test]
fn all_other_classes_count_but_g5_and_g8() {
    let with = |set: fn(&mut PlainClick)| {
        let mut clicks = burst(&spread(11, 500));
        let sixth = clicks.remove(5).with(set);
        clicks.insert(5, sixth);
        clicks
    };
    check(with(|c| c.ad_active = Some(false)), "33333333333");
    check(with(|c| c.expires_at = Some(0)), "33333333333");
    check(with(|c| c.click_id = "c0".into()), "33333333333");
    check(with(|c| c.method = Some("HEAD".into())), "...........");
    check(with(|c| c.purpose = Some("prefetch".into())), "...........");
}

#[test]
fn one_left_out_does_not_part_the_others() {
    let mut clicks = burst(&spread(12, 500));
    let sixth = clicks.remove(5).with(|c| c.method = Some("HEAD".into()));
    clicks.insert(5, sixth);
    check(clicks, "33333.333333");
}

#[test]
fn transport_repeats_are_left_out() {
    let mut clicks = burst(&spread(11, 500));
    let repeat = clicks[4].clone().seq("t", 0, 0);
    clicks[3] = repeat.clone();
    clicks[4] = repeat;
    check(clicks, "...........");
}

#[test]
fn by_source() {
    let all = |set: fn(&mut PlainClick, u8)| {
        let clicks = burst(&spread(11, 0)).into_iter().zip(0..);
        clicks.map(|(c, i)| c.with(|c| set(c, i))).collect::<Vec<_>>()
    };
    let (each, none) = ("33333333333", "...........");
    check(all(|c, i| c.ip = Some(PlainIp::V4([192, 0, 2, i]))), none);
    check(all(|c, _| c.ip = None), none);
    check(all(|c, i| c.source_key = vec![i]), none);
    check(all(|c, _| (c.source_key, c.ip) = (vec![1], None)), each);
    check(all(|c, i| (c.source_key, c.ip) = (vec![1], Some(PlainIp::V4([i; 4])))), each);
}

#[test]
fn ipv6_by_subnet_and_mapped_as_ipv4() {
    let subnet = |i: u8, at: usize| {
        let mut bytes = [0x20; 16];
        bytes[at] = i;
        bytes
    };
    let all = |ip: &dyn Fn(u8) -> PlainIp| {
        let clicks = burst(&spread(11, 0)).into_iter().zip(0..);
        clicks.map(|(c, i)| c.with(|c| c.ip = Some(ip(i)))).collect::<Vec<_>>()
    };
    check(all(&|i| PlainIp::V6(subnet(i, 8))), "33333333333");
    check(all(&|i| PlainIp::V6(subnet(i, 7))), "...........");
    let mapped = |d| PlainIp::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, d]);
    check(all(&|i| if i < 5 { mapped(1) } else { PlainIp::V4(IP) }), "33333333333");
    check(all(&|i| mapped(i)), "...........");
}

#[test]
fn across_partitions_in_fold_order() {
    let times = spread(11, 999).into_iter().zip([0, 1].into_iter().cycle());
    let clicks = times
        .enumerate()
        .map(|(i, (at, partition))| click(&format!("c{i}")).at(at).ip(IP).on(partition));
    check(clicks.collect(), "33333333333");
}

#[test]
fn each_click_by_the_threshold_that_judges_it() {
    let lower = policy(0, "lower", |p| p.burst_clicks = 2);
    let times = [MINUTE - 2, MINUTE - 1, MINUTE, MINUTE + 1];
    let clicks = burst(&times).into_iter().map(Entry::from);
    // Every run of three that holds one of the last two counts for these alone.
    let log: Vec<Entry> = [lower].into_iter().chain(clicks).collect();
    assert_eq!(letters(&log), "..33");
}

#[test]
fn comes_after_the_reasons_of_the_user_stage() {
    let clicks = burst(&spread(11, 0)).into_iter().map(|c| c.user("u").into());
    let expect = format!("G3{}", " D2+G3".repeat(10));
    assert_eq!(outcome(&clicks.collect::<Vec<_>>()), expect);
}
