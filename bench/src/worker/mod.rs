//! Workers: one measured thing in a process of its own, so that CPU time and memory are its alone.
//! Each prints one JSON object. Not for people.

mod answer;
pub mod archive;
mod batches;
pub mod engine;
mod fold;
#[cfg(feature = "kafka")]
pub mod kafka;
mod product;
mod server;
mod visitors;
mod watch;

pub use watch::AD;

use crate::report::progress;
use anyhow::Result;
use serde_json::Value;
use std::ffi::OsString;
use std::io::{Read, Write};

/// First word of a worker's command line.
pub const WORD: &str = "worker";

/// What a worker does.
#[derive(clap::Parser)]
#[command(no_binary_name = true)]
pub enum Worker {
    /// Folds made-up clicks from memory.
    Fold(fold::FoldArgs),
    /// Writes made-up clicks into a log.
    WriteLog(engine::LogArgs),
    /// Folds a log with the engine.
    Engine(engine::LogArgs),
    /// Archives a log.
    Archive(archive::ArchiveArgs),
    /// Encodes an archive's files again.
    Encode(archive::ArchiveArgs),
    /// Audits an archive.
    Audit(archive::ArchiveArgs),
    /// Writes made-up clicks into a spool.
    #[cfg(feature = "kafka")]
    WriteSpool(kafka::SpoolArgs),
    /// Hands a spool's records on to Kafka.
    #[cfg(feature = "kafka")]
    Forward(kafka::SpoolArgs),
    /// Appends clicks to a topic at a fixed rate.
    #[cfg(feature = "kafka")]
    Pace(kafka::SpoolArgs),
    /// Folds a topic with the engine.
    #[cfg(feature = "kafka")]
    Topic(kafka::SpoolArgs),
    /// A tracker with its log and, if asked, its engine and store.
    Server(server::ServerArgs),
    /// Answers every piece of bytes with the same response.
    Answer,
    /// Sends batches to a server.
    Batches(batches::BatchArgs),
    /// The whole product.
    Product(product::ProductArgs),
    /// Clicks at a fixed rate and follows the stream.
    Visitors(visitors::VisitorArgs),
}

impl Worker {
    /// Reads the words behind [`WORD`]; ends the process if they make no sense.
    pub fn from_words(words: impl Iterator<Item = OsString>) -> Worker {
        clap::Parser::parse_from(words)
    }

    /// Does it.
    pub fn run(&self) -> Result<()> {
        match self {
            Worker::Fold(args) => say(&again(args.passes, || Ok(fold::run(args)))?),
            Worker::WriteLog(args) => say(&engine::write_log(args)?),
            Worker::Engine(args) => say(&again(args.passes, || engine::run(args))?),
            Worker::Archive(args) => say(&archive::write(args)?),
            Worker::Encode(args) => say(&archive::encode(args)?),
            Worker::Audit(args) => say(&archive::check(args)?),
            #[cfg(feature = "kafka")]
            Worker::WriteSpool(args) => say(&kafka::write(args)?),
            #[cfg(feature = "kafka")]
            Worker::Forward(args) => say(&kafka::forward(args)?),
            #[cfg(feature = "kafka")]
            Worker::Pace(args) => kafka::pace(args),
            #[cfg(feature = "kafka")]
            Worker::Topic(args) => say(&kafka::fold(args)?),
            Worker::Server(args) => server::run(args),
            Worker::Answer => answer::run(),
            Worker::Batches(args) => say(&batches::run(args)?),
            Worker::Product(args) => product::run(args),
            Worker::Visitors(args) => say(&visitors::run(args)?),
        }
    }
}

/// Does it so often in this process and tells the last time: what it takes when the memory that is
/// needed is there already. `first_cpu` is what the first time took.
fn again(passes: u32, mut once: impl FnMut() -> Result<Value>) -> Result<Value> {
    let mut answer = once()?;
    let first = answer["cpu"].clone();
    for _ in 1..passes {
        answer = once()?;
    }
    answer["first_cpu"] = first;
    Ok(answer)
}

/// Prints a line at once.
fn say(value: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}

/// Returns when whoever started this closes its input.
fn wait_for_the_end() {
    let mut rest = Vec::new();
    if let Err(error) = std::io::stdin().read_to_end(&mut rest) {
        progress(&format!("standard input: {error}"));
    }
}
