//! Real faults of the real binary, round by round: the tests `faults` but those of kills do the
//! work, this adds up what they say, kind by kind.
//!
//! A round is saved as soon as it is over. A round in which a trial does not hold ends the run.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::played;
use crate::results::{self, Fault, Kind, Saved};

/// One test at a time, so that a trial is disturbed by nothing but its fault.
const TESTS: &[&str] = &["--test-threads=1", "--skip", "kill::"];

/// What came of a kind of fault in a round.
#[derive(Debug, Default, PartialEq)]
struct Trials {
    begun: u64,
    held: u64,
    acknowledged: u64,
    seconds: f64,
}

type Round = BTreeMap<Fault, Trials>;

/// Plays all faults `rounds` times; whether nothing was lost or double.
pub(crate) fn run(rounds: u64, save: bool) -> Result<bool, String> {
    let commit = results::commit()?;
    for number in 1..=rounds {
        let (round, succeeded) = play()?;
        if save {
            for (fault, trials) in &round {
                results::save(&saved(*fault, trials, &commit))?;
            }
        }
        let sum = |of: fn(&Trials) -> u64| round.values().map(of).sum::<u64>();
        let (begun, held) = (sum(|trials| trials.begun), sum(|trials| trials.held));
        let acknowledged = sum(|trials| trials.acknowledged);
        println!("round {number} of {rounds}: {held} of {begun} trials of {} kinds", round.len());
        println!("{acknowledged} clicks acknowledged and verified");
        if held < begun || !succeeded {
            return Ok(false);
        }
    }
    Ok(true)
}

fn saved(fault: Fault, trials: &Trials, commit: &str) -> Saved {
    Saved {
        kind: Kind::Fault(fault),
        commit: commit.to_owned(),
        from: 0,
        trials: trials.begun,
        failed: trials.begun - trials.held,
        seconds: trials.seconds,
        details: vec![("acknowledged clicks".into(), trials.acknowledged)],
    }
}

/// One round, and whether the tests succeeded.
fn play() -> Result<(Round, bool), String> {
    let (mut round, mut begun) = (Round::new(), Instant::now());
    let status = played::play(TESTS, &[], |line| {
        if let Some(trials) = hear(&mut round, line)? {
            trials.seconds += begun.elapsed().as_secs_f64();
        }
        if line.contains("trial of ") {
            begun = Instant::now();
        }
        Ok(())
    })?;
    if round.is_empty() {
        return Err("no fault was played".into());
    }
    Ok((round, status.success()))
}

/// Adds up a line; the trials of which one has held. The harness may write the test's name in
/// front of its first line.
fn hear<'a>(round: &'a mut Round, line: &str) -> Result<Option<&'a mut Trials>, String> {
    let Some((_, said)) = line.split_once("trial of ") else { return Ok(None) };
    let (name, said) = said.split_once(' ').ok_or_else(|| format!("no trial: {line}"))?;
    let known = Fault::ALL.iter().find(|(_, known)| *known == name);
    let (fault, _) = known.ok_or_else(|| format!("a fault of no known kind: {line}"))?;
    let trials = round.entry(*fault).or_default();
    let Some(held) = said.strip_prefix("held, ") else {
        trials.begun += 1;
        return Ok(None);
    };
    let acknowledged = held.split(' ').next().and_then(|word| word.parse::<u64>().ok());
    trials.held += 1;
    trials.acknowledged += acknowledged.ok_or_else(|| format!("no number of clicks: {line}"))?;
    Ok(Some(trials))
}

#[cfg(test)]
mod tests {
    use super::{Round, Trials, hear};
    use crate::results::Fault;

    #[test]
    fn a_round_is_read_from_what_the_tests_say() {
        let mut round = Round::new();
        for line in [
            "test slow::x ... trial of slow-disk begins",
            "trial of slow-disk held, 158 acknowledged: acknowledged 158, measured 159, lost 0",
            "trial of slow-disk begins",
            "2 flushes of 300 ms",
        ] {
            hear(&mut round, line).expect("a line of the tests");
        }
        let trials = Trials { begun: 2, held: 1, acknowledged: 158, seconds: 0.0 };
        assert_eq!(round.into_iter().collect::<Vec<_>>(), [(Fault::SlowDisk, trials)]);
        assert!(hear(&mut Round::new(), "trial of flood begins").is_err());
    }
}
