//! The core's fold against the reference, on generated logs and in every way to fold them.
//!
//! `CLICKTEST_SEEDS` sets how many seeds are tried, `CLICKTEST_SEED` tries one alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use click_sim::check::{Dice, Machines, Run, Style, World};
use click_sim::generate::{GeneratorConfig, generate};

const SEEDS: u64 = 2_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a whole number"))
}

fn world(seed: u64) -> World {
    let config = GeneratorConfig::from_seed(seed);
    World::new(&generate(&config, seed), config.partitions)
}

/// A log that moves to other partitions.
fn moving_world(seed: u64) -> World {
    let config = GeneratorConfig::from_seed(seed).with_cutovers(seed);
    World::new(&generate(&config, seed), config.partitions)
}

/// Runs `test` with every `step`th seed, on all cores, and names the one that fails.
fn for_seeds(step: usize, test: impl Fn(u64) + Sync) {
    let seeds = match number("CLICKTEST_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CLICKTEST_SEEDS").unwrap_or(SEEDS),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let mine = seeds.clone().step_by(step).skip(thread).step_by(threads);
            let (test, failed) = (&test, &failed);
            scope.spawn(move || {
                for seed in mine {
                    if catch_unwind(AssertUnwindSafe(|| test(seed))).is_err() {
                        failed.lock().expect("no panic while locked").push(seed);
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().expect("no panic while locked");
    failed.sort_unstable();
    assert!(failed.is_empty(), "CLICKTEST_SEED={} fails, of {failed:?}", failed[0]);
}

#[test]
fn any_way_to_fold_gives_the_reference() {
    for_seeds(1, |seed| {
        let world = world(seed);
        let mut dice = Dice::new(seed ^ 0xf01d);
        let style = Style::any(&mut dice);
        world.check(&style, dice.number());
    });
}

#[test]
fn any_way_to_fold_a_log_that_moves_gives_the_reference() {
    for_seeds(3, |seed| {
        let world = moving_world(seed);
        let mut dice = Dice::new(seed ^ 0xc07e);
        let style = Style::any(&mut dice);
        world.check(&style, dice.number());
        world.check(&Style::plain(), seed);
    });
}

#[test]
fn all_at_once_gives_the_reference() {
    for_seeds(4, |seed| {
        world(seed).check(&Style::plain(), seed);
    });
}

#[test]
fn stages_on_many_machines_give_the_reference() {
    for_seeds(4, |seed| {
        let mut dice = Dice::new(seed ^ 0x4057);
        let stops = dice.pick(&[0, 1, 3]);
        Machines::new(&world(seed), dice).to_the_end(stops);
    });
}

#[test]
fn state_is_a_function_of_the_log() {
    for_seeds(5, |seed| {
        let world = if seed % 2 == 0 { world(seed) } else { moving_world(seed) };
        let mut dice = Dice::new(seed ^ 0x57a7e);
        let any = || Style { publish_percent: 100, ..Style::plain() };
        let careful =
            Style { shards: vec![16, 5, 1], batch: 7, greedy: false, look_percent: 0, ..any() };
        let crashing = Style { crashes: 2, batch: 20, ..careful.clone() };
        let end = world.check(&Style::plain(), 1);
        assert_eq!(end, world.check(&careful, dice.number()), "another way, other state");
        assert_eq!(end, world.check(&crashing, dice.number()), "a crash leaves its mark");
        let times: Vec<u64> = world.history.fold_times.values().copied().collect();
        let most = world.history.reference.watermark();
        let w = (dice.pick(&times) + dice.between(0, 1_500)).min(most);
        let part =
            |style: &Style, dice: u64| Run::new(&world, style.clone(), Dice::new(dice)).up_to(w);
        let (plain, careful) = (part(&Style::plain(), 1), part(&careful, dice.number()));
        for (plain, careful) in plain.iter().zip(&careful) {
            assert_eq!(plain, careful, "as of {w}");
        }
    });
}

#[test]
fn the_same_run_twice() {
    for_seeds(20, |seed| {
        let world = world(seed);
        let style = Style::any(&mut Dice::new(seed));
        assert_eq!(world.check(&style, seed), world.check(&style, seed));
    });
}
