//! The log in Apache Kafka, as far as this program was built with it. The one place that knows
//! whether it was.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use click_engine::disk::DiskLock;
use click_engine::kafka::KafkaSettings;
use click_engine::log::EventLog;

use crate::config::Config;

/// How to speak to the cluster that the log is in; `None` if it is in the data directory.
///
/// # Errors
/// If the configuration does not say how.
pub fn settings(config: &Config) -> Result<Option<KafkaSettings>> {
    let Some(address) = config.log.kafka()? else { return Ok(None) };
    Ok(Some(KafkaSettings {
        properties: config.kafka.pairs()?,
        allow_single_replica: config.kafka.allow_single_replica,
        delivery_timeout: Duration::from_millis(config.kafka.delivery_timeout_ms),
        ..KafkaSettings::new(address)
    }))
}

#[cfg(feature = "kafka")]
mod with {
    use super::{Arc, DiskLock, EventLog, KafkaSettings, Result};
    use click_core::record::Header;
    use click_engine::forward::Remote;
    use click_engine::kafka::{self, KafkaLog, KafkaRemote, Patience};
    use click_engine::log::LogError;

    /// The topic for reading; `whole` waits for everything that is there.
    ///
    /// # Errors
    /// As [`KafkaLog::open`].
    pub fn open(
        settings: KafkaSettings,
        whole: bool,
        lock: Option<Box<dyn DiskLock>>,
    ) -> Result<Arc<dyn EventLog>, LogError> {
        let patience = if whole { Patience::Whole } else { Patience::Live };
        Ok(Arc::new(KafkaLog::open(settings, patience, lock)?))
    }

    /// The topic for sending.
    ///
    /// # Errors
    /// As [`KafkaRemote::new`].
    pub fn remote(settings: KafkaSettings, header: Header) -> Result<Box<dyn Remote>, LogError> {
        Ok(Box::new(KafkaRemote::new(settings, header)?))
    }

    /// Which log the topic is, and what about it could lose clicks or reorder time.
    ///
    /// # Errors
    /// As [`kafka::check`].
    pub fn check(settings: &KafkaSettings) -> Result<(Header, Vec<String>), LogError> {
        let report = kafka::check(settings)?;
        Ok((report.header, report.problems))
    }
}

#[cfg(not(feature = "kafka"))]
mod with {
    use super::{Arc, DiskLock, EventLog, KafkaSettings};
    use click_core::record::Header;
    use click_engine::forward::Remote;
    use click_engine::log::LogError;

    fn missing<T>() -> Result<T, LogError> {
        Err(LogError::topic("this build has no Kafka: build it with --features kafka"))
    }

    /// Not in this build.
    ///
    /// # Errors
    /// Always.
    pub fn open(
        _: KafkaSettings,
        _: bool,
        _: Option<Box<dyn DiskLock>>,
    ) -> Result<Arc<dyn EventLog>, LogError> {
        missing()
    }

    /// Not in this build.
    ///
    /// # Errors
    /// Always.
    pub fn remote(_: KafkaSettings, _: Header) -> Result<Box<dyn Remote>, LogError> {
        missing()
    }

    /// Not in this build.
    ///
    /// # Errors
    /// Always.
    pub fn check(_: &KafkaSettings) -> Result<(Header, Vec<String>), LogError> {
        missing()
    }
}

pub use with::{check, open, remote};
