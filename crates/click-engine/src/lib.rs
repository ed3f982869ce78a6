//! How clicks are kept: log, store, checkpoint, driver, import. Holds no billing or fraud rule.

pub mod disk;
pub mod live;
pub mod log;
pub mod store;
