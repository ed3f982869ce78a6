//! Where a server's log is, and which log that is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use click_core::record::{Header, Layout};
use click_engine::archive::Told;
use click_engine::kafka::KafkaSettings;
use click_engine::log::{DiskLog, EventLog, LogError, LogId, LogOptions};

use crate::cli::data::DataDir;
use crate::cli::layout;
use crate::cluster;
use crate::config::Config;
use crate::out;

/// How long a start waits for a cluster that it cannot do without.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a start with a spool waits for an answer.
const SHORT: Duration = Duration::from_millis(1500);
/// Time between two questions.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A server's log.
#[derive(Clone)]
pub(super) enum Source {
    /// In the data directory, open in this process.
    Here(Arc<dyn EventLog>),
    /// In a cluster, with its header and its layout in force.
    Kafka(KafkaSettings, Header, Option<Layout>),
}

impl Source {
    /// As the configuration says.
    pub(super) fn of(config: &Config, data: &DataDir) -> Result<Source> {
        match cluster::settings(config)? {
            None => Ok(Source::Here(Arc::new(embedded(config, data)?))),
            Some(settings) => {
                let (header, layout) = known(&settings, data)?;
                Ok(Source::Kafka(settings, header, layout))
            }
        }
    }

    pub(super) fn header(&self) -> Header {
        match self {
            Source::Kafka(_, header, _) => *header,
            Source::Here(log) => Header {
                log_id: log.log_id().0,
                generation: log.generation(),
                partitions: log.partitions(),
            },
        }
    }

    /// The log for a reader of its own.
    pub(super) fn open(&self, whole: bool) -> Result<Arc<dyn EventLog>, LogError> {
        match self {
            Source::Here(log) => Ok(Arc::clone(log)),
            Source::Kafka(settings, ..) => cluster::open(settings.clone(), whole, None),
        }
    }

    /// What a job that reads the topic has decided.
    pub(super) fn verdicts(&self) -> Result<Option<Box<dyn Told>>, LogError> {
        match self {
            Source::Here(_) => Ok(None),
            Source::Kafka(settings, ..) => cluster::verdicts(settings).map(Some),
        }
    }
}

fn embedded(config: &Config, data: &DataDir) -> Result<DiskLog> {
    // An existing log keeps its own number of partitions.
    let existing = data.open_embedded_readonly();
    let partitions = existing.map_or(config.log.partitions, |log| log.partitions());
    let segment_bytes = config.log.segment_bytes;
    let options = LogOptions { partitions, segment_bytes, ..LogOptions::default() };
    Ok(DiskLog::open_or_create(&data.log(), &options)?)
}

/// What the cluster says; while it does not answer, what the spool was made for.
fn known(settings: &KafkaSettings, data: &DataDir) -> Result<(Header, Option<Layout>)> {
    let (begun, spool) = (Instant::now(), of_spool(data));
    let spooled = layout::read(data)?;
    // Clicks need not wait for a cluster that is away.
    let patience = if spool.is_some() { SHORT } else { settings.patience };
    let settings = KafkaSettings { patience, ..settings.clone() };
    loop {
        match cluster::check(&settings) {
            Ok((header, layout, problems)) if problems.is_empty() => {
                return Ok((header, layout));
            }
            Ok((_, _, problems)) => bail!(problems.join("; ")),
            Err(error @ LogError::Kafka { .. }) => {
                if let Some(header) = spool {
                    out::note(format_args!("{error}: clicks are kept in the spool meanwhile"));
                    return Ok((header, spooled));
                }
                if begun.elapsed() > PATIENCE {
                    return Err(error).context("a first start needs the cluster");
                }
                out::note(format_args!("{error}: waiting for the cluster"));
            }
            Err(error) => return Err(error.into()),
        }
        std::thread::sleep(ASK_AGAIN);
    }
}

fn of_spool(data: &DataDir) -> Option<Header> {
    let log = DiskLog::open_readonly(&data.spool(0), &LogOptions::default()).ok()?;
    let LogId(log_id) = log.log_id();
    Some(Header { log_id, generation: log.generation(), partitions: log.partitions() })
}
