//! What happens in a story, written down before it begins, so that it can be told and shortened.

use click_engine::disk::{DiskOp, Lie};

use super::wire::Weather;
use crate::check::Dice;

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A visitor clicks; `seed` decides on what.
    Click { tracker: usize, seed: u64 },
    /// Bytes that are no record arrive.
    Garbage { seed: u64 },
    /// A tracker sends again what it has no answer for, or, `twice`, anything.
    Resend { tracker: usize, seed: u64, twice: bool },
    /// A tracker tells of its sequence numbers.
    Heartbeat { tracker: usize },
    /// A tracker starts anew; its unanswered clicks live on or are lost.
    RestartTracker { tracker: usize, keeps_spool: bool },
    /// The log writes, flushes and answers.
    LogWorks,
    /// An engine reads and folds.
    Fold { engine: usize },
    /// The archiver works; `stops`, it archives what is final and starts anew.
    Archive { stops: bool },
    /// An engine's rows go to the store.
    Publish { engine: usize },
    /// An engine of a process that has died writes its rows after all.
    Zombie,
    /// Nothing gets through between a tracker and the log, or everything does again.
    Cut { tracker: usize, cut: bool },
    /// Time passes, ms.
    Pass { ms: u64 },
    /// The wall clock is set, ms forward or back.
    SetClock { ms: i64 },
    /// Ticks, as where nobody clicks.
    Tick,
    /// The process dies; the system keeps what it wrote.
    Kill,
    /// The power fails: what was not flushed is lost, torn or kept.
    PowerFails,
    /// The process starts again.
    Start,
    /// From the `nth` call on, the disk fails at this.
    DiskFails { op: DiskOp, nth: u64 },
    /// The disk vouches for its `nth` write from now and does not keep it.
    DiskLies { nth: u64, lie: Lie },
    /// The disk takes so many more bytes.
    DiskFull { room: u64 },
    /// The disk is well again.
    DiskHeals,
    /// The store's next `calls` fail, in ways that `seed` decides.
    StoreFails { calls: u32, seed: u64 },
    /// The store comes back from an old copy.
    StoreRestored,
    /// The process dies, a sector of a file changes, the process starts.
    Rot { seed: u64 },
}

/// A story: how the world is made, and what happens in it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Seed of everything that the actions leave open.
    pub seed: u64,
    /// Partitions of the log.
    pub partitions: u32,
    /// The network between trackers and log.
    pub weather: Weather,
    /// Whether there is an archiver.
    pub archives: bool,
    /// What happens, in order.
    pub actions: Vec<Action>,
}

/// Kinds of damage to what the disk had kept.
const ROT: usize = 2;
const LIES: usize = 3;

/// How likely the kinds of trouble are, in a hundred.
struct Trouble {
    crash: u64,
    disk: u64,
    store: u64,
    rot: u64,
    clock: u64,
    lies: u64,
    cuts: u64,
}

impl Plan {
    /// The story of a seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Plan {
        let mut dice = Dice::new(seed ^ 0x57a6e);
        let partitions = dice.pick(&[1, 1, 2, 3]);
        // Of two at once, one may hide the other.
        let damage = dice.below(4);
        let disk = dice.pick(&[0, 0, 1, 4]);
        let trouble = Trouble {
            crash: dice.pick(&[0, 2, 2, 5]),
            disk: if damage == LIES { 0 } else { disk },
            store: dice.pick(&[0, 2, 5]),
            rot: if damage == ROT { 2 } else { 0 },
            clock: dice.pick(&[0, 0, 1]),
            lies: if damage == LIES { 2 } else { 0 },
            cuts: dice.pick(&[0, 0, 2]),
        };
        let weather = Weather {
            lost: dice.pick(&[0, 0, 5, 20]),
            twice: dice.pick(&[0, 0, 5, 20]),
            late_ms: dice.pick(&[0, 0, 40, 3_000]),
        };
        let length = dice.pick(&[60, 150, 300, 600]);
        let mut actions = vec![Action::Start];
        while actions.len() < length {
            if dice.percent(trouble.disk.min(1)) {
                actions.extend(exchange(&mut dice));
            }
            actions.push(any(&mut dice, &trouble));
        }
        let archives = dice.percent(50);
        Plan { seed, partitions, weather, archives, actions }
    }
}

fn any(dice: &mut Dice, trouble: &Trouble) -> Action {
    if dice.percent(trouble.crash) {
        return dice.pick(&[Action::Kill, Action::PowerFails]);
    }
    if dice.percent(trouble.disk) {
        return disk_trouble(dice);
    }
    if dice.percent(trouble.store) {
        let calls = u32::try_from(1 + dice.below(4)).unwrap_or(1);
        let fails = Action::StoreFails { calls, seed: dice.number() };
        return dice.pick(&[fails, fails, fails, fails, Action::StoreRestored]);
    }
    if dice.percent(trouble.rot) {
        return Action::Rot { seed: dice.number() };
    }
    if dice.percent(trouble.lies) {
        let lie = dice.pick(&[Lie::Lost, Lie::Misdirected]);
        return Action::DiskLies { nth: dice.between(1, 12), lie };
    }
    if dice.percent(trouble.cuts) {
        return Action::Cut { tracker: dice.below(2), cut: dice.percent(40) };
    }
    if dice.percent(trouble.clock) {
        let ms = dice.pick(&[-3_600_000, -400_000, -900, 900, 400_000, 3_600_000]);
        return Action::SetClock { ms };
    }
    usual(dice)
}

/// A disk fails under load, somebody sees to it and starts anew, and then the power goes.
fn exchange(dice: &mut Dice) -> Vec<Action> {
    let op = dice.pick(&[DiskOp::SyncDir, DiskOp::Sync, DiskOp::Write]);
    let mut actions = vec![Action::DiskFails { op, nth: dice.between(1, 3) }];
    for _ in 0..dice.between(1, 8) {
        actions.push(Action::Click { tracker: dice.below(2), seed: dice.number() });
    }
    let ends = dice.pick(&[Action::Kill, Action::PowerFails]);
    actions.extend([Action::LogWorks, ends, Action::DiskHeals, Action::Start]);
    actions.push(Action::Click { tracker: dice.below(2), seed: dice.number() });
    actions.extend([Action::LogWorks, Action::PowerFails, Action::Start]);
    actions
}

fn disk_trouble(dice: &mut Dice) -> Action {
    let nth = dice.between(1, 12);
    let fails = |op| Action::DiskFails { op, nth };
    dice.pick(&[
        fails(DiskOp::Write),
        fails(DiskOp::Sync),
        fails(DiskOp::SyncDir),
        Action::DiskFails { op: DiskOp::SyncDir, nth: 1 },
        fails(DiskOp::Preallocate),
        fails(DiskOp::Read),
        Action::DiskFull { room: nth * 8_000 },
        Action::DiskHeals,
        Action::DiskHeals,
    ])
}

fn usual(dice: &mut Dice) -> Action {
    let (tracker, engine, seed) = (dice.below(2), dice.below(2), dice.number());
    match dice.below(100) {
        0..38 => Action::Click { tracker, seed },
        38..40 => Action::Zombie,
        40 => Action::Garbage { seed },
        41 => Action::Archive { stops: dice.percent(40) },
        42..48 => Action::Resend { tracker, seed, twice: dice.percent(20) },
        48 => Action::Heartbeat { tracker },
        49 => Action::RestartTracker { tracker, keeps_spool: dice.percent(50) },
        50..62 => Action::LogWorks,
        62..73 => Action::Fold { engine },
        73..80 => Action::Publish { engine },
        80 => Action::Zombie,
        81..90 => Action::Pass { ms: dice.pick(&[1, 5, 20, 90, 500, 1_000, 1_001, 7_000]) },
        90..92 => Action::Pass { ms: dice.pick(&[30_000, 61_000, 600_001, 1_000_000]) },
        92..96 => Action::Tick,
        _ => Action::Start,
    }
}
