//! The engine over an in-memory log and disk: whatever dies and whenever, the store ends with the
//! rows that a fold of the whole log gives.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod mirrors;

use click_core::record::{Click, Kind, Record, Transport};
use click_core::row::{Row, RowId};
use click_core::types::{Micros, Millis};
use click_engine::disk::MemDisk;
use click_engine::driver::{
    Engine, EngineConfig, EngineParts, FinalVerdict, PublishMode, RefoldSink, refold,
};
use click_engine::log::{EventLog, LogId, ManualClock, MemLog};
use click_engine::store::{LedgerStore, StoreError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Rows = BTreeMap<RowId, Row>;

const START: u64 = 1_780_000_000_000;

/// A store that outlives engines, may be down, and keeps to the contract.
#[derive(Clone, Default)]
struct TestStore(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    rows: Rows,
    mark: Millis,
    fail_next: u32,
}

impl LedgerStore for TestStore {
    fn upsert(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        let mut inner = self.0.lock().unwrap();
        for row in rows {
            match inner.rows.get(&row.id()) {
                Some(held) if held.version == row.version => assert_eq!(held, row),
                Some(held) if held.version > row.version => {}
                _ => {
                    inner.rows.insert(row.id(), row.clone());
                }
            }
        }
        // The outcome of a failed write is unknown: here it happened.
        if inner.fail_next > 0 {
            inner.fail_next -= 1;
            return Err(StoreError::Unavailable("down".into()));
        }
        Ok(())
    }

    fn set_mark(&mut self, mark: Millis) -> Result<(), StoreError> {
        let mut inner = self.0.lock().unwrap();
        inner.mark = inner.mark.max(mark);
        Ok(())
    }

    fn mark(&mut self) -> Result<Millis, StoreError> {
        Ok(self.0.lock().unwrap().mark)
    }
}

#[derive(Default)]
struct Truth {
    rows: Rows,
    verdicts: u64,
}

impl RefoldSink for Truth {
    fn verdict(&mut self, _: &FinalVerdict) {
        self.verdicts += 1;
    }

    fn row(&mut self, row: &Row) {
        self.rows.insert(row.id(), row.clone());
    }
}

struct World {
    log: Arc<MemLog>,
    disk: MemDisk,
    clock: Arc<ManualClock>,
    store: TestStore,
    random: u64,
    made: u64,
    threads: usize,
    mode: PublishMode,
}

impl World {
    fn new(seed: u64, partitions: u32) -> World {
        let clock = Arc::new(ManualClock::new(START));
        World {
            log: Arc::new(MemLog::new(LogId([9; 16]), 1, partitions, clock.clone())),
            disk: MemDisk::new(seed),
            clock,
            store: TestStore::default(),
            random: seed,
            made: 0,
            threads: 1 + usize::try_from(seed % 3).unwrap(),
            mode: PublishMode::Live,
        }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
        (self.random >> 33) % limit
    }

    fn open(&self) -> (Engine, Option<Box<dyn LedgerStore>>) {
        let parts = EngineParts {
            log: self.log.clone(),
            disk: Arc::new(self.disk.clone()),
            clock: self.clock.clone(),
            checkpoints: PathBuf::from("/data/checkpoints"),
            dead_letters: PathBuf::from("/data/dead-letters"),
            store: Some(Box::new(self.store.clone())),
            sink: None,
            status: Arc::default(),
        };
        let config = EngineConfig {
            threads: self.threads,
            publish_mode: self.mode,
            checkpoint_interval: Duration::from_secs(20),
            step_bytes: 64 << 10,
            ..EngineConfig::default()
        };
        Engine::open(parts, config).unwrap()
    }

    /// Appends clicks a few milliseconds apart, few users and addresses, over several minutes.
    fn clicks(&mut self, count: u64) {
        for _ in 0..count {
            self.made += 1;
            let pause = 1 + self.below(900);
            self.clock.advance(pause);
            let now = self.clock_ms();
            let (user, ad, host) = (self.below(20), self.below(5), self.below(8));
            let (click, user) = (format!("c{}", self.below(self.made)), format!("u{user}"));
            let seq = self.made / u64::from(self.log.partitions());
            let partition = u32::try_from(self.made % u64::from(self.log.partitions())).unwrap();
            let record = Record {
                sent_at: Some(Millis(now)),
                transport: Some(Transport { tracker_id: "t-1", epoch: 0, seq }),
                previous: None,
                kind: Kind::Click(Click {
                    click_id: &click,
                    user_id: &user,
                    ad_id: &format!("ad{ad}"),
                    currency: "USD",
                    price: Micros(1_000 + ad),
                    received_at: Millis(now - self.below(2_000_000)),
                    ip: &[10, 0, 0, u8::try_from(host).unwrap()],
                    ..Click::default()
                }),
            };
            self.log.append_at(partition, now, &record.to_bytes()).unwrap().wait().unwrap();
        }
    }

    fn clock_ms(&self) -> u64 {
        use click_engine::log::Clock;
        self.clock.now().0 / 1000
    }

    /// Lets time pass and ticks every partition, so that nothing is pending.
    fn close(&mut self) {
        self.clock.advance(5_000);
        let now = self.clock_ms();
        for partition in 0..self.log.partitions() {
            let tick = Record::tick(Millis(now)).to_bytes();
            self.log.append_at(partition, now, &tick).unwrap().wait().unwrap();
        }
    }

    fn truth(&self) -> Truth {
        let mut truth = Truth::default();
        let summary = refold(&*self.log, 1, &mut truth).unwrap();
        assert_eq!(summary.pending, 0);
        assert_eq!(summary.measured, truth.verdicts);
        truth
    }

    /// What a fold of the log as it is now publishes and has decided.
    fn truth_now(&self) -> Rows {
        let mut truth = Truth::default();
        refold(&*self.log, 1, &mut truth).unwrap();
        truth.rows.retain(|_, row| row.counts.pending == 0);
        truth.rows
    }

    fn finish_and_compare(&mut self, what: &str) {
        self.close();
        let (mut engine, mut store) = self.open();
        let store = store.as_deref_mut();
        engine.catch_up(store.map(|store| store as &mut dyn LedgerStore)).unwrap();
        let truth = self.truth();
        assert!(!truth.rows.is_empty());
        assert_eq!(self.store.0.lock().unwrap().rows, truth.rows, "{what}");
        let status = engine.status().lock().unwrap().clone();
        assert_eq!((status.measured, status.pending), (truth.verdicts, 0), "{what}");
        assert_eq!(status.rows_waiting, 0);
    }
}

#[test]
fn a_store_ends_with_the_rows_of_the_whole_log() {
    for partitions in [1, 3] {
        let mut world = World::new(4, partitions);
        world.open();
        world.clicks(1_500);
        world.finish_and_compare("one run");
        world.finish_and_compare("another run adds nothing");
    }
}

#[test]
fn engines_that_crash_at_any_time_lose_and_repeat_nothing() {
    for seed in 0..30 {
        let mut world = World::new(seed, 1 + u32::try_from(seed % 2).unwrap());
        for life in 0..6 {
            let (mut engine, mut store) = world.open();
            for _ in 0..world.below(6) {
                let clicks = world.below(120);
                world.clicks(clicks);
                engine.step().unwrap();
                if world.below(5) == 0 {
                    world.store.0.lock().unwrap().fail_next = 1;
                }
                if world.below(2) == 0 {
                    // May fail: the store is down now and then.
                    let store = store.as_deref_mut().map(|store| store as &mut dyn LedgerStore);
                    let _ = engine.catch_up(store);
                }
            }
            world.store.0.lock().unwrap().fail_next = 0;
            drop(engine);
            world.disk.crash();
            world.threads = 1 + (world.threads + life) % 4;
        }
        world.finish_and_compare(&format!("seed {seed}"));
    }
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let mut world = World::new(8, 1);
    for _ in 0..3 {
        world.clicks(300);
        let (mut engine, mut store) = world.open();
        engine.catch_up(store.as_deref_mut().map(|s| s as &mut dyn LedgerStore)).unwrap();
    }
    let states = states(&world);
    assert_eq!(states.len(), 2);
    let newest = Path::new("/data/checkpoints").join(states.last().unwrap());
    world.disk.tamper(&newest, |bytes| bytes[40] ^= 1).unwrap();
    let (engine, _) = world.open();
    let warnings = engine.status().lock().unwrap().warnings.clone();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("checksum"), "{warnings:?}");
    drop(engine);
    world.clicks(100);
    world.finish_and_compare("after damage");
}

#[test]
fn every_damaged_byte_of_a_checkpoint_or_run_is_detected_or_harmless() {
    let mut world = World::new(12, 1);
    world.clicks(60);
    let (mut engine, mut store) = world.open();
    engine.catch_up(store.as_deref_mut().map(|s| s as &mut dyn LedgerStore)).unwrap();
    drop(engine);
    world.clicks(60);
    world.close();
    let truth = world.truth();
    for name in files(&world) {
        let path = Path::new("/data/checkpoints").join(&name);
        let mut len = 0;
        world.disk.tamper(&path, |bytes| len = bytes.len()).unwrap();
        for at in (0..len).step_by(1 + len / 60) {
            let flip =
                |bytes: &mut Vec<u8>| bytes.iter_mut().skip(at).take(1).for_each(|b| *b ^= 16);
            if world.disk.tamper(&path, flip).is_err() {
                break;
            }
            let (mut engine, mut store) = world.open();
            engine.catch_up(store.as_deref_mut().map(|s| s as &mut dyn LedgerStore)).unwrap();
            assert_eq!(world.store.0.lock().unwrap().rows, truth.rows, "{name} byte {at}");
        }
    }
}

#[test]
fn a_store_that_lost_its_rows_is_filled_again_from_the_log() {
    let mut world = World::new(21, 1);
    world.clicks(400);
    world.finish_and_compare("before");
    *world.store.0.lock().unwrap() = Inner::default();
    let (engine, _) = world.open();
    assert!(engine.status().lock().unwrap().warnings[0].contains("store lacks rows"));
    drop(engine);
    world.finish_and_compare("after");
}

#[test]
fn rows_that_no_mark_vouches_for_survive_an_old_copy_of_the_store() {
    let mut world = World::new(5, 1);
    for life in 0..2 {
        let (mut engine, store) = world.open();
        engine.in_foreground();
        // What the life before left unwritten is written; the store's mark stays where it was.
        if life == 1 {
            engine.publish(&mut *store.unwrap()).unwrap();
        }
        world.clicks(200);
        while engine.step().unwrap().records > 0 {}
    }
    *world.store.0.lock().unwrap() = Inner::default();
    world.finish_and_compare("an empty copy");
}

#[test]
fn mode_minute_writes_every_row_once_its_minute_is_over() {
    let mut world = World::new(31, 2);
    world.mode = PublishMode::Minute;
    for life in 0..6 {
        let (mut engine, mut store) = world.open();
        engine.in_foreground();
        let mut before = Millis(0);
        for _ in 0..8 {
            world.clicks(40);
            while engine.step().unwrap().records > 0 {}
            engine.publish(store.as_deref_mut().unwrap()).unwrap();
            let inner = world.store.0.lock().unwrap();
            assert!(inner.mark >= before);
            before = inner.mark;
            // Whatever changed before the mark is there.
            for row in world.truth_now().values().filter(|row| row.version.at() < before) {
                let there = inner.rows.get(&row.id());
                assert!(there.is_some_and(|there| there.version >= row.version), "{row:?}");
            }
        }
        // Half of them are killed, the others take a checkpoint.
        if life % 2 == 0 {
            engine.catch_up(store.as_deref_mut().map(|s| s as &mut dyn LedgerStore)).unwrap();
        }
    }
    // The minute has to end.
    world.clock.advance(61_000);
    world.finish_and_compare("mode minute");
}

fn files(world: &World) -> Vec<String> {
    use click_engine::disk::Disk;
    world.disk.list(Path::new("/data/checkpoints")).unwrap()
}

fn states(world: &World) -> Vec<String> {
    files(world).into_iter().filter(|name| name.starts_with("state-")).collect()
}
