//! The stages of the core for hosts on the Java virtual machine, one by one.
//!
//! [`stage`] is what a host works with, in Rust: frames of bytes in, frames of bytes out, state by
//! key group. [`handles`] keeps open stages by number, and `border` is the same for Java.
//! Must never call back into Java, start a thread, do input or output, or swallow an error.

mod border;
pub mod error;
pub mod frames;
pub mod handles;
mod journalled;
mod keyed;
mod sequence;
pub mod stage;

pub use sequence::group_of;

/// Changes whenever the bytes or calls at the border do: both sides compare it.
pub const BORDER_VERSION: u32 = 4;
