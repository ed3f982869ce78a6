//! What is decided: the pure fold from the click log to ledger rows and verdicts.
//!
//! `no_std` by construction: clock, disk, network, environment and randomly seeded maps cannot be
//! named here. Time is data; batches go in, effects come out.
//!
//! [`fold::Fold`] is the whole dataflow in one place; [`hosted`] has its stages one by one, for
//! hosts that spread them over machines.
#![no_std]
extern crate alloc;

mod codec;
mod dedup;
pub mod fold;
pub mod hash;
pub mod hosted;
pub mod keys;
pub mod limits;
pub mod link;
pub mod planted;
pub mod policy;
pub mod prefetch;
pub mod record;
pub mod row;
pub mod rules;
pub mod snapshot;
pub mod stage;
pub mod types;
pub mod verdict;
mod words;
