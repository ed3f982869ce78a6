//! A few stories of the simulated machine; `cargo xtask sim` plays more, and `cargo xtask planted`
//! shows that they can fail.

use click_sim::world::{Action, ClusterPlan, Outcome, Plan, misplaced, play, shrink};

#[test]
fn stories_hold() {
    let mut sum = Outcome::default();
    for seed in 0..150 {
        let outcome = play(&Plan::from_seed(seed)).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        sum.acknowledged += outcome.acknowledged;
        sum.restarts += outcome.restarts;
    }
    // Stories in which nothing happens would hold, too.
    assert!(sum.acknowledged > 5_000 && sum.restarts > 300, "{sum:?}");
}

#[test]
fn stories_with_a_cluster_hold() {
    let mut sum = Outcome::default();
    for seed in 0..150 {
        let plan = ClusterPlan::from_seed(seed);
        let outcome = play(&plan).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        sum.acknowledged += outcome.acknowledged;
        sum.restarts += outcome.restarts;
        if seed % 30 == 0 {
            assert_eq!(play(&plan), Ok(outcome), "seed {seed} played again");
        }
    }
    // Stories in which nothing happens would hold, too.
    assert!(sum.acknowledged > 3_000 && sum.restarts > 300, "{sum:?}");
}

#[test]
fn records_in_each_others_places_are_seen() {
    for seed in 0..500 {
        misplaced(seed).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    }
}

#[test]
fn a_story_played_twice_ends_in_the_same_bytes() {
    for seed in [3, 17, 40] {
        let plan = Plan::from_seed(seed);
        assert_eq!(play(&plan), play(&plan), "seed {seed}");
    }
}

#[test]
fn a_failing_story_is_shortened_to_what_it_fails_by() {
    let mut plan = Plan::from_seed(5);
    // There is no third engine: the story breaks off here.
    plan.actions.insert(30, Action::Fold { engine: 2 });
    plan.actions.insert(0, Action::Start);
    let error = play(&plan).expect_err("a story that cannot be played");
    let (short, error) = shrink(&plan, error, 500);
    assert!(short.actions.len() <= 2, "{:?}", short.actions);
    assert!(short.actions.contains(&Action::Fold { engine: 2 }));
    assert!(error.contains("index out of bounds"), "{error}");
}
