//! Where copies are handed to: the seam behind which the other site's tracker is.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::log::LogError;

/// What a peer has of an own log, durably.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Per partition: everything below that it was ever given.
    pub ends: Vec<u64>,
    /// In the answer to a question, per partition: SHA-256 of the payload of the last record, in
    /// hexadecimal; empty if there is none.
    #[serde(default)]
    pub last: Vec<String>,
}

/// Takes copies.
pub trait Peer: Send {
    /// Hands over a [`Message`](super::Message); returns once what it gives is durable there.
    ///
    /// # Errors
    /// If it is refused, or nobody answers in time.
    fn hand(&mut self, message: &[u8]) -> Result<Held, LogError>;
}

/// Why a peer takes no copy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CopyRefusal {
    /// The message is damaged, or none.
    #[error("{0}; send it again")]
    Damaged(String),
    /// It is of another log than this tracker's.
    #[error("the copy is of another log than this tracker's: both need the same topic")]
    OtherLog,
    /// It comes from this very process.
    #[error("this is the tracker that the copy is of: name another one in spool.copy_to")]
    Itself,
    /// Somebody else has asked since, or this process knows nothing of the asker.
    #[error("ask first: send a message without sections")]
    AskFirst,
    /// Records between what is here and what is given are missing.
    #[error("partition {partition}: {end} comes next here, and {from} was given")]
    Hole {
        /// Where.
        partition: u32,
        /// What comes next.
        end: u64,
        /// What was given.
        from: u64,
    },
    /// There are copies of too many logs.
    #[error("there are copies of {0} own logs already, which the cluster does not confirm")]
    TooMany(usize),
    /// It cannot be kept.
    #[error("{0}")]
    Log(LogError),
}

impl From<LogError> for CopyRefusal {
    fn from(error: LogError) -> CopyRefusal {
        CopyRefusal::Log(error)
    }
}
