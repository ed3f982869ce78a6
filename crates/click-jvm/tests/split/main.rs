//! The stages as a cluster runs them, against the native fold of the same log: each stage on
//! several machines, messages in order within a channel and in any order between channels,
//! barriers that cut them consistently, and restores on other numbers of machines.
//!
//! `CLICKTEST_SEEDS` sets how many seeds are tried, `CLICKTEST_SEED` tries one alone.

mod cluster;
mod instants;
mod sink;

use click_jvm::stage::Kind;
use click_sim::check::{Dice, World};
use click_sim::generate::{GeneratorConfig, generate};
use cluster::{Checkpoint, Cluster};
use sink::Sink;

const SEEDS: u64 = 100;

fn seeds() -> std::ops::Range<u64> {
    let number = |name| -> Option<u64> {
        std::env::var(name).ok().map(|text| text.parse().expect("a whole number"))
    };
    match number("CLICKTEST_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CLICKTEST_SEEDS").unwrap_or(SEEDS),
    }
}

fn world(seed: u64) -> World {
    let config = GeneratorConfig::from_seed(seed);
    World::new(&generate(&config, seed), config.partitions)
}

/// Runs the log to its end on the numbers of machines in turn, each from the checkpoint of the
/// one before it, which went on for a while and is then lost; how many began from one.
fn run(world: &World, seed: u64, machines: &[usize], is_journalled: bool) -> usize {
    let mut restores = 0;
    let (mut dice, mut sink) = (Dice::new(seed), Sink::default());
    let mut from: Option<Checkpoint> = None;
    for (turn, count) in machines.iter().enumerate() {
        restores += usize::from(from.is_some());
        let mut cluster =
            Cluster::new(world, (*count, is_journalled), from.as_ref(), dice.number());
        if turn + 1 == machines.len() {
            while cluster.step(&mut sink) {}
            sink.compare_end(world, Some(cluster.gaps()));
        } else {
            let stop = dice.pick(&[100, 400, 1_600]);
            for _ in 0..stop {
                if dice.percent(3) {
                    cluster.begin_checkpoint();
                }
                cluster.step(&mut sink);
            }
            from = cluster.last_checkpoint().or(from);
        }
        sink.compare(world);
    }
    restores
}

#[test]
fn any_number_of_machines_gives_the_rows_of_the_native_fold() {
    for seed in seeds() {
        let world = world(seed);
        for count in [1, 2, 4] {
            assert_eq!(run(&world, seed, &[count], false), 0);
        }
    }
}

/// A host may stop at every instant at which a row can change, or leap over them.
#[test]
fn every_instant_is_published_by_a_host_that_stops_there() {
    let (mut out, mut leapt) = (0, 0);
    for seed in seeds().take(30) {
        let world = world(seed);
        let instants = instants::of(&world);
        for count in [1, 2, 4] {
            for stops in [true, false] {
                let (mut cluster, mut sink) =
                    (Cluster::new(&world, (count, false), None, seed), Sink::default());
                if stops {
                    cluster.stop_at(&instants);
                }
                while cluster.step(&mut sink) {}
                sink.compare(&world);
                sink.compare_end(&world, Some(cluster.gaps()));
                let (handed_out, skipped) = instants::handed_out(&sink, &world, &instants);
                assert!(skipped == 0 || !stops, "seed {seed}, {count}: {skipped} are missing");
                out += handed_out;
                leapt += skipped;
            }
        }
    }
    assert!(out > 0 && leapt > 0, "{out} rows and {leapt} that were leapt over");
    println!("{out} rows as of their instants, {leapt} leapt over");
}

#[test]
fn so_do_restores_on_other_numbers_of_machines() {
    println!("{} restores", restores(false));
}

#[test]
fn so_do_restores_from_snapshots_with_journals() {
    println!("{} restores", restores(true));
}

fn restores(are_journalled: bool) -> usize {
    let mut restores = 0;
    for seed in seeds() {
        let world = world(seed);
        for machines in [&[2, 4, 1, 2][..], &[1, 1, 4], &[4, 3, 8]] {
            restores += run(&world, seed ^ 0x5ee, machines, are_journalled);
        }
    }
    assert!(restores > 0, "none was whole in time");
    restores
}

#[test]
fn the_numbers_of_the_stages_are_those_of_the_bridge() {
    let all =
        [Kind::Lead, Kind::Sequence, Kind::User, Kind::Source, Kind::Window, Kind::JournalledUser];
    for (number, kind) in (0..).zip(all) {
        assert_eq!(Kind::of(number), Ok(kind));
    }
    assert!(Kind::of(6).is_err() && Kind::of(-1).is_err());
}
