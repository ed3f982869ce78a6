//! Why two counts differ, and the differences by cause: whatever is attributed adds up to the whole
//! difference, in clicks and in money, by currency.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use click_core::verdict::Class;

use super::ours::OurClick;

/// Why a click is in one count and not in the other, or at another price. In this order a click is
/// given the first that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// They count it, our log has never seen it.
    MissingHere,
    /// They count a click more often than it was clicked.
    DuplicateThere,
    /// They bill it, we have it and do not bill it: by our class.
    Invalid(Class),
    /// It came late and is billed in another period here.
    Late,
    /// Their times are of another zone, which moves it over the period's border.
    TimeZone,
    /// It is billed in another period here, for no reason above.
    Period,
    /// Both bill it, at other prices or in other currencies.
    Price,
    /// We bill it, they do not count it.
    MissingThere,
}

impl Cause {
    /// A word for tables; a class by its code.
    pub fn code(self) -> String {
        match self {
            Cause::MissingHere => "missing_here".to_owned(),
            Cause::DuplicateThere => "duplicate_there".to_owned(),
            Cause::Invalid(class) => format!("class_{}", class.code()),
            Cause::Late => "late".to_owned(),
            Cause::TimeZone => "time_zone".to_owned(),
            Cause::Period => "period".to_owned(),
            Cause::Price => "price".to_owned(),
            Cause::MissingThere => "missing_there".to_owned(),
        }
    }

    /// For people.
    pub fn told(self) -> String {
        match self {
            Cause::MissingHere => "they count it, our log has never seen it".to_owned(),
            Cause::DuplicateThere => "they count one click more than once".to_owned(),
            Cause::Invalid(class) => format!("they bill it, here it is {}", class.code()),
            Cause::Late => "it came late and is billed in another period here".to_owned(),
            Cause::TimeZone => "their times are of another time zone".to_owned(),
            Cause::Period => "it is billed in another period here".to_owned(),
            Cause::Price => "both bill it, at another price".to_owned(),
            Cause::MissingThere => "we bill it, they do not count it".to_owned(),
        }
    }
}

/// Clicks and money; of a difference: theirs less ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub clicks: i64,
    pub micros: i128,
}

impl Sum {
    pub const fn add(&mut self, clicks: i64, micros: i128) {
        self.clicks += clicks;
        self.micros += micros;
    }
}

/// A part of the difference.
#[derive(Clone, Debug)]
pub struct Item {
    pub cause: Cause,
    pub advertiser: String,
    pub ad: String,
    pub currency: String,
    pub sum: Sum,
    /// The click, where one is meant.
    pub click_id: String,
}

impl Item {
    /// Of a click of ours.
    pub fn of(cause: Cause, click: &OurClick, sum: Sum) -> Item {
        Item {
            cause,
            advertiser: click.advertiser.clone(),
            ad: click.ad.clone(),
            currency: click.currency.clone(),
            sum,
            click_id: click.click_id.clone(),
        }
    }
}

/// A part of the difference of an ad: advertiser, ad, currency and cause.
pub type OfAd = (String, String, String, Cause);

/// What was found.
#[derive(Default)]
pub struct Report {
    /// By currency.
    pub theirs: BTreeMap<String, Sum>,
    pub ours: BTreeMap<String, Sum>,
    /// Clicks that both bill in this period.
    pub agreed: u64,
    pub items: Vec<Item>,
    /// Their times less ours, minutes, if that is a whole number of quarters of an hour.
    pub zone_minutes: i64,
    /// Rows of theirs that name no money.
    pub unpriced: u64,
}

impl Report {
    pub fn theirs(&mut self, currency: &str, clicks: i64, micros: i128) {
        self.theirs.entry(currency.to_owned()).or_default().add(clicks, micros);
    }

    pub fn ours(&mut self, currency: &str, clicks: i64, micros: i128) {
        self.ours.entry(currency.to_owned()).or_default().add(clicks, micros);
    }

    /// Theirs less ours, by currency.
    pub fn difference(&self) -> BTreeMap<String, Sum> {
        let mut difference = self.theirs.clone();
        for (currency, sum) in &self.ours {
            difference.entry(currency.clone()).or_default().add(-sum.clicks, -sum.micros);
        }
        difference
    }

    /// Whether anything differs at all.
    pub fn differs(&self) -> bool {
        !self.items.is_empty()
    }

    /// The causes' sums, by currency.
    pub fn by_cause(&self) -> BTreeMap<(String, Cause), Sum> {
        self.grouped(|item| (item.currency.clone(), item.cause))
    }

    /// By advertiser, ad, currency and cause, the greatest first.
    pub fn by_ad(&self) -> Vec<(OfAd, Sum)> {
        let key = |item: &Item| {
            let (advertiser, ad) = (item.advertiser.clone(), item.ad.clone());
            (advertiser, ad, item.currency.clone(), item.cause)
        };
        let mut ads: Vec<_> = self.grouped(key).into_iter().collect();
        ads.sort_by_key(|(_, sum)| std::cmp::Reverse((sum.micros.abs(), sum.clicks.abs())));
        ads
    }

    /// Theirs, ours and the difference, by currency.
    pub fn totals(&self) -> impl Iterator<Item = (String, [Sum; 3])> {
        let of = |sums: &BTreeMap<String, Sum>, currency: &String| {
            sums.get(currency).copied().unwrap_or_default()
        };
        self.difference().into_iter().map(move |(currency, difference)| {
            let sums = [of(&self.theirs, &currency), of(&self.ours, &currency), difference];
            (currency, sums)
        })
    }

    fn grouped<K: Ord>(&self, key: impl Fn(&Item) -> K) -> BTreeMap<K, Sum> {
        let mut sums = BTreeMap::new();
        for item in &self.items {
            let sum: &mut Sum = sums.entry(key(item)).or_default();
            sum.add(item.sum.clicks, item.sum.micros);
        }
        sums
    }

    /// # Errors
    /// If the causes do not add up to the difference: a defect of this program.
    pub fn check(&self) -> Result<()> {
        let mut attributed: BTreeMap<String, Sum> = BTreeMap::new();
        for ((currency, _), sum) in self.by_cause() {
            attributed.entry(currency).or_default().add(sum.clicks, sum.micros);
        }
        for (currency, whole) in self.difference() {
            let part = attributed.remove(&currency).unwrap_or_default();
            ensure!(part == whole, "{currency}: {part:?} is attributed of {whole:?}");
        }
        ensure!(attributed.is_empty(), "attributed without a difference: {attributed:?}");
        Ok(())
    }
}
