//! Many stories on all cores, with progress; the first that fails is told and shortened.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use click_sim::world::{Outcome, Story};

use crate::results::{self, Kind, Saved};

/// Every so many stories, one is played twice; odd, so that it is one of each kind.
const TWICE: u64 = 51;
const PROGRESS: Duration = Duration::from_secs(5);
/// Most tries to make a story shorter.
const SHRINK_TRIES: usize = 2_000;

#[derive(Default)]
struct Sum {
    seeds: u64,
    records: u64,
    acknowledged: u64,
    restarts: u64,
    twice: u64,
    failed: Vec<u64>,
}

/// Plays `count` seeds from `from` on; whether all hold.
pub(crate) fn run(from: u64, count: u64, save: bool) -> Result<bool, String> {
    let (next, sum, over) =
        (AtomicU64::new(from), Mutex::new(Sum::default()), AtomicBool::new(false));
    let (begun, commit) = (Instant::now(), results::commit()?);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= from + count {
                    break;
                }
                let outcome = check(seed);
                take(&mut sum.lock().expect("no panic while locked"), seed, outcome);
            }
        };
        let players: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        scope.spawn(|| tell_progress(&sum, &over, begun));
        players.into_iter().for_each(|player| player.join().expect("stories catch their panics"));
        over.store(true, Ordering::Relaxed);
    });
    let sum = sum.into_inner().expect("no panic while locked");
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{} stories, {} failed; {} clicks acknowledged, {} records, {} restarts, {} played twice; \
         {seconds:.1} s, {:.0} seeds a second",
        sum.seeds,
        sum.failed.len(),
        sum.acknowledged,
        sum.records,
        sum.restarts,
        sum.twice,
        rate(sum.seeds, seconds)
    );
    if save {
        let failed = sum.failed.len() as u64;
        results::save(&Saved {
            kind: Kind::Simulation,
            commit,
            from,
            trials: sum.seeds,
            failed,
            seconds,
            details: vec![
                ("acknowledged clicks".into(), sum.acknowledged),
                ("records".into(), sum.records),
                ("restarts".into(), sum.restarts),
            ],
        })?;
    }
    if let Some(first) = sum.failed.iter().min() {
        story(*first);
    }
    Ok(sum.failed.is_empty())
}

fn check(seed: u64) -> Result<Outcome, String> {
    let story = Story::from_seed(seed);
    let outcome = story.play()?;
    if seed.is_multiple_of(TWICE) && story.play()? != outcome {
        return Err("the same story, played again, ends in another way".into());
    }
    Ok(outcome)
}

fn take(sum: &mut Sum, seed: u64, outcome: Result<Outcome, String>) {
    sum.seeds += 1;
    sum.twice += u64::from(seed.is_multiple_of(TWICE));
    match outcome {
        Ok(outcome) => {
            sum.records += outcome.records;
            sum.acknowledged += outcome.acknowledged;
            sum.restarts += outcome.restarts;
        }
        Err(error) => {
            println!("seed {seed} fails: {error}");
            sum.failed.push(seed);
        }
    }
}

fn tell_progress(sum: &Mutex<Sum>, over: &AtomicBool, begun: Instant) {
    let mut told = Instant::now();
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            let sum = sum.lock().expect("no panic while locked");
            let rate = rate(sum.seeds, begun.elapsed().as_secs_f64());
            eprintln!("{} stories, {rate:.0} seeds a second", sum.seeds);
        }
    }
}

fn rate(seeds: u64, seconds: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let seeds = seeds as f64;
    seeds / seconds.max(0.001)
}

/// Tells one seed's story; a failing one as short as it can be made. Whether it holds.
pub(crate) fn story(seed: u64) -> bool {
    let story = Story::from_seed(seed);
    println!("\nseed {seed}, {}:", story.setting());
    match story.play() {
        Ok(outcome) => {
            story.told().iter().for_each(|action| println!("  {action}"));
            println!("holds: {outcome:?}");
            true
        }
        Err(error) => {
            let (short, error) = story.shortened(error, SHRINK_TRIES);
            let told = short.told();
            told.iter().for_each(|action| println!("  {action}"));
            println!("fails: {error}");
            println!("({} of {} actions are left)", told.len(), story.told().len());
            false
        }
    }
}
