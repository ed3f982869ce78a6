//! Makes a failing story short: leaves out what it fails without.

use super::{Playable, play};

/// The shortest plan found, in so many tries at most, that still fails, and how.
#[must_use]
pub fn shrink<P: Playable>(plan: &P, error: String, mut tries: usize) -> (P, String) {
    let (mut best, mut error) = (plan.clone(), error);
    let mut piece = best.actions().len() / 2;
    while piece > 0 {
        let mut from = 0;
        while from < best.actions().len() && tries > 0 {
            tries -= 1;
            let mut shorter = best.clone();
            let to = (from + piece).min(shorter.actions().len());
            shorter.actions().drain(from..to);
            match play(&shorter) {
                Err(other) => (best, error) = (shorter, other),
                Ok(_) => from = to,
            }
        }
        piece /= 2;
    }
    (best, error)
}
