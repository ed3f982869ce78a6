//! Which policy is in force when (SPEC §8).
//!
//! Owns acceptance, the effective time and the look-up by instant. Must never judge a click.

use super::SKEW_MS;
use super::fold_time::Folded;
use super::record::{PlainPayload, PlainPolicy, Position};

const NOTICE_MS: u64 = 60_000;
const LONGEST_HORIZON_MS: u64 = 30 * 24 * 3_600_000;
const LONGEST_SEAL_AFTER_MS: u64 = 30 * 24 * 3_600_000;

pub(super) struct Policies {
    before_any: PlainPolicy,
    /// The instant each comes into force, and the policy; in log order.
    accepted: Vec<(u64, PlainPolicy)>,
    pub(super) refused: Vec<Position>,
}

impl Policies {
    /// Only partition 0 counts; a policy record elsewhere is ignored.
    pub(super) fn read(folded: &[Folded]) -> Self {
        let mut all =
            Self { before_any: PlainPolicy::default(), accepted: Vec::new(), refused: Vec::new() };
        for f in folded.iter().filter(|f| f.record.partition == 0) {
            let PlainPayload::Policy(policy) = &f.record.payload else { continue };
            if f.record.payload.is_undecodable() {
                continue;
            }
            if is_acceptable(policy) {
                let effective = policy.effective_from.max(f.fold_time + NOTICE_MS);
                all.accepted.push((effective, policy.clone()));
            } else {
                all.refused.push(f.position());
            }
        }
        all
    }

    /// The one that came into force last at or before `instant`; of two at once the later in
    /// the log.
    pub(super) fn at(&self, instant: u64) -> &PlainPolicy {
        let mut found = &self.before_any;
        let mut since = 0;
        for (effective, policy) in &self.accepted {
            if *effective <= instant && *effective >= since {
                found = policy;
                since = *effective;
            }
        }
        found
    }

    /// The smallest S in force at any instant of `from..=to` (SPEC §8, T4).
    pub(super) fn smallest_spool_limit(&self, from: u64, to: u64) -> u64 {
        let changes = self.accepted.iter().map(|(effective, _)| *effective);
        let within = changes.filter(|t| from < *t && *t <= to);
        let limits = within.map(|t| self.at(t).spool_limit_ms);
        limits.chain([self.at(from).spool_limit_ms]).fold(u64::MAX, u64::min)
    }
}

fn is_acceptable(p: &PlainPolicy) -> bool {
    let least_horizon = u128::from(p.link_lifetime_ms) + u128::from(p.spool_limit_ms);
    u128::from(p.horizon_ms) >= least_horizon + u128::from(SKEW_MS)
        && p.horizon_ms <= LONGEST_HORIZON_MS
        && p.seal_after_ms <= LONGEST_SEAL_AFTER_MS
        && (1..=100).contains(&p.burst_clicks)
}
