//! Folds a plain log through the core in the most awkward ways, and compares all that comes out
//! with the reference.
//!
//! `History` is what must come out. `Run` is one way to get there in one process, `Machines` one
//! with the stages spread over several: batches, interleavings, watermarks, publishing, crashes and
//! shard counts, all chosen from a seed. Must never know a rule of counting.

mod compare;
mod dice;
mod history;
mod machines;
mod run;
mod told;

pub use dice::Dice;
pub use history::History;
pub use machines::Machines;
pub use run::{Run, Style};

use crate::bridge;
use crate::reference::PlainRecord;
use click_core::fold::SnapshotPart;
use click_core::record::Header;

/// A log as the core reads it, and what it must make of it.
pub struct World {
    pub header: Header,
    /// Those that the log begins with.
    pub partitions: u32,
    /// By partition: `append_time` and payload, in offset order.
    pub log: Vec<Vec<(u64, Vec<u8>)>>,
    pub history: History,
}

impl World {
    /// `records` of one partition stand in offset order.
    #[must_use]
    pub fn new(records: &[PlainRecord], partitions: u32) -> Self {
        let history = History::new(records, partitions);
        let mut log = bridge::log(records, partitions);
        log.resize(history.reference.partitions(u64::MAX), Vec::new());
        Self { header: bridge::header(records, partitions), partitions, log, history }
    }

    /// Folds the log in the way that `style` and `seed` choose.
    ///
    /// # Panics
    /// If anything that comes out differs from the reference.
    pub fn check(&self, style: &Style, seed: u64) -> Vec<SnapshotPart> {
        Run::new(self, style.clone(), Dice::new(seed)).to_the_end()
    }
}
