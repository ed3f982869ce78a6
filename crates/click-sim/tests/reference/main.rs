//! The reference model against tables written by hand: every rule at its boundary, one before
//! and one after.
//!
//! Owns expectations and nothing else; all cases go through the doors in `door`.

mod bursts;
mod door;
mod duplicates;
mod layouts;
mod policies;
mod rows;
mod shown;
mod stateless;
mod time;
mod transport;
