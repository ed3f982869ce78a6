//! The parts of the table: each sets up its contenders, lets them run in turns and writes its
//! lines. Measures nothing itself.

pub mod archive;
pub mod batch;
pub mod billion;
#[cfg(feature = "kafka")]
pub mod flink;
pub mod fold;
pub mod http;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod latency;
pub mod limits;
pub mod memory;
mod shards;
#[cfg(feature = "kafka")]
pub mod spark;
#[cfg(feature = "kafka")]
mod stock;
pub mod stores;
pub mod writes;
