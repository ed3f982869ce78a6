//! Running an engine: threads for the fold and the store, ticks, the way down.

use super::intake::Intake;
use super::mirror::{Mirror, Problem, drain};
use super::outbox::Outbox;
use super::{Engine, EngineError, lock, monotonic};
use crate::log::{EventLog, LogError};
use crate::store::{LedgerStore, StoreError};
use click_core::record::Record;
use click_core::types::Millis;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Waiting time after a store failed.
const STORE_RETRY: Duration = Duration::from_millis(500);
/// How often the publisher looks whether it shall stop.
const LOOK_UP: Duration = Duration::from_millis(200);

impl Engine {
    /// Folds until `stop`, then publishes and checkpoints what is folded. Blocks.
    pub fn run(
        mut self,
        store: Option<Box<dyn LedgerStore>>,
        stop: &AtomicBool,
    ) -> Result<(), EngineError> {
        let publisher = self.spawn_publisher(store)?;
        let mirrors = self.spawn_mirrors()?;
        let folded = self.fold_until(stop);
        self.outbox.close();
        self.mirrors.iter().for_each(|mirror| mirror.outbox.close());
        for mirror in mirrors {
            // Each has said what is wrong with its store, which is no reason to fail.
            _ = mirror.join();
        }
        let crashed = |_| EngineError::Mismatch("the publisher thread panicked".into());
        let published = publisher.join().map_err(crashed).and_then(|result| Ok(result?));
        let result = folded.and(published).and_then(|()| self.close());
        if let Err(error) = &result {
            self.note_failure(error);
        }
        self.update_status();
        result
    }

    /// Folds all durable records, publishes their rows and takes a checkpoint, on this thread.
    pub fn catch_up(&mut self, store: Option<&mut dyn LedgerStore>) -> Result<(), EngineError> {
        self.saver.finish()?;
        self.saver.in_foreground();
        loop {
            let records = self.step()?.records;
            if store.is_none() {
                self.outbox.discard();
            }
            if records == 0 {
                break;
            }
        }
        if let Some(store) = store {
            drain(&self.outbox, store)?;
        }
        self.drain_mirrors();
        self.close()?;
        self.update_status();
        Ok(())
    }

    /// From now on checkpoints are written on the caller's thread, and their errors are its own.
    pub fn in_foreground(&mut self) {
        self.saver.in_foreground();
    }

    /// Writes all rows that wait to the store, on this thread.
    pub fn publish(&self, store: &mut dyn LedgerStore) -> Result<(), StoreError> {
        drain(&self.outbox, store)
    }

    fn close(&mut self) -> Result<(), EngineError> {
        self.saver.finish()?;
        self.begin_checkpoint()?;
        self.saver.finish()
    }

    fn fold_until(&mut self, stop: &AtomicBool) -> Result<(), EngineError> {
        let mut ticker = Ticker::default();
        while !stop.load(Ordering::Relaxed) {
            let begun = monotonic(&*self.clock);
            let step = self.step()?;
            if step.records == 0 {
                let tick = ticker.tick(self)?;
                let wait = self.live_due_in().map_or(tick, |due| due.min(tick));
                self.log.wait(&self.read_ends(), wait);
            }
            let spent = monotonic(&*self.clock).saturating_sub(begun);
            if let Some(rest) = self.config.step_interval.checked_sub(spent)
                && !self.intake.left_some
            {
                std::thread::sleep(rest);
            }
        }
        while self.step()?.records > 0 {}
        Ok(())
    }

    fn spawn_mirrors(&mut self) -> Result<Vec<JoinHandle<()>>, EngineError> {
        let interval = self.config.publish_interval;
        let spawn = |mirror: &mut Mirror| {
            let mut store = mirror.store.take()?;
            let (outbox, problem) = (mirror.outbox.clone(), mirror.problem.clone());
            outbox.bounded();
            let work = move || {
                // What cannot be right stays said; the other stores go on.
                _ = publish_until_closed(&outbox, &mut *store, interval, &problem);
            };
            Some(std::thread::Builder::new().name("store".into()).spawn(work))
        };
        let threads: Result<Vec<_>, _> = self.mirrors.iter_mut().filter_map(spawn).collect();
        threads.map_err(|source| EngineError::Io { what: "thread of a store", source })
    }

    fn read_ends(&self) -> Vec<u64> {
        Intake::read_to(&self.fold).into_iter().map(|offset| offset.0).collect()
    }

    fn spawn_publisher(
        &self,
        store: Option<Box<dyn LedgerStore>>,
    ) -> Result<JoinHandle<Result<(), StoreError>>, EngineError> {
        let (outbox, interval) = (self.outbox.clone(), self.config.publish_interval);
        let (status, problem) = (self.status.clone(), self.problem.clone());
        let work = move || match store {
            Some(mut store) => {
                outbox.bounded();
                let published = publish_until_closed(&outbox, &mut *store, interval, &problem);
                if let Err(error) = &published {
                    lock(&status).failed = Some(error.to_string());
                }
                published
            }
            None => {
                while outbox.wait(LOOK_UP) {
                    outbox.discard();
                }
                outbox.discard();
                Ok(())
            }
        };
        let thread = std::thread::Builder::new().name("publisher".into()).spawn(work);
        thread.map_err(|source| EngineError::Io { what: "publisher thread", source })
    }
}

/// A store that does not answer is asked again; what waits for it when the engine closes is in the
/// next checkpoint.
fn publish_until_closed(
    outbox: &Outbox,
    store: &mut dyn LedgerStore,
    interval: Duration,
    problem: &Problem,
) -> Result<(), StoreError> {
    let mut open = true;
    while open {
        open = outbox.wait(LOOK_UP);
        let done = drain(outbox, store);
        *lock(problem) = done.as_ref().err().map(ToString::to_string);
        match done {
            Ok(()) if open => std::thread::sleep(interval.min(LOOK_UP)),
            Err(StoreError::Unavailable(_) | StoreError::Lost { .. }) if open => {
                std::thread::sleep(STORE_RETRY);
            }
            Ok(()) | Err(StoreError::Unavailable(_) | StoreError::Lost { .. }) => {}
            Err(
                error @ (StoreError::Conflict { .. }
                | StoreError::OtherLog { .. }
                | StoreError::Refused(_)),
            ) => return Err(error),
        }
    }
    Ok(())
}

/// Appends ticks where nobody has appended for a while.
#[derive(Default)]
struct Ticker {
    ends: Vec<u64>,
    since: Vec<Duration>,
}

impl Ticker {
    /// Appends what is due; returns how long until the next look.
    fn tick(&mut self, engine: &Engine) -> Result<Duration, EngineError> {
        let (now, after) = (monotonic(&*engine.clock), engine.config.tick_after);
        let partitions = engine.log.partitions() as usize;
        self.ends.resize(partitions, u64::MAX);
        self.since.resize(partitions, Duration::ZERO);
        let mut wait = after;
        for partition in 0..engine.log.partitions() {
            let at = partition as usize;
            let end = engine.log.range(partition).end;
            if end != self.ends[at] {
                self.ends[at] = end;
                self.since[at] = now;
            }
            let idle = now.saturating_sub(self.since[at]);
            if idle >= after {
                append_tick(&*engine.log, partition, Millis(engine.clock.now().0 / 1000))?;
                self.since[at] = now;
            } else {
                wait = wait.min(after - idle);
            }
        }
        Ok(wait)
    }
}

/// A tick that a full or busy log refuses is not missed: the next one carries the time.
fn append_tick(log: &dyn EventLog, partition: u32, now: Millis) -> Result<(), EngineError> {
    match log.append(partition, &Record::tick(now).to_bytes()) {
        Ok(_) => Ok(()),
        Err(LogError::Busy { .. } | LogError::Full { .. } | LogError::Kafka { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
