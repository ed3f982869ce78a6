//! Every row's whole history, put together from the reference's verdicts.
//!
//! The reference counts all clicks anew for each instant asked; this remembers the answers, so
//! that each of a run's rows can be compared. `agrees_at` holds it against the reference itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::bridge::PlainKey;
use crate::reference::{
    CLASSES, GRID_MS, LOOK_AHEAD_MS, MINUTE_MS, PlainClick, PlainPayload, PlainRecord, PlainRow,
    Position, Reference, Verdict,
};

/// What is true of a log, as of any instant.
pub struct History {
    pub reference: Reference,
    pub fold_times: BTreeMap<Position, u64>,
    /// All verdicts, whenever they become final.
    pub verdicts: BTreeMap<Position, Verdict>,
    /// Records that no click comes of: undecodable ones, and policies refused or misplaced.
    pub dead_letters: BTreeSet<Position>,
    pub repeats: BTreeSet<Position>,
    /// Contents by the instant from which each is true.
    rows: BTreeMap<PlainKey, Vec<(u64, PlainRow)>>,
    pub least_horizon_ms: u64,
}

struct Change {
    at: u64,
    is_final: bool,
    class: &'static str,
    micros: u64,
}

impl History {
    #[must_use]
    pub fn new(records: &[PlainRecord], partitions: u32) -> Self {
        let reference = Reference::new(records.to_vec(), partitions);
        let fold_times = reference.fold_times();
        let verdicts = reference.verdicts(u64::MAX);
        let rows = rows(&reference, records, &fold_times, &verdicts);
        let mut dead_letters: BTreeSet<Position> =
            reference.dead_letters(u64::MAX).into_iter().collect();
        dead_letters.extend(reference.refused_policies(u64::MAX));
        dead_letters.extend(reference.refused_layouts(u64::MAX));
        dead_letters.extend(records.iter().filter(|r| is_misplaced(r)).map(PlainRecord::position));
        let repeats = reference.repeats(u64::MAX).into_iter().collect();
        let least_horizon_ms = least_horizon(records);
        let (fold_times, verdicts) = (fold_times, verdicts);
        Self { reference, fold_times, verdicts, dead_letters, repeats, rows, least_horizon_ms }
    }

    /// The content of a row as of `at`, if a click of it is known then.
    #[must_use]
    pub fn row_at(&self, key: &PlainKey, at: u64) -> Option<&PlainRow> {
        content_at(self.rows.get(key)?, at)
    }

    /// All rows as of `at`.
    pub fn rows_at(&self, at: u64) -> impl Iterator<Item = (&PlainKey, &PlainRow)> {
        let all = self.rows.iter();
        all.filter_map(move |(key, contents)| Some((key, content_at(contents, at)?)))
    }

    /// The instant from which a row cannot change.
    #[must_use]
    pub fn sealed_at(&self, key: &PlainKey) -> u64 {
        let (minute, posted) = match key {
            PlainKey::Ad((_, minute, posted, ..)) => (*minute, *posted),
            PlainKey::Publisher((_, _, minute, posted, _)) => (*minute, *posted),
        };
        self.reference.sealed_at(minute, posted)
    }

    /// How many of these positions have a `fold_time` at or below `at`, less `after`.
    #[must_use]
    pub fn known<'a>(
        &self,
        positions: impl Iterator<Item = &'a Position>,
        at: u64,
        after: u64,
    ) -> usize {
        positions.filter(|position| self.fold_times[*position] + after <= at).count()
    }

    /// Holds the rows as of `at` against the reference's own.
    ///
    /// # Panics
    /// If they differ.
    pub fn agrees_at(&self, at: u64) {
        let by_ad = self.reference.rows_by_ad(at).into_iter();
        let by_publisher = self.reference.rows_by_publisher(at).into_iter();
        let all: BTreeMap<PlainKey, PlainRow> = by_ad
            .map(|(key, row)| (PlainKey::Ad(key), row))
            .chain(by_publisher.map(|(key, row)| (PlainKey::Publisher(key), row)))
            .collect();
        let mine = self.rows_at(at).map(|(key, row)| (key.clone(), row.clone())).collect();
        assert_eq!(all, mine, "the remembered rows are not the reference's at {at}");
    }
}

fn content_at(contents: &[(u64, PlainRow)], at: u64) -> Option<&PlainRow> {
    let next = contents.partition_point(|(from, _)| *from <= at);
    next.checked_sub(1).map(|index| &contents[index].1)
}

fn is_misplaced(record: &PlainRecord) -> bool {
    let is_policy = matches!(record.payload, PlainPayload::Policy(_));
    is_policy && record.partition > 0 && !record.payload.is_undecodable()
}

fn least_horizon(records: &[PlainRecord]) -> u64 {
    let named = records.iter().filter_map(|record| match &record.payload {
        PlainPayload::Policy(policy) => Some(policy.horizon_ms),
        PlainPayload::Undecodable(_)
        | PlainPayload::Click(_)
        | PlainPayload::Tick { .. }
        | PlainPayload::Heartbeat(_)
        | PlainPayload::Header(_)
        | PlainPayload::Layout(_) => None,
    });
    named.chain([crate::reference::PlainPolicy::default().horizon_ms]).min().unwrap_or(0)
}

fn rows(
    reference: &Reference,
    records: &[PlainRecord],
    fold_times: &BTreeMap<Position, u64>,
    verdicts: &BTreeMap<Position, Verdict>,
) -> BTreeMap<PlainKey, Vec<(u64, PlainRow)>> {
    let mut changes: BTreeMap<PlainKey, Vec<Change>> = BTreeMap::new();
    for record in records {
        let (position, PlainPayload::Click(click)) = (record.position(), &record.payload) else {
            continue;
        };
        let Some(verdict) = verdicts.get(&position) else { continue };
        let fold_time = fold_times[&position];
        let minute = click.received_at.min(fold_time) / MINUTE_MS;
        let late = reference.sealed_at(minute, None) - LOOK_AHEAD_MS <= fold_time;
        let posted = late.then_some(fold_time / MINUTE_MS);
        for (key, micros) in keys(click, minute, posted) {
            let change = |at, is_final| Change { at, is_final, class: verdict.class, micros };
            let of_row = changes.entry(key).or_default();
            of_row.push(change(fold_time + 1, false));
            of_row.push(change(fold_time + LOOK_AHEAD_MS, true));
        }
    }
    changes.into_iter().map(|(key, changes)| (key, contents(changes))).collect()
}

fn keys(click: &PlainClick, minute: u64, posted: Option<u64>) -> [(PlainKey, u64); 2] {
    let c = click.clone();
    let ad = (c.ad_id, minute, posted, c.currency.clone(), c.campaign_id, c.advertiser_id);
    let publisher = (c.publisher_id, c.placement_id, minute, posted, c.currency);
    let views = (PlainKey::Ad(ad), PlainKey::Publisher(publisher));
    [(views.0, click.price_micros), (views.1, click.payout_micros)]
}

fn contents(mut changes: Vec<Change>) -> Vec<(u64, PlainRow)> {
    changes.sort_by_key(|change| change.at);
    let mut row = PlainRow::default();
    let mut contents: Vec<(u64, PlainRow)> = Vec::new();
    for change in changes {
        if change.is_final {
            row.pending -= 1;
            let class = CLASSES.iter().position(|class| *class == change.class);
            row.counts[class.unwrap_or(0)] += 1;
            row.sum += if change.class == "V" { i128::from(change.micros) } else { 0 };
        } else {
            row.measured += 1;
            row.pending += 1;
        }
        row.version_ms = change.at.next_multiple_of(GRID_MS);
        match contents.last_mut() {
            Some((at, content)) if *at == change.at => *content = row.clone(),
            _ => contents.push((change.at, row.clone())),
        }
    }
    contents
}
