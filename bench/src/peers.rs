//! Peers: where they are found, how they are started, what they answer. A peer that is missing is
//! skipped and said so, never guessed.

mod duckdb;
mod nginx;
mod pyarrow;
mod python;
mod redis;
mod simplest;
mod wrk;

pub use duckdb::{DuckDb, write_parquet};
pub use nginx::Nginx;
pub use pyarrow::PyArrow;
pub use redis::bytes_per_key;
pub use simplest::{prepared_upserts, redis_benchmark};
pub use wrk::Wrk;
