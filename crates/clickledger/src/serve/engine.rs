//! The engine's part of a server: its thread, the ledger that it writes, live views, the archive.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use click_core::policy::Timeline;
use click_engine::disk::LockMode;
use click_engine::driver::{Engine, EngineConfig, EngineError, NeededFrom, PublishMode};
use click_engine::live::EngineStatus;
use click_engine::log::{EventLog, LogError, LogId, Retention};
use click_engine::store::{LedgerReader, LedgerStore, StoreError};

use super::archiver::{ArchiveStatus, ArchiveThread};
use super::source::Source;
use crate::cli::data::{DataDir, NamedStore, threads};
use crate::config::{Config, Mode};
use crate::http::live::{Live, LiveThread};

/// Time between two questions to a cluster that does not answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A running engine.
pub(super) struct EnginePart {
    pub(super) reader: Arc<dyn LedgerReader>,
    pub(super) live: Arc<Live>,
    pub(super) status: Arc<Mutex<EngineStatus>>,
    pub(super) timeline: Arc<Mutex<Timeline>>,
    live_thread: LiveThread,
    thread: JoinHandle<Result<(), EngineError>>,
    stop: Arc<AtomicBool>,
    archive: Option<ArchiveThread>,
    /// Nobody else folds into this directory.
    _lock: Option<Box<dyn click_engine::disk::DiskLock>>,
}

impl EnginePart {
    /// Opens the ledger and starts the fold, which waits for a cluster that does not answer.
    pub(super) fn start(config: &Config, data: &DataDir, source: &Source) -> Result<EnginePart> {
        let is_kafka = matches!(source, Source::Kafka(..));
        let lock = is_kafka.then(|| data.lock(LockMode::Exclusive)).transpose()?;
        let header = source.header();
        let stores = data.open_stores(LogId(header.log_id), header.generation)?;
        let reader = data.reader()?;
        let (live, live_thread) = Live::start()?;
        match live.seed(&*reader) {
            Err(StoreError::Unavailable(why)) => {
                tracing::warn!("the page begins without the last hour: {why}");
            }
            seeded => seeded?,
        }
        let needed = (!config.archive.url.is_empty()).then(NeededFrom::default);
        let opening = Opening {
            source: source.clone(),
            data: data.clone(),
            config: EngineConfig { needed_from: needed.clone(), ..engine_config(config) },
            live: Arc::clone(&live),
            status: Arc::default(),
        };
        let (status, timeline) = (Arc::clone(&opening.status), Arc::default());
        let stop = Arc::new(AtomicBool::new(false));
        let thread = match opening.try_log() {
            Ok(log) => {
                let engine = opening.open(log, stores)?;
                spawn(move || Ok(Some(engine)), &status, &timeline, &stop)
            }
            Err(LogError::Kafka { .. }) => {
                let waiting = Arc::clone(&stop);
                spawn(move || opening.wait(stores, &waiting), &status, &timeline, &stop)
            }
            Err(error) => return Err(error.into()),
        }?;
        let archive = needed.map(|needed| ArchiveThread::start(config, data, source, needed));
        Ok(EnginePart {
            reader,
            live,
            status,
            timeline,
            live_thread,
            thread,
            stop,
            archive: archive.transpose()?,
            _lock: lock,
        })
    }

    /// How the archive is doing, if there is one.
    pub(super) fn archive_status(&self) -> Option<Arc<Mutex<ArchiveStatus>>> {
        self.archive.as_ref().map(ArchiveThread::status)
    }

    /// Folds and stores everything, takes a checkpoint, archives.
    pub(super) fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.join().map_err(|_| anyhow!("the engine panicked"))?;
        drop(self.live_thread);
        if let Some(archive) = self.archive {
            archive.stop();
        }
        ended.context("the engine stopped")
    }
}

/// What an engine is opened with.
struct Opening {
    source: Source,
    data: DataDir,
    config: EngineConfig,
    live: Arc<Live>,
    status: Arc<Mutex<EngineStatus>>,
}

type Opened = (Engine, Option<Box<dyn LedgerStore>>);

impl Opening {
    fn try_log(&self) -> Result<Arc<dyn EventLog>, LogError> {
        self.source.open(false)
    }

    fn open(&self, log: Arc<dyn EventLog>, stores: Vec<NamedStore>) -> Result<Opened, EngineError> {
        let mut stores = stores.into_iter();
        let first = stores.next().map(|(_, store)| store);
        let mut parts = self.data.engine_parts(log, first);
        parts.sink = Some(Arc::clone(&self.live) as _);
        parts.status = Arc::clone(&self.status);
        let (mut engine, first) = Engine::open(parts, self.config.clone())?;
        for (name, store) in stores {
            engine.add_store(&name, store)?;
        }
        Ok((engine, first))
    }

    /// Asks until the cluster answers; `None` if it is to stop before.
    fn wait(
        &self,
        stores: Vec<NamedStore>,
        stop: &AtomicBool,
    ) -> Result<Option<Opened>, EngineError> {
        while !stop.load(Ordering::Relaxed) {
            match self.try_log() {
                Ok(log) => return self.open(log, stores).map(Some),
                Err(error @ LogError::Kafka { .. }) => {
                    let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
                    status.warnings = vec![format!("counting waits for the cluster: {error}")];
                }
                Err(error) => return Err(error.into()),
            }
            std::thread::sleep(ASK_AGAIN);
        }
        Ok(None)
    }
}

fn spawn(
    open: impl FnOnce() -> Result<Option<Opened>, EngineError> + Send + 'static,
    status: &Arc<Mutex<EngineStatus>>,
    timeline: &Arc<Mutex<Timeline>>,
    stop: &Arc<AtomicBool>,
) -> Result<JoinHandle<Result<(), EngineError>>> {
    let (status, timeline, stop) = (status.clone(), timeline.clone(), stop.clone());
    let work = move || {
        let ended = open().and_then(|opened| match opened {
            Some(opened) => run(opened, &timeline, &stop),
            None => Ok(()),
        });
        if let Err(error) = &ended {
            tracing::error!("the engine stopped: {error}");
            let mut status = status.lock().unwrap_or_else(PoisonError::into_inner);
            status.failed = Some(error.to_string());
        }
        ended
    };
    Ok(std::thread::Builder::new().name("engine".into()).spawn(work)?)
}

fn run(
    (mut engine, store): Opened,
    timeline: &Mutex<Timeline>,
    stop: &AtomicBool,
) -> Result<(), EngineError> {
    let tell = |engine: &Engine| {
        *timeline.lock().unwrap_or_else(PoisonError::into_inner) = engine.timeline().clone();
    };
    tell(&engine);
    while engine.step()?.records > 0 && !stop.load(Ordering::Relaxed) {}
    // Policies that the checkpoint did not know are read by now.
    tell(&engine);
    engine.run(store, stop)
}

fn engine_config(config: &Config) -> EngineConfig {
    let engine = &config.engine;
    let set = |value: u64| (value > 0).then_some(value);
    EngineConfig {
        threads: threads(engine.threads),
        publish_mode: match engine.publish_mode {
            Mode::Live => PublishMode::Live,
            Mode::Minute => PublishMode::Minute,
        },
        publish_interval: Duration::from_millis(engine.publish_interval_ms),
        checkpoint_interval: Duration::from_millis(engine.checkpoint_interval_ms),
        live_interval: Duration::from_millis(engine.live_interval_ms),
        retention: Retention {
            max_age_ms: set(config.log.keep_hours.saturating_mul(3_600_000)),
            max_bytes: set(config.log.keep_bytes),
        },
        ..EngineConfig::default()
    }
}
