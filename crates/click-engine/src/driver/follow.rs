//! An engine that follows the log up to given instants, and hands its verdicts out: the archive's.
//! It publishes no rows and keeps no dead letters; the ledger's own engine does.

use super::{Engine, EngineError, Step};
use click_core::stage::source::Verdict;
use click_core::types::{Millis, Offset, Partition};

impl Engine {
    /// Reads and folds towards `ceiling`, not beyond; adds what became final to `verdicts`.
    pub(crate) fn step_to(
        &mut self,
        ceiling: Millis,
        verdicts: &mut Vec<Verdict>,
    ) -> Result<Step, EngineError> {
        let mut records = 0;
        if self.fold.possible_watermark() < ceiling {
            records = self.intake.read(&*self.log, &mut self.fold, &self.threads)?;
        }
        let w = self.fold.possible_watermark().min(ceiling);
        let advanced = w > self.fold.watermark();
        if advanced {
            self.fold_to(w, true)?;
            verdicts.append(&mut self.effects.verdicts);
        }
        Ok(Step { records, advanced })
    }

    /// Reads without folding; returns how many records that were.
    pub(crate) fn read_more(&mut self) -> Result<usize, EngineError> {
        Ok(self.intake.read(&*self.log, &mut self.fold, &self.threads)?)
    }

    /// The watermark that everything read so far allows.
    pub(crate) fn possible_watermark(&self) -> Millis {
        self.fold.possible_watermark()
    }

    /// Per partition the first offset with `fold_time` at or above the watermark.
    pub(crate) fn positions(&self) -> Vec<Offset> {
        self.fold.positions()
    }

    /// The partitions that layout records below the watermark have added, each with the fold time
    /// at which it begins.
    pub(crate) fn added_partitions(&self) -> impl Iterator<Item = (Partition, Millis)> {
        self.fold.added()
    }

    /// Makes the state as of the watermark durable, on this thread.
    pub(crate) fn checkpoint_now(&mut self) -> Result<(), EngineError> {
        self.saver.in_foreground();
        self.begin_checkpoint()
    }

    /// Per partition the offset below which no kept checkpoint needs the log.
    pub(crate) fn floors(&self) -> Vec<u64> {
        self.saver.floors(self.log.partitions())
    }
}
