//! How this program's Kafka clients are set, and what they say of themselves. A setting on which
//! exactness rests cannot be overridden.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::{ClientContext, Statistics};

use super::address::KafkaSettings;
use crate::log::LogError;

/// Set by this program, whoever else would.
const GUARDED: [&str; 14] = [
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "check.crcs",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "group.id",
    "isolation.level",
    "max.in.flight.requests.per.connection",
    "message.timeout.ms",
    "request.required.acks",
    "transactional.id",
];

/// What all clients have.
///
/// # Errors
/// `Topic` if a property is one of those that this program sets.
pub(super) fn config(settings: &KafkaSettings) -> Result<ClientConfig, LogError> {
    let mut config = ClientConfig::new();
    config.set("client.id", "clickledger");
    // A broker that died is asked for the new leader soon, and not every 100 ms without end.
    config.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "1000");
    config.set("topic.metadata.refresh.fast.interval.ms", "100");
    config.set("socket.nagle.disable", "true").set("socket.connection.setup.timeout.ms", "3000");
    config.set("log.connection.close", "false");
    // A broker that is cut off says nothing: who waits for it longer than others need to elect a
    // new leader makes the pause longer.
    config.set("socket.timeout.ms", "3000").set("topic.metadata.refresh.interval.ms", "10000");
    for (key, value) in &settings.properties {
        if GUARDED.contains(&key.as_str()) {
            let reason = format!("kafka.properties: '{key}' is set by this program; remove it");
            return Err(LogError::topic(reason));
        }
        config.set(key, value);
    }
    config.set("bootstrap.servers", &settings.address.bootstrap);
    config.set_log_level(RDKafkaLogLevel::Error);
    Ok(config)
}

/// As [`config`], for producers: idempotent, and confirmed by all in-sync replicas.
pub(super) fn producer_config(settings: &KafkaSettings) -> Result<ClientConfig, LogError> {
    let mut config = config(settings)?;
    config.set("enable.idempotence", "true").set("acks", "all");
    config.set("message.timeout.ms", settings.delivery_timeout.as_millis().to_string());
    if !settings.properties.contains_key("linger.ms") {
        config.set("linger.ms", "1");
    }
    if !settings.properties.contains_key("compression.type") {
        config.set("compression.type", "lz4");
    }
    Ok(config)
}

/// As [`config`], for consumers: nothing is committed or skipped by itself.
pub(super) fn consumer_config(settings: &KafkaSettings) -> Result<ClientConfig, LogError> {
    let mut config = config(settings)?;
    config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
    config.set("auto.offset.reset", "error").set("check.crcs", "true");
    config.set("isolation.level", "read_uncommitted").set("group.id", "clickledger");
    if !settings.properties.contains_key("fetch.wait.max.ms") {
        config.set("fetch.wait.max.ms", "50");
    }
    Ok(config)
}

/// As [`consumer_config`], for looks at a cluster, in which nothing is ever committed.
pub(super) fn look_config(settings: &KafkaSettings) -> Result<ClientConfig, LogError> {
    let mut config = consumer_config(settings)?;
    config.set("group.id", "clickledger-look");
    Ok(config)
}

/// The client takes a property for none, or lacks what it asks for.
pub(super) fn misconfigured(error: &KafkaError) -> LogError {
    let said = error.to_string();
    let is_lacking = ["OpenSSL not available", "No provider for SASL mechanism"];
    let fix = if is_lacking.iter().any(|text| said.contains(text)) {
        "; TLS and SCRAM need a build with --features kafka-tls"
    } else if said.contains("Unsupported SASL mechanism") {
        "; known are PLAIN and, in a build with --features kafka-tls, SCRAM-SHA-256 and \
         SCRAM-SHA-512"
    } else {
        ""
    };
    LogError::topic(format!("kafka.properties: {said}{fix}"))
}

/// An error of the client, or of the cluster.
pub(super) fn failed(what: &str, error: &KafkaError) -> LogError {
    LogError::kafka(format!("{what}: {error}"))
}

/// A client that says nothing by itself, and whose complaints are kept for whoever asks.
#[derive(Default)]
pub(super) struct Watch {
    complaint: Mutex<Option<String>>,
    /// Per partition first and last offset (exclusive), as the cluster told last.
    ranges: Mutex<Vec<Range<u64>>>,
}

impl Watch {
    pub(super) fn complaint(&self) -> Option<String> {
        lock(&self.complaint).clone()
    }

    pub(super) fn set_ranges(&self, ranges: Vec<Range<u64>>) {
        *lock(&self.ranges) = ranges;
    }

    pub(super) fn range(&self, partition: u32) -> Range<u64> {
        lock(&self.ranges).get(partition as usize).cloned().unwrap_or_default()
    }
}

impl ClientContext for Watch {
    fn error(&self, error: KafkaError, reason: &str) {
        *lock(&self.complaint) = Some(format!("{error}: {reason}"));
    }

    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn stats(&self, statistics: Statistics) {
        let mut ranges = lock(&self.ranges);
        for partition in statistics.topics.values().flat_map(|topic| topic.partitions.values()) {
            let range = usize::try_from(partition.partition).ok().and_then(|at| ranges.get_mut(at));
            if let (Some(range), Ok(low), Ok(high)) =
                (range, u64::try_from(partition.lo_offset), u64::try_from(partition.hi_offset))
            {
                *range = range.start.max(low)..range.end.max(high);
            }
        }
    }
}

impl ConsumerContext for Watch {}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
