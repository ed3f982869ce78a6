//! Writing the archive: an engine of its own folds the log span by span; once all verdicts of a
//! span are final its files are written, then the manifest that names them, and only then the
//! engine's checkpoint. Whatever dies in between, the next start does the same again.
//! Must never name in a manifest what the object store has not confirmed.

mod publish;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use click_core::limits::LOOK_AHEAD_MS;
use click_core::planted::{Bug, planted};
use click_core::record::{Kind, Record};
use click_core::stage::source::Verdict;
use click_core::types::{Millis, Offset, Partition};

use super::judged::{Judged, Told};
use super::manifest::Range;
use super::objects::Objects;
use super::reader::newest_number;
use super::span::{Open, open_span, sweep};
use super::{ArchiveError, folded};
use crate::disk::Disk;
use crate::driver::{Engine, EngineConfig, EngineParts};
use crate::log::{Clock, EventLog, for_each_record};

const HOUR_MS: u64 = 3_600_000;

/// Settings of the archive.
#[derive(Clone, Debug)]
pub struct ArchiveConfig {
    /// Threads of the archive's fold.
    pub threads: usize,
    /// Spans end at multiples of this, ms; it divides an hour.
    pub interval_ms: u64,
    /// Most rows of a file; a span that has more is ended as soon as may be.
    pub rows_per_file: usize,
}

impl Default for ArchiveConfig {
    fn default() -> ArchiveConfig {
        ArchiveConfig { threads: 1, interval_ms: 60_000, rows_per_file: 250_000 }
    }
}

/// What an archiver is made of.
pub struct ArchiveParts {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The file system of the archiver's checkpoints.
    pub disk: Arc<dyn Disk>,
    /// Used by the engine for nothing that decides.
    pub clock: Arc<dyn Clock>,
    /// Directory of the archiver's own checkpoints.
    pub checkpoints: PathBuf,
    /// Where the archive is kept.
    pub objects: Arc<dyn Objects>,
    /// Whose verdicts are archived; nobody's: those of a fold of its own.
    pub told: Option<Box<dyn Told>>,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There may be more to do at once.
    Worked,
    /// Everything that can be archived is.
    Idle,
}

/// How far an archive goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Archived {
    /// Everything with `fold_time` below it is archived.
    pub until: Millis,
    /// How many manifests there are.
    pub manifests: u64,
}

/// Writes the archive of one log.
pub struct Archiver {
    engine: Engine,
    log: Arc<dyn EventLog>,
    objects: Arc<dyn Objects>,
    config: ArchiveConfig,
    /// The span that is being folded.
    span: Open,
    /// Where it may end next: at first this and then a second later is folded.
    target: Millis,
    /// Behind its records, once everything below the target is folded.
    ends: Option<Vec<u64>>,
    verdicts: Vec<Verdict>,
    /// Where a job decides: clicks that wait for its verdicts.
    judged: Option<Judged>,
    /// The span has any up to the target.
    has_records: bool,
    /// The span ends at the target, whatever comes: files of it may be written already.
    is_ending: bool,
}

impl Archiver {
    /// Goes on where the newest whole checkpoint of the archiver left off.
    ///
    /// # Errors
    /// If log, checkpoint and archive do not belong together, or cannot be read.
    pub fn open(parts: ArchiveParts, config: ArchiveConfig) -> Result<Archiver, ArchiveError> {
        if config.interval_ms == 0 || !HOUR_MS.is_multiple_of(config.interval_ms) {
            let text = format!("an interval of {} ms does not divide an hour", config.interval_ms);
            return Err(ArchiveError::Mismatch(text));
        }
        let ArchiveParts { log, disk, clock, checkpoints, objects, told } = parts;
        let engine_parts = EngineParts {
            log: log.clone(),
            disk,
            clock,
            dead_letters: checkpoints.join("dead-letters"),
            checkpoints,
            store: None,
            sink: None,
            status: std::sync::Arc::default(),
        };
        let engine_config = EngineConfig {
            threads: config.threads,
            checkpoint_interval: Duration::MAX,
            checkpoint_claims: u64::MAX,
            is_sequencing: told.is_some(),
            ..EngineConfig::default()
        };
        let (engine, _) = Engine::open(engine_parts, engine_config)?;
        let newest = newest_number(&*objects)?;
        let decided_after = if told.is_some() { 0 } else { LOOK_AHEAD_MS - 1 };
        let span = open_span(&*log, &*objects, newest, engine.watermark(), decided_after)?;
        let judged = told.map(|told| Judged::new(told, span.from));
        let target = span.from;
        sweep(&*objects, newest)?;
        let archiver = Archiver {
            engine,
            log,
            objects,
            config,
            span,
            target,
            ends: None,
            verdicts: Vec::new(),
            judged,
            has_records: false,
            is_ending: false,
        };
        Ok(archiver)
    }

    /// One bounded unit of work.
    ///
    /// # Errors
    /// `Objects` may be tried again by another step; anything else is final.
    pub fn step(&mut self) -> Result<Progress, ArchiveError> {
        if self.target == self.span.from && !self.set_target()? {
            let read = self.engine.read_more()?;
            return Ok(if read > 0 { Progress::Worked } else { Progress::Idle });
        }
        if self.ends.is_none() {
            return self.fold_records();
        }
        if self.judged.is_some() {
            return self.end_judged_span();
        }
        let wait = if planted(Bug::ArchivedTooSoon) { 0 } else { LOOK_AHEAD_MS - 1 };
        let decided = self.target.plus(wait);
        if self.engine.watermark() < decided {
            return self.fold(decided);
        }
        self.end_span()
    }

    /// Archives everything that is final, down to an odd end; the next start takes it from there.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn finish(mut self) -> Result<Archived, ArchiveError> {
        while self.step()? == Progress::Worked {}
        let until = self.known_until()?;
        // A span that has a manifest ends where that says, when log time has come there.
        if until > self.span.from && !self.span.is_named {
            self.verdicts.retain(|verdict| verdict.fold_time < until);
            self.note_added(until);
            let ends = self.ends_at(until)?;
            self.name_span(until, &ends)?;
        }
        Ok(Archived { until: self.span.from, manifests: self.span.number })
    }

    /// Below this every verdict is known, as far as the log goes.
    fn known_until(&mut self) -> Result<Millis, ArchiveError> {
        let Some(judged) = &mut self.judged else {
            return Ok(Millis((self.engine.watermark().0 + 1).saturating_sub(LOOK_AHEAD_MS)));
        };
        while judged.known_until() < self.engine.watermark() && judged.listen()? {}
        let until = judged.known_until();
        self.verdicts.extend(judged.take(until));
        Ok(until)
    }

    /// As [`Self::end_span`], once the job's verdicts have come. What has a manifest needs none:
    /// whoever wrote that had them.
    fn end_judged_span(&mut self) -> Result<Progress, ArchiveError> {
        if let Some(judged) = &mut self.judged {
            if !self.span.is_named && judged.known_until() < self.target {
                let may_end = judged.listen()? || judged.known_until() >= self.target;
                return Ok(if may_end { Progress::Worked } else { Progress::Idle });
            }
            self.verdicts.extend(judged.take(self.target));
        }
        self.end_span()
    }

    /// The first click for whose verdict by a job the archive waits.
    pub fn waits_for(&self) -> Option<(Partition, Offset)> {
        self.ends.as_ref()?;
        let click = self.judged.as_ref()?.first_unknown()?;
        Some((click.partition, click.offset))
    }

    /// The partitions that layout records below `until` have added belong to the span.
    fn note_added(&mut self, until: Millis) {
        let known = self.span.ranges.len();
        let added = self
            .engine
            .added_partitions()
            .filter(|(Partition(number), begins)| *number as usize >= known && *begins < until);
        let added = added.map(|(partition, begins)| Range::empty(partition.0, Some(begins.0)));
        self.span.ranges.extend(added.collect::<Vec<_>>());
    }

    /// Per partition the first offset that is at or beyond an instant, by the log itself.
    fn ends_at(&self, until: Millis) -> Result<Vec<u64>, ArchiveError> {
        let end = |range: &Range| {
            let mut end = range.to;
            self.for_each_behind(range, range.to, |offset, fold_time, _| {
                if fold_time >= until {
                    return ControlFlow::Break(());
                }
                end = offset + 1;
                ControlFlow::Continue(())
            })?;
            Ok(end)
        };
        self.span.ranges.iter().map(end).collect()
    }

    /// Offset, fold time and, if it can be decoded, content of the records from an offset of a
    /// range on that is not written yet.
    fn for_each_behind(
        &self,
        range: &Range,
        from: u64,
        mut take: impl FnMut(u64, Millis, Option<&Record<'_>>) -> ControlFlow<()>,
    ) -> Result<(), ArchiveError> {
        let (partition, mut fold_time) = (range.partition, Millis(range.fold_time));
        let end = self.log.range(partition).end;
        for_each_record(&*self.log, partition, from..end, |offset, time, payload| {
            let record = Record::decode(payload).ok();
            fold_time = folded(fold_time, Millis(time), record.as_ref());
            Ok(take(offset, fold_time, record.as_ref()))
        })
    }

    /// Per partition the offset below which the archive no longer needs the log.
    pub fn floors(&self) -> Vec<u64> {
        self.engine.floors()
    }

    /// Everything with `fold_time` below it is archived.
    pub fn archived_until(&self) -> Millis {
        self.span.from
    }

    /// Everything with `fold_time` below it is known: how far log time has come here.
    pub fn log_time(&self) -> Millis {
        self.engine.watermark()
    }

    /// Where the span may end at the earliest; false while nothing has been read to tell.
    fn set_target(&mut self) -> Result<bool, ArchiveError> {
        if let Some((manifest, _)) = self.existing()? {
            self.target = Millis(manifest.until);
            self.span.is_named = true;
            return Ok(true);
        }
        let starts: Vec<u64> = self.span.ranges.iter().map(|range| range.to).collect();
        let Some(next) = self.next_time(&starts)? else { return Ok(false) };
        self.target = self.interval_end(next.max(self.engine.watermark()));
        Ok(true)
    }

    fn interval_end(&self, at: Millis) -> Millis {
        Millis((at.0 / self.config.interval_ms + 1) * self.config.interval_ms)
    }

    /// `fold_time` of the first record at these offsets or behind, but for a header that has no
    /// time of its own.
    fn next_time(&self, offsets: &[u64]) -> Result<Option<Millis>, ArchiveError> {
        let mut first: Option<Millis> = None;
        for (range, offset) in self.span.ranges.iter().zip(offsets) {
            self.for_each_behind(range, *offset, |_, fold_time, _| {
                if fold_time == Millis(0) {
                    return ControlFlow::Continue(());
                }
                first = first.into_iter().chain([fold_time]).min();
                ControlFlow::Break(())
            })?;
        }
        Ok(first)
    }

    fn fold_records(&mut self) -> Result<Progress, ArchiveError> {
        if self.engine.watermark() < self.target {
            let progress = self.fold(self.target)?;
            if self.engine.watermark() < self.target {
                return Ok(progress);
            }
        }
        self.note_added(self.target);
        // A span that a stop has ended may end within the second that is folded already.
        let ends = if self.engine.watermark() == self.target {
            self.engine.positions().into_iter().map(|offset| offset.0).collect()
        } else {
            self.ends_at(self.target)?
        };
        self.ends = Some(ends);
        Ok(Progress::Worked)
    }

    fn fold(&mut self, ceiling: Millis) -> Result<Progress, ArchiveError> {
        let step = match &mut self.judged {
            None => self.engine.step_to(ceiling, &mut self.verdicts)?,
            Some(judged) => {
                let mut clicks = Vec::new();
                let step = self.engine.step_to(ceiling, &mut clicks)?;
                judged.add(&clicks, self.engine.watermark())?;
                step
            }
        };
        let worked = step.records > 0 || step.advanced;
        Ok(if worked { Progress::Worked } else { Progress::Idle })
    }

    /// Everything below the target is final: the span ends here, or goes on for another interval.
    fn end_span(&mut self) -> Result<Progress, ArchiveError> {
        self.is_ending = self.is_ending || self.is_end()?;
        if self.is_ending {
            self.publish()?;
        } else {
            let next = match self.ends.take() {
                Some(ends) => self.next_time(&ends)?.unwrap_or_default(),
                None => Millis(0),
            };
            // Over hours in which nobody said anything, but no file is of two hours.
            let far = self.interval_end(next.max(self.engine.watermark()));
            let hour_ends = Millis((self.target.0 / HOUR_MS + 1) * HOUR_MS);
            self.target = if self.has_records { far.min(hour_ends) } else { far };
        }
        Ok(Progress::Worked)
    }

    fn is_end(&mut self) -> Result<bool, ArchiveError> {
        if self.span.is_named {
            return Ok(true);
        }
        let ends = self.ends.as_deref().unwrap_or_default();
        self.has_records = self.span.ranges.iter().zip(ends).any(|(range, end)| range.to < *end);
        if !self.has_records {
            return Ok(false);
        }
        if self.target.0.is_multiple_of(HOUR_MS) || self.verdicts.len() >= self.config.rows_per_file
        {
            return Ok(true);
        }
        let next = self.target.plus(self.config.interval_ms);
        let is_live = self.engine.possible_watermark() < next;
        Ok(is_live && self.has_content()?)
    }

    /// Whether anything but the passing of time has been recorded.
    fn has_content(&self) -> Result<bool, ArchiveError> {
        let Some(ends) = &self.ends else { return Ok(false) };
        if !self.verdicts.is_empty() {
            return Ok(true);
        }
        let mut found = false;
        for (range, end) in self.span.ranges.iter().zip(ends) {
            self.for_each_behind(range, range.to, |offset, _, record| {
                let is_time = matches!(
                    record.map(|record| &record.kind),
                    Some(Kind::Tick | Kind::Heartbeat { .. })
                );
                found |= offset < *end && !is_time;
                if found || offset >= *end {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })?;
        }
        Ok(found)
    }
}
