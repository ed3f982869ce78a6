//! Kafka as what a tracker's own log is handed on to: an idempotent producer, confirmed by all
//! in-sync replicas. Its idempotence only saves traffic: what counts is the transport identity. A
//! producer that has failed once is given up, for it may confirm what the cluster has not got.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use click_core::record::{Header, user_key};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, ProducerContext};

use super::address::KafkaSettings;
use super::client::{failed, misconfigured, producer_config};
use super::lane::time_of;
use super::topics::check;
use crate::forward::{Outcome, Remote};
use crate::log::LogError;

/// Outcomes of one producer; those of one that was given up are nobody's.
#[derive(Clone, Default)]
struct Outcomes {
    told: Arc<Mutex<Vec<Outcome>>>,
    /// Number in the topic of the first partition.
    first: u32,
}

impl ClientContext for Outcomes {
    fn error(&self, _: KafkaError, _: &str) {}

    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ProducerContext for Outcomes {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, offset: usize) {
        let (message, result) = match result {
            Ok(message) => (message, Ok(time_of(message.timestamp()))),
            Err((error, message)) => (message, Err(failed("not delivered", error))),
        };
        let number = u32::try_from(message.partition()).unwrap_or(u32::MAX);
        let partition = number.wrapping_sub(self.first);
        let outcome = Outcome { partition, offset: offset as u64, result };
        lock(&self.told).push(outcome);
    }
}

/// What is known of the topic.
enum Topic {
    /// Nobody has looked yet, or nobody answered.
    Unknown(LogError),
    Good,
    /// It could lose clicks or reorder time, or is another log's.
    Bad(LogError),
}

/// Which partitions an own log's are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The topic.
    pub topic: String,
    /// Number in the topic of the first one.
    pub first: u32,
}

/// See the module.
pub struct KafkaRemote {
    settings: KafkaSettings,
    to: Destination,
    producer: BaseProducer<Outcomes>,
    outcomes: Outcomes,
    topic: Arc<Mutex<Topic>>,
    /// Whether this producer has been given anything.
    is_used: bool,
    _watch: Arc<()>,
}

impl KafkaRemote {
    /// A producer of a part of the log that `header` tells of. Nothing is sent before the log's
    /// topics have been looked at, which is tried until the cluster answers.
    ///
    /// # Errors
    /// `Topic` if a property is not to be set, `Kafka` if the client refuses one.
    pub fn new(
        settings: KafkaSettings,
        header: Header,
        to: Destination,
    ) -> Result<KafkaRemote, LogError> {
        let outcomes = Outcomes { first: to.first, ..Outcomes::default() };
        let producer = producer(&settings, outcomes.clone())?;
        let unknown = Topic::Unknown(LogError::kafka("the cluster has not answered yet"));
        let topic = Arc::new(Mutex::new(unknown));
        let watch = Arc::new(());
        let (known, alive, to_look) = (topic.clone(), Arc::downgrade(&watch), settings.clone());
        std::thread::Builder::new()
            .name("kafka-check".into())
            .spawn(move || {
                while alive.strong_count() > 0 {
                    let found = look(&to_look, header);
                    let is_good = matches!(found, Topic::Good);
                    *lock(&known) = found;
                    if is_good {
                        return;
                    }
                    std::thread::sleep(LOOK_AGAIN);
                }
            })
            .map_err(LogError::kafka)?;
        Ok(KafkaRemote { settings, to, producer, outcomes, topic, is_used: false, _watch: watch })
    }
}

/// Time between two looks at a topic that cannot be written to.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

fn look(settings: &KafkaSettings, header: Header) -> Topic {
    match check(settings) {
        Err(error @ LogError::Topic { .. }) => Topic::Bad(error),
        Err(error) => Topic::Unknown(error),
        Ok(report) if report.header != header => {
            Topic::Bad(LogError::topic("the topic is another log than the spool was made for"))
        }
        Ok(report) if report.problems.is_empty() => Topic::Good,
        Ok(report) => Topic::Bad(LogError::topic(report.problems.join("; "))),
    }
}

fn producer(
    settings: &KafkaSettings,
    outcomes: Outcomes,
) -> Result<BaseProducer<Outcomes>, LogError> {
    let created = producer_config(settings)?.create_with_context(outcomes);
    created.map_err(|error| misconfigured(&error))
}

impl Remote for KafkaRemote {
    fn send(&mut self, partition: u32, offset: u64, payload: &[u8]) -> Result<bool, LogError> {
        match &*lock(&self.topic) {
            Topic::Good => {}
            Topic::Unknown(error) | Topic::Bad(error) => return Err(error.clone()),
        }
        let number = i32::try_from(self.to.first + partition).unwrap_or(i32::MAX);
        let tag = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut record = BaseRecord::with_opaque_to(&self.to.topic, tag).partition(number);
        record.payload = Some(payload);
        record.key = user_key(payload);
        self.is_used = true;
        match self.producer.send(record) {
            Ok(()) => Ok(true),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(false),
            Err((error, _)) => Err(failed("not sent", &error)),
        }
    }

    fn outcomes(&mut self, timeout: Duration, out: &mut Vec<Outcome>) {
        let until = Instant::now() + timeout;
        loop {
            self.producer.poll(Duration::ZERO);
            out.append(&mut lock(&self.outcomes.told));
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !out.is_empty() {
                return;
            }
            self.producer.poll(left.min(Duration::from_millis(1)));
        }
    }

    fn reset(&mut self) -> Result<(), LogError> {
        if !self.is_used {
            // It was the topic that was refused.
            return Ok(());
        }
        let outcomes = Outcomes { first: self.to.first, ..Outcomes::default() };
        let fresh = producer(&self.settings, outcomes.clone())?;
        let old = std::mem::replace(&mut self.producer, fresh);
        (self.outcomes, self.is_used) = (outcomes, false);
        // Waits for its threads, which may wait for a broker; here, if there is no other thread.
        let _ = std::thread::Builder::new().name("kafka-close".into()).spawn(move || drop(old));
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
