//! What happens in a story with a cluster, written down before it begins.

use click_engine::disk::DiskOp;

use crate::check::Dice;

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterAction {
    /// A visitor clicks; `seed` decides on what.
    Click { site: usize, seed: u64 },
    /// A tracker tells of its sequence numbers.
    Heartbeat { site: usize },
    /// A tracker's own log writes and flushes.
    OwnLogWorks { site: usize },
    /// A forwarder does one step.
    Forward { site: usize },
    /// A tracker's process dies.
    Kill { site: usize },
    /// The power of a tracker's machine fails.
    PowerFails { site: usize },
    /// A tracker starts again, as a new instance.
    Start { site: usize },
    /// A tracker's disk takes so many more bytes.
    DiskFull { site: usize, room: u64 },
    /// From the `nth` call on, a tracker's disk fails at this.
    DiskFails { site: usize, op: DiskOp, nth: u64 },
    /// A tracker's disk is well again.
    DiskHeals { site: usize },
    /// A tracker's clock is set, ms forward or back.
    SiteClock { site: usize, ms: i64 },
    /// A tracker's sender refuses everything until it is replaced.
    SenderBreaks { site: usize },
    /// Time passes, ms.
    Pass { ms: u64 },
    /// The clock of a partition's leader is set, ms forward or back.
    LeaderClock { partition: usize, ms: i64 },
    /// Another broker leads a partition: by its own clock, and some of what was under way is there
    /// twice.
    NewLeader { partition: usize },
    /// The whole cluster is away, or back.
    Away { away: bool },
    /// The cluster confirms so many records and loses them.
    Loses { partition: usize, count: u64 },
    /// The log moves to the plan's other partitions.
    Cutover,
    /// A tracker comes to know of it, if it has happened.
    Learn { site: usize },
    /// An operator asks every tracker for what the engine misses.
    Ask,
    /// Ticks, as where nobody clicks.
    Tick,
    /// An engine reads and folds.
    Fold { engine: usize },
    /// An engine's rows go to the store.
    Publish { engine: usize },
    /// The engines' process dies, or their power fails.
    EnginesEnd { power: bool },
    /// The engines start again.
    EnginesStart,
    /// The store's next `calls` fail, in ways that `seed` decides.
    StoreFails { calls: u32, seed: u64 },
}

/// How cluster and senders behave, in a hundred, and how late, ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manners {
    /// Deliveries that fail, whether the record was appended, is appended later, or never.
    pub fails: u64,
    /// Records behind a failure that are confirmed and were never appended.
    pub lies: u64,
    /// Records that are appended twice.
    pub twice: u64,
    /// Attempts at a new sender that fail.
    pub no_sender: u64,
    /// Most time that a record takes to the cluster, and that its confirmation takes back.
    pub late_ms: u64,
    /// Most records of a sender that are under way.
    pub room: usize,
}

impl Manners {
    /// Everything is appended, once and at once.
    pub const FAIR: Manners =
        Manners { fails: 0, lies: 0, twice: 0, no_sender: 0, late_ms: 0, room: 1000 };
}

/// A story: how the world is made, and what happens in it.
#[derive(Clone, Debug)]
pub struct ClusterPlan {
    /// Seed of everything that the actions leave open.
    pub seed: u64,
    /// Partitions that the log begins with.
    pub partitions: u32,
    /// Partitions to which it moves, if it does.
    pub added: u32,
    /// Trackers, each with a machine.
    pub sites: usize,
    /// See `ForwardConfig`.
    pub spool_after_ms: u64,
    /// How long an own log keeps what the cluster has, ms.
    pub keep_ms: Option<u64>,
    /// Clicks are as large as may be, so that an own log has many segments.
    pub large: bool,
    /// When all trouble is over, trackers start anew; else they go on as they are.
    pub ends_anew: bool,
    /// How cluster and senders behave.
    pub manners: Manners,
    /// What happens, in order.
    pub actions: Vec<ClusterAction>,
}

/// How likely the kinds of trouble are, in a hundred.
struct Trouble {
    ends: u64,
    disk: u64,
    clocks: u64,
    away: u64,
    leaders: u64,
    loses: u64,
    broken: u64,
    engines: u64,
}

/// What a cluster loses is sent again from what the own logs keep: of it, nothing else takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Theme {
    ClusterLoses,
    DisksFail,
    LittleIsKept,
}

impl ClusterPlan {
    /// The story of a seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> ClusterPlan {
        let mut dice = Dice::new(seed ^ 0xc1_057e4);
        let theme = dice.pick(&[Theme::ClusterLoses, Theme::DisksFail, Theme::LittleIsKept]);
        let trouble = Trouble {
            ends: dice.pick(&[0, 2, 4]),
            disk: if theme == Theme::DisksFail { 3 } else { 0 },
            clocks: dice.pick(&[0, 1, 2]),
            away: dice.pick(&[0, 1, 3]),
            leaders: dice.pick(&[0, 1, 3]),
            loses: if theme == Theme::ClusterLoses { 2 } else { 0 },
            broken: dice.pick(&[0, 0, 1]),
            engines: dice.pick(&[0, 1]),
        };
        let manners = Manners {
            fails: dice.pick(&[0, 2, 10, 30]),
            lies: dice.pick(&[0, 50, 90]),
            twice: dice.pick(&[0, 5, 20]),
            no_sender: dice.pick(&[0, 0, 30]),
            late_ms: dice.pick(&[0, 3, 40, 900, 4_000]),
            room: dice.pick(&[1, 4, 20, 1000]),
        };
        let (partitions, sites) = (dice.pick(&[1, 1, 2, 3]), dice.pick(&[1, 2, 2, 3]));
        let length = dice.pick(&[60, 150, 300, 500]);
        let places = (sites, partitions as usize);
        let mut actions: Vec<_> = (0..sites).map(|site| ClusterAction::Start { site }).collect();
        actions.push(ClusterAction::EnginesStart);
        while actions.len() < length {
            any(&mut dice, &trouble, places, &mut actions);
        }
        let added = cutover(&mut Dice::new(seed ^ 0xc07), sites, &mut actions);
        ClusterPlan {
            seed,
            partitions,
            added,
            sites,
            spool_after_ms: dice.pick(&[0, 200, 200, 2_000]),
            keep_ms: (theme == Theme::LittleIsKept).then(|| dice.pick(&[0, 1_000, 10_000])),
            large: theme == Theme::LittleIsKept,
            ends_anew: dice.percent(50),
            manners,
            actions,
        }
    }
}

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn any(
    dice: &mut Dice,
    trouble: &Trouble,
    (sites, partitions): (usize, usize),
    actions: &mut Vec<ClusterAction>,
) {
    let (site, partition) = (dice.below(sites), dice.below(partitions));
    let steps = [-HOUR, -3 * MINUTE, -900, 0, 900, 3 * MINUTE, HOUR];
    let action = if dice.percent(trouble.ends) {
        dice.pick(&[ClusterAction::Kill { site }, ClusterAction::PowerFails { site }])
    } else if dice.percent(trouble.disk) {
        disk_trouble(dice, site)
    } else if dice.percent(trouble.clocks) {
        let ms = dice.pick(&steps);
        let leader = ClusterAction::LeaderClock { partition, ms };
        dice.pick(&[leader, leader, ClusterAction::SiteClock { site, ms: 3 * ms }])
    } else if dice.percent(trouble.away) {
        return outage(dice, (sites, partitions), actions);
    } else if dice.percent(trouble.leaders) {
        ClusterAction::NewLeader { partition }
    } else if dice.percent(trouble.loses) {
        let loses = ClusterAction::Loses { partition, count: dice.between(1, 4) };
        dice.pick(&[loses, ClusterAction::Ask])
    } else if dice.percent(trouble.broken) {
        ClusterAction::SenderBreaks { site }
    } else if dice.percent(trouble.engines) {
        ClusterAction::EnginesEnd { power: dice.percent(50) }
    } else {
        usual(dice, site)
    };
    actions.push(action);
}

/// In some stories the log moves, and trackers come to know of it one by one, or never; to how many
/// other partitions.
fn cutover(dice: &mut Dice, sites: usize, actions: &mut Vec<ClusterAction>) -> u32 {
    if !dice.percent(40) {
        return 0;
    }
    let at = sites + 1 + dice.below(actions.len() - sites);
    actions.insert(at, ClusterAction::Cutover);
    for site in 0..sites {
        if dice.percent(15) {
            continue;
        }
        let later = at + 1 + dice.below(actions.len() - at);
        actions.insert(later, ClusterAction::Learn { site });
    }
    dice.pick(&[1, 2, 3])
}

/// The cluster is away for seconds to hours, while clicks come.
fn outage(dice: &mut Dice, (sites, _): (usize, usize), actions: &mut Vec<ClusterAction>) {
    actions.push(ClusterAction::Away { away: true });
    for _ in 0..dice.between(4, 40) {
        let site = dice.below(sites);
        actions.push(usual(dice, site));
    }
    let ms = dice.pick(&[1_000, 15_000, 600_000, 3 * 3_600_000]);
    actions.extend([ClusterAction::Pass { ms }, ClusterAction::Away { away: false }]);
}

fn disk_trouble(dice: &mut Dice, site: usize) -> ClusterAction {
    let nth = dice.between(1, 12);
    let fails = |op| ClusterAction::DiskFails { site, op, nth };
    let heals = ClusterAction::DiskHeals { site };
    dice.pick(&[
        fails(DiskOp::Write),
        fails(DiskOp::Sync),
        fails(DiskOp::SyncDir),
        ClusterAction::DiskFull { site, room: nth * 4_000 },
        heals,
        heals,
        heals,
    ])
}

fn usual(dice: &mut Dice, site: usize) -> ClusterAction {
    let (engine, seed) = (dice.below(2), dice.number());
    match dice.below(100) {
        0..30 => ClusterAction::Click { site, seed },
        30 => ClusterAction::Heartbeat { site },
        31..44 => ClusterAction::OwnLogWorks { site },
        44..66 => ClusterAction::Forward { site },
        66..70 => ClusterAction::Fold { engine },
        70..72 => ClusterAction::Publish { engine },
        72 => {
            let calls = u32::try_from(1 + dice.below(3)).unwrap_or(1);
            ClusterAction::StoreFails { calls, seed }
        }
        73..75 => ClusterAction::Tick,
        75..91 => ClusterAction::Pass { ms: dice.pick(&[1, 5, 20, 90, 500, 1_000, 1_001]) },
        91..93 => ClusterAction::Pass { ms: dice.pick(&[7_000, 31_000, 61_000]) },
        93 => ClusterAction::EnginesStart,
        _ => ClusterAction::Start { site },
    }
}
