//! An archive of verdicts that somebody else gave: late, early, more than once and in any order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use click_core::stage::source::Verdict;
use click_core::types::{Millis, Offset};
use click_core::verdict::{Class, Reasons};
use click_engine::archive::{ArchiveError, Archived, Progress, Told};
use click_engine::driver::refold;
use click_engine::log::LogError;
use click_sim::check::Dice;

use super::{Stage, read_all};

/// A topic of verdicts that grows.
#[derive(Clone)]
struct Topic {
    all: Arc<Vec<Verdict>>,
    written: Arc<AtomicUsize>,
    next: usize,
    dice: Dice,
    /// By all readers together.
    reads: Arc<AtomicUsize>,
}

impl Topic {
    fn new(all: Vec<Verdict>, seed: u64) -> Topic {
        let written = Arc::new(AtomicUsize::new(all.len()));
        Topic { all: Arc::new(all), written, next: 0, dice: Dice::new(seed), reads: Arc::default() }
    }

    /// The verdicts of the log, some of them twice, out of order.
    fn of(stage: &Stage, seed: u64) -> Topic {
        let (mut all, mut dice) = (final_verdicts(stage), Dice::new(seed));
        for _ in 0..all.len() / 5 {
            all.push(all[dice.below(all.len())]);
        }
        // Mostly in order, as a job writes them.
        all.sort_by_cached_key(|verdict| verdict.fold_time.0 + dice.below(5000) as u64);
        Topic::new(all, seed)
    }

    fn boxed(&self) -> Option<Box<dyn Told>> {
        Some(Box::new(self.clone()))
    }

    fn grow_to(&self, percent: usize) {
        self.written.store(self.all.len() * percent.min(100) / 100, Ordering::Relaxed);
    }
}

impl Told for Topic {
    fn begin(&mut self, from: Millis) -> Result<(), LogError> {
        let first = self.all.iter().position(|verdict| verdict.fold_time >= from);
        self.next = first.unwrap_or(self.all.len());
        Ok(())
    }

    fn read(&mut self, verdicts: &mut Vec<Verdict>) -> Result<bool, LogError> {
        let end = self.written.load(Ordering::Relaxed);
        let end = end.min(self.next + self.dice.below(40));
        let read = self.all.get(self.next..end).unwrap_or_default();
        verdicts.extend_from_slice(read);
        self.next += read.len();
        if self.reads.fetch_add(1, Ordering::Relaxed) % 97 == 96 {
            return Err(LogError::kafka("the broker is away"));
        }
        Ok(self.next < self.written.load(Ordering::Relaxed))
    }
}

fn final_verdicts(stage: &Stage) -> Vec<Verdict> {
    let mut all = Vec::new();
    refold(&*stage.log, 1, &mut all).unwrap();
    all.sort_unstable_by_key(|verdict| (verdict.fold_time, verdict.partition, verdict.offset));
    all
}

/// Archives all that can be, however often the topic fails to answer.
fn archive(stage: &Stage, topic: &Topic) -> Result<Archived, ArchiveError> {
    loop {
        match stage.archiver_of(topic.boxed(), 1)?.finish() {
            Err(ArchiveError::Log(LogError::Kafka { .. })) => {}
            done => return done,
        }
    }
}

/// As far as it goes, the archive is the log's, with the verdicts that a refold gives.
fn check(stage: &Stage, end: Archived, seed: u64) -> usize {
    let log = stage.archive().into_log();
    let mut archived = 0;
    for (partition, records) in (0..).zip(&stage.world.log) {
        let found = read_all(&log, partition);
        archived += found.len();
        for ((offset, time, payload), (t, p)) in found.iter().zip(records) {
            assert_eq!((time, payload), (t, p), "seed {seed}, {partition}/{offset}");
        }
    }
    let audit = stage.audit(None);
    assert_eq!(audit.differ, 0, "seed {seed}: {:?}", audit.differences);
    let own = final_verdicts(stage).iter().filter(|verdict| verdict.fold_time < end.until).count();
    let counted =
        |manifest: &click_engine::archive::Manifest| manifest.by_class.values().sum::<u64>();
    let told: u64 = stage.archive().manifests().iter().map(counted).sum();
    assert_eq!(told, own as u64, "seed {seed}");
    archived
}

#[test]
fn what_a_job_decided_is_archived_whatever_dies() {
    let mut archived = 0;
    for seed in 0..12 {
        let (stage, mut dice) = (Stage::new(seed), Dice::new(seed));
        let topic = Topic::of(&stage, seed);
        let open = |threads| stage.archiver_of(topic.boxed(), threads).unwrap();
        let mut archiver = open(1);
        let mut verdicts = 0;
        for percent in (0..100).step_by(1 + dice.below(9)) {
            stage.log.grow_to(percent.max(1));
            // The job is behind the archiver or ahead of it.
            verdicts = verdicts.max((percent + dice.below(20)).saturating_sub(10));
            topic.grow_to(verdicts);
            for _ in 0..dice.below(60) {
                match archiver.step() {
                    Ok(Progress::Idle) => break,
                    Ok(Progress::Worked) | Err(ArchiveError::Log(LogError::Kafka { .. })) => {}
                    Err(error) => panic!("seed {seed}: {error}"),
                }
            }
            match dice.below(4) {
                0 => {
                    drop(archiver);
                    stage.disk.crash();
                    archiver = open(1 + dice.below(3));
                }
                1 => {
                    drop(archiver);
                    archive(&stage, &topic).unwrap();
                    archiver = open(1 + dice.below(3));
                }
                _ => {}
            }
        }
        drop(archiver);
        stage.log.grow_to(100);
        topic.grow_to(100);
        let end = archive(&stage, &topic).unwrap();
        let decided = final_verdicts(&stage).last().map_or(Millis(0), |last| last.fold_time);
        assert!(end.until > decided, "seed {seed}: {end:?}, and verdicts up to {decided:?}");
        archived += check(&stage, end, seed);
    }
    assert!(archived > 2_000, "{archived}");
}

/// The archive ends before a click whose verdict has not come, and goes on once it has.
#[test]
fn a_click_waits_for_its_verdict() {
    let stage = Stage::long();
    let stage = Stage::new(stage.seed);
    let all = final_verdicts(&stage);
    for missing in [0, all.len() / 2, all.len() - 1] {
        let stage = Stage::new(stage.seed);
        let mut some = all.clone();
        let click = some.remove(missing);
        let end = archive(&stage, &Topic::new(some, 1)).unwrap();
        assert_eq!(end.until, click.fold_time, "{missing}");
        check(&stage, end, stage.seed);
        let end = archive(&stage, &Topic::of(&stage, 1)).unwrap();
        assert!(end.until > click.fold_time);
        check(&stage, end, stage.seed);
    }
}

/// A verdict that cannot be is told with its place, whether its click has been read or not.
#[test]
fn a_verdict_that_cannot_be_is_an_error() {
    let seed = Stage::long().seed;
    let all = final_verdicts(&Stage::new(seed));
    for at in [5, all.len() - 5] {
        let click = all[at];
        let flipped = |class: Class| Reasons(click.reasons.0 ^ (1 << class as u16));
        let wrong = [
            // What the record alone decides, and the policy.
            vec![Verdict { reasons: flipped(Class::G5), ..click }],
            vec![Verdict { policy: click.policy + 1, ..click }],
            // Two that differ, and one of no click.
            vec![click, Verdict { reasons: flipped(Class::G3), ..click }],
            vec![click, Verdict { offset: Offset(click.offset.0 + 1_000_000), ..click }],
        ];
        for (number, verdicts) in wrong.into_iter().enumerate() {
            let (mut topic, named) = (all.clone(), verdicts[verdicts.len() - 1]);
            topic.splice(at..=at, verdicts);
            // The first click's verdict comes last: all others are looked at until then.
            topic.rotate_left(1);
            let error = archive(&Stage::new(seed), &Topic::new(topic, 1)).unwrap_err().to_string();
            let place = format!("partition {}, offset {}:", named.partition.0, named.offset.0);
            assert!(error.starts_with(&place), "{at}, {number}: {error}");
        }
    }
}
