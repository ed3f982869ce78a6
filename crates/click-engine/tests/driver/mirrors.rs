//! Several stores: one that is dead, one that falls back behind its mark, one that comes too late.

use super::{Rows, TestStore, World};
use click_core::row::Row;
use click_core::types::Millis;
use click_engine::driver::Engine;
use click_engine::live::StoreStatus;
use click_engine::store::{LedgerStore, StoreError, is_summary_row};
use std::sync::{Arc, Mutex};

/// A store that may lose what it has confirmed, and says so as Redis does.
#[derive(Clone, Default)]
struct Falling {
    store: TestStore,
    known: Arc<Mutex<Millis>>,
    copy: Arc<Mutex<(Rows, Millis)>>,
    sums: bool,
}

impl Falling {
    fn keep_copy(&self) {
        let inner = self.store.0.lock().unwrap();
        *self.copy.lock().unwrap() = (inner.rows.clone(), inner.mark);
    }

    fn fall_back(&self) {
        let mut inner = self.store.0.lock().unwrap();
        (inner.rows, inner.mark) = self.copy.lock().unwrap().clone();
    }

    fn rows(&self) -> Rows {
        let mut rows = self.store.0.lock().unwrap().rows.clone();
        rows.retain(|_, row| !is_summary_row(row));
        rows
    }

    fn check(&self) -> Result<(), StoreError> {
        let mark = self.store.0.lock().unwrap().mark;
        let mut known = self.known.lock().unwrap();
        if mark < *known {
            let confirmed = std::mem::replace(&mut *known, mark);
            return Err(StoreError::Lost { mark, confirmed });
        }
        Ok(())
    }
}

impl LedgerStore for Falling {
    fn upsert(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        self.check()?;
        self.store.upsert(rows)
    }

    fn set_mark(&mut self, mark: Millis) -> Result<(), StoreError> {
        self.check()?;
        self.store.set_mark(mark)?;
        *self.known.lock().unwrap() = mark;
        Ok(())
    }

    fn mark(&mut self) -> Result<Millis, StoreError> {
        self.store.mark()
    }

    fn may_fall_back(&self) -> bool {
        true
    }

    fn wants_summaries(&self) -> bool {
        self.sums
    }
}

/// Catches up with a second store beside the first.
fn catch_up(world: &World, engine: &mut Engine) {
    engine.catch_up(Some(&mut world.store.clone())).unwrap();
}

fn open_with(world: &World, second: &Falling) -> Engine {
    let (mut engine, _) = world.open();
    engine.add_store("second", Box::new(second.clone())).unwrap();
    engine
}

fn second(engine: &Engine) -> StoreStatus {
    engine.status().lock().unwrap().stores[1].clone()
}

#[test]
fn what_a_store_lost_is_written_again_from_memory() {
    let mut world = World::new(11, 1);
    let mirror = Falling::default();
    let mut engine = open_with(&world, &mirror);
    world.clicks(500);
    catch_up(&world, &mut engine);
    mirror.keep_copy();
    // 20 seconds of clicks, about.
    world.clicks(40);
    catch_up(&world, &mut engine);
    mirror.fall_back();
    world.close();
    catch_up(&world, &mut engine);
    assert!(!second(&engine).lacks);
    assert_eq!(mirror.rows(), world.truth().rows);
}

#[test]
fn a_store_that_lost_too_much_keeps_its_mark() {
    let mut world = World::new(12, 1);
    let mirror = Falling::default();
    let mut engine = open_with(&world, &mirror);
    world.clicks(200);
    catch_up(&world, &mut engine);
    mirror.keep_copy();
    // Minutes of them.
    for _ in 0..5 {
        world.clicks(400);
        catch_up(&world, &mut engine);
    }
    mirror.fall_back();
    let left = mirror.store.clone().mark().unwrap();
    world.close();
    catch_up(&world, &mut engine);
    assert!(second(&engine).lacks);
    assert_eq!(mirror.store.clone().mark().unwrap(), left);
    // A restart knows, too; the first store is as ever.
    drop(engine);
    let engine = open_with(&world, &mirror);
    assert!(second(&engine).lacks);
    world.finish_and_compare("the first store");
}

#[test]
fn a_dead_store_holds_up_nothing_and_gets_everything_later() {
    let mut world = World::new(13, 2);
    let mirror = Falling::default();
    let mut engine = open_with(&world, &mirror);
    mirror.store.0.lock().unwrap().fail_next = u32::MAX;
    for _ in 0..4 {
        world.clicks(300);
        catch_up(&world, &mut engine);
    }
    let status = engine.status().lock().unwrap().clone();
    assert_eq!(status.rows_waiting, 0, "the first store has everything");
    assert!(second(&engine).rows_waiting > 0);
    mirror.store.0.lock().unwrap().rows.clear();
    drop(engine);
    // Back after a restart: the checkpoint has what it lacks.
    mirror.store.0.lock().unwrap().fail_next = 0;
    world.close();
    let mut engine = open_with(&world, &mirror);
    catch_up(&world, &mut engine);
    assert!(!second(&engine).lacks);
    assert_eq!(mirror.rows(), world.truth().rows);
    assert_eq!(world.store.0.lock().unwrap().rows, world.truth().rows);
}

#[test]
fn sums_by_advertiser_are_those_of_the_rows_whatever_restarts() {
    let mut world = World::new(14, 1);
    let mirror = Falling { sums: true, ..Falling::default() };
    for _ in 0..8 {
        let mut engine = open_with(&world, &mirror);
        world.clicks(150);
        catch_up(&world, &mut engine);
    }
    world.close();
    let mut engine = open_with(&world, &mirror);
    catch_up(&world, &mut engine);
    assert_eq!(mirror.rows(), world.truth().rows);
    let rows = mirror.store.0.lock().unwrap().rows.clone();
    let (sums, parts): (Vec<_>, Vec<_>) = rows.into_values().partition(is_summary_row);
    let is_ad = |row: &&Row| matches!(&*row.key, click_core::row::RowKey::Ad { .. });
    for sum in &sums {
        let same = |row: &&Row| {
            (row.minute, row.posted_minute) == (sum.minute, sum.posted_minute) && is_ad(row)
        };
        let own: Vec<_> = parts.iter().filter(same).collect();
        assert_eq!(own.iter().map(|row| row.counts.measured).sum::<u64>(), sum.counts.measured);
        assert_eq!(
            own.iter().map(|row| row.counts.sum_micros).sum::<i128>(),
            sum.counts.sum_micros
        );
        assert_eq!(own.iter().map(|row| row.version).max(), Some(sum.version));
    }
    assert!(sums.len() > 10, "{}", sums.len());
    let first = world.store.0.lock().unwrap();
    assert!(!first.rows.values().any(is_summary_row), "the first store wants none");
}
