//! How it is proven: the plain reference model, generators and checkers.
//!
//! `reference` is the specification written down in the plainest code possible; `generate` makes
//! adversarial logs for it from a seed. Both use the standard library alone and import nothing
//! of this workspace, so that they can disagree with the code they check. `bridge` puts their
//! records into the core's form, `check` folds them in the most awkward ways and compares.
//! `fuzz` holds everything that parses to its promises. `s3_server`, `azure_server`, `kafka`,
//! `redis`, `cassandra`, `flink` and `spark` are real ones, for tests; `hosted` has the jars of
//! `jvm/`. Nothing here ships.

pub mod azure_server;
pub mod bridge;
pub mod cassandra;
pub mod check;
pub mod flink;
pub mod fuzz;
pub mod generate;
pub mod given_log;
pub mod hosted;
pub mod kafka;
pub mod python;
pub mod redis;
pub mod reference;
pub mod s3_server;
mod servers;
pub mod spark;
pub mod world;
