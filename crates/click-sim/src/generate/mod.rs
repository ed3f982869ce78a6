//! Adversarial plain logs from a seed: few users, ads and sources, so that everything collides,
//! and every threshold of the rules hit at, one before and one after.
//!
//! The same config and seed give the same log, always. Must never import the code that is
//! checked with it, nor the rules of the reference: it knows only where their thresholds lie.

mod clicks;
mod log;
mod random;
mod scenes;

pub(crate) use clicks::home_partition;

use crate::reference::PlainRecord;
use random::Random;
use scenes::Director;

/// What kind of log to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratorConfig {
    /// P at the log's beginning, at least 1.
    pub partitions: u32,
    /// About so many records; what is still on its way then is added.
    pub records: usize,
    pub users: u64,
    pub ads: u64,
    /// Addresses and source keys, at least 1.
    pub sources: u64,
    /// In how many of a thousand records the log's clock leaps.
    pub leaps_per_mille: u64,
    /// Whether the log ends with a tick on every partition that makes all clicks final.
    pub close: bool,
    /// Parts that are added, each after so many records and with so many partitions.
    pub cutovers: Vec<(usize, u32)>,
}

impl GeneratorConfig {
    /// A config of any shape: 1 to 4 partitions, 50 to 2 000 records, mostly a few hundred.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5eed);
        let records = random.pick(&[50, 100, 200, 300, 400, 600, 1_000, 1_700]);
        Self {
            partitions: random.pick(&[1, 2, 3, 4]),
            records,
            users: random.between(1, 8),
            ads: random.between(1, 5),
            sources: random.between(1, 6),
            leaps_per_mille: random.pick(&[0, 0, 4]),
            close: true,
            cutovers: Vec::new(),
        }
    }

    /// [`from_seed`](Self::from_seed); every other log moves to other partitions.
    #[must_use]
    pub fn moving_or_not(seed: u64) -> Self {
        let config = Self::from_seed(seed);
        if seed % 2 == 1 { config.with_cutovers(seed) } else { config }
    }

    /// The same, moved once or twice to other partitions, anywhere in the log.
    #[must_use]
    pub fn with_cutovers(self, seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0xc07);
        let mut cutover = |_| {
            let after = random.below(self.records as u64 + 1);
            (usize::try_from(after).unwrap_or(0), random.pick(&[1, 1, 2, 3, 5]))
        };
        let mut cutovers: Vec<_> = (0..1 + seed % 2).map(&mut cutover).collect();
        cutovers.sort_unstable();
        Self { cutovers, ..self }
    }
}

/// The records of a log, in the order in which they were appended; within a partition that is
/// offset order, from offset 0.
///
/// # Panics
/// If the config has no partition.
#[must_use]
pub fn generate(config: &GeneratorConfig, seed: u64) -> Vec<PlainRecord> {
    assert!(config.partitions > 0, "a log has at least one partition");
    Director::new(config.clone(), Random::new(seed)).record()
}
