//! Counts per ad and time beside our clicks. Which click is meant is not known here, so within an
//! ad's minute (hour, day) as many of ours as differ are named as the reason.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use anyhow::{Result, bail};
use click_core::verdict::Class;

use super::causes::{Cause, Item, Report, Sum};
use super::ours::OurClick;
use super::theirs::TheirRow;

const QUARTER_MS: i64 = 15 * 60_000;
/// Farthest that zones are apart, quarters of an hour.
const MOST_QUARTERS: i64 = 4 * 14;
const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;

/// Ad and currency.
type Ad = (String, String);

/// Theirs of an ad in one slot of time.
#[derive(Clone, Copy, Default)]
struct Cell {
    clicks: i64,
    /// `None` if a row of it named no money.
    micros: Option<i128>,
}

/// Joins counts per `slot` ms; `period` is ours of which time, else what theirs covers.
///
/// # Errors
/// If a time of theirs does not begin a slot.
pub fn join(
    ours: &[OurClick],
    theirs: &[TheirRow],
    slot: u64,
    period: Option<Range<u64>>,
) -> Result<Report> {
    // Hours and days begin where their zone has them begin, minutes are the same everywhere.
    let first = theirs.first().and_then(|row| row.time).unwrap_or(0);
    let offset = if slot > MINUTE_MS { first % slot } else { 0 };
    let cells = cells(ours, theirs, slot, offset)?;
    let slots = cells.keys().map(|(_, at)| *at);
    let covered = slots.clone().min().unwrap_or(0)..slots.max().unwrap_or(0) + slot;
    let period = period.unwrap_or(covered);
    let cells = cells.into_iter().filter(|((_, at), _)| period.contains(at)).collect();
    let mut join = Join { ours, cells, slot, offset, shift: 0, report: Report::default() };
    join.shift = join.find_shift();
    join.report.zone_minutes = join.shift / 60_000;
    join.report.unpriced = theirs.iter().filter(|row| row.micros.is_none()).count() as u64;
    join.borders(&period);
    join.all_cells(&period);
    Ok(join.report)
}

/// Theirs by ad and slot.
fn cells(
    ours: &[OurClick],
    theirs: &[TheirRow],
    slot: u64,
    offset: u64,
) -> Result<BTreeMap<(Ad, u64), Cell>> {
    let known: HashMap<&str, &str> = ours.iter().map(|c| (&*c.ad, &*c.currency)).collect();
    let mut cells: BTreeMap<(Ad, u64), Cell> = BTreeMap::new();
    for row in theirs {
        let time = row.time.unwrap_or(0);
        if slot > MINUTE_MS && time % slot != offset {
            bail!("line {}: its time does not begin an hour or day as the first one's", row.line);
        }
        let currency = row.currency.as_deref().or_else(|| known.get(&*row.ad).copied());
        let ad = (row.ad.clone(), currency.unwrap_or("USD").to_owned());
        let empty = Cell { clicks: 0, micros: Some(0) };
        let cell = cells.entry((ad, begin(time, slot, offset))).or_insert(empty);
        cell.clicks += row.clicks;
        cell.micros = cell.micros.zip(row.micros).map(|(sum, more)| sum + more);
    }
    Ok(cells)
}

const fn begin(time: u64, slot: u64, offset: u64) -> u64 {
    (time.saturating_sub(offset)) / slot * slot + offset
}

struct Join<'a> {
    ours: &'a [OurClick],
    cells: BTreeMap<(Ad, u64), Cell>,
    slot: u64,
    offset: u64,
    /// Their times less ours, ms.
    shift: i64,
    report: Report,
}

impl Join<'_> {
    /// The slot of theirs that a click of ours is in.
    fn slot_of(&self, click: &OurClick, shift: i64) -> u64 {
        begin(click.time.saturating_add_signed(shift), self.slot, self.offset)
    }

    /// The shift by which the counts fit best, if they fit much better than without one.
    fn find_shift(&self) -> i64 {
        if self.slot > HOUR_MS {
            return 0;
        }
        let without = self.misfit(0);
        let shifts = (-MOST_QUARTERS..=MOST_QUARTERS).map(|quarters| quarters * QUARTER_MS);
        let fits = shifts.map(|shift| (self.misfit(shift), shift.abs(), shift));
        match fits.min() {
            Some((misfit, _, shift)) if misfit * 2 < without => shift,
            _ => 0,
        }
    }

    /// Clicks that would differ.
    fn misfit(&self, shift: i64) -> u64 {
        let mut counts: HashMap<(&str, u64), i64> = HashMap::new();
        for ((ad, at), cell) in &self.cells {
            *counts.entry((&ad.0, *at)).or_default() += cell.clicks;
        }
        for click in self.ours.iter().filter(|click| click.class == Class::V) {
            *counts.entry((&click.ad, self.slot_of(click, shift))).or_default() -= 1;
        }
        counts.values().map(|differ| differ.unsigned_abs()).sum()
    }

    /// Clicks that are billed in this period here and counted in another one there, or the other
    /// way round.
    fn borders(&mut self, period: &Range<u64>) {
        for click in self.ours.iter().filter(|click| click.class == Class::V) {
            let here = period.contains(&click.billed);
            let there = period.contains(&self.slot_of(click, self.shift));
            if here {
                self.report.ours(&click.currency, 1, click.micros);
            }
            if here == there {
                continue;
            }
            let cause = match (click.is_late, self.shift) {
                (true, _) => Cause::Late,
                (false, 0) => Cause::Period,
                (false, _) => Cause::TimeZone,
            };
            let clicks = if there { 1 } else { -1 };
            let sum = Sum { clicks, micros: i128::from(clicks) * click.micros };
            self.report.items.push(Item::of(cause, click, sum));
        }
    }

    fn all_cells(&mut self, period: &Range<u64>) {
        let mut ours: BTreeMap<(Ad, u64), Vec<&OurClick>> = BTreeMap::new();
        for click in self.ours {
            let at = self.slot_of(click, self.shift);
            if period.contains(&at) {
                let ad = (click.ad.clone(), click.currency.clone());
                ours.entry((ad, at)).or_default().push(click);
            }
        }
        for (place, cell) in std::mem::take(&mut self.cells) {
            let own = ours.remove(&place).unwrap_or_default();
            self.cell(&place.0, Some(cell), &own);
        }
        for ((ad, _), own) in ours {
            self.cell(&ad, None, &own);
        }
    }

    /// Theirs and ours of one ad in one slot.
    fn cell(&mut self, (ad, currency): &Ad, theirs: Option<Cell>, ours: &[&OurClick]) {
        let theirs = theirs.unwrap_or(Cell { clicks: 0, micros: Some(0) });
        let valid = ours.iter().filter(|click| click.class == Class::V);
        let own = valid.fold(Sum::default(), |mut sum, click| {
            sum.add(1, click.micros);
            sum
        });
        let advertiser = ours.first().map_or("", |click| &click.advertiser);
        let mut parts = Vec::new();
        let more = theirs.clicks - own.clicks;
        if more > 0 {
            let left = invalid(ours, more, &mut parts);
            if left > 0 {
                let micros = share(theirs.micros.unwrap_or(0), left, theirs.clicks);
                parts.push((Cause::MissingHere, Sum { clicks: left, micros }));
            }
        } else if more < 0 {
            let micros = share(own.micros, more, own.clicks);
            parts.push((Cause::MissingThere, Sum { clicks: more, micros }));
        }
        let explained: i128 = parts.iter().map(|(_, sum)| sum.micros).sum();
        let micros = theirs.micros.unwrap_or(own.micros + explained);
        self.report.theirs(currency, theirs.clicks, micros);
        let price = micros - own.micros - explained;
        if price != 0 {
            parts.push((Cause::Price, Sum { clicks: 0, micros: price }));
        }
        self.report.agreed += theirs.clicks.min(own.clicks).unsigned_abs();
        self.report.items.extend(parts.into_iter().map(|(cause, sum)| Item {
            cause,
            advertiser: advertiser.to_owned(),
            ad: ad.clone(),
            currency: currency.clone(),
            sum,
            click_id: String::new(),
        }));
    }
}

/// So many invalid clicks by class, at their prices; returns how many are not found.
fn invalid(ours: &[&OurClick], mut wanted: i64, parts: &mut Vec<(Cause, Sum)>) -> i64 {
    for class in Class::ALL.into_iter().filter(|class| *class != Class::V) {
        let mut sum = Sum::default();
        for click in ours.iter().filter(|click| click.class == class) {
            if sum.clicks < wanted {
                sum.add(1, click.micros);
            }
        }
        wanted -= sum.clicks;
        if sum.clicks > 0 {
            parts.push((Cause::Invalid(class), sum));
        }
    }
    wanted
}

/// Of the money of `all` clicks that of `some`, in whole micro-units.
fn share(micros: i128, some: i64, all: i64) -> i128 {
    if all == 0 { 0 } else { micros * i128::from(some) / i128::from(all) }
}
