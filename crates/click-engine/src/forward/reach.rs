//! How far somebody else has the records of a partition, and whether it is in time with them.

use std::time::Duration;

#[derive(Default)]
pub(super) struct Reach {
    /// It has everything below.
    pub(super) end: u64,
    /// It has not told in time, and is behind since.
    pub(super) is_late: bool,
    /// While late, an end that the own log had, and when it had it.
    mark: Option<(u64, Duration)>,
}

impl Reach {
    pub(super) fn new(end: u64) -> Reach {
        Reach { end, ..Reach::default() }
    }

    /// It is in time again once it has everything, or, where clicks never cease, what there was at
    /// some moment within `patience` of it. What is below `done` is not its business any more.
    pub(super) fn note_progress(&mut self, done: u64, own: u64, now: Duration, patience: Duration) {
        let has = self.end.max(done);
        let reached = self.mark.filter(|(mark, _)| has >= *mark);
        let in_time = reached.is_some_and(|(_, since)| now < since + patience);
        self.is_late &= has < own && !in_time;
        if !self.is_late {
            self.mark = None;
        } else if self.mark.is_none() || reached.is_some() {
            self.mark = Some((own, now));
        }
    }

    /// Nobody waits for it at the moment.
    pub(super) fn rest(&mut self) {
        (self.is_late, self.mark) = (false, None);
    }
}
