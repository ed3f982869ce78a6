//! The click tracker: signed requests in, durable records and redirects out (SPEC §4, §10, §12).
//!
//! It decides nothing about a click: it refuses what is not genuine, records the rest with what it
//! saw, and answers once the record is durable. Nothing that a stranger sends creates a record or
//! fills the disk.

mod batch;
mod batch_item;
mod batch_proto;
mod catalogue;
mod click;
mod client;
mod dead_letter;
mod draft;
pub mod limits;
mod metrics;
mod quick;
mod refusal;
mod respond;
mod sender;
mod serve;
mod throttle;
mod tls;
mod tracker;
mod waiting;

pub use catalogue::Catalogue;
pub use metrics::{CountBy, Histogram, Metrics};
pub use respond::Body;
pub use serve::{Fallback, ServeConfig, Server, no_fallback, router_fallback, serve};
pub use tls::TlsFiles;
pub use tracker::{Readiness, Tracker, TrackerConfig, TrackerError};
