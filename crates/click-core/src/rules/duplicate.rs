//! D1: an earlier click claimed the same link for the same user, and the claim still lives.

use crate::planted::{Bug, planted};
use crate::policy::Timeline;
use crate::types::Millis;

/// Whether a claim made at `claimed_at` is alive at `now`: it lasts, inclusively, for the horizon
/// in force when it was made.
#[inline]
pub fn claim_lives(claimed_at: Millis, now: Millis, timeline: &Timeline) -> bool {
    let age = now.since(claimed_at) + u64::from(planted(Bug::ClaimEndsEarly));
    age <= timeline.least_horizon() || age <= timeline.at(claimed_at).1.horizon_ms
}
