//! The `clickledger` command.
fn main() {}
