//! T2, T3, T4: the link's life, the ad's state and the click's age.

use crate::limits::SKEW_ALLOWANCE_MS;
use crate::planted::{Bug, planted};
use crate::policy::{Policy, Timeline};
use crate::stage::event::{Facts, Flags};
use crate::types::Millis;
use crate::verdict::{Class, Reasons};

/// The reasons that the record alone and the policy decide.
#[inline]
pub fn stateless(
    click: &Facts,
    expires_at: Option<Millis>,
    policy: &Policy,
    timeline: &Timeline,
) -> Reasons {
    Reasons::NONE
        .with_if(Class::T2, link_life(click, expires_at, policy))
        .with_if(Class::T3, click.flags.any(Flags::INACTIVE))
        .with_if(Class::T4, stale(click, timeline))
        .with_if(Class::G8, click.flags.any(Flags::NO_CLICK_METHOD))
        .with_if(Class::G5, click.flags.any(Flags::PREFETCH))
}

/// T2: expired when received, or made to live longer than links may.
fn link_life(click: &Facts, expires_at: Option<Millis>, policy: &Policy) -> bool {
    let Some(expires_at) = expires_at else { return false };
    let longest = policy.link_lifetime_ms.saturating_add(SKEW_ALLOWANCE_MS);
    let last = Millis(expires_at.0 - u64::from(planted(Bug::ExpiresTooSoon)));
    click.received_at > last || expires_at.since(click.click_time()) > longest
}

/// T4: waited longer than the smallest spool limit in force since it was received.
fn stale(click: &Facts, timeline: &Timeline) -> bool {
    let age = click.fold_time.since(click.received_at);
    if planted(Bug::SpoolLimitOfToday) {
        return age > timeline.at(click.fold_time).1.spool_limit_ms;
    }
    age > timeline.least_spool_limit()
        && age > timeline.smallest_spool_limit(click.received_at, click.fold_time)
}
