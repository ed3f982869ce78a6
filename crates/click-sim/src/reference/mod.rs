//! The specification as plain code: sort, loop, map. It is the slow model that every clever
//! implementation must equal to the unit.
//!
//! Owns its own record types and every rule of SPEC §2 to §5 and §8, and the CSV of §11.
//! Must never import the code it checks, keep state between calls, or be made fast: where a
//! double loop is plainer than a clever structure, the double loop stays.

mod fold_time;
mod gaps;
mod layout;
mod policy;
mod record;
mod rows;
mod show;
mod verdict;

use std::collections::BTreeMap;

pub use gaps::TrackerKey;
pub use record::{
    MAX_MICROS, MAX_TIME_MS, PlainClick, PlainHeader, PlainHeartbeat, PlainIdentity, PlainIp,
    PlainLayout, PlainPayload, PlainPolicy, PlainPrevious, PlainRecord, Position,
};
pub use rows::{AdKey, PlainRow, PublisherKey};
pub use verdict::{CLASSES, Verdict};

use fold_time::Folded;
use layout::Layouts;
use policy::Policies;
use verdict::Judged;

/// SPEC, constants: the look-ahead L, after which a verdict is final.
pub const LOOK_AHEAD_MS: u64 = 1_000;
/// SPEC, constants: how far a sender's clock may lag or lead.
pub const SKEW_MS: u64 = 5 * 60_000;
/// SPEC §4, D2: how long a click is remembered for the double-click rule.
pub const DOUBLE_CLICK_MEMORY_MS: u64 = 10 * 60_000;
/// SPEC §4, G3: both spans of a burst are below this.
pub const BURST_SPAN_MS: u64 = 1_000;
/// SPEC §5: rows are published at multiples of this.
pub const GRID_MS: u64 = 1_000;
/// A minute of the ledger.
pub const MINUTE_MS: u64 = 60_000;

/// The whole ledger of one log, computed at once from all its records.
pub struct Reference {
    layouts: Layouts,
    generation: u16,
    /// All records in fold order (SPEC §3).
    folded: Vec<Folded>,
    policies: Policies,
    repeats: Vec<(u64, Position)>,
    /// All clicks that are no transport repeats, in fold order.
    clicks: Vec<Judged>,
}

impl Reference {
    /// `records` of one partition stand in offset order; partitions may be interleaved in any
    /// way. `partitions` is the log's P (SPEC §1) at its beginning: layout records add to it
    /// (decision 18).
    ///
    /// # Panics
    /// If a record is in a partition that the log never has.
    #[must_use]
    pub fn new(records: Vec<PlainRecord>, partitions: u32) -> Self {
        let first = fold_time::in_fold_order(records.clone(), |_| Some(0));
        let layouts = Layouts::read(&first, partitions);
        let folded = fold_time::in_fold_order(records, |partition| layouts.begin(partition));
        let policies = Policies::read(&folded);
        let repeats = gaps::repeats(&folded, &policies);
        let clicks = verdict::judge(&folded, &repeats, &policies);
        let generation = generation(&folded);
        Self { layouts, generation, folded, policies, repeats, clicks }
    }

    /// The generation that the header states; 0 without a header (SPEC §5).
    #[must_use]
    pub fn generation(&self) -> u16 {
        self.generation
    }

    /// W: the least of the partitions' last `fold_time`s; while a partition is empty, the instant
    /// at which it begins (SPEC §3).
    #[must_use]
    pub fn watermark(&self) -> u64 {
        let last = |(partition, begin)| {
            let of_partition = self.folded.iter().filter(|f| f.record.partition == partition);
            of_partition.map(|f| f.fold_time).max().unwrap_or(begin)
        };
        self.layouts.begins().map(last).min().unwrap_or(0)
    }

    /// How many partitions the log has as of `w`: those that begin before it.
    #[must_use]
    pub fn partitions(&self, w: u64) -> usize {
        self.layouts.begins().filter(|(_, begin)| *begin == 0 || *begin < w).count()
    }

    /// The last grid instant at or below W: what `show` tells of.
    #[must_use]
    pub fn last_grid_instant(&self) -> u64 {
        self.watermark() / GRID_MS * GRID_MS
    }

    /// The `fold_time` of every record (SPEC §3).
    #[must_use]
    pub fn fold_times(&self) -> BTreeMap<Position, u64> {
        self.folded.iter().map(|f| (f.record.position(), f.fold_time)).collect()
    }

    /// The verdicts that are final as of `w` (SPEC §4).
    #[must_use]
    pub fn verdicts(&self, w: u64) -> BTreeMap<Position, Verdict> {
        let is_final = |c: &&Judged| c.fold_time + LOOK_AHEAD_MS <= w;
        self.clicks.iter().filter(is_final).map(|c| (c.position, c.verdict())).collect()
    }

    /// The rows of the ad view, true as of `at` (SPEC §5).
    #[must_use]
    pub fn rows_by_ad(&self, at: u64) -> BTreeMap<AdKey, PlainRow> {
        rows::rows(&self.clicks, at, rows::ad_key, |c| c.price_micros)
    }

    /// The rows of the publisher view, true as of `at` (SPEC §5).
    #[must_use]
    pub fn rows_by_publisher(&self, at: u64) -> BTreeMap<PublisherKey, PlainRow> {
        rows::rows(&self.clicks, at, rows::publisher_key, |c| c.payout_micros)
    }

    /// The W at which a row is sealed, or an adjustment row final (SPEC §5).
    #[must_use]
    pub fn sealed_at(&self, minute: u64, posted_minute: Option<u64>) -> u64 {
        match posted_minute {
            Some(posted) => rows::end_of(posted) + LOOK_AHEAD_MS,
            None => rows::unposted_until(minute, &self.policies) + LOOK_AHEAD_MS,
        }
    }

    /// Records missing per tracker, epoch and partition as of `w`, where any are (SPEC §2).
    #[must_use]
    pub fn gaps(&self, w: u64) -> BTreeMap<TrackerKey, u64> {
        gaps::open_gaps(&self.folded, &self.policies, w)
    }

    /// Records dropped as transport repeats as of `w` (SPEC §2), by position.
    #[must_use]
    pub fn repeats(&self, w: u64) -> Vec<Position> {
        let mut found: Vec<Position> =
            self.repeats.iter().filter(|(time, _)| *time < w).map(|(_, p)| *p).collect();
        found.sort_unstable();
        found
    }

    /// Undecodable records as of `w` (SPEC §10), by position.
    #[must_use]
    pub fn dead_letters(&self, w: u64) -> Vec<Position> {
        let undecodable = |f: &&Folded| f.record.payload.is_undecodable();
        self.positions(w, undecodable)
    }

    /// Policy records of partition 0 that break a limit, as of `w` (SPEC §8), by position.
    #[must_use]
    pub fn refused_policies(&self, w: u64) -> Vec<Position> {
        self.positions(w, |f| self.policies.refused.contains(&f.record.position()))
    }

    /// `show --format csv [--with-version]` (SPEC §11).
    #[must_use]
    pub fn show_ads(&self, with_version: bool) -> String {
        let rows = self.rows_by_ad(self.last_grid_instant());
        show::ads(&rows, with_version.then_some(self.generation))
    }

    /// `show --format csv --by publisher [--with-version]` (SPEC §11).
    #[must_use]
    pub fn show_publishers(&self, with_version: bool) -> String {
        let rows = self.rows_by_publisher(self.last_grid_instant());
        show::publishers(&rows, with_version.then_some(self.generation))
    }

    /// `show --verdicts` (SPEC §11): the final ones.
    #[must_use]
    pub fn show_verdicts(&self) -> String {
        let click_id = |c: &Judged| (c.position, c.click.click_id.clone());
        let click_ids = self.clicks.iter().map(click_id).collect();
        show::verdicts(&self.verdicts(self.last_grid_instant()), &click_ids)
    }

    /// Layout records that do not follow what is in force, as of `w`, by position.
    #[must_use]
    pub fn refused_layouts(&self, w: u64) -> Vec<Position> {
        self.positions(w, |f| self.layouts.refused.contains(&f.position()))
    }

    fn positions(&self, w: u64, wanted: impl Fn(&&Folded) -> bool) -> Vec<Position> {
        let known = self.folded.iter().filter(|f| f.fold_time < w);
        let mut found: Vec<Position> = known.filter(wanted).map(|f| f.record.position()).collect();
        found.sort_unstable();
        found
    }
}

/// Only the first record of partition 0 can be the header (SPEC §1).
fn generation(folded: &[Folded]) -> u16 {
    let of_zero = folded.iter().filter(|f| f.record.partition == 0);
    match of_zero.min_by_key(|f| f.record.offset).map(|f| &f.record.payload) {
        Some(PlainPayload::Header(header)) => header.generation,
        _ => 0,
    }
}
