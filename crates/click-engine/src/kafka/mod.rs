//! Apache Kafka as the log: topics, reading, sending. Everything that knows of Kafka's client is
//! below here.
//!
//! Positions are the engine's own, from its checkpoints; no consumer group decides anything, and no
//! transaction carries money (SPEC §5). Must never read from a topic whose settings could lose or
//! reorder time, skip what retention has taken, or report as kept what fewer than all in-sync
//! replicas have.

mod address;
#[cfg(feature = "kafka")]
mod appender;
#[cfg(feature = "kafka")]
mod arrivals;
#[cfg(feature = "kafka")]
mod asking;
#[cfg(feature = "kafka")]
mod client;
#[cfg(feature = "kafka")]
mod cutover;
#[cfg(feature = "kafka")]
mod known;
#[cfg(feature = "kafka")]
mod lane;
#[cfg(feature = "kafka")]
mod log;
#[cfg(feature = "kafka")]
mod part;
#[cfg(feature = "kafka")]
mod remote;
#[cfg(feature = "kafka")]
mod rows;
#[cfg(feature = "kafka")]
mod topics;
#[cfg(feature = "kafka")]
mod verdicts;

pub use address::{KafkaAddress, KafkaSettings};
#[cfg(feature = "kafka")]
pub use cutover::{Cutover, Target, cutover};
#[cfg(feature = "kafka")]
pub use known::HeaderTopic;
#[cfg(feature = "kafka")]
pub use log::{KafkaLog, Patience};
#[cfg(feature = "kafka")]
pub use remote::{Destination, KafkaRemote};
#[cfg(feature = "kafka")]
pub use rows::{RowRecord, RowTopic, RowsRead};
#[cfg(feature = "kafka")]
pub use topics::{TopicReport, TopicSpec, check, create, header};
#[cfg(feature = "kafka")]
pub use verdicts::VerdictTopic;

/// Default number of partitions of a new topic (SPEC §1).
pub const PARTITIONS: u32 = 64;
