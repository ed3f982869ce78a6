//! Two lists of clicks, joined by click id.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use click_core::verdict::Class;

use super::causes::{Cause, Item, Report, Sum};
use super::ours::OurClick;
use super::theirs::TheirRow;

const QUARTER_MS: i64 = 15 * 60_000;
/// How far two clocks may be apart that mean the same instant.
const CLOCKS_MS: i64 = 2 * 60_000;

/// Joins; `period` is which billed minutes of ours are compared, ms since 1970.
pub fn join(ours: &[OurClick], theirs: &[TheirRow], period: &Range<u64>) -> Report {
    let mut join = Join::new(ours, theirs, period);
    theirs.iter().for_each(|row| join.row(row));
    join.rest();
    join.report
}

struct Join<'a> {
    ours: &'a [OurClick],
    by_id: HashMap<&'a str, Vec<usize>>,
    period: &'a Range<u64>,
    /// Clicks of ours that a row of theirs was found for.
    taken: HashSet<usize>,
    seen: HashSet<(&'a str, Option<&'a str>)>,
    report: Report,
}

impl<'a> Join<'a> {
    fn new(ours: &'a [OurClick], theirs: &'a [TheirRow], period: &'a Range<u64>) -> Join<'a> {
        let mut by_id: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, click) in ours.iter().enumerate() {
            by_id.entry(&click.click_id).or_default().push(at);
        }
        let mut join = Join {
            ours,
            by_id,
            period,
            taken: HashSet::new(),
            seen: HashSet::new(),
            report: Report::default(),
        };
        join.report.zone_minutes = join.shift(theirs);
        join
    }

    /// By how many minutes most of their times are off, if by whole quarters of an hour.
    fn shift(&self, theirs: &[TheirRow]) -> i64 {
        let (mut votes, mut all): (HashMap<i64, u64>, u64) = (HashMap::new(), 0);
        for row in theirs {
            let Some((own, time)) = self.candidates(row).next().zip(row.time) else { continue };
            let apart = signed(time) - signed(self.ours[own].time);
            let quarters = (apart + QUARTER_MS / 2).div_euclid(QUARTER_MS);
            all += 1;
            if (apart - quarters * QUARTER_MS).abs() <= CLOCKS_MS {
                *votes.entry(quarters).or_default() += 1;
            }
        }
        let most = votes.into_iter().max_by_key(|(quarters, votes)| (*votes, -quarters.abs()));
        most.filter(|(_, votes)| votes * 2 > all).map_or(0, |(quarters, _)| quarters * 15)
    }

    /// Ours of a row's id, in the order in which they came.
    fn candidates<'b>(&'b self, row: &'b TheirRow) -> impl Iterator<Item = usize> + 'b {
        let all = self.by_id.get(&*row.click_id).map_or(&[][..], |found| found);
        let issuer = row.issuer.as_deref();
        all.iter().copied().filter(move |at| issuer.is_none_or(|i| i == self.ours[*at].issuer))
    }

    fn row(&mut self, row: &'a TheirRow) {
        let first = self.candidates(row).next();
        let is_open = |at: &usize| self.ours[*at].class == Class::V && !self.taken.contains(at);
        let valid = self.candidates(row).find(is_open);
        let invalid = self.candidates(row).find(|at| !self.taken.contains(at));
        let is_new = self.seen.insert((&row.click_id, row.issuer.as_deref()));
        self.report.unpriced += u64::from(row.micros.is_none());
        let Some(own) = valid.or(invalid).or(first) else {
            let (currency, micros) = money(row, None);
            self.report.theirs(&currency, 1, micros);
            let cause = if is_new { Cause::MissingHere } else { Cause::DuplicateThere };
            return self.item(cause, None, row, (currency, 1, micros));
        };
        let click = &self.ours[own];
        let (currency, micros) = money(row, Some(click));
        self.report.theirs(&currency, 1, micros);
        if valid.is_none() {
            // Each of a link's clicks is counted once; what they have more is none of ours.
            let cause = match self.taken.insert(own) {
                true => Cause::Invalid(click.class),
                false => Cause::DuplicateThere,
            };
            return self.item(cause, Some(click), row, (currency, 1, micros));
        }
        self.taken.insert(own);
        if self.period.contains(&click.billed) {
            self.both(click, row, currency, micros);
        } else {
            let cause = self.why_elsewhere(click, row.time);
            self.item(cause, Some(click), row, (currency, 1, micros));
        }
    }

    /// Both bill it in this period.
    fn both(&mut self, click: &OurClick, row: &TheirRow, currency: String, micros: i128) {
        self.report.agreed += 1;
        self.report.ours(&click.currency, 1, click.micros);
        if currency != click.currency {
            self.item(Cause::Price, Some(click), row, (currency, 1, micros));
            let ours = (click.currency.clone(), -1, -click.micros);
            self.item(Cause::Price, Some(click), row, ours);
        } else if micros != click.micros {
            self.item(Cause::Price, Some(click), row, (currency, 0, micros - click.micros));
        }
    }

    /// They count it in this period, we bill it in another one.
    fn why_elsewhere(&self, click: &OurClick, time: Option<u64>) -> Cause {
        let is_moved = self.report.zone_minutes != 0
            && self.period.contains(&time.unwrap_or_else(|| self.there(click)));
        match (click.is_late, is_moved) {
            (true, _) => Cause::Late,
            (false, true) => Cause::TimeZone,
            (false, false) => Cause::Period,
        }
    }

    /// We bill it in this period, they do not have it: since it is in another one of theirs?
    fn why_missing(&self, click: &OurClick) -> Cause {
        match (self.period.contains(&self.there(click)), self.period.contains(&click.time)) {
            (true, _) => Cause::MissingThere,
            (false, true) => Cause::TimeZone,
            (false, false) => Cause::Late,
        }
    }

    /// When a click of ours happened by their clock.
    fn there(&self, click: &OurClick) -> u64 {
        click.time.saturating_add_signed(self.report.zone_minutes * 60_000)
    }

    fn item(
        &mut self,
        cause: Cause,
        click: Option<&OurClick>,
        row: &TheirRow,
        (currency, clicks, micros): (String, i64, i128),
    ) {
        let (advertiser, ad) = match click {
            Some(click) => (click.advertiser.clone(), click.ad.clone()),
            None => (String::new(), row.ad.clone()),
        };
        let (sum, click_id) = (Sum { clicks, micros }, row.click_id.clone());
        self.report.items.push(Item { cause, advertiser, ad, currency, sum, click_id });
    }

    /// What we bill in this period and they do not have.
    fn rest(&mut self) {
        for (at, click) in self.ours.iter().enumerate() {
            let is_ours = click.class == Class::V && self.period.contains(&click.billed);
            if !is_ours || self.taken.contains(&at) {
                continue;
            }
            self.report.ours(&click.currency, 1, click.micros);
            let sum = Sum { clicks: -1, micros: -click.micros };
            let item = Item::of(self.why_missing(click), click, sum);
            self.report.items.push(item);
        }
    }
}

/// Currency and money of a row: ours where it says nothing.
fn money(row: &TheirRow, click: Option<&OurClick>) -> (String, i128) {
    let currency = row.currency.clone().or_else(|| click.map(|click| click.currency.clone()));
    let micros = row.micros.or_else(|| click.map(|click| click.micros));
    (currency.unwrap_or_else(|| "USD".to_owned()), micros.unwrap_or(0))
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
