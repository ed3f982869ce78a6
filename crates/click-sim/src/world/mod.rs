//! The whole embedded system in one thread, on one seed, in virtual time: trackers that re-send,
//! a network that loses and repeats, the real log and engines on a disk that forgets, tears, fills,
//! fails and lies, and a store whose answers get lost.
//!
//! `plan` writes down from a seed what happens; `stage` plays it with the real code of log and
//! engine; `judge` compares what is left with the reference; `shrink` makes a failing story short.
//! Must never read a clock, start a thread, or decide anything but by the plan.

mod judge;
mod misplaced;
mod plan;
mod repair;
mod shrink;
pub mod spool;
mod stage;
mod store;
mod tracker;
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use misplaced::misplaced;
pub use plan::{Action, Plan};
pub use shrink::shrink;
pub use wire::Weather;

/// What a story left behind: equal for equal stories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Records in the log at the end.
    pub records: u64,
    /// Clicks whose sender was told that they are durable.
    pub acknowledged: u64,
    /// Rows in the store at the end, both views.
    pub rows: u64,
    /// How often the process died or was stopped.
    pub restarts: u64,
    /// Over all bytes of the log and all rows that were ever written.
    pub fingerprint: u64,
}

/// Plays a plan; what it breaks, if anything.
///
/// # Errors
/// What a checker or the code itself says of the broken promise.
pub fn play(plan: &Plan) -> Result<Outcome, String> {
    let played = catch_unwind(AssertUnwindSafe(|| stage::Stage::new(plan).play(plan)));
    played.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_else(|| "a panic without words".to_owned())
    })
}
