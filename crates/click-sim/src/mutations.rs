//! Mutations of the corpora, for as long as is asked.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use click_sim::fuzz::{TARGETS, Target, corpus, input, keep, write_seeds};

use crate::results::{self, Kind, Saved};

/// Trials between two looks at the clock.
const ROUND: u64 = 200;

/// Inputs of one target that are kept of a run: mostly they break the same promise.
const MOST_KEPT: u64 = 20;

/// Writes the inputs that the corpora begin with.
pub(crate) fn seeds() -> Result<bool, String> {
    for target in TARGETS {
        write_seeds(target).map_err(|error| format!("{}: {error}", target.name))?;
    }
    Ok(true)
}

/// Tries each target for its share of the time; whether all promises held.
pub(crate) fn run(seconds: u64, save: bool) -> Result<bool, String> {
    let share = Duration::from_secs(seconds) / u32::try_from(TARGETS.len()).unwrap_or(u32::MAX);
    let (mut trials, mut failed, mut details) = (0, 0, Vec::new());
    let from = results::next_mutation()?;
    let begun = Instant::now();
    for target in TARGETS {
        let (tried, broken) = attack(target, from, share)?;
        println!("{}: {tried} mutations, {broken} broke a promise", target.name);
        (trials, failed) = (trials + tried, failed + broken);
        details.push((target.name.into(), tried));
    }
    if save {
        let (commit, seconds) = (results::commit()?, begun.elapsed().as_secs_f64());
        let kind = Kind::Mutations;
        results::save(&Saved { kind, commit, from, trials, failed, seconds, details })?;
    }
    Ok(failed == 0)
}

/// How many mutations were tried, from a seed on, and how many broke the promise.
fn attack(target: &Target, from: u64, share: Duration) -> Result<(u64, u64), String> {
    let inputs = corpus(target).map_err(|error| format!("{}: {error}", target.name))?;
    let (begun, mut tried, mut broken) = (Instant::now(), 0, 0);
    while begun.elapsed() < share {
        for seed in from + tried..from + tried + ROUND {
            let bytes = input(&inputs, seed);
            let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.check)(&bytes))) else {
                continue;
            };
            broken += 1;
            if broken <= MOST_KEPT {
                let kept = keep(target, &bytes, seed).map_err(|error| error.to_string())?;
                println!("{}: seed {seed}, kept as {}", target.name, kept.display());
                println!("  {}", words(&*panic));
            }
        }
        tried += ROUND;
    }
    Ok((tried, broken))
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words")
}
