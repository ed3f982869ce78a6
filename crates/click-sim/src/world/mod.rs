//! The whole system in one thread, on one seed, in virtual time: trackers that re-send,
//! a network that loses and repeats, the real log and engines on a disk that forgets, tears, fills,
//! fails and lies, and a store whose answers get lost.
//!
//! `plan` writes down from a seed what happens; `stage` plays it with the real code of log and
//! engine; `judge` compares what is left with the reference; `shrink` makes a failing story short.
//! `cluster` has stories of trackers in front of a log that others keep.
//! Must never read a clock, start a thread, or decide anything but by the plan.

mod cluster;
mod judge;
mod misplaced;
mod plan;
mod repair;
mod shrink;
mod stage;
mod store;
mod story;
mod tracker;
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use cluster::{ClusterAction, ClusterPlan, Manners};
pub use misplaced::misplaced;
pub use plan::{Action, Plan};
pub use shrink::shrink;
pub use story::Story;
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

/// A plan of any kind of story.
pub trait Playable: Clone {
    /// One thing that happens.
    type Action: std::fmt::Debug;

    /// What happens, in order.
    fn actions(&mut self) -> &mut Vec<Self::Action>;

    /// Plays it; panics if a promise is broken.
    fn play_out(&self) -> Outcome;
}

impl Playable for Plan {
    type Action = Action;

    fn actions(&mut self) -> &mut Vec<Action> {
        &mut self.actions
    }

    fn play_out(&self) -> Outcome {
        stage::Stage::new(self).play(self)
    }
}

/// Plays a plan; what it breaks, if anything.
///
/// # Errors
/// What a checker or the code itself says of the broken promise.
pub fn play<P: Playable>(plan: &P) -> Result<Outcome, String> {
    let played = catch_unwind(AssertUnwindSafe(|| plan.play_out()));
    played.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_else(|| "a panic without words".to_owned())
    })
}
