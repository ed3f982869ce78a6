//! The real binary on real Kafka: one broker for what works, three for what fails. What was
//! acknowledged is in the ledger afterwards, once, and the audit has nothing to say.
//!
//! `CLICKTEST_KAFKA_LONG=1` plays every fault as long as operators would see it (minutes).

mod again;
mod background;
mod brokers;
mod copies;
mod cutover;
mod engines;
#[cfg(feature = "redis")]
mod flink;
mod hosted;
mod ledger;
mod networks;
mod others;
#[cfg(all(feature = "redis", feature = "cassandra"))]
mod posting;
mod secure;
mod sites;
mod spark;
mod topics;
mod trackers;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One cluster at a time: they share two processors.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether faults last as long as operators would see them.
fn is_long() -> bool {
    std::env::var_os("CLICKTEST_KAFKA_LONG").is_some()
}
