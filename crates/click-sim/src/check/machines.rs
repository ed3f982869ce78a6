//! The stages spread over machines, as Flink or Spark would run them: each stage several times
//! over, batches split, joined and out of order, stages behind one another, and now and then all
//! of it stopped and begun again from snapshots, with another number of machines.

use std::collections::BTreeMap;
use std::ops::Range;

use click_core::fold::{encode_journal, groups_of, shard_of};
use click_core::hosted::{
    HostError, Routed, SequenceHost, SourceHost, UserHost, WindowHost, decode_dead_letters,
    decode_published, decode_verdicts, put_record,
};
use click_core::limits::KEY_GROUPS;
use click_core::types::{Millis, Offset, Partition};

use super::World;
use super::dice::Dice;
use super::told::{Store, Told};
use crate::reference::{GRID_MS, LOOK_AHEAD_MS};

type Snapshots = Vec<(u8, Vec<u8>)>;

/// All that must outlive a stop: one consistent cut through the stages.
#[derive(Clone, Default)]
struct Cut {
    sequences: Vec<Vec<u8>>,
    users: Snapshots,
    sources: Snapshots,
    windows: Snapshots,
    policies: Option<Vec<u8>>,
    /// As many as had been written.
    journals: usize,
    told: Told,
    reached: Reached,
}

/// The watermark that each stage has reached.
#[derive(Clone, Copy, Default)]
struct Reached {
    sequences: u64,
    users: u64,
    sources: u64,
    windows: u64,
}

/// The stages at work.
pub struct Machines<'w> {
    world: &'w World,
    dice: Dice,
    sequences: Vec<SequenceHost>,
    users: Vec<UserHost>,
    sources: Vec<SourceHost>,
    windows: Vec<WindowHost>,
    policies: Option<Vec<u8>>,
    /// What the dedup set remembered, if snapshots leave it out.
    journals: Option<Vec<Vec<u8>>>,
    read: Vec<usize>,
    reached: Reached,
    told: Told,
    store: Store,
    cut: Cut,
}

impl<'w> Machines<'w> {
    /// At the beginning of the log.
    #[must_use]
    pub fn new(world: &'w World, mut dice: Dice) -> Self {
        let journals = dice.percent(50).then(Vec::new);
        let mut machines = Self {
            world,
            dice,
            sequences: Vec::new(),
            users: Vec::new(),
            sources: Vec::new(),
            windows: Vec::new(),
            policies: None,
            journals,
            read: Vec::new(),
            reached: Reached::default(),
            told: Told::default(),
            store: Store::new(),
            cut: Cut::default(),
        };
        machines.begin();
        machines
    }

    /// Folds all that is known, with so many stops, and compares.
    ///
    /// # Panics
    /// If anything differs from the reference.
    pub fn to_the_end(mut self, mut stops: usize) {
        let most = self.world.history.reference.watermark();
        while self.reached.windows < most {
            if self.dice.percent(60) {
                self.read();
            }
            if self.dice.percent(60) {
                self.step(false);
            }
            if self.dice.percent(5) {
                self.cut = self.take_cut();
            }
            if stops > 0 && self.dice.percent(5) {
                stops -= 1;
                self.begin();
            }
            if self.all_read() {
                self.step(true);
            }
        }
        self.compare_end(most);
    }

    /// Begins where the cut was made.
    fn begin(&mut self) {
        let cut = self.cut.clone();
        if let Some(journals) = &mut self.journals {
            journals.truncate(cut.journals);
        }
        (self.told, self.reached, self.policies) = (cut.told, cut.reached, cut.policies);
        let (header, policies) = (&self.world.header, self.policies.as_deref());
        let sequence = |partition: u32| {
            let snapshot = cut.sequences.get(partition as usize).map(Vec::as_slice);
            SequenceHost::open(header, Partition(partition), snapshot).expect("our own snapshot")
        };
        self.sequences = (0..self.world.partitions).map(sequence).collect();
        let position = |sequence: &SequenceHost| usize::try_from(sequence.position().0);
        self.read = self.sequences.iter().flat_map(position).collect();
        let mut count = || self.dice.pick(&[1, 2, 3, 7, 128]);
        let (users, sources, windows) = (count(), count(), count());
        self.users = open(users, &cut.users, |groups, snapshots| {
            UserHost::open(header, groups, policies, snapshots)
        });
        for host in &mut self.users {
            for journal in self.journals.iter().flatten() {
                host.restore_journal(journal).expect("our own journal");
            }
        }
        self.sources = open(sources, &cut.sources, |groups, snapshots| {
            SourceHost::open(header, groups, policies, snapshots)
        });
        self.windows = open(windows, &cut.windows, |groups, snapshots| {
            WindowHost::open(header, groups, policies, snapshots)
        });
    }

    fn take_cut(&self) -> Cut {
        let with_claims = self.journals.is_none();
        Cut {
            sequences: self.sequences.iter().map(SequenceHost::snapshot).collect(),
            users: snapshots(&self.users, |host, group| host.snapshot(group, with_claims)),
            sources: snapshots(&self.sources, SourceHost::snapshot),
            windows: snapshots(&self.windows, WindowHost::snapshot),
            policies: self.policies.clone(),
            journals: self.journals.as_ref().map_or(0, Vec::len),
            told: self.told.clone(),
            reached: self.reached,
        }
    }

    fn all_read(&self) -> bool {
        self.read.iter().zip(&self.world.log).all(|(read, log)| *read == log.len())
    }

    /// Hands a partition its next records, some of the last ones perhaps once more.
    fn read(&mut self) {
        let number = self.dice.below(self.world.log.len());
        let log = &self.world.log[number];
        let to = (self.read[number] + self.dice.pick(&[1, 5, 50, 500])).min(log.len());
        let again = self.read[number].saturating_sub(self.dice.pick(&[0, 0, 3]));
        let mut batch = Vec::new();
        for (offset, (time, payload)) in (again as u64..).zip(&log[again..to]) {
            put_record(&mut batch, Offset(offset), Millis(*time), payload);
        }
        self.sequences[number].apply(&batch).expect("a good batch");
        self.read[number] = to;
    }

    /// Moves each stage on, as far as the one before it went or less far.
    fn step(&mut self, far: bool) {
        let possible = self.sequences.iter().map(|sequence| sequence.watermark().0).min();
        let Reached { sequences, users, sources, windows } = self.reached;
        let to = self.some(sequences, possible.unwrap_or(0), far);
        self.advance_sequences(to);
        let to = self.some(users, to, far);
        self.advance_users(to);
        let to = self.some(sources, to, far);
        self.advance_sources(to);
        let to = self.some(windows, to, far);
        self.advance_windows(to);
    }

    /// A watermark from `now` to `most`.
    fn some(&mut self, now: u64, most: u64, far: bool) -> u64 {
        if far || most <= now || self.dice.percent(40) {
            return most.max(now);
        }
        let least = now.max(most.saturating_sub(self.dice.pick(&[2_000, 100_000])));
        let any = self.dice.between(least, most);
        self.dice.pick(&[any, any / GRID_MS * GRID_MS]).max(now)
    }

    fn advance_sequences(&mut self, to: u64) {
        if to <= self.reached.sequences {
            return;
        }
        self.reached.sequences = to;
        for number in 0..self.sequences.len() {
            let announced = self.sequences[number].announce(Millis(to)).expect("in turn");
            self.take_dead_letters(&announced.dead_letters);
            if let Some(policies) = announced.policies {
                self.learn(&policies);
                self.policies = Some(policies);
            }
        }
        let mut clicks = Vec::new();
        for number in 0..self.sequences.len() {
            let out = self.sequences[number].advance(Millis(to)).expect("announced");
            self.take_dead_letters(&out.dead_letters);
            clicks.extend(out.clicks);
        }
        deliver(&mut self.dice, clicks, &mut self.users, UserHost::apply);
    }

    fn learn(&mut self, policies: &[u8]) {
        let known = "our own policies";
        self.sequences.iter_mut().for_each(|host| host.learn(policies).expect(known));
        self.users.iter_mut().for_each(|host| host.learn(policies).expect(known));
        self.sources.iter_mut().for_each(|host| host.learn(policies).expect(known));
        self.windows.iter_mut().for_each(|host| host.learn(policies).expect(known));
    }

    fn advance_users(&mut self, to: u64) {
        self.reached.users = to;
        let mut clicks = Vec::new();
        for host in &mut self.users {
            let out = host.advance(Millis(to));
            clicks.extend(out.clicks);
            if let Some(journals) = self.journals.as_mut().filter(|_| !out.journal.is_empty()) {
                journals.push(encode_journal(&out.journal));
            }
        }
        deliver(&mut self.dice, clicks, &mut self.sources, SourceHost::apply);
    }

    fn advance_sources(&mut self, to: u64) {
        self.reached.sources = to;
        let (mut counts, mut verdicts) = (Vec::new(), Vec::new());
        for host in &mut self.sources {
            let out = host.advance(Millis(to));
            counts.extend(out.counts);
            verdicts.extend(decode_verdicts(&out.verdicts).expect("our own verdicts"));
        }
        deliver(&mut self.dice, counts, &mut self.windows, WindowHost::apply);
        let (history, timeline) = (&self.world.history, self.sequences[0].timeline());
        for verdict in verdicts {
            self.told.take_verdict(&verdict, history, timeline, to);
        }
        let final_ones = history.known(history.verdicts.keys(), to, LOOK_AHEAD_MS);
        assert_eq!(self.told.verdicts.len(), final_ones, "verdicts as of {to}");
    }

    fn take_dead_letters(&mut self, batch: &[u8]) {
        for letter in decode_dead_letters(batch).expect("our own dead letters") {
            self.told.take_dead_letter((letter.partition.0, letter.offset.0), &self.world.history);
        }
    }

    fn advance_windows(&mut self, to: u64) {
        self.reached.windows = to;
        let hand_out = |host: &mut WindowHost| host.advance(Millis(to)).expect("our own counts");
        let batches: Vec<_> = self.windows.iter_mut().map(hand_out).collect();
        for published in batches.iter().flat_map(|batch| decode_published(batch).expect("rows")) {
            self.told.take_row(&published.row, self.world, to, &mut self.store);
        }
    }

    fn compare_end(&self, most: u64) {
        let history = &self.world.history;
        let rows: BTreeMap<_, _> = history
            .rows_at(most / GRID_MS * GRID_MS)
            .map(|(key, row)| (key.clone(), row.clone()))
            .collect();
        assert_eq!(rows, self.store, "the store at the end");
        let dead = history.known(history.dead_letters.iter(), most, 1);
        assert_eq!(self.told.dead_letters.len(), dead, "dead letters at the end");
    }
}

/// Opens a stage on `count` machines.
fn open<H>(
    count: usize,
    snapshots: &Snapshots,
    host: impl Fn(Range<u8>, &[(u8, &[u8])]) -> Result<H, HostError>,
) -> Vec<H> {
    let open = |machine| {
        let groups = groups_of(machine, count);
        let mine = snapshots.iter().filter(|(group, _)| groups.contains(group));
        let mine: Vec<_> = mine.map(|(group, bytes)| (*group, &bytes[..])).collect();
        host(groups, &mine).expect("our own snapshots")
    };
    (0..count).map(open).collect()
}

fn snapshots<H>(hosts: &[H], snapshot: impl Fn(&H, u8) -> Result<Vec<u8>, HostError>) -> Snapshots {
    let groups = 0..u8::try_from(KEY_GROUPS).expect("there are 128 groups");
    let of = |group| snapshot(&hosts[shard_of(group, hosts.len())], group);
    groups.map(|group| (group, of(group).expect("a group of its own"))).collect()
}

/// Hands batches to the machines that own their key groups, in any order, some joined.
fn deliver<H>(
    dice: &mut Dice,
    mut batches: Routed,
    hosts: &mut [H],
    apply: impl Fn(&mut H, &[u8]) -> Result<(), HostError>,
) {
    while !batches.is_empty() {
        let (group, mut batch) = batches.swap_remove(dice.below(batches.len()));
        if let Some(other) = batches.iter().position(|(other, _)| *other == group) {
            batch.extend(batches.swap_remove(other).1);
        }
        let machine = shard_of(group, hosts.len());
        apply(&mut hosts[machine], &batch).expect("a good batch");
    }
}
