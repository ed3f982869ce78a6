//! Saver: makes a checkpoint durable in the background while the fold goes on.

use super::{Engine, EngineError, monotonic};
use crate::checkpoint::{Checkpoint, CheckpointDir};
use crate::disk::{DiskFile, unless_full};
use click_core::types::{Millis, Offset};
use std::sync::Arc;
use std::thread::JoinHandle;

pub(super) struct Saver {
    dir: Arc<CheckpointDir>,
    job: Option<JoinHandle<Result<Option<Saved>, EngineError>>>,
    /// The newest whole checkpoint, then the one before.
    saved: Vec<Saved>,
    background: bool,
    /// The disk had no room for the last one.
    pub(super) is_full: bool,
}

/// A durable checkpoint: what of it decides retention.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    watermark: Millis,
    positions: Vec<Offset>,
}

impl Saver {
    pub(super) fn new(dir: Arc<CheckpointDir>, newest: Option<&Checkpoint>) -> Saver {
        Saver {
            dir,
            job: None,
            saved: newest.map(Saved::of).into_iter().collect(),
            background: true,
            is_full: false,
        }
    }

    /// From now on checkpoints are written on the caller's thread.
    pub(super) fn in_foreground(&mut self) {
        self.background = false;
    }

    /// Whether no checkpoint is being written; collects one that has just been finished.
    pub(super) fn is_idle(&mut self) -> Result<bool, EngineError> {
        if self.job.as_ref().is_some_and(|job| !job.is_finished()) {
            return Ok(false);
        }
        self.finish()?;
        Ok(true)
    }

    /// Waits for the checkpoint that is being written.
    pub(super) fn finish(&mut self) -> Result<(), EngineError> {
        let Some(job) = self.job.take() else { return Ok(()) };
        let crashed = |_| EngineError::Mismatch("the checkpoint thread panicked".into());
        let saved = job.join().map_err(crashed)??;
        self.remember(saved);
        Ok(())
    }

    fn remember(&mut self, saved: Option<Saved>) {
        self.is_full = saved.is_none();
        if let Some(saved) = saved {
            self.saved.insert(0, saved);
            self.saved.truncate(2);
        }
    }

    /// Watermark of the newest whole checkpoint.
    pub(super) fn watermark(&self) -> Millis {
        self.saved.first().map(|saved| saved.watermark).unwrap_or_default()
    }

    /// Per partition the offset below which no kept checkpoint needs the log.
    pub(super) fn floors(&self, partitions: u32) -> Vec<u64> {
        let older = self.saved.get(1).map_or(&[][..], |older| &older.positions);
        let mut floors: Vec<u64> = older.iter().map(|position| position.0).collect();
        // Of those that have been added since, nothing is to go.
        floors.resize(partitions as usize, 0);
        floors
    }

    fn save(
        &mut self,
        files: Vec<Arc<dyn DiskFile>>,
        checkpoint: Checkpoint,
    ) -> Result<(), EngineError> {
        let dir = self.dir.clone();
        let work = move || {
            for file in files {
                let synced = file.sync_data();
                synced.map_err(|source| EngineError::Io { what: "journal of claims", source })?;
            }
            match dir.write(&checkpoint) {
                Err(error) if error.is_full() => return Ok(None),
                done => done?,
            }
            dir.prune(&checkpoint)?;
            Ok(Some(Saved::of(&checkpoint)))
        };
        if self.background {
            let thread = std::thread::Builder::new().name("checkpoint".into()).spawn(work);
            self.job = Some(thread.map_err(|source| EngineError::Io { what: "thread", source })?);
        } else {
            let saved = work()?;
            self.remember(saved);
        }
        Ok(())
    }
}

impl Saved {
    fn of(checkpoint: &Checkpoint) -> Saved {
        Saved { watermark: checkpoint.watermark, positions: checkpoint.positions.clone() }
    }
}

impl Engine {
    /// Takes the state as of the watermark and has it written.
    pub(super) fn begin_checkpoint(&mut self) -> Result<(), EngineError> {
        self.last_checkpoint = monotonic(&*self.clock);
        let watermark = self.fold.watermark();
        if watermark <= self.saver.watermark() {
            return Ok(());
        }
        self.journalled = 0;
        let horizon = self.fold.timeline().longest_horizon();
        let horizon_start = Millis(watermark.since(Millis(horizon)));
        let cut = unless_full(self.runs.cut(horizon_start));
        let cut = cut.map_err(|source| EngineError::Io { what: "journal of claims", source })?;
        let Some(cut) = cut else {
            self.saver.remember(None);
            return Ok(());
        };
        let (waiting, store_mark) = self.unconfirmed();
        let checkpoint = Checkpoint {
            log_id: self.log.log_id().0,
            generation: self.log.generation(),
            watermark,
            store_mark,
            positions: self.fold.positions(),
            runs: cut.runs,
            waiting_rows: click_core::fold::encode_rows(waiting.iter()),
            parts: self.fold.snapshot(false),
        };
        self.saver.save(cut.unsynced, checkpoint)
    }
}
