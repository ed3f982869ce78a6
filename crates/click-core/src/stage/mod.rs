//! The stages of the dataflow, each with its key and its five verbs: open, apply, advance,
//! snapshot, restore. A stage knows nothing of its neighbours but the data that flows.

pub mod event;
pub mod layouts;
mod open_rows;
pub mod parse;
pub mod partial;
pub mod sequence;
pub mod source;
pub mod transport;
pub mod user;
pub mod window;
