//! Appending single records that someone waits for, or nobody: ticks, policies, headers.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::address::KafkaSettings;
use super::client::{failed, producer_config};
use super::lane::{offset_of, time_of};
use crate::log::{Commit, CommitGroup, LogError, Position};

struct Reports;

impl ClientContext for Reports {
    fn error(&self, _: KafkaError, _: &str) {}

    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Arc<CommitGroup>;

    fn delivery(&self, result: &DeliveryResult<'_>, group: Arc<CommitGroup>) {
        match result {
            Ok(message) => group.settle_at(Position {
                partition: u32::try_from(message.partition()).unwrap_or_default(),
                offset: offset_of(message.offset()),
                append_time: time_of(message.timestamp()),
            }),
            Err((error, _)) => group.fail(failed("not delivered", error)),
        }
    }
}

/// Appends to one topic.
pub(super) struct Appender {
    producer: ThreadedProducer<Reports>,
    topic: String,
}

impl Appender {
    pub(super) fn new(settings: &KafkaSettings, topic: &str) -> Result<Appender, LogError> {
        let producer = producer_config(settings)?
            .create_with_context(Reports)
            .map_err(|error| failed("producer", &error))?;
        Ok(Appender { producer, topic: topic.to_owned() })
    }

    /// Queues a record; its place is known once the commit resolves.
    pub(super) fn append(
        &self,
        partition: u32,
        key: Option<&str>,
        payload: &[u8],
    ) -> Result<Commit, LogError> {
        let group = CommitGroup::new();
        let commit = group.commit(Position { partition, offset: 0, append_time: 0 });
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        let mut record = BaseRecord::with_opaque_to(&self.topic, group).partition(number);
        record.payload = Some(payload);
        record.key = key;
        match self.producer.send(record) {
            Ok(()) => Ok(commit),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                Err(LogError::Busy { queued: 0, limit: 0 })
            }
            Err((error, _)) => Err(failed("not sent", &error)),
        }
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        // What is under way may get there still; what does not was promised to nobody.
        let _ = self.producer.flush(Duration::from_millis(500));
    }
}
