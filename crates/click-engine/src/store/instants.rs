//! Rows that come in any order and in several lanes, put together to whole instants, as of which
//! sums by advertiser can be made.
//!
//! An instant is whole once every lane has told so of every key group: rows are then true as of it,
//! and so are sums. Which instants those are does not matter, since rows and sums are absolute.
//! Must never make a sum of a row that is older or newer than the others of it.

use super::Summaries;
use click_core::limits::{GRID_MS, LOOK_AHEAD_MS};
use click_core::row::{Row, RowId};
use click_core::stage::window::PublishedRow;
use click_core::types::{Millis, Minute};
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

/// One bit for each key group.
type Groups = u128;
/// Minute and posted minute of rows.
type Span = (Minute, Option<Minute>);

/// Clicks that a host kept to itself as long as they were undecided are in rows after that.
const UNDECIDED_MS: u64 = LOOK_AHEAD_MS + GRID_MS;

/// What a reader comes upon behind rows: all of some key groups that changed up to an instant are
/// in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The first key group.
    pub first: u8,
    /// The one behind the last.
    pub end: u8,
    /// The instant.
    pub at: Millis,
    /// The first minute whose ordinary rows can still change after it, if the rows in front include
    /// those in which only undecided clicks are new.
    pub open_from: Option<Minute>,
}

/// Rows on their way to a store with sums.
pub struct Instants {
    summaries: Summaries,
    lanes: Vec<Lane>,
    /// The newest of each row up to `not_before`.
    early: HashMap<RowId, PublishedRow>,
    /// Rows that changed after that, by the instant of their version.
    later: BTreeMap<Millis, HashMap<RowId, PublishedRow>>,
    /// No earlier instant is whole: rows of some may have gone in favour of later ones.
    not_before: Millis,
    /// The store has everything that changed up to this.
    handed: Millis,
    /// Nothing has been handed out since the beginning, or since rows may have gone.
    is_gap: bool,
    begun: bool,
    /// Rows of these can still change: by lane, where the first of them is.
    open: BTreeMap<Span, Vec<u64>>,
    /// Marks came that sums cannot be made of.
    without_undecided: bool,
}

#[derive(Default)]
struct Lane {
    /// What was told of instants that nothing has been handed out as of.
    told: BTreeMap<Millis, Told>,
}

/// What a lane's marks say of an instant.
struct Told {
    /// Groups that are whole as of it.
    groups: Groups,
    /// The least that was told.
    open_from: Minute,
    /// Where the first of the marks is.
    place: u64,
}

/// What a store is to be given: rows and sums, behind which it has everything up to the mark.
#[derive(Debug, PartialEq, Eq)]
pub struct WholeInstant {
    /// Rows and sums, in no order.
    pub rows: Vec<Row>,
    /// The instant.
    pub mark: Millis,
}

impl Instants {
    /// Of so many lanes, for a store that has everything up to `known`.
    pub fn new(lanes: usize, known: Millis) -> Instants {
        Instants {
            summaries: Summaries::default(),
            lanes: (0..lanes).map(|_| Lane::default()).collect(),
            early: HashMap::new(),
            later: BTreeMap::new(),
            not_before: known,
            handed: known,
            is_gap: true,
            begun: false,
            open: BTreeMap::new(),
            without_undecided: false,
        }
    }

    /// Takes a row from this place of a lane.
    ///
    /// # Errors
    /// Two contents of one version, in words.
    pub fn put_row(&mut self, lane: usize, place: u64, new: PublishedRow) -> Result<(), String> {
        let at = new.row.version.at();
        if self.begun && at <= self.handed {
            return Ok(());
        }
        let span = (new.row.minute, new.row.posted_minute);
        let places = self.open.entry(span).or_insert_with(|| vec![u64::MAX; self.lanes.len()]);
        places[lane] = places[lane].min(place);
        let early = at <= self.not_before;
        let rows = if early { &mut self.early } else { self.later.entry(at).or_default() };
        put_newest(rows, new)
    }

    /// Takes a mark from this place of a lane.
    pub fn put_mark(&mut self, lane: usize, place: u64, mark: Mark) {
        let groups = (mark.first..mark.end).fold(0, |groups: Groups, group| groups | 1 << group);
        let told = &mut self.lanes[lane].told;
        // Who goes back hands out again what it takes back.
        let later = told.range_mut((Bound::Excluded(mark.at), Bound::Unbounded));
        later.for_each(|(_, told)| told.groups &= !groups);
        let Some(open_from) = mark.open_from else {
            self.without_undecided = true;
            self.begin_at(mark.at.plus(UNDECIDED_MS));
            return;
        };
        if mark.at > self.handed || !self.begun {
            let new = Told { groups: 0, open_from, place };
            let told = told.entry(mark.at).or_insert(new);
            told.groups |= groups;
            told.open_from = told.open_from.min(open_from);
        }
    }

    /// Rows may be missing in favour of later ones, the newest of which changed at `newest`.
    pub fn may_lack(&mut self, newest: Millis) {
        self.is_gap = true;
        self.begin_at(newest);
    }

    fn begin_at(&mut self, at: Millis) {
        if at <= self.not_before {
            return;
        }
        self.not_before = at;
        let later = self.later.split_off(&at.plus(1));
        for row in std::mem::replace(&mut self.later, later).into_values().flatten().map(second) {
            keep_newest(&mut self.early, row);
        }
    }

    /// The newest whole instant, if there is a new one.
    pub fn take(&mut self) -> Option<WholeInstant> {
        let (mark, open_from) = self.newest_whole()?;
        let later = self.later.split_off(&mark.plus(1));
        let mut rows = std::mem::take(&mut self.early);
        for row in std::mem::replace(&mut self.later, later).into_values().flatten().map(second) {
            keep_newest(&mut rows, row);
        }
        let mut rows: Vec<PublishedRow> = rows.into_values().collect();
        rows.append(&mut self.summaries.put(&rows));
        // A change of `pending` alone is told to live views only; behind a gap nobody knows.
        let is_due = |published: &PublishedRow| {
            (published.decided || self.is_gap) && published.row.version.at() > self.handed
        };
        rows.retain(is_due);
        (self.handed, self.is_gap, self.begun) = (mark, false, true);
        self.forget(open_from);
        let rows = rows.into_iter().map(|published| published.row).collect();
        Some(WholeInstant { rows, mark })
    }

    fn newest_whole(&self) -> Option<(Millis, Minute)> {
        let (first, others) = self.lanes.split_first()?;
        let least = if self.begun { self.handed.plus(1) } else { self.not_before };
        let mut told = first.told.range(self.not_before.max(least)..).rev();
        told.find_map(|(at, _)| {
            let of_others = others.iter().map(|lane| lane.of(*at));
            let least = std::iter::once(first.of(*at)).chain(of_others).min()?;
            least.map(|open_from| (*at, open_from))
        })
    }

    fn forget(&mut self, open_from: Minute) {
        let handed = self.handed;
        let is_open = |minute: Minute, posted: Option<Minute>| match posted {
            None => minute >= open_from,
            Some(posted) => posted.end().plus(LOOK_AHEAD_MS) > handed,
        };
        self.summaries.keep(is_open);
        self.open.retain(|(minute, posted), _| is_open(*minute, *posted));
        for lane in &mut self.lanes {
            lane.told = lane.told.split_off(&handed.plus(1));
        }
    }

    /// Where in a lane a reader has to begin that is to know all that this one does, unless there
    /// is nothing of it: the first row that can still change, or mark that has not been gone by.
    pub fn needed_from(&self, lane: usize) -> Option<u64> {
        let rows = self.open.values().map(|places| places[lane]);
        let marks = self.lanes[lane].told.values().map(|told| told.place);
        rows.chain(marks).min().filter(|place| *place < u64::MAX)
    }

    /// Rows that wait until an instant is whole.
    pub fn waiting(&self) -> usize {
        self.early.len() + self.later.values().map(HashMap::len).sum::<usize>()
    }

    /// Lanes that are farther than another one.
    pub fn ahead(&self) -> Vec<bool> {
        let newest = |lane: &Lane| lane.told.last_key_value().map(|(at, _)| *at);
        let least = self.lanes.iter().map(newest).min().flatten();
        self.lanes.iter().map(|lane| newest(lane) > least).collect()
    }

    /// Whether marks came of rows without undecided clicks since this was asked.
    pub const fn take_without_undecided(&mut self) -> bool {
        std::mem::replace(&mut self.without_undecided, false)
    }
}

impl Lane {
    /// The first minute that can change after an instant that is whole in this lane.
    fn of(&self, at: Millis) -> Option<Minute> {
        let told = self.told.get(&at)?;
        (told.groups == Groups::MAX).then_some(told.open_from)
    }
}

fn second<A, B>((_, second): (A, B)) -> B {
    second
}

fn put_newest(rows: &mut HashMap<RowId, PublishedRow>, new: PublishedRow) -> Result<(), String> {
    if let Some(known) = rows.get(&new.row.id())
        && known.row.version == new.row.version
        && known.row != new.row
    {
        return Err(format!("two contents of one version: {:?}", new.row));
    }
    keep_newest(rows, new);
    Ok(())
}

/// A verdict among the changes that are left out is one among those that stay.
fn keep_newest(rows: &mut HashMap<RowId, PublishedRow>, mut new: PublishedRow) {
    let known = rows.entry(new.row.id()).or_insert_with(|| new.clone());
    let decided = known.decided | new.decided;
    if new.row.version > known.row.version {
        std::mem::swap(known, &mut new);
    }
    known.decided = decided;
}

#[cfg(test)]
mod tests {
    use super::*;
    use click_core::row::{Counts, RowKey};
    use click_core::types::Version;
    use click_core::verdict::CLASSES;

    const GROUPS: [(u8, u8); 2] = [(0, 50), (50, 128)];

    /// Small numbers, the same of each seed.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, end: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.0 >> 33) % end
        }
    }

    enum Item {
        Row(PublishedRow),
        Mark(Mark),
    }

    /// Clicks of some ads, each pending for an instant, as a job hands out their rows: in two
    /// lanes, by two instances, each of which skips some instants.
    struct Job {
        lanes: Vec<Vec<Item>>,
        /// Every row and sum at each of its versions.
        truth: BTreeMap<RowId, BTreeMap<Version, Row>>,
        end: Millis,
    }

    fn row(ad: u64, minute: Minute) -> Row {
        let key = RowKey::Ad {
            ad_id: format!("ad-{ad}"),
            currency: "USD".into(),
            campaign_id: "c".into(),
            advertiser_id: format!("adv-{}", ad % 3),
        };
        let (counts, version) = (Counts::default(), Version::new(1, Millis(0)));
        Row { key: key.into(), minute, posted_minute: None, counts, version }
    }

    impl Job {
        fn run(seed: u64) -> Job {
            let (mut dice, mut truth) = (Dice(seed), BTreeMap::new());
            let mut lanes: Vec<Vec<Item>> = vec![Vec::new(), Vec::new()];
            let mut rows: BTreeMap<(u64, Minute), (Row, bool, bool)> = BTreeMap::new();
            let mut sums = Summaries::default();
            let instants = 200;
            for instant in 1..=instants {
                let at = Millis(instant * GRID_MS);
                let mut changed = Vec::new();
                for ((_, minute), (row, decided, waits)) in &mut rows {
                    let comes = minute.0 == at.minute().0 && dice.below(3) == 0;
                    let comes = comes && instant + 1 < instants;
                    let was = row.counts.pending;
                    if was == 0 && !comes {
                        continue;
                    }
                    row.counts.by_class[CLASSES - 1] += was;
                    row.counts.pending = u64::from(comes);
                    row.counts.measured += u64::from(comes);
                    row.counts.sum_micros += i128::from(was) * 7;
                    row.version = Version::new(1, at);
                    (*decided, *waits) = (*decided | (was > 0), true);
                    changed.push(PublishedRow { row: row.clone(), decided: *decided });
                }
                for ad in 0..9 {
                    let new = || (row(ad, at.minute()), false, false);
                    rows.entry((ad, at.minute())).or_insert_with(new);
                }
                let summed = sums.put(&changed);
                for published in changed.into_iter().chain(summed) {
                    let of = truth.entry(published.row.id()).or_insert_with(BTreeMap::new);
                    of.insert(published.row.version, published.row);
                }
                for (instance, (first, end)) in (0..).zip(GROUPS) {
                    if dice.below(3) > 0 && instant < instants {
                        continue;
                    }
                    let own = |ad: u64| ad % 2 == instance;
                    for ((ad, _), (row, decided, waits)) in &mut rows {
                        if own(*ad) && std::mem::take(waits) {
                            let decided = std::mem::take(decided);
                            let published = PublishedRow { row: row.clone(), decided };
                            lanes[usize::from(*ad / 2 % 2 == 1)].push(Item::Row(published));
                        }
                    }
                    let open_from = Some(Minute(at.minute().0.saturating_sub(1)));
                    let mark = Mark { first, end, at, open_from };
                    lanes.iter_mut().for_each(|lane| lane.push(Item::Mark(mark)));
                }
            }
            Job { lanes, truth, end: Millis(instants * GRID_MS) }
        }

        /// What is given to a store has to be true as of its version.
        fn check(&self, whole: &WholeInstant) {
            for row in &whole.rows {
                let versions = &self.truth[&row.id()];
                assert_eq!(versions.get(&row.version), Some(row), "at {:?}", whole.mark);
            }
        }
    }

    /// Reads a job's lanes with deaths between, and compares what the store holds at the end.
    fn post(seed: u64, gone: bool) {
        let mut job = Job::run(seed);
        let mut dice = Dice(seed + 1);
        let mut places: Vec<Vec<u64>> = Vec::new();
        for lane in &mut job.lanes {
            let all = std::mem::take(lane).into_iter().zip(0..);
            let (items, at) = if gone { compact(all.collect()) } else { all.unzip() };
            *lane = items;
            places.push(at);
        }
        let mut store: BTreeMap<RowId, Row> = BTreeMap::new();
        let mut confirmed = (Millis(0), [0, 0]);
        for life in 0.. {
            let (mut next, mut died) = (confirmed.1, false);
            let mut instants = Instants::new(2, confirmed.0);
            while !died && confirmed.0 < job.end {
                died = life < 8 && dice.below(60) == 0;
                let lane = usize::from(dice.below(2) == 1);
                for _ in 0..dice.below(30) {
                    let at = places[lane].partition_point(|place| *place < next[lane]);
                    let Some(item) = job.lanes[lane].get(at) else { break };
                    let place = places[lane][at];
                    next[lane] = place + 1;
                    match item {
                        Item::Row(row) => {
                            if gone {
                                instants.may_lack(row.row.version.at());
                            }
                            instants.put_row(lane, place, row.clone()).unwrap();
                        }
                        Item::Mark(mark) => instants.put_mark(lane, place, *mark),
                    }
                }
                let at_end = (0..2).all(|lane| places[lane].last() < Some(&next[lane]));
                let Some(whole) = (!gone || at_end).then(|| instants.take()).flatten() else {
                    assert!(!at_end || died, "seed {seed}: nothing is whole at the end");
                    continue;
                };
                job.check(&whole);
                for row in whole.rows {
                    let newest = store.entry(row.id()).or_insert_with(|| row.clone());
                    if row.version > newest.version {
                        *newest = row;
                    }
                }
                let needed = |lane| instants.needed_from(lane).unwrap_or(next[lane]);
                confirmed = (whole.mark, [needed(0), needed(1)]);
            }
            if confirmed.0 >= job.end {
                break;
            }
        }
        let newest = |versions: &BTreeMap<Version, Row>| versions.values().next_back().cloned();
        let truth: BTreeMap<RowId, Row> =
            job.truth.iter().map(|(id, of)| (id.clone(), newest(of).unwrap())).collect();
        assert_eq!(store, truth, "seed {seed}");
    }

    /// The last record of each key.
    fn compact(all: Vec<(Item, u64)>) -> (Vec<Item>, Vec<u64>) {
        let key = |item: &Item| match item {
            Item::Row(row) => (Some(row.row.id()), 0),
            Item::Mark(mark) => (None, mark.first),
        };
        let last: BTreeMap<_, u64> = all.iter().map(|(item, at)| (key(item), *at)).collect();
        all.into_iter().filter(|(item, at)| last[&key(item)] == *at).unzip()
    }

    #[test]
    fn rows_and_sums_are_those_of_the_engine_whoever_dies() {
        (0..200).for_each(|seed| post(seed, false));
    }

    #[test]
    fn nothing_is_made_of_what_compaction_left_before_its_end() {
        (0..50).for_each(|seed| post(seed, true));
    }
}
