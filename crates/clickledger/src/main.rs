//! The `clickledger` command; everything is in the library.

fn main() -> std::process::ExitCode {
    clickledger::cli::main()
}
