//! The real binary under real faults: what was acknowledged is in the ledger afterwards, once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "a test says what it saw")]

mod clock;
mod disk;
mod failing;
#[cfg(feature = "kafka")]
mod kafka;
mod kill;
mod memory;
#[cfg(feature = "clouds")]
mod outage;
mod server;
mod slow;
#[cfg(all(feature = "redis", feature = "cassandra"))]
mod stores;
mod strace;
mod truncation;
mod visitors;
