//! How clicks are reached: commands, configuration, HTTP. Decides nothing about a click and touches
//! no file format of the engine.

pub mod cli;
mod cluster;
pub mod config;
pub mod demo;
pub mod http;
pub mod keys;
pub mod load;
pub mod memory;
pub mod out;
pub mod serve;
