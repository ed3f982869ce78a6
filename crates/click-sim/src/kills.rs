//! Kills of the real binary, round by round: the test `faults kill` does the work, this adds up.
//!
//! A round is saved as soon as it is over, so a long run can be stopped at any time. A round that
//! fails ends the run.

use std::time::Instant;

use crate::played;
use crate::results::{self, Kind, Saved};

/// Cycles of one ledger.
const ROUND: u64 = 50;
/// What a round came to.
#[derive(Default)]
struct Round {
    begun: u64,
    verified: u64,
    acknowledged: u64,
    failed: bool,
}

/// Kills `cycles` times; whether nothing was lost or double.
pub(crate) fn run(cycles: u64, save: bool) -> Result<bool, String> {
    let (commit, mut done, mut acknowledged) = (results::commit()?, 0, 0);
    while done < cycles {
        let begun = Instant::now();
        let round = play(ROUND.min(cycles - done))?;
        if save {
            results::save(&Saved {
                kind: Kind::Kills,
                commit: commit.clone(),
                from: 0,
                trials: round.begun,
                failed: u64::from(round.failed),
                seconds: begun.elapsed().as_secs_f64(),
                details: vec![("acknowledged clicks".into(), round.acknowledged)],
            })?;
        }
        done += round.begun;
        acknowledged += round.acknowledged;
        println!("{done} of {cycles} kills, {acknowledged} clicks acknowledged and verified");
        if round.failed {
            return Ok(false);
        }
    }
    Ok(true)
}

fn play(cycles: u64) -> Result<Round, String> {
    let (mut round, settings) = (Round::default(), [("CLICKTEST_KILL_CYCLES", cycles.to_string())]);
    let status = played::play(&["kill::"], &settings, |line| {
        round.hear(line);
        Ok(())
    })?;
    if status.success() && round.verified != cycles {
        return Err(format!("the test says {} of {cycles} cycles", round.verified));
    }
    if !status.success() && round.begun == 0 {
        return Err("the test did not run".into());
    }
    round.failed = !status.success();
    Ok(round)
}

impl Round {
    /// The harness may write the test's name in front of its first line.
    fn hear(&mut self, line: &str) {
        let numbers = |of: &str| -> Vec<u64> {
            of.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
        };
        if let Some((_, said)) = line.split_once("verified ") {
            if let [cycles, acknowledged, ..] = numbers(said)[..] {
                (self.verified, self.acknowledged) = (cycles, acknowledged);
            }
        } else if let Some((_, said)) = line.split_once("cycle ") {
            self.begun = numbers(said).first().copied().unwrap_or(self.begun);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Round;

    #[test]
    fn a_round_is_read_from_what_the_test_says() {
        let mut round = Round::default();
        round.hear("test kill::x ... cycle 1: killed at 7 ms, 5 more, 1.00s");
        round.hear("cycle 2: killed at 9 ms, 6 more, 1.00s");
        round.hear("verified 2 cycles, 11 acknowledged: acknowledged 11, lost 0");
        round.hear("1 of 2 loads cut short by the kill");
        assert_eq!((round.begun, round.verified, round.acknowledged), (2, 2, 11));
    }
}
