//! Policies and the timeline that says which one is in force when (SPEC §8).
//!
//! The skew allowance, the look-ahead, D2's memory and the burst span are fixed per generation
//! (`limits`), because fold order and finality rest on them.

use crate::limits::{
    MAX_BURST_CLICKS, MAX_HORIZON_MS, MAX_TIME_MS, POLICY_NOTICE_MS, SKEW_ALLOWANCE_MS,
};
use crate::planted::{Bug, planted};
use crate::types::{Millis, Minute};
use alloc::string::String;
use alloc::vec::Vec;

/// Thresholds of the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Name stored with each verdict.
    pub policy_id: String,
    /// In force from here, raised to the record's fold time plus a minute.
    pub effective_from: Millis,
    /// How long a link may live.
    pub link_lifetime_ms: u64,
    /// Spool limit S: how old a click may be when it is folded.
    pub spool_limit_ms: u64,
    /// Dedup horizon H.
    pub horizon_ms: u64,
    /// How long after its end a minute is sealed.
    pub seal_after_ms: u64,
    /// Two clicks of one user on one ad within this are one (inclusive).
    pub double_click_ms: u64,
    /// More clicks than this from one source within a second are a burst.
    pub burst_clicks: u64,
}

/// Why a policy is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyError {
    /// The horizon is below link lifetime + spool limit + 5 min.
    HorizonTooShort,
    /// The horizon or seal delay is above 30 days.
    TooLong,
    /// `burst_clicks` is not within 1-100.
    BurstClicks,
    /// A policy outside partition 0.
    WrongPartition,
}

impl core::fmt::Display for PolicyError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            PolicyError::HorizonTooShort => {
                "horizon_ms must be at least link_lifetime_ms + spool_limit_ms + 300000"
            }
            PolicyError::TooLong => "horizon_ms and seal_after_ms must be at most 30 days",
            PolicyError::BurstClicks => "burst_clicks must be within 1-100",
            PolicyError::WrongPartition => "a policy belongs into partition 0",
        })
    }
}

impl core::error::Error for PolicyError {}

const HOUR_MS: u64 = 3_600_000;

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            policy_id: String::from("default"),
            effective_from: Millis(0),
            link_lifetime_ms: 24 * HOUR_MS,
            spool_limit_ms: 72 * HOUR_MS,
            horizon_ms: 96 * HOUR_MS + SKEW_ALLOWANCE_MS,
            seal_after_ms: 15 * 60_000,
            double_click_ms: 30_000,
            burst_clicks: 10,
        }
    }
}

impl Policy {
    /// Checks what SPEC §8 demands of a policy.
    pub fn check(&self) -> Result<(), PolicyError> {
        let needed = self
            .link_lifetime_ms
            .saturating_add(self.spool_limit_ms)
            .saturating_add(SKEW_ALLOWANCE_MS);
        if self.horizon_ms < needed {
            return Err(PolicyError::HorizonTooShort);
        }
        if self.horizon_ms > MAX_HORIZON_MS || self.seal_after_ms > MAX_HORIZON_MS {
            return Err(PolicyError::TooLong);
        }
        if !(1..=MAX_BURST_CLICKS).contains(&self.burst_clicks) {
            return Err(PolicyError::BurstClicks);
        }
        Ok(())
    }
}

/// Index of a policy in its timeline; 0 is the default.
pub type PolicyIndex = u32;

/// Every policy of the log with the instant from which it is in force, in that order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    // Index into `policies` by effective instant; the default comes first, at 0.
    order: Vec<(Millis, PolicyIndex)>,
    policies: Vec<Policy>,
    /// Records do not change it.
    is_fixed: bool,
    least_spool_limit: u64,
    least_horizon: u64,
    longest_horizon: u64,
}

impl Default for Timeline {
    fn default() -> Timeline {
        Timeline::beginning_with(Policy::default(), false)
    }
}

impl Timeline {
    /// Of this policy alone, in force from the beginning, whatever records say.
    pub fn fixed(policy: Policy) -> Timeline {
        Timeline::beginning_with(policy, true)
    }

    fn beginning_with(policy: Policy, is_fixed: bool) -> Timeline {
        Timeline {
            order: Vec::from([(Millis(0), 0)]),
            least_spool_limit: policy.spool_limit_ms,
            least_horizon: policy.horizon_ms,
            longest_horizon: policy.horizon_ms,
            policies: Vec::from([policy]),
            is_fixed,
        }
    }

    /// Adds a policy whose record has `fold_time`; equal instants keep log order.
    pub fn add(&mut self, policy: Policy, fold_time: Millis) -> Result<(), PolicyError> {
        if !planted(Bug::PolicyUnchecked) {
            policy.check()?;
        }
        if self.is_fixed {
            return Ok(());
        }
        let notice = if planted(Bug::PolicyAtOnce) { 0 } else { POLICY_NOTICE_MS };
        let effective = policy.effective_from.max(fold_time.plus(notice));
        let effective = effective.min(Millis(MAX_TIME_MS));
        self.insert(policy, effective);
        Ok(())
    }

    /// Puts back a policy that a snapshot kept, with the instant that was decided then.
    pub(crate) fn reinstate(&mut self, policy: Policy, effective: Millis) {
        self.insert(policy, effective);
    }

    fn insert(&mut self, policy: Policy, effective: Millis) {
        self.least_spool_limit = self.least_spool_limit.min(policy.spool_limit_ms);
        self.least_horizon = self.least_horizon.min(policy.horizon_ms);
        self.longest_horizon = self.longest_horizon.max(policy.horizon_ms);
        #[expect(clippy::cast_possible_truncation, reason = "policies are few")]
        let index = self.policies.len() as PolicyIndex;
        let at = self.order.partition_point(|(from, _)| *from <= effective);
        self.order.insert(at, (effective, index));
        self.policies.push(policy);
    }

    /// The policy in force at `at`, with its index.
    pub fn at(&self, at: Millis) -> (PolicyIndex, &Policy) {
        let index = self.order[self.slot(at)].1;
        (index, &self.policies[index as usize])
    }

    /// The smallest spool limit in force between the two instants, both included.
    pub fn smallest_spool_limit(&self, from: Millis, to: Millis) -> u64 {
        let (first, last) = (self.slot(from.min(to)), self.slot(to));
        // Of several that begin at one instant only the last is ever in force.
        let in_force =
            |slot: &usize| *slot == last || self.order[*slot].0 != self.order[*slot + 1].0;
        let limit = |slot: usize| self.policies[self.order[slot].1 as usize].spool_limit_ms;
        (first..=last).filter(in_force).map(limit).min().unwrap_or(0)
    }

    /// When the ordinary rows of `minute` stop changing: its end plus the delay in force there.
    pub fn sealing_starts(&self, minute: Minute) -> Millis {
        minute.end().plus(self.at(minute.end()).1.seal_after_ms)
    }

    /// The policy with this index.
    pub fn get(&self, index: PolicyIndex) -> Option<&Policy> {
        self.policies.get(index as usize)
    }

    /// All policies with the instant from which each is in force, in that order.
    pub fn entries(&self) -> impl Iterator<Item = (Millis, PolicyIndex, &Policy)> {
        self.order.iter().map(|(from, index)| (*from, *index, &self.policies[*index as usize]))
    }

    /// The smallest spool limit of any policy: below it nothing is ever stale.
    #[inline]
    pub const fn least_spool_limit(&self) -> u64 {
        self.least_spool_limit
    }

    /// The smallest horizon of any policy: below it every claim lives.
    #[inline]
    pub const fn least_horizon(&self) -> u64 {
        self.least_horizon
    }

    /// The longest horizon of any policy: beyond it no claim lives.
    pub const fn longest_horizon(&self) -> u64 {
        self.longest_horizon
    }

    /// The instants from `at` on for which the policy found there stays in force, as a half-open
    /// end; `u64::MAX` if nothing follows.
    pub fn in_force_until(&self, at: Millis) -> Millis {
        self.order.get(self.slot(at) + 1).map_or(Millis(u64::MAX), |(from, _)| *from)
    }

    fn slot(&self, at: Millis) -> usize {
        self.order.partition_point(|(from, _)| *from <= at) - 1
    }
}
