//! The archive of generated logs: it gives the log back byte for byte, its verdicts are the
//! reference's, and whatever is changed in it is found and named.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod told;
mod unsteady;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use click_engine::archive::{
    Archive, ArchiveConfig, ArchiveError, ArchiveParts, Archiver, Audit, DiskObjects, Manifest,
    Objects, Progress, Told, audit,
};
use click_engine::disk::MemDisk;
use click_engine::log::{EventLog, ManualClock, RecordBatch};
use click_engine::store::{LedgerStore, MemoryStore};
use click_sim::check::{Dice, World};
use click_sim::generate::{GeneratorConfig, generate};
use click_sim::given_log::GivenLog;

struct Stage {
    seed: u64,
    world: World,
    log: Arc<GivenLog>,
    disk: MemDisk,
    objects: Arc<dyn Objects>,
}

impl Stage {
    fn new(seed: u64) -> Stage {
        let config = GeneratorConfig::moving_or_not(seed);
        let world = World::new(&generate(&config, seed), config.partitions);
        let log = GivenLog::new(world.header, world.log.clone());
        let disk = MemDisk::new(seed);
        let objects = DiskObjects::new(Arc::new(disk.clone()), Path::new("/archive"));
        Stage { seed, world, log: Arc::new(log), disk, objects: Arc::new(objects) }
    }

    /// The first whose archive has several manifests, archived.
    fn long() -> Stage {
        let stages = (0..).map(|seed| {
            let stage = Stage::new(seed);
            stage.archiver(1).finish().unwrap();
            stage
        });
        stages.take(60).find(|stage| stage.archive().manifests().len() > 1).unwrap()
    }

    fn archiver(&self, threads: usize) -> Archiver {
        self.archiver_of(None, threads).unwrap()
    }

    fn archiver_of(
        &self,
        told: Option<Box<dyn Told>>,
        threads: usize,
    ) -> Result<Archiver, ArchiveError> {
        let parts = ArchiveParts {
            log: self.log.clone(),
            disk: Arc::new(self.disk.clone()),
            clock: Arc::new(ManualClock::new(0)),
            checkpoints: PathBuf::from("/state"),
            objects: self.objects.clone(),
            told,
        };
        // Small, so that there are many files.
        let config = ArchiveConfig { threads, rows_per_file: 50, ..ArchiveConfig::default() };
        Archiver::open(parts, config)
    }

    fn archive(&self) -> Archive {
        Archive::open(self.objects.clone()).unwrap()
    }

    fn audit(&self, store: Option<&MemoryStore>) -> Audit {
        let store = store.map(|store| store as _);
        audit(self.archive(), store, Some(&*self.log), 2, &|_| true).unwrap()
    }

    /// A store with the rows of the reference.
    fn store(&self) -> MemoryStore {
        let mut rows = Rows::default();
        click_engine::driver::refold(&self.archive().into_log(), 1, &mut rows).unwrap();
        let mut store = MemoryStore::new(self.world.header.generation);
        store.upsert(&rows.0).unwrap();
        store
    }
}

#[derive(Default)]
struct Rows(Vec<click_core::row::Row>);

impl click_engine::driver::RefoldSink for Rows {
    fn verdict(&mut self, _: &click_core::stage::source::Verdict) {}

    fn row(&mut self, row: &click_core::row::Row) {
        self.0.push(row.clone());
    }
}

fn read_all(log: &dyn EventLog, partition: u32) -> Vec<(u64, u64, Vec<u8>)> {
    let (mut all, range) = (Vec::new(), log.range(partition));
    let mut next = range.start;
    while next < range.end {
        let mut batch = RecordBatch::default();
        log.read(partition, next, 4096, &mut batch).unwrap();
        all.extend(batch.iter().map(|(offset, time, payload)| (offset, time, payload.to_vec())));
        next = all.last().unwrap().0 + 1;
    }
    all
}

/// What the archive gives is what the log has; what it lacks is of the last second.
#[test]
fn the_archive_is_the_log_whatever_dies() {
    let mut archived = 0;
    for seed in 0..25 {
        let (stage, mut dice) = (Stage::new(seed), Dice::new(seed));
        let mut archiver = stage.archiver(1 + dice.below(3));
        // It dies at any step, with what the disk had not made durable, or is stopped, while the
        // log grows.
        for percent in (0..100).step_by(1 + dice.below(9)) {
            stage.log.grow_to(percent.max(1));
            for _ in 0..dice.below(30) {
                if archiver.step().unwrap() == Progress::Idle {
                    break;
                }
            }
            match dice.below(4) {
                0 => {
                    drop(archiver);
                    stage.disk.crash();
                    archiver = stage.archiver(1 + dice.below(3));
                }
                1 => {
                    archiver.finish().unwrap();
                    archiver = stage.archiver(1 + dice.below(3));
                }
                _ => {}
            }
        }
        stage.log.grow_to(100);
        let end = archiver.finish().unwrap();
        let log = stage.archive().into_log();
        for (partition, records) in (0..).zip(&stage.world.log) {
            let found = read_all(&log, partition);
            archived += found.len();
            for ((offset, time, payload), (t, p)) in found.iter().zip(records) {
                assert_eq!((time, payload), (t, p), "seed {seed}, {partition}/{offset}");
            }
            let position = |record: usize| {
                let at = (partition, record as u64);
                stage.world.history.fold_times[&at]
            };
            assert!((0..found.len()).all(|n| position(n) < end.until.0), "seed {seed}");
            assert!((found.len()..records.len()).all(|n| position(n) >= end.until.0));
        }
        let audit = stage.audit(Some(&stage.store()));
        assert_eq!(audit.differences, [], "seed {seed}");
        assert!(audit.log_records > 0 && audit.rows > 0 && audit.verdicts > 0, "{audit:?}");
        verdicts_are_the_references(&stage, &audit, end.until.0);
    }
    assert!(archived > 5_000, "{archived}");
}

/// A partition is silent for seconds before the archive ends: what the others have there cannot be
/// decided from the archive alone, and is held to be clicks.
#[test]
fn clicks_that_a_silent_partition_is_behind_are_not_decided_and_still_checked() {
    const SILENCE: u64 = 5000;
    let (mut undecided, mut checked) = (0, 0);
    for seed in 0..40 {
        let config = GeneratorConfig::moving_or_not(seed);
        let world = World::new(&generate(&config, seed), config.partitions);
        let (first, last) = (world.log[0][0].0, world.log[0].last().unwrap().0);
        let from = first + (last - first) / 2;
        let mut log = world.log.clone();
        for (partition, records) in log.iter_mut().enumerate() {
            let is_silent = partition == 1;
            records.retain(|(at, _)| !is_silent || !(from..from + SILENCE).contains(at));
            // It ends with what it says again.
            let end = records.partition_point(|(at, _)| *at < from + SILENCE);
            records.truncate(end + usize::from(is_silent));
        }
        if config.partitions < 2 || log[1].last().is_none_or(|(at, _)| *at < from + SILENCE) {
            continue;
        }
        let log = Arc::new(GivenLog::new(world.header, log));
        let stage = Stage { log, ..Stage::new(seed) };
        stage.archiver(2).finish().unwrap();
        let found = stage.audit(None);
        assert_eq!(found.differences, [], "seed {seed}");
        undecided += found.undecided;
        checked += u64::from(found.undecided > 0);
    }
    assert!(undecided > 100 && checked > 5, "{undecided} of {checked} logs");
}

fn verdicts_are_the_references(stage: &Stage, audit: &Audit, until: u64) {
    let history = &stage.world.history;
    let due = history.verdicts.iter().filter(|(at, _)| history.fold_times[at] < until);
    assert_eq!(due.count() as u64, audit.verdicts + audit.undecided);
}

/// A second archiver, or one that starts anew, writes the same bytes or nothing.
#[test]
fn archiving_again_changes_nothing() {
    let stage = Stage::new(7);
    stage.archiver(1).finish().unwrap();
    let names = |folder: &str| stage.objects.list(folder).unwrap();
    let all = || [names("manifest"), names("clicks"), names("verdicts")].concat();
    let bytes = |name: &String| stage.objects.get(name).unwrap().unwrap();
    let before: Vec<_> = all().iter().map(|name| (name.clone(), bytes(name))).collect();
    assert!(before.len() > 6, "{before:?}");
    let other = Stage { objects: stage.objects.clone(), ..Stage::new(7) };
    other.archiver(2).finish().unwrap();
    // A file of a span that was never named is swept away.
    let orphan = "clicks/day=2031-01-01/hour=00/p0000-00000000000000900000-00000000000000900001";
    stage.objects.put(&format!("{orphan}.parquet"), b"left over").unwrap();
    other.archiver(1).finish().unwrap();
    let after: Vec<_> = all().iter().map(|name| (name.clone(), bytes(name))).collect();
    assert!(before == after);
}

#[test]
fn tampering_is_found_and_named() {
    let stage = Stage::long();
    let store = stage.store();
    assert_eq!(stage.audit(Some(&store)).differences, []);
    let files: Vec<String> =
        [stage.objects.list("clicks").unwrap(), stage.objects.list("verdicts").unwrap()].concat();
    for name in [&files[0], &files[files.len() / 2], &files[files.len() - 1]] {
        let good = stage.objects.get(name).unwrap().unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 1;
        stage.objects.put(name, &bad).unwrap();
        names_what_is_wrong(&stage.audit(Some(&store)), name, "SHA-256");
        stage.objects.remove(name).unwrap();
        names_what_is_wrong(&stage.audit(Some(&store)), name, "missing");
        stage.objects.put(name, &good).unwrap();
    }
    assert_eq!(stage.audit(Some(&store)).differences, []);
    manifests_are_chained(&stage);
}

fn names_what_is_wrong(audit: &Audit, what: &str, how: &str) {
    let [difference] = audit.differences.as_slice() else { panic!("{:?}", audit.differences) };
    assert!(difference.what.contains(what) && difference.how.contains(how), "{difference:?}");
}

fn manifests_are_chained(stage: &Stage) {
    let name = Manifest::name(0);
    let good = stage.objects.get(&name).unwrap().unwrap();
    let (mut manifest, _) = Manifest::decode(0, &good).unwrap();
    manifest.files[0].rows += 1;
    stage.objects.put(&name, &manifest.encode()).unwrap();
    let error = Archive::open(stage.objects.clone()).err().unwrap().to_string();
    assert!(error.contains(&Manifest::name(1)) && error.contains("changed"), "{error}");
    stage.objects.remove(&name).unwrap();
    let error = Archive::open(stage.objects.clone()).err().unwrap().to_string();
    assert!(error.contains(&name) && error.contains("missing"), "{error}");
    stage.objects.put(&name, &good).unwrap();
}

/// An edited row of the store, and rows that are missing or made up.
#[test]
fn a_changed_row_is_named_with_its_clicks() {
    let stage = Stage::long();
    let mut rows = Rows::default();
    click_engine::driver::refold(&stage.archive().into_log(), 1, &mut rows).unwrap();
    let rows = rows.0;
    let newest = rows.last().unwrap().clone();
    let with = |change: &dyn Fn(&mut click_core::row::Row)| {
        let mut changed = newest.clone();
        change(&mut changed);
        let others = rows.iter().filter(|row| {
            (&row.key, row.minute, row.posted_minute)
                != (&newest.key, newest.minute, newest.posted_minute)
        });
        let mut store = MemoryStore::new(stage.world.header.generation);
        store.upsert(&others.cloned().collect::<Vec<_>>()).unwrap();
        store.upsert(&[changed]).unwrap();
        stage.audit(Some(&store))
    };
    assert_eq!(with(&|_| {}).differences, []);
    let audit = with(&|row| row.counts.sum_micros += 1);
    names_what_is_wrong(&audit, "row of", "sum");
    assert!(audit.differences[0].how.contains("click"), "{:?}", audit.differences);
    let audit = with(&|row| row.minute.0 += 1_000);
    assert_eq!(audit.differ, 2, "one too many and one too few: {:?}", audit.differences);
}
