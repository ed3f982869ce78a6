//! The corpus of every target, as it is and damaged: `cargo xtask fuzz` does the same for longer.
//! `CLICKTEST_MUTATIONS` sets how many mutations of each target are tried.

use click_sim::fuzz::{TARGETS, corpus, input};

const MUTATIONS: u64 = 3_000;

#[test]
fn every_input_is_taken_or_refused_as_promised() {
    let asked = std::env::var("CLICKTEST_MUTATIONS").ok();
    let mutations = asked.map_or(MUTATIONS, |asked| asked.parse().expect("a number"));
    for target in TARGETS {
        let inputs = corpus(target).expect("a committed corpus");
        let taken = inputs.iter().filter(|input| (target.check)(input)).count();
        assert!(taken > 0, "{}: nothing whole", target.name);
        let mut refused = 0;
        for seed in 0..mutations {
            refused += u64::from(!(target.check)(&input(&inputs, seed)));
        }
        assert!(refused > 0, "{}: damage is never seen", target.name);
    }
}
