//! What the chaos demo knows of its own clicks, and what it reads of the ledger; the comparison.
//!
//! Every click has an id and a user of its own, so that each id is exactly one measured click that
//! is no duplicate, however often it had to be sent.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;

/// How long after L a click is looked for: the clocks are read at two places.
const SLACK_MS: u64 = 200;

/// The numbers that the page shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Numbers {
    pub acknowledged: u64,
    pub measured: u64,
    pub lost: u64,
    pub double: u64,
    pub kills: u64,
}

/// Acknowledgements over time, ms since 1970, so that a reading as of W is compared with what was
/// acknowledged by then.
#[derive(Debug, Default)]
pub struct Ledger {
    history: Vec<(u64, u64)>,
    sent: u64,
    pub numbers: Numbers,
}

impl Ledger {
    /// A click was acknowledged at `at`.
    pub fn acknowledged(&mut self, at: u64) {
        self.numbers.acknowledged += 1;
        self.history.push((at, self.numbers.acknowledged));
    }

    /// A click was sent for the first time.
    pub fn sent(&mut self) {
        self.sent += 1;
    }

    /// Takes in `/v1/status`.
    pub fn read(&mut self, status: &Value) {
        let engine = &status["engine"];
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let (as_of, measured) = (number(&status["as_of_ms"]), number(&engine["measured"]));
        let again = number(&engine["classes"]["D1"]);
        let distinct = measured - number(&engine["pending"]).min(measured);
        self.compare(as_of, distinct - again.min(distinct));
    }

    /// `measured` ids are final as of W = `as_of`.
    fn compare(&mut self, as_of: u64, measured: u64) {
        let until = as_of.saturating_sub(click_core::limits::LOOK_AHEAD_MS + SLACK_MS);
        let known = self.history.partition_point(|(at, _)| *at <= until);
        let due = known.checked_sub(1).map_or(0, |last| self.history[last].1);
        // One entry is enough of what every later reading has behind it.
        self.history.drain(..known.saturating_sub(1));
        self.numbers.measured = measured;
        self.numbers.lost = due.saturating_sub(measured);
        self.numbers.double = measured.saturating_sub(self.sent);
    }

    /// Leaves the numbers where the server finds them, whole or not at all.
    pub fn publish(&self, path: &Path) -> Result<()> {
        let temporary = path.with_extension("tmp");
        std::fs::write(&temporary, serde_json::to_vec(&self.numbers)?)?;
        Ok(std::fs::rename(&temporary, path)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_due_can_be_lost() {
        let mut ledger = Ledger::default();
        for at in [1000, 2000, 3000] {
            ledger.sent();
            ledger.acknowledged(at);
        }
        ledger.compare(3100, 0);
        assert_eq!((ledger.numbers.lost, ledger.numbers.measured), (1, 0));
        ledger.compare(3300, 2);
        assert_eq!((ledger.numbers.lost, ledger.numbers.double), (0, 0));
        ledger.compare(9000, 2);
        assert_eq!(ledger.numbers.lost, 1);
        ledger.compare(9000, 4);
        assert_eq!((ledger.numbers.lost, ledger.numbers.double), (0, 1));
    }

    #[test]
    fn duplicates_and_pending_clicks_are_no_ids() {
        let mut ledger = Ledger::default();
        let status = serde_json::json!({
            "as_of_ms": 5000, "engine": {"measured": 10, "pending": 2, "classes": {"D1": 3}}
        });
        ledger.read(&status);
        assert_eq!(ledger.numbers.measured, 5);
    }
}
