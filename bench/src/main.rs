//! Benchmarks: programs that print tables, each figure beside a limit or a peer measured in the
//! same run. Never timed tests.

mod clicks;
mod fold;
mod measure;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Prints tables; see bench/README.md")]
struct Args {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Fold rate from encoded payloads in memory, and memory per click held.
    Fold(fold::FoldArgs),
}

fn main() -> anyhow::Result<()> {
    match Args::parse().bench {
        Bench::Fold(args) => fold::run(&args),
    }
}
