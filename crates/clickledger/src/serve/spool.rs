//! The tracker's own log in front of one part of a log in a cluster, and the thread that hands its
//! records on: those to the partitions that they were made for, whatever parts come later.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use click_core::record::{Header, Layout};
use click_engine::disk::RealDisk;
use click_engine::forward::{ForwardConfig, ForwardStatus, ForwardedLog, Forwarder, Forwarding};
use click_engine::kafka::KafkaSettings;
use click_engine::log::{DiskLog, EventLog, LogError, LogId, LogOptions, Retention, SystemClock};

use crate::cli::data::DataDir;
use crate::cluster;
use crate::config::Config;

/// How long a stop goes on handing records to a cluster; the next start does the rest.
const DRAIN: Duration = Duration::from_secs(5);

/// Partitions of a topic that a spool is in front of.
pub(super) struct SpoolPlace {
    /// Number of the part, from 0 on.
    number: usize,
    topic: String,
    /// Number in the topic of the first partition.
    first: u32,
    partitions: u32,
}

impl SpoolPlace {
    /// The part with which the log began.
    pub(super) fn beginning(settings: &KafkaSettings, header: Header) -> SpoolPlace {
        let (topic, partitions) = (settings.address.topic.clone(), header.partitions);
        SpoolPlace { number: 0, topic, first: 0, partitions }
    }

    /// A part of a layout.
    pub(super) fn of(layout: &Layout, number: usize) -> Option<SpoolPlace> {
        let part = layout.parts.get(number)?;
        let (_, first) = layout.begins(number);
        Some(SpoolPlace { number, topic: part.topic.clone(), first, partitions: part.partitions })
    }
}

/// A running spool.
pub(super) struct Spool {
    own: Arc<dyn EventLog>,
    forwarding: Arc<Forwarding>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), LogError>>,
}

impl Spool {
    /// Opens it, made for the log that `header` tells of if it is new.
    pub(super) fn start(
        config: &Config,
        data: &DataDir,
        settings: &KafkaSettings,
        header: Header,
        place: SpoolPlace,
    ) -> Result<Spool> {
        let dir = data.spool(place.number);
        let options = LogOptions {
            partitions: place.partitions,
            generation: header.generation,
            log_id: Some(LogId(header.log_id)),
            segment_bytes: config.log.segment_bytes,
            ..LogOptions::default()
        };
        let own = DiskLog::open_or_create(&dir, &options)?;
        if own.log_id() != LogId(header.log_id) || own.generation() != header.generation {
            anyhow::bail!(
                "{} is the spool of another log: move it away, or use the topic it was made for",
                dir.display()
            );
        }
        let own: Arc<dyn EventLog> = Arc::new(own);
        let forward = ForwardConfig {
            spool_after: Duration::from_millis(config.spool.after_ms),
            retention: Retention {
                max_age_ms: Some(config.spool.keep_hours.saturating_mul(3_600_000)),
                max_bytes: None,
            },
            dir,
        };
        let remote = cluster::remote(settings.clone(), header, place.topic, place.first)?;
        let (disk, clock) = (Arc::new(RealDisk), Arc::new(SystemClock));
        let forwarder = Forwarder::open(Arc::clone(&own), remote, disk, clock, forward)?;
        let forwarding = forwarder.shared();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("forward".into()).spawn(move || {
            let ended = forwarder.run(&stopped, DRAIN);
            if let Err(error) = &ended {
                tracing::error!("clicks are no longer handed on: {error}");
            }
            ended
        })?;
        Ok(Spool { own, forwarding, stop, thread })
    }

    /// The log that the tracker appends to.
    pub(super) fn log(&self) -> Arc<dyn EventLog> {
        let (own, forwarding) = (Arc::clone(&self.own), Arc::clone(&self.forwarding));
        Arc::new(ForwardedLog::new(own, forwarding, Arc::new(SystemClock)))
    }

    /// How it is doing.
    pub(super) fn status(&self) -> ForwardStatus {
        self.forwarding.status(&*self.own)
    }

    /// Has it begin to stop, without waiting.
    pub(super) fn begin_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Hands on what it can soon. To be called when nothing is appended any more.
    pub(super) fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let crashed = |_| anyhow::anyhow!("the forwarder panicked");
        Ok(self.thread.join().map_err(crashed)??)
    }
}
