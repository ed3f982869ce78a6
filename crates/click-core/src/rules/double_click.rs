//! D2: the same user clicked the same ad a moment ago.

use crate::limits::DOUBLE_CLICK_MEMORY_MS;
use crate::planted::{Bug, planted};
use crate::policy::Policy;
use crate::stage::event::Facts;
use crate::types::Millis;

/// The last click of a user on an ad that claimed its link and was not D2 itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastClick {
    /// Its place in fold order.
    pub fold_time: Millis,
    /// When it happened.
    pub click_time: Millis,
}

/// Whether `click` is a double click after `last`: happened within 30 s (inclusive, either side)
/// and folded at most ten minutes later.
#[inline]
pub fn is_double(click: &Facts, last: LastClick, policy: &Policy) -> bool {
    let span = policy.double_click_ms - u64::from(planted(Bug::DoubleClickEndsEarly));
    let memory = DOUBLE_CLICK_MEMORY_MS - u64::from(planted(Bug::DoubleMemoryEndsEarly));
    click.click_time().0.abs_diff(last.click_time.0) <= span
        && click.fold_time.since(last.fold_time) <= memory
}
