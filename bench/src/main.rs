//! Benchmarks: one command, one table, each figure beside a peer or a limit of the machine that was
//! measured in the same run, in turns. Never timed tests; what is promised stands in
//! `docs/benchmarks.md`.
//!
//! Every measured thing runs in a process of its own (`worker`, the peers), which is ended by its
//! process id.

mod clicks;
mod contend;
mod counting;
mod machine;
mod measure;
mod parts;
mod peers;
mod process;
mod report;
mod stats;
mod tally;
mod worker;

use anyhow::{Result, ensure};
use clap::{Args as ClapArgs, Parser, Subcommand};
use clickledger::memory::{Memory, keep_pages_whole};
use report::Report;

/// As in the product.
#[global_allocator]
static MEMORY: Memory = Memory;

#[derive(Parser)]
#[command(about = "Measures clickledger beside its peers and the machine; see docs/benchmarks.md")]
struct Args {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    bench: Bench,
}

/// What all parts share.
#[derive(ClapArgs, Clone)]
pub struct Settings {
    /// Small sizes and few rounds: shows that everything works, measures nothing.
    #[arg(long, global = true)]
    quick: bool,
    /// Appends the figures as JSON lines to bench/results/, named by date and commit.
    #[arg(long, global = true)]
    save: bool,
    /// Rounds; each runs every contender twice, forth and back (ABBA). Default 2, quick 1.
    #[arg(long, global = true)]
    rounds: Option<usize>,
    /// Clicks of the fold and memory parts, five times those of the archive part. Default 10
    /// million, quick 200,000.
    #[arg(long, global = true)]
    clicks: Option<u64>,
    /// Seconds of one run of a server. Default 5, quick 1; of latency 20, quick 2.
    #[arg(long, global = true)]
    seconds: Option<u64>,
    /// Connections of the load generator.
    #[arg(long, global = true, default_value_t = 128)]
    connections: u32,
}

impl Settings {
    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { 2 }).max(1)
    }

    pub fn clicks(&self) -> u64 {
        self.clicks.unwrap_or(if self.quick { 200_000 } else { 10_000_000 }).max(10_000)
    }

    pub fn seconds(&self) -> u64 {
        self.seconds.unwrap_or(if self.quick { 1 } else { 5 }).max(1)
    }
}

#[derive(Subcommand)]
enum Bench {
    /// Every part but the billion.
    All,
    /// Fold rate from memory and from the log, beside DuckDB.
    Fold,
    /// Bytes of memory per click held, beside Redis.
    Memory,
    /// Durable single-click requests, beside nginx.
    Http,
    /// Durable clicks through batches of 1,000.
    Batch,
    /// Click to visible on the stream, at 2,000 clicks a second.
    Latency,
    /// The archive's Parquet beside pyarrow, the audit beside DuckDB.
    Archive,
    /// Engine and tracker on Apache Kafka, beside its own tools.
    #[cfg(feature = "kafka")]
    Kafka,
    /// The hosted core in Apache Flink, beside an ordinary job.
    #[cfg(feature = "kafka")]
    Flink,
    /// The hosted core in Apache Spark, beside an ordinary job.
    #[cfg(feature = "kafka")]
    Spark,
    /// Rows a second, bytes a row and times of queries of each serving store.
    Stores,
    /// How many rows a store is given for each click.
    Writes,
    /// Limits of the machine alone.
    Machine,
    /// Very many clicks through log and engine.
    Billion(parts::billion::BillionArgs),
}

fn main() -> Result<()> {
    keep_pages_whole();
    ensure!(!cfg!(debug_assertions), "run with --release: a debug build measures nothing");
    let mut words = std::env::args_os();
    if words.nth(1).is_some_and(|word| word == worker::WORD) {
        return worker::Worker::from_words(words).run();
    }
    let args = Args::parse();
    let settings = &args.settings;
    let mut report = Report::default();
    match args.bench {
        Bench::All => all(settings, &mut report)?,
        Bench::Fold => parts::fold::run(settings, &mut report)?,
        Bench::Memory => parts::memory::run(settings, &mut report)?,
        Bench::Http => parts::http::run(settings, &mut report)?,
        Bench::Batch => parts::batch::run(settings, &mut report)?,
        Bench::Latency => parts::latency::run(settings, &mut report)?,
        Bench::Archive => parts::archive::run(settings, &mut report)?,
        #[cfg(feature = "kafka")]
        Bench::Kafka => parts::kafka::run(settings, &mut report)?,
        #[cfg(feature = "kafka")]
        Bench::Flink => parts::flink::run(settings, &mut report)?,
        #[cfg(feature = "kafka")]
        Bench::Spark => parts::spark::run(settings, &mut report)?,
        Bench::Stores => parts::stores::run(settings, &mut report)?,
        Bench::Writes => parts::writes::run(settings, &mut report)?,
        Bench::Machine => parts::limits::run(settings, &mut report)?,
        Bench::Billion(billion) => parts::billion::run(&billion, &mut report)?,
    }
    report.print();
    if settings.save { report.save(settings.quick) } else { Ok(()) }
}

/// A part that fails is reported; the others go on.
fn all(settings: &Settings, report: &mut Report) -> Result<()> {
    type Part = fn(&Settings, &mut Report) -> Result<()>;
    let parts: &[(&str, Part)] = &[
        ("machine", parts::limits::run),
        ("fold", parts::fold::run),
        ("memory", parts::memory::run),
        ("http", parts::http::run),
        ("batch", parts::batch::run),
        ("latency", parts::latency::run),
        ("archive", parts::archive::run),
        #[cfg(feature = "kafka")]
        ("kafka", parts::kafka::run),
    ];
    for (name, part) in parts {
        if let Err(error) = part(settings, report) {
            report.skip(format!("{name}: {error:#}"));
        }
    }
    Ok(())
}
