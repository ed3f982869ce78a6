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
    use std::time::Duration;

    use super::{Arc, DiskLock, EventLog, KafkaSettings, Result};
    use click_core::record::{Header, Layout};
    use click_engine::archive::Told;
    use click_engine::forward::Remote;
    use click_engine::kafka::{
        self, Destination, HeaderTopic, KafkaLog, KafkaRemote, Patience, VerdictTopic,
    };
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

    /// The verdicts of a job that reads the topic.
    ///
    /// # Errors
    /// As [`VerdictTopic::open`].
    pub fn verdicts(settings: &KafkaSettings) -> Result<Box<dyn Told>, LogError> {
        Ok(Box::new(VerdictTopic::open(settings)?))
    }

    /// A part of the log for sending: partitions of `topic` from its `first` on.
    ///
    /// # Errors
    /// As [`KafkaRemote::new`].
    pub fn remote(
        settings: KafkaSettings,
        header: Header,
        topic: String,
        first: u32,
    ) -> Result<Box<dyn Remote>, LogError> {
        Ok(Box::new(KafkaRemote::new(settings, header, Destination { topic, first })?))
    }

    /// Which log the topic is, its layout in force, and what about it could lose clicks or reorder
    /// time.
    ///
    /// # Errors
    /// As [`kafka::check`].
    pub fn check(
        settings: &KafkaSettings,
    ) -> Result<(Header, Option<Layout>, Vec<String>), LogError> {
        let report = kafka::check(settings)?;
        Ok((report.header, report.in_force, report.problems))
    }

    /// Tells of each layout that comes into force, until `told` says that this is enough. Blocks.
    ///
    /// # Errors
    /// If the cluster does not answer, or the header topic is none.
    pub fn follow_layouts(
        settings: &KafkaSettings,
        told: &mut dyn FnMut(Option<&Layout>) -> bool,
    ) -> Result<(), LogError> {
        let mut topic = HeaderTopic::open(settings)?;
        while told(topic.layout_in_force(Duration::from_millis(200))?) {}
        Ok(())
    }
}

#[cfg(not(feature = "kafka"))]
mod with {
    use super::{Arc, DiskLock, EventLog, KafkaSettings};
    use click_core::record::{Header, Layout};
    use click_engine::archive::Told;
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
    pub fn verdicts(_: &KafkaSettings) -> Result<Box<dyn Told>, LogError> {
        missing()
    }

    /// Not in this build.
    ///
    /// # Errors
    /// Always.
    pub fn remote(
        _: KafkaSettings,
        _: Header,
        _: String,
        _: u32,
    ) -> Result<Box<dyn Remote>, LogError> {
        missing()
    }

    /// Not in this build.
    ///
    /// # Errors
    /// Always.
    pub fn check(_: &KafkaSettings) -> Result<(Header, Option<Layout>, Vec<String>), LogError> {
        missing()
    }

    /// Not in this build.
    ///
    /// # Errors
    /// Always.
    pub fn follow_layouts(
        _: &KafkaSettings,
        _: &mut dyn FnMut(Option<&Layout>) -> bool,
    ) -> Result<(), LogError> {
        missing()
    }
}

pub use with::{check, follow_layouts, open, remote, verdicts};
