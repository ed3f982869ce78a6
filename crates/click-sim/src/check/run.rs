//! One way to fold a log: a host that reads, advances, publishes, crashes and recovers as the
//! dice say. Compares after each step, by way of `compare`.

use std::collections::BTreeMap;

use click_core::fold::{
    Effects, Fold, Serial, SnapshotPart, decode_journal, decode_rows, encode_journal, encode_rows,
};
use click_core::types::{Millis, Offset, Partition};

use super::World;
use super::dice::Dice;
use super::told::{Store, Told};
use crate::bridge::{self, PlainKey};
use crate::reference::{GRID_MS, PlainRow};

/// How a host behaves.
#[derive(Clone, Debug)]
pub struct Style {
    /// Key group shards; another number is taken after each crash.
    pub shards: Vec<usize>,
    /// Most records that are read at once.
    pub batch: usize,
    /// How often, in percent of the steps, rows are published.
    pub publish_percent: u64,
    /// How often the host crashes, and about how often it takes a checkpoint.
    pub crashes: usize,
    /// How often, in percent of the steps, everything is compared.
    pub look_percent: u64,
    /// Whether each step advances as far as it can.
    pub greedy: bool,
}

impl Style {
    /// All at once: one shard, one batch a partition.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            shards: vec![1],
            batch: usize::MAX,
            publish_percent: 100,
            crashes: 0,
            look_percent: 100,
            greedy: true,
        }
    }

    /// Any behaviour.
    #[must_use]
    pub fn any(dice: &mut Dice) -> Self {
        Self {
            shards: (0..3).map(|_| dice.pick(&[1, 1, 1, 2, 2, 3, 5, 8, 16])).collect(),
            batch: dice.pick(&[1, 3, 20, 200, usize::MAX]),
            publish_percent: dice.pick(&[100, 100, 50, 5]),
            crashes: dice.pick(&[0, 1, 2, 4]),
            look_percent: dice.pick(&[0, 2, 10]),
            greedy: dice.percent(30),
        }
    }
}

/// What the world has seen of a run, as far as a crash undoes it.
#[derive(Clone, Default)]
pub(super) struct Seen {
    pub(super) told: Told,
    /// The live view.
    pub(super) live: BTreeMap<PlainKey, PlainRow>,
    /// As many as had been collected.
    journals: usize,
}

/// When to crash and when to take a checkpoint, in records read, the last point first.
struct Plan {
    crashes: Vec<usize>,
    checkpoints: Vec<usize>,
}

impl Plan {
    fn new(style: &Style, records: usize, dice: &mut Dice) -> Self {
        let mut points = |count: usize| {
            let mut points: Vec<usize> = (0..count).map(|_| dice.below(records)).collect();
            points.sort_unstable_by(|a, b| b.cmp(a));
            points
        };
        Self { crashes: points(style.crashes), checkpoints: points(2 * style.crashes) }
    }
}

struct Checkpoint {
    parts: Vec<SnapshotPart>,
    with_claims: bool,
    watermark: Millis,
    positions: Vec<Offset>,
    seen: Seen,
}

/// A host at work.
pub struct Run<'w> {
    pub(super) world: &'w World,
    pub(super) style: Style,
    pub(super) dice: Dice,
    pub(super) fold: Fold,
    effects: Effects,
    pub(super) seen: Seen,
    pub(super) store: Store,
    journals: Vec<Vec<u8>>,
    checkpoint: Option<Checkpoint>,
    incarnation: usize,
    plan: Plan,
    /// Those read again after a crash included.
    records_read: usize,
    /// The last grid instant of which nothing is missing in the store.
    pub(super) complete_at: u64,
}

impl<'w> Run<'w> {
    #[must_use]
    pub fn new(world: &'w World, style: Style, mut dice: Dice) -> Self {
        let plan = Plan::new(&style, world.log.iter().map(Vec::len).sum(), &mut dice);
        let mut fold = Fold::new(&world.header, style.shards[0]);
        fold.watch();
        Self {
            world,
            style,
            dice,
            fold,
            effects: Effects::default(),
            seen: Seen::default(),
            store: Store::new(),
            journals: Vec::new(),
            checkpoint: None,
            incarnation: 0,
            plan,
            records_read: 0,
            complete_at: 0,
        }
    }

    /// Folds all that is known, compares, and returns the last snapshot.
    ///
    /// # Panics
    /// If anything differs from the reference.
    pub fn to_the_end(mut self) -> Vec<SnapshotPart> {
        while !self.is_all_read() {
            self.read();
            if self.dice.percent(70) || self.style.greedy {
                self.advance_somewhere();
            }
            if self.is_due(|plan| &mut plan.checkpoints) {
                self.take_checkpoint();
            }
            if self.is_due(|plan| &mut plan.crashes) {
                self.crash();
            }
        }
        while self.fold.watermark() < self.fold.possible_watermark() {
            self.advance_somewhere();
        }
        self.look();
        self.compare_end();
        self.fold.snapshot(true)
    }

    /// Folds everything below `w`, no further, and returns the snapshot.
    pub fn up_to(mut self, w: u64) -> Vec<SnapshotPart> {
        while self.fold.watermark() < Millis(w) {
            if self.fold.possible_watermark() > self.fold.watermark() {
                let to = self.choose_watermark().min(Millis(w));
                self.advance(to, true);
            }
            if !self.is_all_read() {
                self.read();
            }
        }
        self.fold.snapshot(true)
    }

    /// Whether as many records have been read as the plan's next point says.
    fn is_due(&mut self, points: impl FnOnce(&mut Plan) -> &mut Vec<usize>) -> bool {
        let points = points(&mut self.plan);
        let due = points.last().is_some_and(|point| *point <= self.records_read);
        if due {
            points.pop();
        }
        due
    }

    fn is_all_read(&self) -> bool {
        let read = |partition: u32| self.fold.read_position(Partition(partition)).1.0;
        (0..self.fold.partitions()).all(|p| read(p) == self.world.log[p as usize].len() as u64)
    }

    fn read(&mut self) {
        let partitions = self.world.log.len();
        let first = self.dice.below(partitions);
        let number = (0..partitions).map(|i| (first + i) % partitions).find(|p| self.is_left(*p));
        let Some(number) = number else { return };
        let partition = Partition(u32::try_from(number).unwrap_or(0));
        let from = usize::try_from(self.fold.read_position(partition).1.0).unwrap_or(usize::MAX);
        let rest = &self.world.log[number][from..];
        let most = rest.len().min(self.style.batch);
        let count = if self.style.batch == usize::MAX { most } else { 1 + self.dice.below(most) };
        let records = (from as u64..).zip(rest).take(count);
        let records = records.map(|(o, (time, bytes))| (Offset(o), Millis(*time), &bytes[..]));
        let spare = self.fold.spare_chunk();
        let chunk = self.fold.parse(partition, spare, records);
        assert_eq!(chunk.len(), count, "each record is parsed to something");
        self.fold.push(partition, chunk);
        self.records_read += count;
    }

    fn is_left(&self, number: usize) -> bool {
        let partition = Partition(u32::try_from(number).unwrap_or(0));
        partition.0 < self.fold.partitions()
            && self.fold.read_position(partition).1.0 < self.world.log[number].len() as u64
    }

    /// Some watermark up to the possible one, often about an instant of the grid.
    fn choose_watermark(&mut self) -> Millis {
        let (now, most) = (self.fold.watermark().0, self.fold.possible_watermark().0);
        if self.style.greedy || most <= now + 1 {
            return Millis(most);
        }
        // A log starts far from 0; steps are of a batch's length.
        let least = now.max(most.saturating_sub(self.dice.pick(&[2_000, 100_000, 90_000_000])));
        let any = self.dice.between(least + 1, most);
        let near = any / GRID_MS * GRID_MS + self.dice.pick(&[0, 1, 999]);
        let w = self.dice.pick(&[any, near, most, most]);
        Millis(w.clamp(now + 1, most))
    }

    fn advance_somewhere(&mut self) {
        if self.fold.possible_watermark() <= self.fold.watermark() {
            return;
        }
        let w = self.choose_watermark();
        // A host publishes what it has before it stops.
        let is_last = w.0 == self.world.history.reference.watermark();
        let publish = self.dice.percent(self.style.publish_percent);
        self.advance(w, publish || is_last);
        if self.dice.percent(self.style.look_percent) {
            self.look();
        }
    }

    fn advance(&mut self, w: Millis, publish: bool) {
        let entered = w.grid_floor() > self.fold.watermark().grid_floor();
        self.effects.clear();
        self.fold.advance(w, publish, &Serial, &mut self.effects);
        if publish && entered {
            self.complete_at = w.grid_floor().0;
        }
        for journal in &self.effects.journals {
            self.journals.push(encode_journal(journal));
        }
        let effects = core::mem::take(&mut self.effects);
        self.take_effects(&effects);
        self.effects = effects;
        if self.dice.percent(50) {
            self.tell_live();
        }
    }

    fn take_effects(&mut self, effects: &Effects) {
        let (world, w, told) = (self.world, self.fold.watermark().0, &mut self.seen.told);
        for verdict in &effects.verdicts {
            told.take_verdict(verdict, &world.history, self.fold.timeline(), w);
        }
        for letter in &effects.dead_letters {
            told.take_dead_letter((letter.partition.0, letter.offset.0), &world.history);
        }
        let rows: Vec<_> = effects.rows.iter().map(|published| published.row.clone()).collect();
        assert_eq!(decode_rows(&encode_rows(rows.iter())).as_ref(), Ok(&rows), "rows as bytes");
        rows.iter().for_each(|row| told.take_row(row, world, w, &mut self.store));
    }

    /// Lets the live view know what changed; until then the fold may put off its rows.
    pub(super) fn tell_live(&mut self) {
        let (mut touched, generation) = (Vec::new(), self.world.header.generation);
        self.fold.take_touched(|row, sealed| {
            assert_eq!(row.version.generation(), generation);
            touched.push((bridge::plain_row(&row), sealed));
        });
        self.take_touched(touched);
    }

    fn take_checkpoint(&mut self) {
        self.tell_live();
        let with_claims = self.dice.percent(50);
        self.seen.journals = self.journals.len();
        self.checkpoint = Some(Checkpoint {
            parts: self.fold.snapshot(with_claims),
            with_claims,
            watermark: self.fold.watermark(),
            positions: self.fold.positions(),
            seen: self.seen.clone(),
        });
    }

    /// Begins anew, from the last checkpoint if there is one.
    fn crash(&mut self) {
        self.incarnation += 1;
        let shards = self.style.shards[self.incarnation % self.style.shards.len()];
        self.fold = Fold::new(&self.world.header, shards);
        self.effects = Effects::default();
        self.seen = Seen::default();
        if let Some(checkpoint) = &self.checkpoint {
            let restored = self.fold.restore(&checkpoint.parts).expect("our own snapshot");
            assert_eq!(restored.watermark, checkpoint.watermark);
            assert_eq!(restored.positions, checkpoint.positions);
            self.seen = checkpoint.seen.clone();
            if !checkpoint.with_claims {
                for journal in &self.journals[..self.seen.journals] {
                    self.fold.restore_journal(&decode_journal(journal).expect("our own journal"));
                }
            }
        }
        self.journals.truncate(self.seen.journals);
        self.fold.watch();
    }
}
