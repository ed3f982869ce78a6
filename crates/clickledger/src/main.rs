//! The `clickledger` command; everything is in the library.

use clickledger::memory::{Memory, keep_pages_whole};

#[global_allocator]
static MEMORY: Memory = Memory;

fn main() -> std::process::ExitCode {
    keep_pages_whole();
    clickledger::cli::main()
}
