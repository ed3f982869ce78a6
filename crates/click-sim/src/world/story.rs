//! The story of a seed, of whatever kind.

use super::{ClusterPlan, Outcome, Plan, Playable, play, shrink};

/// Of so many seeds, one tells of a cluster.
const CLUSTER: u64 = 4;

/// See the module.
#[derive(Clone, Debug)]
pub enum Story {
    /// Of one machine.
    Machine(Plan),
    /// Of trackers in front of a cluster.
    Cluster(ClusterPlan),
}

impl Story {
    /// The story of a seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Story {
        if seed % CLUSTER == CLUSTER - 1 {
            return Story::Cluster(ClusterPlan::from_seed(seed));
        }
        Story::Machine(Plan::from_seed(seed))
    }

    /// Plays it; what it breaks, if anything.
    ///
    /// # Errors
    /// What a checker or the code itself says of the broken promise.
    pub fn play(&self) -> Result<Outcome, String> {
        match self {
            Story::Machine(plan) => play(plan),
            Story::Cluster(plan) => play(plan),
        }
    }

    /// The shortest found in so many tries that still fails, and how.
    #[must_use]
    pub fn shortened(&self, error: String, tries: usize) -> (Story, String) {
        match self {
            Story::Machine(plan) => {
                let (plan, error) = shrink(plan, error, tries);
                (Story::Machine(plan), error)
            }
            Story::Cluster(plan) => {
                let (plan, error) = shrink(plan, error, tries);
                (Story::Cluster(plan), error)
            }
        }
    }

    /// How the world is made, in a line.
    #[must_use]
    pub fn setting(&self) -> String {
        match self {
            Story::Machine(plan) => format!("{} partitions", plan.partitions),
            Story::Cluster(plan) => format!(
                "a cluster, {} partitions, {} trackers, acknowledged after {} ms, kept for {:?} \
                 ms, {:?}",
                plan.partitions, plan.sites, plan.spool_after_ms, plan.keep_ms, plan.manners
            ),
        }
    }

    /// What happens, an action a line.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        match self {
            Story::Machine(plan) => tell(plan),
            Story::Cluster(plan) => tell(plan),
        }
    }
}

fn tell<P: Playable>(plan: &P) -> Vec<String> {
    plan.clone().actions().iter().map(|action| format!("{action:?}")).collect()
}
