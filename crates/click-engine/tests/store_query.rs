//! Reports: lossless sums, calendar steps, order, limits, and what counts as sealed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

use click_core::policy::Timeline;
use click_core::row::{Counts, Row, RowKey};
use click_core::types::{Millis, Minute, Version};
use click_core::verdict::{CLASSES, Class};
use click_engine::store::{
    Buckets, Calendar, CalendarError, GroupBy, LedgerStore, MemoryStore, Sort, Step, TotalRow,
    TotalsQuery, ad_minutes, totals,
};

const HOUR: u64 = 3_600_000;

/// An ad's row of valid clicks at a price.
fn row(ad: &str, campaign: &str, at: Millis, clicks: u64, price: i128) -> Row {
    let mut by_class = [0; CLASSES];
    by_class[Class::V as usize] = clicks;
    let sum_micros = i128::from(clicks) * price;
    Row {
        key: RowKey::Ad {
            ad_id: ad.into(),
            currency: "USD".into(),
            campaign_id: campaign.into(),
            advertiser_id: "adv".into(),
        }
        .into(),
        minute: at.minute(),
        posted_minute: None,
        counts: Counts { measured: clicks, pending: 0, by_class, sum_micros },
        version: Version::new(1, at.grid_ceil()),
    }
}

fn store(rows: &[Row], mark: Millis) -> MemoryStore {
    let mut store = MemoryStore::new(1);
    store.publish(rows, mark).unwrap();
    store
}

fn ask(store: &MemoryStore, query: &TotalsQuery) -> Vec<TotalRow> {
    totals(store, &Timeline::default(), query).unwrap().1
}

fn by_ad(buckets: Buckets) -> TotalsQuery {
    TotalsQuery { group_by: GroupBy::Ad, buckets, sort: Sort::Key, limit: 100 }
}

fn lines(rows: &[TotalRow]) -> Vec<String> {
    let line = |row: &TotalRow| {
        let counts = &row.sums.counts;
        format!("{} {} {} {}", row.start.0, row.key, counts.measured, counts.sum_micros)
    };
    rows.iter().map(line).collect()
}

#[test]
fn sums_do_not_overflow_64_bits() {
    let price = 1i128 << 53;
    let rows: Vec<_> = (0..5).map(|n| row("a", "c", Millis(n * 60_000), 1 << 20, price)).collect();
    let found =
        ask(&store(&rows, Millis(0)), &by_ad(Buckets::whole(Millis(0), Millis(HOUR)).unwrap()));
    assert_eq!(found[0].sums.counts.sum_micros, 5 << 73);
}

#[test]
fn totals_group_by_each_key() {
    let at = Millis(HOUR);
    let rows = [row("a", "x", at, 1, 5), row("b", "x", at, 2, 5), row("c", "y", at, 4, 5)];
    let store = store(&rows, Millis(0));
    let whole = Buckets::whole(Millis(0), Millis(2 * HOUR)).unwrap();
    let grouped = |group_by| ask(&store, &TotalsQuery { group_by, ..by_ad(whole.clone()) });
    assert_eq!(lines(&grouped(GroupBy::Campaign)), ["0 x 3 15", "0 y 4 20"]);
    assert_eq!(lines(&grouped(GroupBy::Advertiser)), ["0 adv 7 35"]);
    assert_eq!(lines(&grouped(GroupBy::All)), ["0  7 35"]);
    assert_eq!(grouped(GroupBy::Publisher), []);
}

#[test]
fn the_greatest_come_first_and_the_limit_says_so() {
    let at = Millis(HOUR);
    let rows = [row("a", "x", at, 3, 1), row("b", "x", at, 1, 100), row("c", "x", at, 2, 1)];
    let store = store(&rows, Millis(0));
    let whole = Buckets::whole(Millis(0), Millis(2 * HOUR)).unwrap();
    let query = TotalsQuery { sort: Sort::Valid, limit: 2, ..by_ad(whole.clone()) };
    let (_, top, cut) = totals(&store, &Timeline::default(), &query).unwrap();
    assert_eq!(lines(&top), ["0 a 3 3", "0 c 2 2"]);
    assert!(cut);
    let spend = ask(&store, &TotalsQuery { sort: Sort::Spend, limit: 1, ..by_ad(whole) });
    assert_eq!(lines(&spend), ["0 b 1 100"]);
}

#[test]
fn days_are_cut_at_local_midnight_across_a_change_of_clocks() {
    // Berlin, 26 October 2025: a day of 25 hours, from 22:00Z on the 25th to 23:00Z on the 26th.
    let from = Millis(1_761_343_200_000); // 2025-10-24T22:00Z
    let to = Millis(from.0 + 73 * HOUR);
    let days = Calendar::new("Europe/Berlin").unwrap().cut(from, to, Step::Day).unwrap();
    let lengths: Vec<_> = (0..days.len()).map(|n| days.span(n).1.since(days.span(n).0)).collect();
    assert_eq!(lengths, [24 * HOUR, 25 * HOUR, 24 * HOUR]);
}

#[test]
fn hours_follow_the_local_clock_of_half_hour_zones() {
    let calendar = Calendar::new("Asia/Kolkata").unwrap();
    let hours = calendar.cut(Millis(0), Millis(2 * HOUR), Step::Hour).unwrap();
    let bounds: Vec<_> = (0..hours.len()).map(|n| hours.span(n)).collect();
    let (half, third) = (Millis(HOUR / 2), Millis(HOUR + HOUR / 2));
    assert_eq!(bounds, [(Millis(0), half), (half, third), (third, Millis(2 * HOUR))]);
    assert_eq!(calendar.format(half), "1970-01-01T06:00:00+05:30");
    assert_eq!(hours.index_of(Minute(29)), 0);
    assert_eq!(hours.index_of(Minute(30)), 1);
    assert_eq!(hours.index_of(Minute(119)), 2);
}

#[test]
fn a_calendar_says_what_is_wrong() {
    assert!(matches!(Calendar::new("Mars/Olympus"), Err(CalendarError::Zone(_))));
    let calendar = Calendar::new("UTC").unwrap();
    assert!(matches!(calendar.cut(Millis(1), Millis(1), Step::Day), Err(CalendarError::Empty)));
    let century = Millis(100 * 366 * 24 * HOUR);
    let many = calendar.cut(Millis(0), century, Step::Hour);
    assert!(matches!(many, Err(CalendarError::TooMany)));
}

#[test]
fn a_total_is_sealed_when_its_last_minute_and_its_adjustments_are() {
    let seal = HOUR + 15 * 60_000 + 1000;
    let query = by_ad(Buckets::whole(Millis(0), Millis(HOUR)).unwrap());
    let sealed = |rows: &[Row], mark| ask(&store(rows, Millis(mark)), &query)[0].sealed;
    let first = row("a", "x", Millis(0), 1, 1);
    assert!(!sealed(std::slice::from_ref(&first), seal - 1));
    assert!(sealed(std::slice::from_ref(&first), seal));
    let late = Row { posted_minute: Some(Minute(100)), ..first };
    assert!(!sealed(std::slice::from_ref(&late), 101 * 60_000));
    assert!(sealed(std::slice::from_ref(&late), 101 * 60_000 + 1000));
    let sums = ask(&store(&[late], Millis(0)), &query)[0].sums;
    assert_eq!((sums.late_measured, sums.late_micros), (1, 1));
}

#[test]
fn an_ad_has_its_minutes_of_a_range() {
    let rows: Vec<_> = (0..5).map(|n| row("a", "x", Millis(n * 60_000), n, 1)).collect();
    let store = store(&rows, Millis(16 * 60_000 + 1000));
    let (mark, found) =
        ad_minutes(&store, &Timeline::default(), "a", Millis(1), Millis(3 * 60_000)).unwrap();
    assert_eq!(mark, Millis(16 * 60_000 + 1000));
    let found: Vec<_> = found.iter().map(|row| (row.row.minute.0, row.sealed)).collect();
    assert_eq!(found, [(1, false), (2, false)]);
    let (_, first) =
        ad_minutes(&store, &Timeline::default(), "a", Millis(0), Millis(60_000)).unwrap();
    assert!(first[0].sealed);
}
