//! Trackers far from the log, on one seed, in virtual time: each has a machine with its own log in
//! front of a cluster (Kafka), the real forwarder hands on, and real engines fold what the cluster
//! has.
//!
//! `plan` writes down what happens, `topic` is the cluster as its readers see it, `link` as its
//! senders do, `site` a tracker's machine, `stage` plays, `ending` lets everything recover and
//! judges. Must never read a clock, start a thread, or decide anything but by the plan.

mod ending;
mod link;
mod plan;
mod site;
mod stage;
mod topic;

pub use plan::{ClusterAction, ClusterPlan, Manners};

use super::{Outcome, Playable};

impl Playable for ClusterPlan {
    type Action = ClusterAction;

    fn actions(&mut self) -> &mut Vec<ClusterAction> {
        &mut self.actions
    }

    fn play_out(&self) -> Outcome {
        stage::Stage::new(self).play(self)
    }
}
