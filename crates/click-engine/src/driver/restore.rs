//! Opening an engine: the newest whole checkpoint, the journal that goes with it, and the rows
//! that the store may lack; the log gives the rest.

use super::config::{EngineConfig, EngineParts};
use super::dead_letters::DeadLetters;
use super::intake::Intake;
use super::mirror::Problem;
use super::outbox::Outbox;
use super::parallel::Threads;
use super::saver::Saver;
use super::{Engine, EngineError, checkpoint_dir, lock, monotonic};
use crate::checkpoint::{Checkpoint, CheckpointDir};
use crate::live::EngineStatus;
use crate::log::{Commit, EventLog, LogError};
use crate::store::{LedgerStore, StoreError, is_summary_row};
use click_core::fold::{Effects, Fold, decode_rows};
use click_core::planted::{Bug, planted};
use click_core::record::{Header, Kind, Record};
use click_core::row::Row;
use click_core::types::Millis;
use std::sync::Arc;
use std::time::Duration;

impl Engine {
    /// Puts an engine together and brings it to where its newest whole checkpoint left off. The
    /// store, which a thread of its own may drain, is handed back.
    pub fn open(
        parts: EngineParts,
        config: EngineConfig,
    ) -> Result<(Engine, Option<Box<dyn LedgerStore>>), EngineError> {
        let EngineParts { log, disk, clock, checkpoints, dead_letters, mut store, sink, status } =
            parts;
        let header = ensure_header(&*log)?;
        let dir = Arc::new(checkpoint_dir(disk.clone(), &checkpoints)?);
        let mark = mark_of(store.as_mut())?;
        let (checkpoint, warnings) = usable(&dir, &*log, mark)?;
        let mut fold = match config.is_sequencing {
            true => Fold::sequencing(&header),
            false => Fold::new(&header, config.threads),
        };
        let left_at = checkpoint.as_ref().map(|checkpoint| checkpoint.store_mark);
        let outbox = match (mark, &store) {
            (Some(mark), _) => Outbox::new(mark),
            (None, Some(_)) => Outbox::unchecked(left_at.unwrap_or_default()),
            (None, None) => Outbox::new(Millis(0)),
        };
        let first_wants_summaries = store.as_ref().is_some_and(|store| store.wants_summaries());
        let mut restored = Vec::new();
        if let Some(checkpoint) = &checkpoint {
            restored = restore(&mut fold, &dir, checkpoint)?;
            let own = |row: &&Row| first_wants_summaries || !is_summary_row(row);
            outbox.put_back(restored.iter().filter(own).cloned());
        }
        if let Some(layout) = fold.layout() {
            log.extend(layout)?;
        }
        check_start(&*log, &fold)?;
        log.prepare(&fold.positions().iter().map(|position| position.0).collect::<Vec<_>>());
        if sink.is_some() {
            fold.watch();
        }
        let runs = dir.journal(checkpoint.as_ref())?;
        let threads = Threads::new(config.threads)
            .map_err(|source| EngineError::Io { what: "threads", source })?;
        *lock(&status) = EngineStatus { warnings, ..EngineStatus::default() };
        let mut engine = Engine {
            intake: Intake::new(config.step_bytes * config.threads.max(1)),
            saver: Saver::new(dir, checkpoint.as_ref()),
            dead_letters: DeadLetters::new(disk, &dead_letters),
            last_checkpoint: monotonic(&*clock),
            last_live: Duration::ZERO,
            live_owed: true,
            last_publish: Duration::ZERO,
            log,
            clock,
            config,
            threads,
            fold,
            effects: Effects::default(),
            outbox: Arc::new(outbox),
            problem: Problem::default(),
            mirrors: Vec::new(),
            restored: (restored, left_at.unwrap_or_default()),
            summaries: None,
            first_wants_summaries,
            runs,
            sink,
            status,
            journalled: 0,
        };
        if first_wants_summaries {
            engine.make_summaries();
        }
        engine.update_status();
        Ok((engine, store))
    }

    /// Says of the engine that it has failed.
    pub(super) fn note_failure(&self, error: &EngineError) {
        lock(&self.status).failed = Some(error.to_string());
    }
}

/// The store's mark, if there is a store that answers.
fn mark_of(store: Option<&mut Box<dyn LedgerStore>>) -> Result<Option<Millis>, EngineError> {
    match store.map(|store| store.mark()) {
        Some(Ok(mark)) => Ok(Some(mark)),
        None | Some(Err(StoreError::Unavailable(_))) => Ok(None),
        Some(Err(error)) => Err(error.into()),
    }
}

/// What the log says of itself.
pub(super) fn header_of(log: &dyn EventLog) -> Header {
    Header { log_id: log.log_id().0, generation: log.generation(), partitions: log.begun_with() }
}

/// Appends what a new log begins with.
///
/// # Errors
/// As any append.
pub fn append_header(log: &dyn EventLog) -> Result<Commit, LogError> {
    let kind = Kind::Header(header_of(log));
    let record = Record { sent_at: None, transport: None, previous: None, kind };
    log.append_at(0, 0, &record.to_bytes())
}

/// The log's header, appended first if the log is new.
fn ensure_header(log: &dyn EventLog) -> Result<Header, EngineError> {
    if log.range(0).end == 0 {
        append_header(log)?.wait()?;
    }
    Ok(header_of(log))
}

/// The newest whole checkpoint, unless the store has lost rows that it takes for confirmed: then
/// the log is read from its beginning.
fn usable(
    dir: &CheckpointDir,
    log: &dyn EventLog,
    mark: Option<Millis>,
) -> Result<(Option<Checkpoint>, Vec<String>), EngineError> {
    let (checkpoint, skipped) = dir.newest()?;
    let mut warnings: Vec<String> = skipped
        .into_iter()
        .map(|skipped| format!("checkpoint {} passed over: {}", skipped.file, skipped.reason))
        .collect();
    let Some(checkpoint) = checkpoint else { return Ok((None, warnings)) };
    if checkpoint.log_id != log.log_id().0 || checkpoint.generation != log.generation() {
        return Err(EngineError::Mismatch(
            "the checkpoints belong to another log: move the checkpoint directory away".into(),
        ));
    }
    let older = mark.is_some_and(|mark| mark < checkpoint.store_mark);
    if older && !planted(Bug::StoreMarkIgnored) {
        warnings.push("the store lacks rows that it had confirmed: reading the whole log".into());
        return Ok((None, warnings));
    }
    Ok((Some(checkpoint), warnings))
}

fn restore(
    fold: &mut Fold,
    dir: &CheckpointDir,
    checkpoint: &Checkpoint,
) -> Result<Vec<Row>, EngineError> {
    let bad = |error| EngineError::Mismatch(format!("checkpoint: {error}"));
    fold.restore(&checkpoint.parts).map_err(bad)?;
    if !planted(Bug::JournalNotRead) {
        dir.read_runs(checkpoint, |journal| fold.restore_journal(&journal))?;
    }
    decode_rows(&checkpoint.waiting_rows).map_err(bad)
}

/// A position below the log's start is an error, never a skip.
fn check_start(log: &dyn EventLog, fold: &Fold) -> Result<(), EngineError> {
    for (partition, position) in (0..).zip(fold.positions()) {
        let start = log.range(partition).start;
        if position.0 < start {
            return Err(EngineError::Mismatch(format!(
                "partition {partition} is needed from offset {}, but the log begins at {start}: \
                 restore the checkpoints, or rebuild from the archive",
                position.0
            )));
        }
    }
    Ok(())
}
