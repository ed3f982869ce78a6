//! T2, T3, T4: the link's life, the ad's state and the click's age.

use crate::limits::SKEW_ALLOWANCE_MS;
use crate::policy::{Policy, Timeline};
use crate::stage::event::{Event, Flags};
use crate::verdict::{Class, Reasons};

/// The reasons that the record alone and the policy decide.
#[inline]
pub fn stateless(event: &Event, policy: &Policy, timeline: &Timeline) -> Reasons {
    Reasons::NONE
        .with_if(Class::T2, link_life(event, policy))
        .with_if(Class::T3, event.flags.has(Flags::INACTIVE))
        .with_if(Class::T4, stale(event, timeline))
        .with_if(Class::G8, event.flags.has(Flags::NO_CLICK_METHOD))
        .with_if(Class::G5, event.flags.has(Flags::PREFETCH))
}

/// T2: expired when received, or made to live longer than links may.
fn link_life(event: &Event, policy: &Policy) -> bool {
    let Some(expires_at) = event.expires_at else { return false };
    let longest = policy.link_lifetime_ms.saturating_add(SKEW_ALLOWANCE_MS);
    event.received_at > expires_at || expires_at.since(event.click_time()) > longest
}

/// T4: waited longer than the smallest spool limit in force since it was received.
fn stale(event: &Event, timeline: &Timeline) -> bool {
    let age = event.fold_time.since(event.received_at);
    age > timeline.least_spool_limit()
        && age > timeline.smallest_spool_limit(event.received_at, event.fold_time)
}
