//! The tracker's own log in front of a cluster, the thread that hands its records on, the one that
//! copies them to another site, and the copies that are kept for others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use click_core::record::Header;
use click_engine::disk::RealDisk;
use click_engine::forward::{
    Copier, Copies, CopiesConfig, Copying, ForwardConfig, ForwardedLog, Forwarder, Forwarding,
    Missing,
};
use click_engine::kafka::KafkaSettings;
use click_engine::log::{DiskLog, EventLog, LogError, LogId, LogOptions, Retention, SystemClock};

use super::other_site::HttpSite;
use crate::cli::data::DataDir;
use crate::cluster;
use crate::config::{Config, CopyMissing};
use crate::http::api::SpoolFacts;
use crate::http::copies;

/// How long a stop goes on handing records to a cluster; the next start does the rest.
const DRAIN: Duration = Duration::from_secs(5);
/// How long another tracker is silent until a copy that the cluster has goes.
const SILENCE: Duration = Duration::from_secs(600);

/// A running spool.
pub(super) struct Spool {
    own: Arc<dyn EventLog>,
    forwarding: Arc<Forwarding>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), LogError>>,
    copier: Option<JoinHandle<()>>,
    copies: Option<(Arc<Copies>, axum::Router)>,
}

impl Spool {
    /// Opens it, made for the log that `header` tells of if it is new.
    pub(super) fn start(
        config: &Config,
        data: &DataDir,
        settings: &KafkaSettings,
        header: Header,
    ) -> Result<Spool> {
        let options = LogOptions {
            partitions: header.partitions,
            generation: header.generation,
            log_id: Some(LogId(header.log_id)),
            segment_bytes: config.log.segment_bytes,
            ..LogOptions::default()
        };
        let own = DiskLog::open_or_create(&data.spool(), &options)?;
        if own.log_id() != LogId(header.log_id) || own.generation() != header.generation {
            anyhow::bail!(
                "{} is the spool of another log: move it away, or use the topic it was made for",
                data.spool().display()
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
            dir: data.spool(),
        };
        let remote = cluster::remote(settings.clone(), header)?;
        let (disk, clock) = (Arc::new(RealDisk), Arc::new(SystemClock));
        let forwarder = Forwarder::open(Arc::clone(&own), remote, disk, clock, forward)?;
        let forwarding = forwarder.shared();
        let copies = keep_copies(config, data, settings, header)?;
        let stop = Arc::new(AtomicBool::new(false));
        let copier = site.map(|site| {
            let (own, shared) = (Arc::clone(&own), Arc::clone(&forwarding));
            let (disk, clock) = (Arc::new(RealDisk), Arc::new(SystemClock));
            let copier = Copier::open(own, shared, Box::new(site), disk, clock, data.spool())?;
            if let Some((copies, _)) = &copies {
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
        Ok(Spool { own, forwarding, stop, thread, copier, copies })
    }

    /// The log that the tracker appends to.
    pub(super) fn log(&self) -> Arc<dyn EventLog> {
        let (own, forwarding) = (Arc::clone(&self.own), Arc::clone(&self.forwarding));
        Arc::new(ForwardedLog::new(own, forwarding, Arc::new(SystemClock)))
    }

    /// Says how it is doing, whenever asked.
    pub(super) fn facts(&self) -> SpoolFacts {
        let (own, forwarding) = (Arc::clone(&self.own), Arc::clone(&self.forwarding));
        let copies = self.copies.as_ref().map(|(copies, _)| Arc::clone(copies));
        Arc::new(move || (forwarding.status(&*own), copies.as_ref().map(|copies| copies.status())))
    }

    /// Where other trackers hand copies over; nothing if none are taken.
    pub(super) fn routes(&self) -> axum::Router {
        self.copies.as_ref().map(|(_, routes)| routes.clone()).unwrap_or_default()
    }

    /// Hands on what it can soon. To be called when nothing is appended any more.
    pub(super) fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let crashed = |_| anyhow::anyhow!("the forwarder panicked");
        let handed_on = self.thread.join().map_err(crashed)?;
        if self.copier.is_some_and(|copier| copier.join().is_err()) {
            tracing::error!("the copier had panicked");
        }
        let copies = self.copies.map_or(Ok(()), |(copies, _)| copies.stop());
        Ok(handed_on.and(copies)?)
    }
}

fn copying(config: &Config) -> Copying {
    let missing = match config.spool.copy_missing {
        CopyMissing::Refuse => Missing::Refuse,
        CopyMissing::Accept => Missing::Accept,
    };
    Copying { missing, patience: Duration::from_millis(config.spool.copy_after_ms) }
}

/// Those of other trackers, if they may bring any. What is there is handed on in any case.
fn keep_copies(
    config: &Config,
    data: &DataDir,
    settings: &KafkaSettings,
    header: Header,
) -> Result<Option<(Arc<Copies>, axum::Router)>> {
    let (token, dir) = (config.spool.copy_token.as_str(), data.spool_copies());
    if token.is_empty() && !dir.is_dir() {
        return Ok(None);
    }
    let segment_bytes = config.log.segment_bytes;
    let kept = CopiesConfig { dir, header, segment_bytes, silence: SILENCE };
    let settings = settings.clone();
    let remotes = move || cluster::remote(settings.clone(), header);
    let copies = Copies::open(kept, Box::new(remotes))?;
    let routes = match token {
        "" => axum::Router::new(),
        token => copies::router(Arc::clone(&copies), token),
    };
    Ok(Some((copies, routes)))
}
