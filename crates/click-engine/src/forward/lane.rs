//! How far one partition has been handed on: everything below `acked` is confirmed, what is below
//! `sent` is under way.

use std::collections::VecDeque;

/// Per record that is under way: whether it is confirmed, and when it was sent.
#[derive(Debug)]
struct UnderWay {
    is_confirmed: bool,
    sent_at: u64,
}

#[derive(Debug)]
pub(super) struct Lane {
    acked: u64,
    /// The records from `acked` on.
    window: VecDeque<UnderWay>,
}

impl Lane {
    pub(super) fn new(acked: u64) -> Lane {
        Lane { acked, window: VecDeque::new() }
    }

    /// Everything below it is confirmed.
    pub(super) fn acked(&self) -> u64 {
        self.acked
    }

    /// Next to send.
    pub(super) fn sent(&self) -> u64 {
        self.acked + self.window.len() as u64
    }

    pub(super) fn under_way(&self) -> usize {
        self.window.len()
    }

    pub(super) fn is_under_way(&self) -> bool {
        !self.window.is_empty()
    }

    pub(super) fn note_sent(&mut self, sent_at: u64) {
        self.window.push_back(UnderWay { is_confirmed: false, sent_at });
    }

    /// Notes that `offset` is confirmed; returns when it was sent. A confirmation of what is not
    /// under way says nothing.
    pub(super) fn confirm(&mut self, offset: u64) -> Option<u64> {
        let index = usize::try_from(offset.checked_sub(self.acked)?).ok()?;
        let record = self.window.get_mut(index)?;
        record.is_confirmed = true;
        let sent_at = record.sent_at;
        while self.window.front().is_some_and(|record| record.is_confirmed) {
            self.window.pop_front();
            self.acked += 1;
        }
        Some(sent_at)
    }

    /// Everything below `offset` is confirmed, as somebody else knows.
    pub(super) fn skip_to(&mut self, offset: u64) {
        while self.acked < offset {
            self.acked = if self.window.pop_front().is_some() { self.acked + 1 } else { offset };
        }
        while self.window.front().is_some_and(|record| record.is_confirmed) {
            self.window.pop_front();
            self.acked += 1;
        }
    }

    /// All that is not confirmed is to be sent again, and what is behind it, too.
    pub(super) fn start_over(&mut self) {
        self.window.clear();
    }

    /// A defect on purpose: what failed is taken for done.
    pub(super) fn give_up(&mut self) {
        self.acked = self.sent();
        self.window.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_past_confirmed_records_only() {
        let mut lane = Lane::new(5);
        (0..4).for_each(|at| lane.note_sent(at));
        assert_eq!((lane.acked(), lane.sent()), (5, 9));
        assert_eq!(lane.confirm(6), Some(1));
        assert_eq!(lane.acked(), 5);
        assert_eq!(lane.confirm(5), Some(0));
        assert_eq!(lane.acked(), 7);
        assert_eq!(lane.confirm(5), None, "told twice");
        assert_eq!(lane.confirm(9), None, "never sent");
        lane.confirm(8);
        lane.start_over();
        assert_eq!((lane.acked(), lane.sent()), (7, 7), "8 was confirmed, but 7 was not");
    }
    #[test]
    fn what_somebody_else_knows_is_not_sent_again() {
        let mut lane = Lane::new(5);
        (0..4).for_each(|at| lane.note_sent(at));
        lane.confirm(7);
        lane.skip_to(4);
        assert_eq!((lane.acked(), lane.sent()), (5, 9), "known already");
        lane.skip_to(7);
        assert_eq!((lane.acked(), lane.sent()), (8, 9), "and 7 was confirmed");
        assert_eq!(lane.confirm(6), None);
        assert_eq!(lane.confirm(8), Some(3));
        lane.note_sent(4);
        lane.skip_to(20);
        assert_eq!((lane.acked(), lane.sent()), (20, 20), "beyond what was sent");
    }
}
