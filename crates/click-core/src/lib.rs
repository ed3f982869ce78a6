//! What is decided: the pure fold from the click log to ledger rows and verdicts.
//!
//! `no_std` by construction: clock, disk, network, environment and randomly seeded maps cannot be
//! named here. Time is data; batches go in, effects come out.
#![no_std]
extern crate alloc;

pub mod limits;
pub mod policy;
pub mod record;
pub mod row;
pub mod types;
pub mod verdict;
