//! The tracker's own log in front of one part of a log in a cluster, the thread that hands its
//! records on (those to the partitions that they were made for, whatever parts come later), and the
//! one that copies them to another site.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use click_core::record::{Header, Layout};
use click_engine::disk::RealDisk;
use click_engine::forward::{
    Copier, Copies, Copying, ForwardConfig, ForwardStatus, ForwardedLog, Forwarder, Forwarding,
    Missing,
};
use click_engine::kafka::KafkaSettings;
use click_engine::log::{DiskLog, EventLog, LogError, LogId, LogOptions, Retention, SystemClock};

use super::other_site::HttpSite;
use crate::cli::data::DataDir;
use crate::cluster;
use crate::config::{Config, CopyMissing};

/// How long a stop goes on handing records to a cluster; the next start does the rest.
const DRAIN: Duration = Duration::from_secs(5);

/// Partitions of a topic that a spool is in front of.
pub(super) struct SpoolPlace {
    /// Number of the part, from 0 on.
    pub(super) number: usize,
    pub(super) topic: String,
    /// Number in the topic of the first partition.
    pub(super) first: u32,
    pub(super) partitions: u32,
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
    copier: Option<JoinHandle<()>>,
}

impl Spool {
    /// Opens it, made for the log that `header` tells of if it is new. `copies` are those that are
    /// kept here for others.
    pub(super) fn start(
        config: &Config,
        data: &DataDir,
        settings: &KafkaSettings,
        header: Header,
        place: SpoolPlace,
        copies: Option<&Copies>,
    ) -> Result<Spool> {
        let (dir, part) = (data.spool(place.number), u32::try_from(place.number)?);
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
        let site = HttpSite::of(&config.spool)?;
        let forward = ForwardConfig {
            spool_after: Duration::from_millis(config.spool.after_ms),
            copying: site.is_some().then(|| copying(config)),
            retention: Retention {
                max_age_ms: Some(config.spool.keep_hours.saturating_mul(3_600_000)),
                max_bytes: None,
            },
            dir: dir.clone(),
        };
        let remote = cluster::remote(settings.clone(), header, place.topic, place.first)?;
        let (disk, clock) = (Arc::new(RealDisk), Arc::new(SystemClock));
        let forwarder = Forwarder::open(Arc::clone(&own), remote, disk, clock, forward)?;
        let forwarding = forwarder.shared();
        let stop = Arc::new(AtomicBool::new(false));
        let copier = site.map(|site| {
            let (own, shared) = (Arc::clone(&own), Arc::clone(&forwarding));
            let (disk, clock) = (Arc::new(RealDisk), Arc::new(SystemClock));
            let copier = Copier::open(own, shared, Box::new(site), disk, clock, dir, part)?;
            if let Some(copies) = copies {
                copies.note_own(copier.session());
            }
            let stopped = Arc::clone(&stop);
            let thread = std::thread::Builder::new().name("copy".into());
            Ok::<_, anyhow::Error>(thread.spawn(move || copier.run(&stopped))?)
        });
        let copier = copier.transpose()?;
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("forward".into()).spawn(move || {
            let ended = forwarder.run(&stopped, DRAIN);
            if let Err(error) = &ended {
                tracing::error!("clicks are no longer handed on: {error}");
            }
            ended
        })?;
        Ok(Spool { own, forwarding, stop, thread, copier })
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
        let handed_on = self.thread.join().map_err(crashed)?;
        if self.copier.is_some_and(|copier| copier.join().is_err()) {
            tracing::error!("the copier had panicked");
        }
        Ok(handed_on?)
    }
}

fn copying(config: &Config) -> Copying {
    let missing = match config.spool.copy_missing {
        CopyMissing::Refuse => Missing::Refuse,
        CopyMissing::Accept => Missing::Accept,
    };
    Copying { missing, patience: Duration::from_millis(config.spool.copy_after_ms) }
}
