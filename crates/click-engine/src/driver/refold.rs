//! Refold: a log from its beginning, with no store and no checkpoint, every verdict handed out.
//! For tools that need each click: `show --verdicts`, `verify`, audits.

use super::EngineError;
use super::intake::Intake;
use super::parallel::Threads;
use super::restore::header_of;
use crate::log::EventLog;
use click_core::fold::{Effects, Fold};
use click_core::policy::{Policy, Timeline};
use click_core::row::Row;
use click_core::stage::source::Verdict;
use click_core::types::{Millis, Offset};

/// Bytes of the log that are read at a time.
const STEP_BYTES: usize = 8 << 20;

/// A click's final verdict with its position.
pub type FinalVerdict = Verdict;

/// Receives what a refold brings about.
pub trait RefoldSink {
    /// A verdict that became final; each click's exactly once, not in order of offsets.
    fn verdict(&mut self, verdict: &FinalVerdict);
    /// A row as of a grid instant.
    fn row(&mut self, row: &Row);
    /// Everything below the watermark has been told.
    fn folded(&mut self, _watermark: Millis, _timeline: &Timeline) {}
}

/// All verdicts, as they become final.
impl RefoldSink for Vec<FinalVerdict> {
    fn verdict(&mut self, verdict: &FinalVerdict) {
        self.push(*verdict);
    }

    fn row(&mut self, _: &Row) {}
}

/// What a refold counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefoldSummary {
    /// W at the log's end.
    pub watermark: Millis,
    /// Measured clicks below it.
    pub measured: u64,
    /// Those whose verdict is not final.
    pub pending: u64,
    /// Transport repeats.
    pub repeats: u64,
    /// Records that no click came of.
    pub dead_letters: u64,
    /// Records known to be missing.
    pub gaps: u64,
    /// Clicks at or beyond W that were read.
    pub arriving: u64,
    /// Records that were not read: more than a second beyond W.
    pub unread: u64,
    /// The policies of the log.
    pub timeline: Timeline,
}

/// Folds everything that is durable in `log`.
pub fn refold(
    log: &dyn EventLog,
    threads: usize,
    sink: &mut dyn RefoldSink,
) -> Result<RefoldSummary, EngineError> {
    refold_with(log, Fold::new(&header_of(log), threads), threads, sink)
}

/// Folds everything as if `policy` had been in force from the beginning, whatever the log says of
/// policies (SPEC §8).
///
/// # Errors
/// If the policy is refused, or as [`refold`].
pub fn refold_under(
    log: &dyn EventLog,
    policy: Policy,
    threads: usize,
    sink: &mut dyn RefoldSink,
) -> Result<RefoldSummary, EngineError> {
    policy.check().map_err(|error| EngineError::Mismatch(format!("policy: {error}")))?;
    let fold = Fold::under(&header_of(log), threads, policy);
    refold_with(log, fold, threads, sink)
}

fn refold_with(
    log: &dyn EventLog,
    mut fold: Fold,
    threads: usize,
    sink: &mut dyn RefoldSink,
) -> Result<RefoldSummary, EngineError> {
    let start = (0..log.partitions()).find(|partition| log.range(*partition).start > 0);
    if let Some(partition) = start {
        return Err(EngineError::Mismatch(format!(
            "partition {partition} no longer has its first records: use the archive"
        )));
    }
    let pool =
        Threads::new(threads).map_err(|source| EngineError::Io { what: "threads", source })?;
    let mut intake = Intake::new(STEP_BYTES);
    let mut effects = Effects::default();
    while intake.read(log, &mut fold, &pool)? > 0 {
        effects.clear();
        let w = fold.possible_watermark();
        fold.advance(w, true, &pool, &mut effects);
        effects.verdicts.iter().for_each(|verdict| sink.verdict(verdict));
        effects.rows.iter().for_each(|published| sink.row(&published.row));
        sink.folded(fold.watermark(), fold.timeline());
    }
    Ok(summary(log, &fold))
}

fn summary(log: &dyn EventLog, fold: &Fold) -> RefoldSummary {
    let unread = |(partition, next): (u32, Offset)| log.range(partition).end.saturating_sub(next.0);
    RefoldSummary {
        watermark: fold.watermark(),
        measured: fold.totals().measured,
        pending: fold.pending() as u64,
        repeats: fold.repeats(),
        dead_letters: fold.totals().dead_letters,
        gaps: fold.gaps(),
        arriving: fold.arriving(),
        unread: (0..).zip(Intake::read_to(fold)).map(unread).sum(),
        timeline: fold.timeline().clone(),
    }
}
