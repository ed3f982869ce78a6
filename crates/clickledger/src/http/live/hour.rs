//! The last hour of the ad view in memory: counts per minute and per ad, kept up by differences.
//!
//! For the eye only; reports come from the store. Bounded: beyond [`MAX_ROWS`] the oldest minutes
//! stand still as they are.

use click_core::row::{Counts, RowKey};
use click_core::types::{Millis, Minute};
use click_core::verdict::{CLASSES, Class};
use click_engine::live::LiveRow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Minutes shown.
pub const MINUTES: u32 = 60;
/// Most rows remembered.
pub const MAX_ROWS: usize = 400_000;

type RowId = (Arc<RowKey>, Option<Minute>);

#[derive(Default)]
pub struct Hour {
    as_of: Millis,
    minutes: BTreeMap<Minute, OneMinute>,
    ads: HashMap<String, TopAd>,
    rows: usize,
}

#[derive(Default)]
struct OneMinute {
    sum: LiveMinute,
    /// `None` once the minute stands still.
    rows: Option<HashMap<RowId, Counts>>,
}

/// Counts of one minute over all ads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveMinute {
    /// Measured clicks.
    pub measured: u64,
    /// Not final yet.
    pub pending: u64,
    /// Final ones by class.
    pub by_class: [u64; CLASSES],
    /// Spend by currency, micro-units.
    pub spend: BTreeMap<String, i128>,
}

/// An ad's last hour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopAd {
    /// The ad.
    pub ad_id: String,
    /// Its counts over the hour.
    pub counts: LiveMinute,
}

/// The hour at a glance.
#[derive(Clone, Debug)]
pub struct HourView {
    /// True as of this watermark.
    pub as_of: Millis,
    /// Every minute of the hour, oldest first.
    pub minutes: Vec<(Minute, LiveMinute)>,
    /// The ads of most valid clicks.
    pub top: Vec<TopAd>,
    /// How many ads had a click.
    pub ads: usize,
}

impl Hour {
    /// The oldest minute shown at a watermark.
    pub fn first_minute(as_of: Millis) -> Minute {
        Minute(as_of.minute().0.saturating_sub(MINUTES - 1))
    }

    /// Lets the minutes go that are over an hour old.
    pub fn move_to(&mut self, as_of: Millis) {
        self.as_of = self.as_of.max(as_of);
        let first = Hour::first_minute(self.as_of);
        while let Some(entry) = self.minutes.first_entry()
            && *entry.key() < first
        {
            let gone = entry.remove();
            self.forget(gone.rows.unwrap_or_default());
        }
    }

    /// Takes a row's new content; returns what it held before, `None` if that is not kept up here.
    pub fn change(&mut self, live: &LiveRow) -> Option<Counts> {
        let row = &live.row;
        let RowKey::Ad { ad_id, currency, .. } = &*row.key else { return None };
        if row.minute < Hour::first_minute(self.as_of) {
            return None;
        }
        let fresh = || OneMinute { rows: Some(HashMap::new()), ..OneMinute::default() };
        let minute = self.minutes.entry(row.minute).or_insert_with(fresh);
        let rows = minute.rows.as_mut()?;
        let before = rows.insert((row.key.clone(), row.posted_minute), row.counts);
        self.rows += usize::from(before.is_none());
        let old = before.unwrap_or_default();
        minute.sum.replace(&old, &row.counts, currency);
        let ad = self.ads.entry(ad_id.clone()).or_default();
        if ad.ad_id.is_empty() {
            ad.ad_id.clone_from(ad_id);
        }
        ad.counts.replace(&old, &row.counts, currency);
        if self.rows > MAX_ROWS {
            self.freeze_oldest();
        }
        Some(old)
    }

    /// The hour as of the newest update.
    pub fn view(&self, top: usize) -> HourView {
        let last = self.as_of.minute().0;
        let minutes = Hour::first_minute(self.as_of).0..=last;
        let counts = |minute| {
            self.minutes.get(&minute).map_or_else(LiveMinute::default, |one| one.sum.clone())
        };
        let minutes = minutes.map(|minute| (Minute(minute), counts(Minute(minute))));
        let mut ads: Vec<&TopAd> = self.ads.values().collect();
        let rank = |ad: &&TopAd| {
            let counts = &ad.counts;
            let best = (counts.by_class[Class::V as usize], counts.measured);
            (std::cmp::Reverse(best), ad.ad_id.clone())
        };
        if top > 0 && ads.len() > top {
            ads.select_nth_unstable_by_key(top - 1, rank);
        }
        ads.truncate(top);
        ads.sort_by_cached_key(rank);
        let top = ads.into_iter().cloned().collect();
        HourView { as_of: self.as_of, minutes: minutes.collect(), top, ads: self.ads.len() }
    }

    /// The oldest minute's sum stays as it is; its rows are no longer told apart.
    fn freeze_oldest(&mut self) {
        let oldest = self.minutes.values_mut().find_map(|minute| minute.rows.take());
        self.forget(oldest.unwrap_or_default());
    }

    fn forget(&mut self, rows: HashMap<RowId, Counts>) {
        self.rows -= rows.len();
        for ((key, _), counts) in rows {
            let RowKey::Ad { ad_id, currency, .. } = &*key else { continue };
            if let Some(ad) = self.ads.get_mut(ad_id) {
                ad.counts.replace(&counts, &Counts::default(), currency);
                if ad.counts.measured == 0 {
                    self.ads.remove(ad_id);
                }
            }
        }
    }
}

impl LiveMinute {
    fn replace(&mut self, old: &Counts, new: &Counts, currency: &str) {
        self.measured = self.measured + new.measured - old.measured;
        self.pending = self.pending + new.pending - old.pending;
        for (index, sum) in self.by_class.iter_mut().enumerate() {
            *sum = *sum + new.by_class[index] - old.by_class[index];
        }
        let change = new.sum_micros - old.sum_micros;
        if change == 0 {
            return;
        }
        match self.spend.get_mut(currency) {
            Some(sum) => *sum += change,
            None => {
                self.spend.insert(currency.into(), change);
            }
        }
    }
}
