//! `clickledger topics`: the log in Apache Kafka made and looked at.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use click_engine::kafka::{KafkaSettings, TopicSpec, check, create};

use super::data::DataDir;
use crate::out;

/// Make the log's topics in Apache Kafka, or look at them.
#[derive(Args, Debug)]
pub struct TopicsArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Make the topics, with settings that lose no click, and the log's header.
    ///
    /// What is there already is left as it is. `clickledger log cutover` moves a log to other
    /// partitions later.
    Create {
        #[command(flatten)]
        place: Place,
        /// Partitions of the clicks; more of them let more consumers work at once.
        #[arg(long, value_name = "N", default_value_t = 64)]
        partitions: u32,
        /// Copies of each record, each in a failure domain of its own (`broker.rack`).
        #[arg(long, value_name = "N", default_value_t = 3)]
        replication: u32,
        /// Copies without which no click is confirmed.
        #[arg(long, value_name = "N", default_value_t = 2)]
        min_insync: u32,
        /// Hours that records are kept.
        #[arg(long, value_name = "H", default_value_t = 168)]
        retention_hours: u64,
        /// Partitions of the rows and verdicts that a job in Flink or Spark writes; without it,
        /// there are no topics for them.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
        outputs: Option<u32>,
    },
    /// Say what about the topic could lose clicks or reorder time. Exit code 1 if anything could.
    Check {
        #[command(flatten)]
        place: Place,
    },
}

/// Which topic, and how to speak to its cluster.
#[derive(Args, Debug)]
pub struct Place {
    /// Data directory whose configuration says it.
    #[arg(long, value_name = "DIR", required_unless_present = "log")]
    data: Option<std::path::PathBuf>,
    /// The topic, kafka://HOST:PORT,HOST:PORT/TOPIC [default: `log.url` of the data directory's
    /// configuration].
    #[arg(long, value_name = "URL")]
    log: Option<String>,
    /// Take a topic with one replica: for trials.
    #[arg(long)]
    single_replica: bool,
}

impl Place {
    /// How to speak to the cluster.
    ///
    /// # Errors
    /// If no topic is named, or the configuration is wrong.
    pub fn settings(&self) -> Result<KafkaSettings> {
        let data = DataDir::new(self.data.as_deref().unwrap_or(std::path::Path::new("")));
        let mut settings = data.kafka_settings(self.log.as_deref())?;
        settings.allow_single_replica |= self.single_replica;
        Ok(settings)
    }
}

/// Runs the command.
pub fn run(args: &TopicsArgs) -> Result<ExitCode> {
    match &args.action {
        Action::Create { place, partitions, replication, min_insync, retention_hours, outputs } => {
            let settings = place.settings()?;
            let spec = TopicSpec {
                partitions: *partitions,
                replication: *replication,
                min_insync: *min_insync,
                retention_ms: retention_hours.saturating_mul(3_600_000),
                outputs: *outputs,
                ..TopicSpec::default()
            };
            create(&settings, &spec)?;
            report(&settings)
        }
        Action::Check { place } => report(&place.settings()?),
    }
}

fn report(settings: &KafkaSettings) -> Result<ExitCode> {
    let report = check(settings)?;
    let id: String = report.header.log_id.iter().map(|byte| format!("{byte:02x}")).collect();
    out::line(format_args!(
        "topic {}: log {id}, generation {}, {} partitions",
        settings.address.topic, report.header.generation, report.header.partitions
    ));
    if let Some(layout) = &report.layout {
        if report.in_force.as_ref() != Some(layout) {
            out::line("a cutover is not finished: run `clickledger log cutover` again");
        }
        super::log::print(layout);
    }
    for problem in &report.problems {
        out::line(format_args!("PROBLEM  {problem}"));
    }
    if report.problems.is_empty() {
        out::line("nothing about it could lose clicks or reorder time");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}
