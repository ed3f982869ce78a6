//! Verdicts that somebody else gives: a job in Flink or Spark. Each measured click waits for its
//! own, which may come before the click is read here, more than once, and in any order. Must never
//! take a verdict for a click that is none, or two different ones.

use std::collections::{BTreeMap, BTreeSet};

use click_core::stage::source::Verdict;
use click_core::types::{Millis, Offset, Partition};

use super::ArchiveError;
use crate::log::LogError;

/// Where a job hands out its verdicts.
pub trait Told: Send {
    /// Begins where no verdict of a click with `fold_time` at or above `from` has gone by.
    ///
    /// # Errors
    /// If it cannot be read.
    fn begin(&mut self, from: Millis) -> Result<(), LogError>;

    /// Adds the next verdicts to `verdicts`; false if there are no more at present.
    ///
    /// # Errors
    /// If it cannot be read.
    fn read(&mut self, verdicts: &mut Vec<Verdict>) -> Result<bool, LogError>;
}

/// Place in fold order.
type Place = (Millis, Partition, Offset);

const fn place(verdict: &Verdict) -> Place {
    (verdict.fold_time, verdict.partition, verdict.offset)
}

/// Everything before an instant.
const fn before(until: Millis) -> Place {
    (until, Partition(0), Offset(0))
}

/// Clicks that wait for their verdicts, and verdicts that wait for the archive.
pub(super) struct Judged {
    told: Box<dyn Told>,
    has_begun: bool,
    /// Verdicts of clicks before it are not looked at.
    from: Millis,
    /// Clicks before it have been read.
    read_to: Millis,
    /// Clicks without a verdict, each with what its record alone decides.
    waiting: BTreeMap<Place, Verdict>,
    verdicts: BTreeMap<Place, Verdict>,
}

impl Judged {
    pub(super) fn new(told: Box<dyn Told>, from: Millis) -> Judged {
        let (waiting, verdicts) = (BTreeMap::new(), BTreeMap::new());
        Judged { told, has_begun: false, from, read_to: from, waiting, verdicts }
    }

    /// Takes all clicks from where the last ones ended up to `until`.
    pub(super) fn add(&mut self, clicks: &[Verdict], until: Millis) -> Result<(), ArchiveError> {
        let early = self.verdicts.range(before(self.read_to)..before(until)).count();
        let mut met = 0;
        for click in clicks {
            match self.verdicts.get(&place(click)) {
                Some(verdict) => {
                    met += 1;
                    agree(click, verdict)?;
                }
                None => _ = self.waiting.insert(place(click), *click),
            }
        }
        if met < early {
            let clicks: BTreeSet<Place> = clicks.iter().map(place).collect();
            let mut early = self.verdicts.range(before(self.read_to)..before(until));
            if let Some((_, verdict)) = early.find(|(place, _)| !clicks.contains(place)) {
                return Err(of_no_click(verdict));
            }
        }
        self.read_to = until;
        Ok(())
    }

    /// Reads verdicts; false if there are no more at present.
    pub(super) fn listen(&mut self) -> Result<bool, ArchiveError> {
        if !self.has_begun {
            self.told.begin(self.from)?;
            self.has_begun = true;
        }
        let mut verdicts = Vec::new();
        let more = self.told.read(&mut verdicts).inspect_err(|_| {
            // What has been read of it goes by with the error.
            self.has_begun = false;
        })?;
        verdicts.into_iter().try_for_each(|verdict| self.hear(verdict))?;
        Ok(more)
    }

    fn hear(&mut self, verdict: Verdict) -> Result<(), ArchiveError> {
        let place = place(&verdict);
        if verdict.fold_time < self.from {
            return Ok(());
        }
        if let Some(click) = self.waiting.remove(&place) {
            agree(&click, &verdict)?;
        } else if let Some(known) = self.verdicts.get(&place) {
            return if *known == verdict { Ok(()) } else { Err(contradicts(&verdict, known)) };
        } else if verdict.fold_time < self.read_to {
            return Err(of_no_click(&verdict));
        }
        self.verdicts.insert(place, verdict);
        Ok(())
    }

    /// Below this, and at most to where clicks have been read, every verdict is known.
    pub(super) fn known_until(&self) -> Millis {
        self.waiting.first_key_value().map_or(self.read_to, |((fold_time, ..), _)| *fold_time)
    }

    /// Hands out the verdicts of clicks below `until`, and looks at no more of those.
    pub(super) fn take(&mut self, until: Millis) -> Vec<Verdict> {
        self.from = self.from.max(until);
        let rest = self.verdicts.split_off(&before(until));
        std::mem::replace(&mut self.verdicts, rest).into_values().collect()
    }

    /// How many clicks below `until` have no verdict.
    pub(super) fn unknown(&self, until: Millis) -> usize {
        self.waiting.range(..before(until)).count()
    }

    /// Clicks below `until` wait no longer.
    pub(super) fn forget(&mut self, until: Millis) {
        self.waiting = self.waiting.split_off(&before(until));
    }

    /// The first click that has no verdict.
    pub(super) fn first_unknown(&self) -> Option<&Verdict> {
        self.waiting.first_key_value().map(|(_, click)| click)
    }
}

/// The record alone decides some reasons, and the policy.
fn agree(click: &Verdict, verdict: &Verdict) -> Result<(), ArchiveError> {
    let same = verdict.reasons.stateless() == click.reasons && verdict.policy == click.policy;
    if same { Ok(()) } else { Err(contradicts(verdict, click)) }
}

fn at(verdict: &Verdict) -> String {
    let Verdict { partition, offset, .. } = verdict;
    format!("partition {}, offset {}", partition.0, offset.0)
}

fn contradicts(verdict: &Verdict, known: &Verdict) -> ArchiveError {
    let say = |verdict: &Verdict| {
        format!("{:?} by policy {}", verdict.reasons.to_string(), verdict.policy)
    };
    ArchiveError::Mismatch(format!(
        "{}: the job's verdict is {}, where {} is known: was the topic written by several jobs, or \
         by one of another release?",
        at(verdict),
        say(verdict),
        say(known)
    ))
}

fn of_no_click(verdict: &Verdict) -> ArchiveError {
    ArchiveError::Mismatch(format!(
        "{}: the job has a verdict of it, at fold time {}, and it is no measured click: is the \
         topic of another log?",
        at(verdict),
        verdict.fold_time.0
    ))
}
