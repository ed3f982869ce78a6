//! `clickledger log`: what a log in Apache Kafka is made of, changed while it runs.

use anyhow::Result;
use clap::{Args, Subcommand};
use click_core::record::Layout;
use click_engine::kafka::{Cutover, Target, cutover};

use super::topics::Place;
use crate::out;

/// Change what a log in Apache Kafka is made of.
#[derive(Args, Debug)]
pub struct LogArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Move the log to more (or other) partitions, while everything runs.
    ///
    /// New clicks go to partitions of a new topic, or to those by which a topic of the log has
    /// grown. No click is lost or counted twice, whatever waits in spools: it goes to the partition
    /// that it was made for. The topics before stay part of the log: keep them. All
    /// trackers and engines have to be of a version that has this command. What has been begun by a
    /// command that died goes on when it is run again; two at once do no harm.
    Cutover {
        #[command(flatten)]
        place: Place,
        /// Topic that takes new clicks: made like the log's first one if it is not there, and empty
        /// if it is [default: the log's first topic, which has grown].
        #[arg(long, value_name = "TOPIC")]
        to: Option<String>,
        /// Partitions of a new topic.
        #[arg(long, value_name = "N", requires = "to")]
        partitions: Option<u32>,
    },
}

/// Runs the command.
pub fn run(args: &LogArgs) -> Result<()> {
    let Action::Cutover { place, to, partitions } = &args.action;
    let settings = place.settings()?;
    let topic = to.clone().unwrap_or_else(|| settings.address.topic.clone());
    let target = Target { topic, partitions: *partitions };
    let (said, layout) = match cutover(&settings, &target)? {
        Cutover::Done(layout) => ("the log has moved", layout),
        Cutover::Before(layout) => ("the log had moved before", layout),
    };
    out::line(format_args!("{said}: layout {}", layout.number));
    print(&layout);
    Ok(())
}

/// Its parts, a line each.
pub fn print(layout: &Layout) {
    for (number, part) in layout.parts.iter().enumerate() {
        let (begin, first) = layout.begins(number);
        let takes = if number + 1 == layout.parts.len() { "  takes new clicks" } else { "" };
        out::line(format_args!(
            "partitions {begin}-{}: topic {}, {first}-{}{takes}",
            begin + part.partitions - 1,
            part.topic,
            first + part.partitions - 1
        ));
    }
}
