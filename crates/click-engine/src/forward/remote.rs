//! Where records are handed to: a log that others keep. The seam behind which Kafka is, and the
//! simulator's cluster.

use std::time::Duration;

use crate::log::LogError;

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The record, by its place in the own log.
    pub partition: u32,
    /// See `partition`.
    pub offset: u64,
    /// The time that the cluster gave it, ms since 1970 (0: it did not say); or why it is not
    /// known to be there.
    pub result: Result<u64, LogError>,
}

/// Takes records and confirms them.
pub trait Remote: Send {
    /// Takes a record for `partition`; false if there is no room at the moment.
    ///
    /// # Errors
    /// If it is refused. It may be tried again after a [`reset`](Self::reset).
    fn send(&mut self, partition: u32, offset: u64, payload: &[u8]) -> Result<bool, LogError>;

    /// Adds the outcomes that have come to be known, after at most `timeout`. Confirmed is what
    /// survives the loss of any one of the cluster's failure domains.
    fn outcomes(&mut self, timeout: Duration, out: &mut Vec<Outcome>);

    /// Forgets everything that is under way: outcomes told from now on are of records sent from now
    /// on. Records sent before may arrive all the same.
    ///
    /// # Errors
    /// If there can be no new sender.
    fn reset(&mut self) -> Result<(), LogError>;
}
