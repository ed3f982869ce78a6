//! Where a report's time is cut: hours and days of an IANA time zone, as instants.
//!
//! The zone data is built in, so that reports are the same on every machine. Must never be used to
//! decide a verdict or a row: those know only UTC minutes.

use super::query::minutes;
use click_core::limits::MAX_TIME_MS;
use click_core::types::{Millis, Minute};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};
use std::ops::Range;

/// Most steps of one report.
pub const MAX_BUCKETS: usize = 100_000;

/// Length of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// From one full hour of the local clock to the next.
    Hour,
    /// From one local midnight to the next: 23, 24 or 25 hours, as the zone has it.
    Day,
}

/// Why time cannot be cut so.
#[derive(Debug, thiserror::Error)]
pub enum CalendarError {
    /// No such zone.
    #[error("{0:?} is no IANA time zone; write for example Europe/Berlin or UTC")]
    Zone(String),
    /// The range is empty or turned round.
    #[error("the range is empty: from must be before to")]
    Empty,
    /// The range has too many steps.
    #[error("more than {MAX_BUCKETS} steps: narrow the range or take a coarser step")]
    TooMany,
    /// The instant cannot be shown in a calendar.
    #[error("{0} ms is beyond the calendar")]
    BeyondTime(u64),
}

/// A time zone.
#[derive(Clone, Debug)]
pub struct Calendar {
    zone: TimeZone,
}

/// A range of time cut into steps.
#[derive(Clone, Debug)]
pub struct Buckets {
    /// Starts of the steps, then the end of the last; strictly rising.
    bounds: Vec<Millis>,
}

impl Calendar {
    /// The zone of this IANA name.
    ///
    /// # Errors
    /// `Zone` if there is none.
    pub fn new(name: &str) -> Result<Calendar, CalendarError> {
        let zone =
            TimeZoneDatabase::bundled().get(name).map_err(|_| CalendarError::Zone(name.into()))?;
        Ok(Calendar { zone })
    }

    /// Cuts `from..to` where steps of the local clock begin; the ends stay as given.
    ///
    /// # Errors
    /// `Empty`, `TooMany`, `BeyondTime`.
    pub fn cut(&self, from: Millis, to: Millis, step: Step) -> Result<Buckets, CalendarError> {
        let mut buckets = Buckets::whole(from, to)?;
        buckets.bounds.pop();
        let mut at = self.zoned(from)?;
        while buckets.bounds.len() <= MAX_BUCKETS {
            let next = next_step(&at, step).ok_or(CalendarError::BeyondTime(from.0))?;
            let start = millis(&next);
            if start >= to {
                buckets.bounds.push(to);
                return Ok(buckets);
            }
            buckets.bounds.push(start);
            at = next;
        }
        Err(CalendarError::TooMany)
    }

    /// RFC 3339 with the zone's offset at that instant, whole seconds.
    pub fn format(&self, at: Millis) -> String {
        let format = |zoned: Zoned| zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
        self.zoned(at).map_or_else(|_| at.0.to_string(), format)
    }

    fn zoned(&self, at: Millis) -> Result<Zoned, CalendarError> {
        // The calendar ends some hours before the last instant of SPEC's times.
        let ms = i64::try_from(at.0.min(MAX_TIME_MS)).ok();
        let instant = ms.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let instant = instant.ok_or(CalendarError::BeyondTime(at.0))?;
        Ok(instant.to_zoned(self.zone.clone()))
    }
}

impl Buckets {
    /// One step.
    ///
    /// # Errors
    /// `Empty` if no instant lies in it.
    pub fn whole(from: Millis, to: Millis) -> Result<Buckets, CalendarError> {
        if from >= to {
            return Err(CalendarError::Empty);
        }
        Ok(Buckets { bounds: vec![from, to] })
    }

    /// Start and end (exclusive) of a step.
    pub fn span(&self, index: usize) -> (Millis, Millis) {
        (self.bounds[index], self.bounds[index + 1])
    }

    /// Number of steps.
    pub fn len(&self) -> usize {
        self.bounds.len() - 1
    }

    /// Never: a range has at least one step.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The minutes that begin within the range.
    pub fn minutes(&self) -> Range<u32> {
        minutes(self.bounds[0], self.bounds[self.len()])
    }

    /// The step that a minute of the range begins in.
    pub fn index_of(&self, minute: Minute) -> usize {
        let after = self.bounds.partition_point(|bound| *bound <= minute.start());
        after.clamp(1, self.len()) - 1
    }
}

/// The next start of a step after `at`; where the zone's offset changes within an hour, the change
/// ends the step too.
fn next_step(at: &Zoned, step: Step) -> Option<Zoned> {
    match step {
        Step::Day => at.start_of_day().ok()?.checked_add(1.day()).ok()?.start_of_day().ok(),
        Step::Hour => {
            let time = at.time();
            let past = i64::from(time.minute()) * 60 + i64::from(time.second());
            let past = past * 1000 + i64::from(time.millisecond());
            at.checked_add(SignedDuration::from_millis(3_600_000 - past)).ok()
        }
    }
}

fn millis(at: &Zoned) -> Millis {
    Millis(u64::try_from(at.timestamp().as_millisecond()).unwrap_or(0))
}
