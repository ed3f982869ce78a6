//! The first question to a cluster: what it has, or why it does not let this client in.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;

use super::address::KafkaSettings;
use super::client::{look_config, misconfigured};
use crate::log::LogError;

/// How long one attempt takes at most: a client that is not let in is told so by nobody, and tries
/// again.
const ATTEMPT: Duration = Duration::from_millis(500);
/// How long they are waited for.
const HEARING: Duration = Duration::from_millis(10);
/// Most complaints that are read between two attempts.
const COMPLAINTS: usize = 100;

/// What the cluster says of a topic, or of all.
///
/// # Errors
/// `Topic` if the client's properties are none, `Kafka` if the cluster does not answer in time, or
/// does not let us in.
pub(super) fn metadata(
    settings: &KafkaSettings,
    topic: Option<&str>,
) -> Result<Metadata, LogError> {
    let config: ClientConfig = look_config(settings)?;
    let client: BaseConsumer<Complaints> =
        config.create_with_context(Complaints::default()).map_err(|error| misconfigured(&error))?;
    let until = Instant::now() + settings.patience;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let error = match client.fetch_metadata(topic, left.min(ATTEMPT)) {
            Ok(metadata) => return Ok(metadata),
            Err(error) => error,
        };
        // Complaints are told to who polls; without time for it, one line of a log is all he gets.
        for _ in 0..COMPLAINTS {
            if client.poll(HEARING).is_none() {
                break;
            }
        }
        let heard = client.context();
        if let Some(refusal) = lock(&heard.refusal).clone() {
            return Err(LogError::kafka(refusal));
        }
        if Instant::now() >= until {
            let why = lock(&heard.last).as_ref().map(|last| format!(": {last}"));
            let why = why.unwrap_or_default();
            return Err(LogError::kafka(format!("no answer: {error}{why}")));
        }
    }
}

/// What the client says of its attempts.
#[derive(Default)]
struct Complaints {
    /// It is not let in, and why.
    refusal: Mutex<Option<String>>,
    last: Mutex<Option<String>>,
}

impl ClientContext for Complaints {
    fn error(&self, error: KafkaError, reason: &str) {
        let fix = match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::SSL) => {
                "check security.protocol and ssl.ca.location, the certificate of the authority \
                 that the brokers' are signed by, in kafka.properties"
            }
            Some(RDKafkaErrorCode::Authentication) => {
                "check sasl.mechanism, sasl.username and sasl.password in kafka.properties"
            }
            // Each of them has said why.
            Some(RDKafkaErrorCode::AllBrokersDown) => return,
            _ => {
                *lock(&self.last) = Some(reason.to_owned());
                return;
            }
        };
        *lock(&self.refusal) = Some(format!("{reason}; {fix}"));
    }

    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ConsumerContext for Complaints {}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
