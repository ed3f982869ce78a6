//! All ads of an advertiser in one row a minute, for stores in which ten thousand of them lie in
//! ten thousand places.
//!
//! Such a row is as absolute as those that it sums up, and has the highest of their versions: it is
//! true as of it, whoever makes it and whatever instants were skipped. Its `ad_id` is the
//! advertiser's behind a control character, which no ad's id has.

use super::sealed_at;
use click_core::policy::Timeline;
use click_core::row::{Counts, Row, RowKey};
use click_core::stage::window::PublishedRow;
use click_core::types::{Millis, Minute, Version};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

const SUMMARY: char = '\u{1}';

/// The `ad_id` under which an advertiser's sums lie.
pub fn summary_id(advertiser_id: &str) -> String {
    format!("{SUMMARY}{advertiser_id}")
}

/// Whether rows of this `ad_id` are sums.
pub fn is_summary(ad_id: &str) -> bool {
    ad_id.starts_with(SUMMARY)
}

/// Whether a row sums up others.
pub fn is_summary_row(row: &Row) -> bool {
    matches!(&*row.key, RowKey::Ad { ad_id, .. } if is_summary(ad_id))
}

/// Minute and posted minute of rows.
type Span = (Minute, Option<Minute>);

/// The sums of all rows that can still change.
#[derive(Default)]
pub struct Summaries {
    spans: BTreeMap<Span, Sums>,
}

#[derive(Default)]
struct Sums {
    /// What each row was last known to hold.
    parts: HashMap<Arc<RowKey>, Counts>,
    /// By advertiser and currency.
    sums: HashMap<(String, String), Sum>,
}

struct Sum {
    key: Arc<RowKey>,
    counts: Counts,
    version: Version,
}

impl Summaries {
    /// Takes what a row holds that nobody has to be told of.
    pub fn know(&mut self, row: &Row) {
        self.add(row);
    }

    /// Takes changed rows as of one instant; the sums that changed with them.
    pub fn put(&mut self, rows: &[PublishedRow]) -> Vec<PublishedRow> {
        let mut changed: BTreeMap<(Span, String, String), bool> = BTreeMap::new();
        for published in rows {
            if let Some((advertiser, currency)) = self.add(&published.row) {
                let span = (published.row.minute, published.row.posted_minute);
                *changed.entry((span, advertiser, currency)).or_default() |= published.decided;
            }
        }
        let row = |((span, advertiser, currency), decided)| {
            let sum = self.spans.get(&span)?.sums.get(&(advertiser, currency))?;
            let (key, counts, version) = (sum.key.clone(), sum.counts, sum.version);
            let (minute, posted_minute) = span;
            Some(PublishedRow { row: Row { key, minute, posted_minute, counts, version }, decided })
        };
        changed.into_iter().filter_map(row).collect()
    }

    /// Forgets what cannot change any more.
    pub fn forget(&mut self, watermark: Millis, timeline: &Timeline) {
        self.keep(|minute, posted| sealed_at(minute, posted, timeline) > watermark);
    }

    /// The same, where somebody else knows what can: of a minute, and a posted minute.
    pub fn keep(&mut self, can_change: impl Fn(Minute, Option<Minute>) -> bool) {
        self.spans.retain(|(minute, posted), _| can_change(*minute, *posted));
    }

    fn add(&mut self, row: &Row) -> Option<(String, String)> {
        let RowKey::Ad { currency, advertiser_id, .. } = &*row.key else { return None };
        let of_span = self.spans.entry((row.minute, row.posted_minute)).or_default();
        let old = of_span.parts.insert(row.key.clone(), row.counts).unwrap_or_default();
        let place = (advertiser_id.clone(), currency.clone());
        let sum = of_span.sums.entry(place.clone()).or_insert_with(|| Sum {
            key: Arc::new(RowKey::Ad {
                ad_id: summary_id(advertiser_id),
                currency: currency.clone(),
                campaign_id: String::new(),
                advertiser_id: advertiser_id.clone(),
            }),
            counts: Counts::default(),
            version: row.version,
        });
        sum.version = sum.version.max(row.version);
        change(&mut sum.counts, &old, &row.counts);
        Some(place)
    }
}

/// Counts of a row can fall: what is pending becomes final.
fn change(sum: &mut Counts, old: &Counts, new: &Counts) {
    sum.measured = sum.measured + new.measured - old.measured;
    sum.pending = sum.pending + new.pending - old.pending;
    for (class, sum) in sum.by_class.iter_mut().enumerate() {
        *sum = *sum + new.by_class[class] - old.by_class[class];
    }
    sum.sum_micros += new.sum_micros - old.sum_micros;
}

#[cfg(test)]
mod tests {
    use super::*;
    use click_core::verdict::CLASSES;

    fn row(ad: &str, advertiser: &str, valid: u64, at: u64) -> PublishedRow {
        let mut by_class = [0; CLASSES];
        by_class[CLASSES - 1] = valid;
        let key = RowKey::Ad {
            ad_id: ad.into(),
            currency: "USD".into(),
            campaign_id: "c".into(),
            advertiser_id: advertiser.into(),
        };
        let sum_micros = i128::from(valid) * 10;
        let counts = Counts { measured: valid + 1, pending: 1, by_class, sum_micros };
        let version = Version::new(1, Millis(at));
        let minute = Minute(7);
        let row = Row { key: key.into(), minute, posted_minute: None, counts, version };
        PublishedRow { row, decided: true }
    }

    fn told(rows: &[PublishedRow]) -> Vec<String> {
        let line = |published: &PublishedRow| {
            let RowKey::Ad { ad_id, .. } = &*published.row.key else { panic!() };
            let (counts, at) = (&published.row.counts, published.row.version.at().0);
            format!("{} {} {} {at}", &ad_id[1..], counts.measured, counts.sum_micros)
        };
        rows.iter().map(line).collect()
    }

    #[test]
    fn a_sum_follows_its_parts() {
        let mut sums = Summaries::default();
        let first =
            sums.put(&[row("a", "x", 1, 1000), row("b", "x", 2, 1000), row("c", "y", 5, 1000)]);
        assert_eq!(told(&first), ["x 5 30 1000", "y 6 50 1000"]);
        assert_eq!(told(&sums.put(&[row("b", "x", 4, 2000)])), ["x 7 50 2000"]);
        // Told again, as after a restart: nothing is counted twice.
        assert_eq!(told(&sums.put(&[row("b", "x", 4, 2000)])), ["x 7 50 2000"]);
        sums.forget(Millis(60 * 60_000), &Timeline::default());
        assert!(sums.spans.is_empty());
    }

    #[test]
    fn skipped_instants_change_nothing() {
        let (mut all, mut few) = (Summaries::default(), Summaries::default());
        for valid in 1..=5 {
            all.put(&[row("a", "x", valid, valid * 1000)]);
        }
        let last = [row("a", "x", 5, 5000), row("b", "x", 1, 3000)];
        assert_eq!(all.put(&last), few.put(&last));
    }
}
