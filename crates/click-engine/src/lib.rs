//! How clicks are kept: log, store, checkpoint, driver, import, archive. Holds no billing rule
//! and no fraud rule.

pub mod archive;
pub mod checkpoint;
pub mod disk;
pub mod driver;
pub mod forward;
mod hex;
pub mod import;
pub mod kafka;
pub mod live;
pub mod log;
pub mod store;
