//! Random ledgers and exports of them that were changed at random, each change with the cause that
//! docs/reconcile.md gives it: every cause has exactly what was planted, and all of them together
//! are the whole difference. Written from that document, not from the code.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::{MINUTE, PERIOD, T0, out, reconcile, run, says};

const SEEDS: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
/// The period of the invoice, 09:00 to 10:00.
const FROM: u64 = T0 - 30 * MINUTE;
const TO: u64 = FROM + HOUR;

/// Clicks and micro-units, theirs less ours, by cause, currency and click.
type Parts = BTreeMap<(String, String, String), (i64, i128)>;

pub struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A click of ours.
#[derive(Clone)]
pub struct Ours {
    pub id: String,
    user: String,
    pub ad: u64,
    pub price: i128,
    pub class: &'static str,
    /// When it happened; when it was appended.
    pub time: u64,
    append: u64,
}

impl Ours {
    pub fn currency(&self) -> &'static str {
        if self.ad == 0 { "EUR" } else { "USD" }
    }

    pub fn is_late(&self) -> bool {
        self.append > self.time
    }

    /// The minute in which it is billed.
    pub fn billed(&self) -> u64 {
        self.append / MINUTE * MINUTE
    }

    pub fn is_valid(&self) -> bool {
        self.class == "V"
    }
}

pub fn in_period(time: u64) -> bool {
    (FROM..TO).contains(&time)
}

/// A ledger of three hours around the period. Each user clicks once, but for what is planted.
pub fn ledger(random: &mut Random) -> Vec<Ours> {
    let mut all: Vec<Ours> = Vec::new();
    for n in 0..30 + random.below(60) {
        let time = FROM - HOUR + random.below(3 * HOUR - 5 * MINUTE);
        let (id, user) = (format!("c{n}"), format!("u{n}"));
        let (ad, price) = (random.below(3), i128::from(random.below(5_000)));
        let mut click = Ours { id, user, ad, price, class: "V", time, append: time };
        match random.below(8) {
            0 => click.class = "G5",
            1 => click.class = "T2",
            // Long after its minute was sealed.
            2 => click.append = time + 20 * MINUTE + random.below(40 * MINUTE),
            3 => {
                let (id, after) = (format!("double{n}"), 1_000 + random.below(25_000));
                let (time, price) = (time + after, i128::from(random.below(5_000)));
                all.push(Ours { id, price, class: "D2", time, append: time, ..click.clone() });
            }
            4 => {
                // The same link again, too late to be a double click.
                let time = time + 40_000 + random.below(2 * MINUTE);
                all.push(Ours { class: "D1", time, append: time, ..click.clone() });
            }
            _ => {}
        }
        all.push(click);
    }
    all.sort_by_key(|click| click.append);
    all
}

pub fn import(dir: &Path, ours: &[Ours]) {
    let mut csv = "click_id,user_id,ad_id,advertiser_id,price_micros,currency,purpose,expires_at,\
        received_at,append_time\n"
        .to_owned();
    for click in ours {
        let Ours { id, user, ad, price, time, append, .. } = click;
        let purpose = if click.class == "G5" { "prefetch" } else { "" };
        let expires = if click.class == "T2" { (time - 1_000).to_string() } else { String::new() };
        let currency = click.currency();
        writeln!(
            csv,
            "{id},{user},ad{ad},adv,{price},{currency},{purpose},{expires},{time},{append}"
        )
        .unwrap();
    }
    std::fs::write(dir.join("ours.csv"), csv).unwrap();
    let done = run(&["import", "--data", "data", "ours.csv"], dir);
    assert!(done.status.success(), "{}", says(&done));
}

/// What is expected of an export.
#[derive(Default)]
pub struct Expected {
    parts: Parts,
    theirs: BTreeMap<String, (i64, i128)>,
    ours: BTreeMap<String, (i64, i128)>,
}

impl Expected {
    pub fn part(&mut self, cause: &str, currency: &str, id: &str, clicks: i64, micros: i128) {
        let key = (cause.to_owned(), currency.to_owned(), id.to_owned());
        let sum = self.parts.entry(key).or_default();
        *sum = (sum.0 + clicks, sum.1 + micros);
    }

    pub fn theirs(&mut self, currency: &str, clicks: i64, micros: i128) {
        let sum = self.theirs.entry(currency.to_owned()).or_default();
        *sum = (sum.0 + clicks, sum.1 + micros);
    }

    pub fn ours(&mut self, click: &Ours) {
        let sum = self.ours.entry(click.currency().to_owned()).or_default();
        *sum = (sum.0 + 1, sum.1 + click.price);
    }

    /// Holds what the command says to it.
    pub fn check(mut self, dir: &Path, theirs: &str, more: &[&str], seed: u64) {
        let output = reconcile(dir, theirs, &[more, &["--format", "json"]].concat());
        let report: serde_json::Value = serde_json::from_str(&out(&output))
            .unwrap_or_else(|_| panic!("seed {seed}: {}", says(&output)));
        let sum = |value: &serde_json::Value| {
            let micros: i128 = value["micros"].as_str().unwrap().parse().unwrap();
            (value["clicks"].as_i64().unwrap(), micros)
        };
        let sums = |name: &str| -> BTreeMap<String, (i64, i128)> {
            let all = report[name].as_object().unwrap().iter();
            all.map(|(key, value)| (key.clone(), sum(value)))
                .filter(|(_, s)| *s != (0, 0))
                .collect()
        };
        let mut found = Parts::new();
        let mut total: BTreeMap<String, (i64, i128)> = BTreeMap::new();
        for item in report["items"].as_array().unwrap() {
            let text = |name: &str| item[name].as_str().unwrap().to_owned();
            let (clicks, micros) = sum(item);
            for sum in [
                found.entry((text("cause"), text("currency"), text("click_id"))).or_default(),
                total.entry(text("currency")).or_default(),
            ] {
                *sum = (sum.0 + clicks, sum.1 + micros);
            }
        }
        for parts in [&mut found, &mut self.parts] {
            parts.retain(|_, sum| *sum != (0, 0));
        }
        let only: Vec<_> = found.iter().filter(|(k, v)| self.parts.get(k) != Some(v)).collect();
        let missing: Vec<_> = self.parts.iter().filter(|(k, v)| found.get(k) != Some(v)).collect();
        assert!(only.is_empty() && missing.is_empty(), "seed {seed}: {only:?} for {missing:?}");
        total.retain(|_, sum| *sum != (0, 0));
        assert_eq!(total, sums("difference"), "seed {seed}: the causes are not the difference");
        for (name, expected) in [("theirs", &mut self.theirs), ("ours", &mut self.ours)] {
            expected.retain(|_, sum| *sum != (0, 0));
            assert_eq!(sums(name), *expected, "seed {seed}: {name}");
        }
    }

    fn causes(&self) -> impl Iterator<Item = &str> {
        self.parts.keys().map(|(cause, ..)| &**cause)
    }
}

/// An export by click, in a zone so many minutes off, and what is to be said of it.
struct Export<'a> {
    random: &'a mut Random,
    shift: i64,
    rows: Vec<String>,
    expected: Expected,
}

impl Export<'_> {
    fn there(&self, time: u64) -> u64 {
        time.saturating_add_signed(self.shift)
    }

    /// A row of a click; some name neither money nor currency, all of them a time.
    fn row(&mut self, click: &Ours, price: Option<i128>, currency: Option<&str>) {
        let time = self.there(click.time) / MINUTE * MINUTE + self.random.below(MINUTE);
        let price_text = price.map(|price| price.to_string()).unwrap_or_default();
        let (id, name) = (&click.id, currency.unwrap_or(""));
        self.rows.push(format!("{id},ad{},{time},{price_text},{name}", click.ad));
        let currency = currency.unwrap_or(click.currency());
        self.expected.theirs(currency, 1, price.unwrap_or(click.price));
    }

    /// They count it as we would bill it, with or without saying so.
    fn plain(&mut self, click: &Ours) {
        let price = if self.random.one_in(3) { None } else { Some(click.price) };
        let currency = if self.random.one_in(3) { None } else { Some(click.currency()) };
        self.row(click, price, currency);
    }

    fn part(&mut self, cause: &str, click: &Ours, clicks: i64) {
        let micros = i128::from(clicks) * click.price;
        self.expected.part(cause, click.currency(), &click.id, clicks, micros);
    }

    /// A valid click that is billed in the period.
    fn billed(&mut self, click: &Ours) {
        self.expected.ours(click);
        let is_theirs = in_period(self.there(click.time));
        match self.random.below(if is_theirs { 8 } else { 2 }) {
            0 if is_theirs => self.part("missing_there", click, -1),
            0 if in_period(click.time) => self.part("time_zone", click, -1),
            0 => self.part("late", click, -1),
            1 if is_theirs => {
                let price = i128::from(self.random.below(9_000));
                self.row(click, Some(price), None);
                let micros = price - click.price;
                self.expected.part("price", click.currency(), &click.id, 0, micros);
            }
            2 => {
                self.row(click, Some(click.price + 7), Some("CHF"));
                self.part("price", click, -1);
                self.expected.part("price", "CHF", &click.id, 1, click.price + 7);
            }
            3 => {
                self.plain(click);
                self.row(click, Some(33), None);
                self.expected.part("duplicate_there", click.currency(), &click.id, 1, 33);
            }
            _ => self.plain(click),
        }
    }

    /// A valid click that is billed before or after it.
    fn elsewhere(&mut self, click: &Ours) {
        if self.random.one_in(2) {
            return;
        }
        self.plain(click);
        let cause = if click.is_late() {
            "late"
        } else if self.shift != 0 && in_period(self.there(click.time)) {
            "time_zone"
        } else {
            "period"
        };
        self.part(cause, click, 1);
    }

    /// A click that we do not bill; they do, once or even twice.
    fn invalid(&mut self, click: &Ours) {
        for cause in [format!("class_{}", click.class), "duplicate_there".to_owned()] {
            if self.random.one_in(2) {
                return;
            }
            self.plain(click);
            self.part(&cause, click, 1);
        }
    }

    fn unknown(&mut self, n: u64) {
        let (id, price) = (format!("unknown{n}"), i128::from(self.random.below(5_000)));
        self.rows.push(format!("{id},ad1,,{price},USD"));
        self.expected.part("missing_here", "USD", &id, 1, price);
        self.expected.theirs("USD", 1, price);
    }
}

/// Of a link that was clicked twice they count the first click, too, or neither.
fn repeat(export: &mut Export<'_>, first: &Ours, again: &Ours) {
    match (in_period(first.billed()), export.random.below(3)) {
        (true, 0) => {
            export.expected.ours(first);
            export.plain(first);
        }
        (true, _) => {
            export.expected.ours(first);
            export.plain(first);
            export.plain(again);
            export.part("class_D1", again, 1);
        }
        (false, _) => {}
    }
}

fn export(random: &mut Random, ours: &[Ours], shift: i64) -> (String, Expected) {
    let expected = Expected::default();
    let mut export = Export { random, shift, rows: Vec::new(), expected };
    for click in ours {
        let again = ours.iter().find(|other| other.id == click.id && other.class == "D1");
        match (again, click.class) {
            (Some(again), "V") => repeat(&mut export, click, again),
            (Some(_), _) => {}
            (None, "V") if in_period(click.billed()) => export.billed(click),
            (None, "V") => export.elsewhere(click),
            (None, _) => export.invalid(click),
        }
    }
    (0..export.random.below(5)).for_each(|n| export.unknown(n));
    let mut rows = export.rows;
    // Rows of one click stay in their order.
    rows.sort_by_key(|row| row.split(',').next().map(|id| id.bytes().rev().collect::<Vec<_>>()));
    (format!("click_id,ad_id,time,price_micros,currency\n{}\n", rows.join("\n")), export.expected)
}

#[test]
fn what_was_planted_click_by_click_is_what_is_found() {
    let mut causes: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..SEEDS {
        let (dir, mut random) = (tempfile::tempdir().unwrap(), Random(seed));
        let ours = ledger(&mut random);
        import(dir.path(), &ours);
        for shift in [0, 60, -45, -300] {
            let (theirs, expected) = export(&mut random, &ours, shift * 60_000);
            expected.causes().for_each(|c| *causes.entry(c.to_owned()).or_default() += 1);
            expected.check(dir.path(), &theirs, &PERIOD, seed);
        }
    }
    println!("{causes:?}");
    let all = ["missing_here", "duplicate_there", "class_T2", "class_G5", "class_D1", "class_D2"];
    for cause in all.into_iter().chain(["late", "time_zone", "period", "price", "missing_there"]) {
        assert!(causes.get(cause).is_some_and(|planted| *planted > 20), "{cause}: {causes:?}");
    }
}

/// Classes in the order of their table.
const CLASSES: [&str; 4] = ["T2", "G5", "D1", "D2"];

/// Counts per ad and minute of a period, changed at random, and what is to be said of them.
fn counts(random: &mut Random, ours: &[Ours]) -> (String, Expected) {
    let mut expected = Expected::default();
    let mut theirs = "ad_id,time,clicks,spend_micros,currency\n".to_owned();
    for click in ours.iter().filter(|click| click.is_valid()) {
        let (here, there) = (in_period(click.billed()), in_period(click.time));
        if here {
            expected.ours(click);
        }
        let clicks = i64::from(there) - i64::from(here);
        if clicks != 0 {
            let micros = i128::from(clicks) * click.price;
            expected.part("late", click.currency(), &click.id, clicks, micros);
        }
    }
    for (ad, minute) in (0..4).flat_map(|ad| (0..60).map(move |n| (ad, FROM + n * MINUTE))) {
        let is_in = |click: &&Ours| click.ad == ad && click.time / MINUTE * MINUTE == minute;
        let own: Vec<&Ours> = ours.iter().filter(is_in).collect();
        let currency = own.first().map_or("USD", |click| click.currency());
        let valid: Vec<_> = own.iter().filter(|click| click.is_valid()).collect();
        let (count, sum) = (valid.len() as u64, valid.iter().map(|click| click.price).sum());
        let (clicks, money) = counted(random, count, sum);
        let mut rows = vec![(clicks, money)];
        if clicks > 1 && random.one_in(3) {
            rows = vec![(1, money.map(|_| 1)), (clicks - 1, money.map(|money| money - 1))];
        }
        for (clicks, money) in rows.into_iter().filter(|(clicks, _)| *clicks > 0) {
            let money = money.map(|money| money.to_string()).unwrap_or_default();
            let time = minute + random.below(MINUTE);
            writeln!(theirs, "ad{ad},{time},{clicks},{money},{currency}").unwrap();
        }
        cell(&mut expected, currency, &own, (i64::try_from(clicks).unwrap(), money));
    }
    (theirs, expected)
}

/// How many clicks they have of a minute, and what they ask for them, if they say.
fn counted(random: &mut Random, count: u64, sum: i128) -> (u64, Option<i128>) {
    let (more, dearer) = (random.below(4), sum + i128::from(random.below(9_000)) + 1);
    let (clicks, money) = match (count, random.below(12)) {
        (0, 0) => (more, Some(dearer)),
        (0, _) => (0, None),
        (_, 0) => (count + more, Some(dearer)),
        (_, 1) => (count + more, None),
        (_, 2) => (random.below(count + 1), None),
        (_, 3) => (random.below(count + 1), Some(dearer)),
        _ => (count, Some(sum)),
    };
    (clicks, if clicks == 0 { Some(0) } else { money })
}

/// What is to be said of an ad's minute, in which they have so many clicks and so much money.
fn cell(
    expected: &mut Expected,
    currency: &str,
    own: &[&Ours],
    (clicks, money): (i64, Option<i128>),
) {
    let valid = own.iter().filter(|click| click.is_valid());
    let (count, sum) = valid.fold((0, 0), |(n, sum), click| (n + 1, sum + click.price));
    let (mut left, mut explained) = (clicks - count, 0);
    let mut part = |cause: &str, clicks: i64, micros: i128| {
        expected.part(cause, currency, "", clicks, micros);
        explained += micros;
    };
    for class in CLASSES {
        for click in own.iter().filter(|click| click.class == class) {
            if left > 0 {
                part(&format!("class_{class}"), 1, click.price);
                left -= 1;
            }
        }
    }
    // Their mean price or ours, rounded down.
    if left > 0 {
        part("missing_here", left, money.unwrap_or(0) * i128::from(left) / i128::from(clicks));
    } else if left < 0 {
        part("missing_there", left, -(sum * i128::from(-left) / i128::from(count)));
    }
    let money = money.unwrap_or(sum + explained);
    expected.part("price", currency, "", 0, money - sum - explained);
    expected.theirs(currency, clicks, money);
}

#[test]
fn what_was_planted_in_counts_is_what_is_found() {
    let mut causes: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..SEEDS {
        let (dir, mut random) = (tempfile::tempdir().unwrap(), Random(seed + 1_000_000));
        let ours = ledger(&mut random);
        import(dir.path(), &ours);
        for _ in 0..4 {
            let (theirs, expected) = counts(&mut random, &ours);
            expected.causes().for_each(|c| *causes.entry(c.to_owned()).or_default() += 1);
            expected.check(dir.path(), &theirs, &PERIOD, seed);
        }
    }
    println!("{causes:?}");
    let classes = CLASSES.map(|class| format!("class_{class}"));
    let others = ["missing_here", "late", "price", "missing_there"].map(str::to_owned);
    for cause in classes.iter().chain(&others) {
        assert!(causes.get(cause).is_some_and(|planted| *planted > 20), "{cause}: {causes:?}");
    }
}
