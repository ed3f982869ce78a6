//! The parts of a running server and the order in which they come up and go down.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use axum::Router;
use click_core::policy::Timeline;
use click_engine::driver::{Engine, EngineConfig, EngineError, NeededFrom, PublishMode};
use click_engine::live::EngineStatus;
use click_engine::log::{DiskLog, EventLog, LogHealth, LogOptions, Retention};
use click_engine::store::{LedgerStore, SqliteReader};

use super::archiver::ArchiveThread;
use crate::cli::data::{DataDir, threads};
use crate::config::{Config, Mode};
use crate::http::api::access::AccessRule;
use crate::http::api::{self, ApiState, Hooks, SelfCheck};
use crate::http::live::{Live, LiveThread};
use crate::http::track::{
    self, Fallback, ServeConfig, Server, TlsFiles, Tracker, TrackerConfig, router_fallback,
};
use crate::keys::{FirstKeys, KeyStore};

/// A server in this process.
pub struct Running {
    log: Arc<dyn EventLog>,
    server: Server,
    admin: Option<Server>,
    live: Arc<Live>,
    live_thread: LiveThread,
    engine: JoinHandle<Result<(), EngineError>>,
    stop: Arc<AtomicBool>,
    status: Arc<Mutex<EngineStatus>>,
    archive: Option<ArchiveThread>,
}

impl Running {
    /// Brings everything up; requests are taken when this returns. First-start keys are told once.
    pub fn start(
        config: &Config,
        self_check: Option<&Path>,
    ) -> Result<(Running, Option<FirstKeys>)> {
        let data = DataDir::new(&config.data);
        data.create()?;
        let (keys, first) = KeyStore::open(data.root())?;
        let log: Arc<dyn EventLog> = Arc::new(open_log(config, &data)?);
        let store: Box<dyn LedgerStore> = Box::new(data.open_store(&*log)?);
        let reader = SqliteReader::open(&data.database())?;
        let (live, live_thread) = Live::start()?;
        live.seed(&reader)?;
        let mut parts = data.engine_parts(Arc::clone(&log), Some(store));
        parts.sink = Some(Arc::clone(&live) as _);
        let needed = (!config.archive.url.is_empty()).then(NeededFrom::default);
        let engine_config = EngineConfig { needed_from: needed.clone(), ..engine_config(config) };
        let (engine, store) = Engine::open(parts, engine_config)?;
        let status = engine.status();
        let timeline = Arc::new(Mutex::new(engine.timeline().clone()));
        let stop = Arc::new(AtomicBool::new(false));
        let engine = spawn_engine(engine, store, &timeline, &stop)?;
        let archive = needed
            .map(|needed| ArchiveThread::start(config, &data, Arc::clone(&log), needed))
            .transpose()?;
        let tracker_config = tracker_config(config, &data, keys.clone())?;
        let tracker = Arc::new(Tracker::new(tracker_config, Arc::clone(&log), keys.ring()?)?);
        let access = match config.access_token.as_str() {
            "" => AccessRule::Loopback,
            token => AccessRule::token(token),
        };
        let mut state =
            ApiState::new(Arc::new(reader), Arc::clone(&live), Arc::clone(&status), access);
        state.timeline = timeline;
        state.hooks = hooks(&tracker, self_check);
        if let Some(status) = archive.as_ref().map(ArchiveThread::status) {
            let facts = move || {
                let status = status.lock().unwrap_or_else(PoisonError::into_inner);
                let (problem, untruncated) = (status.problem.clone(), status.untruncated.clone());
                api::ArchiveFacts { until: status.until, problem, untruncated }
            };
            state.hooks = state.hooks.with_archive(Arc::new(facts));
        }
        let fallback = router_fallback(api::router(state));
        let (server, admin) = listen(config, &tracker, fallback)?;
        let running =
            Running { log, server, admin, live, live_thread, engine, stop, status, archive };
        Ok((running, first))
    }

    /// Where the tracker listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Where page and API listen.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.as_ref().unwrap_or(&self.server).address()
    }

    /// Whether the log takes clicks.
    pub fn log_health(&self) -> LogHealth {
        self.log.health()
    }

    /// How the engine is doing.
    pub fn status(&self) -> EngineStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers open requests, folds and stores everything, takes a checkpoint.
    ///
    /// # Errors
    /// Why the engine had failed, if it had.
    pub fn stop(self) -> Result<()> {
        // Streams would keep their connections open.
        self.live.close();
        self.server.shutdown();
        if let Some(admin) = self.admin {
            admin.shutdown();
        }
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.engine.join().map_err(|_| anyhow!("the engine panicked"))?;
        drop(self.live_thread);
        if let Some(archive) = self.archive {
            archive.stop();
        }
        ended.context("the engine stopped")
    }
}

fn open_log(config: &Config, data: &DataDir) -> Result<DiskLog> {
    // An existing log keeps its own number of partitions.
    let partitions = data.open_log_readonly().map_or(config.log.partitions, |log| log.partitions());
    let segment_bytes = config.log.segment_bytes;
    let options = LogOptions { partitions, segment_bytes, ..LogOptions::default() };
    Ok(DiskLog::open_or_create(&data.log(), &options)?)
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

fn spawn_engine(
    mut engine: Engine,
    store: Option<Box<dyn LedgerStore>>,
    timeline: &Arc<Mutex<Timeline>>,
    stop: &Arc<AtomicBool>,
) -> Result<JoinHandle<Result<(), EngineError>>> {
    let (timeline, stop) = (Arc::clone(timeline), Arc::clone(stop));
    let status = engine.status();
    let work = move || {
        let caught_up = loop {
            match engine.step() {
                Ok(step) if step.records > 0 && !stop.load(Ordering::Relaxed) => {}
                Ok(_) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // Policies that the checkpoint did not know are read by now.
        *timeline.lock().unwrap_or_else(PoisonError::into_inner) = engine.timeline().clone();
        let ended = caught_up.and_then(|()| engine.run(store, &stop));
        if let Err(error) = &ended {
            tracing::error!("the engine stopped: {error}");
            let mut status = status.lock().unwrap_or_else(PoisonError::into_inner);
            status.failed = Some(error.to_string());
        }
        ended
    };
    Ok(std::thread::Builder::new().name("engine".into()).spawn(work)?)
}

fn tracker_config(config: &Config, data: &DataDir, keys: KeyStore) -> Result<TrackerConfig> {
    let tracker = &config.tracker;
    let paused = &tracker.paused_ads;
    Ok(TrackerConfig {
        label: tracker.label.clone(),
        dir: Some(data.root().to_path_buf()),
        trusted_proxies: config.trusted_proxies()?,
        redirect_deadline: Duration::from_millis(tracker.redirect_deadline_ms),
        batch_deadline: Duration::from_millis(tracker.batch_deadline_ms),
        records_per_link_hour: tracker.records_per_link_hour,
        extra_schemes: tracker.extra_schemes.clone(),
        paused_ads: (!paused.is_empty()).then(|| PathBuf::from(paused)),
        key_store: Some(keys),
        ..TrackerConfig::default()
    })
}

fn hooks(tracker: &Arc<Tracker>, self_check: Option<&Path>) -> Hooks {
    let mut hooks = Hooks::of_tracker(tracker);
    if let Some(path) = self_check.map(Path::to_path_buf) {
        hooks.check = Arc::new(move || read_check(&path));
    }
    hooks
}

/// Numbers that whoever checks this server from outside has left in a file.
fn read_check(path: &Path) -> Option<SelfCheck> {
    let numbers: BTreeMap<String, u64> = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let number = |name: &str| numbers.get(name).copied().unwrap_or(0);
    Some(SelfCheck {
        acknowledged: number("acknowledged"),
        measured: number("measured"),
        lost: number("lost"),
        double: number("double"),
        kills: number("kills"),
    })
}

fn listen(
    config: &Config,
    tracker: &Arc<Tracker>,
    page: Fallback,
) -> Result<(Server, Option<Server>)> {
    let serve = |address: SocketAddr, fallback: Fallback| {
        let serve = ServeConfig {
            threads: threads(config.tracker.threads),
            tls: tls(config),
            max_connections: config.tracker.max_connections,
            ..ServeConfig::new(address)
        };
        let server = track::serve(&serve, Arc::clone(tracker), fallback);
        server.with_context(|| format!("cannot listen on {address}"))
    };
    match config.admin_listen()? {
        None => Ok((serve(config.listen()?, page)?, None)),
        Some(admin) => {
            let admin = serve(admin, page)?;
            Ok((serve(config.listen()?, health_only(tracker))?, Some(admin)))
        }
    }
}

fn tls(config: &Config) -> Option<TlsFiles> {
    let set = !config.tls.certificates.is_empty();
    set.then(|| TlsFiles {
        certificates: PathBuf::from(&config.tls.certificates),
        private_key: PathBuf::from(&config.tls.private_key),
    })
}

/// What a load balancer asks the tracker's own address.
fn health_only(tracker: &Arc<Tracker>) -> Fallback {
    use axum::http::StatusCode;
    use axum::routing::get;
    let tracker = Arc::clone(tracker);
    let ready = move || {
        let readiness = tracker.readiness();
        let code = match readiness.is_ready() {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        std::future::ready((code, readiness.problems.join("\n")))
    };
    let alive = || std::future::ready("ok");
    router_fallback(Router::new().route("/healthz", get(alive)).route("/readyz", get(ready)))
}
