//! The parts of a running server and the order in which they come up and go down.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use click_engine::live::EngineStatus;
use click_engine::log::LogHealth;

use super::engine::EnginePart;
use super::source::Source;
use super::spools::Spools;
use crate::cli::data::{DataDir, threads};
use crate::config::{Config, Role};
use crate::http::api::access::AccessRule;
use crate::http::api::{self, ApiState, Hooks, SelfCheck};
use crate::http::track::{
    self, Fallback, ServeConfig, Server, TlsFiles, Tracker, TrackerConfig, router_fallback,
};
use crate::keys::{FirstKeys, KeyRing, KeyStore};

/// A server in this process.
pub struct Running {
    server: Server,
    admin: Option<Server>,
    tracker: Option<Arc<Tracker>>,
    spool: Option<Spools>,
    engine: Option<EnginePart>,
}

impl Running {
    /// Brings everything up; requests are taken when this returns. First-start keys are told once.
    pub fn start(
        config: &Config,
        self_check: Option<&Path>,
    ) -> Result<(Running, Option<FirstKeys>)> {
        let data = DataDir::new(&config.data);
        data.create()?;
        let source = Source::of(config, &data)?;
        let engine = config.is(Role::Engine).then(|| EnginePart::start(config, &data, &source));
        let engine = engine.transpose()?;
        let (mut spool, mut tracker, mut first) = (None, None, None);
        if config.is(Role::Tracker) {
            let (keys, new) = KeyStore::open(data.root())?;
            let mut spools = match &source {
                Source::Here(_) => None,
                Source::Kafka(settings, header, layout) => {
                    Some(Spools::start(config, &data, settings, *header, layout.as_ref())?)
                }
            };
            let settings = tracker_config(config, &data, keys.clone())?;
            let made = make_tracker(settings, &source, spools.as_mut(), keys.ring()?)?;
            (tracker, spool, first) = (Some(made), spools, new);
        }
        let hooks = hooks(tracker.as_ref(), spool.as_ref(), self_check);
        let page = match &engine {
            Some(engine) => api::router(state(config, engine, hooks)),
            None => api::tracker_router(hooks, access(config)),
        };
        let page = page.merge(spool.as_ref().map(Spools::routes).unwrap_or_default());
        let (server, admin) = listen(config, tracker.as_ref(), router_fallback(page))?;
        Ok((Running { server, admin, tracker, spool, engine }, first))
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
        self.tracker.as_ref().map_or(LogHealth::Ok, |tracker| tracker.log_health())
    }

    /// How the engine is doing.
    pub fn status(&self) -> EngineStatus {
        let status = self.engine.as_ref().map(|engine| engine.status.clone());
        status.map_or_else(EngineStatus::default, |status| {
            status.lock().unwrap_or_else(PoisonError::into_inner).clone()
        })
    }

    /// Answers open requests, hands on and folds and stores everything, takes a checkpoint.
    ///
    /// # Errors
    /// Why a part had failed, if one had.
    pub fn stop(self) -> Result<()> {
        // Streams would keep their connections open.
        if let Some(engine) = &self.engine {
            engine.live.close();
        }
        self.server.shutdown();
        if let Some(admin) = self.admin {
            admin.shutdown();
        }
        let handed_on = self.spool.map_or(Ok(()), Spools::stop);
        let folded = self.engine.map_or(Ok(()), EnginePart::stop);
        handed_on.and(folded)
    }
}

/// On the log here, or on the spools of all parts; it hears of new ones.
fn make_tracker(
    settings: TrackerConfig,
    source: &Source,
    spools: Option<&mut Spools>,
    keys: KeyRing,
) -> Result<Arc<Tracker>> {
    let logs = match (source, &spools) {
        (Source::Here(log), _) => vec![Arc::clone(log)],
        (Source::Kafka(..), spools) => spools.as_ref().map(|it| it.logs()).unwrap_or_default(),
    };
    let mut logs = logs.into_iter();
    let first = logs.next().context("a tracker has a log")?;
    let tracker = Arc::new(Tracker::new(settings, first, keys)?);
    logs.for_each(|log| tracker.add_part(log));
    if let Some(spools) = spools {
        spools.watch(Arc::clone(&tracker))?;
    }
    Ok(tracker)
}

fn access(config: &Config) -> AccessRule {
    match config.access_token.as_str() {
        "" => AccessRule::Loopback,
        token => AccessRule::token(token),
    }
}

fn state(config: &Config, engine: &EnginePart, hooks: Hooks) -> ApiState {
    let (reader, live) = (engine.reader.clone(), engine.live.clone());
    let mut state = ApiState::new(reader, live, engine.status.clone(), access(config));
    state.timeline = engine.timeline.clone();
    state.hooks = match engine.archive_status() {
        None => hooks,
        Some(status) => hooks.with_archive(Arc::new(move || {
            let status = status.lock().unwrap_or_else(PoisonError::into_inner);
            let (problem, untruncated) = (status.problem.clone(), status.untruncated.clone());
            api::ArchiveFacts { until: status.until, problem, untruncated }
        })),
    };
    state
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

fn hooks(
    tracker: Option<&Arc<Tracker>>,
    spool: Option<&Spools>,
    self_check: Option<&Path>,
) -> Hooks {
    let mut hooks = tracker.map_or_else(Hooks::default, Hooks::of_tracker);
    if let Some(spool) = spool {
        hooks = hooks.with_spool(spool.facts());
    }
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
    tracker: Option<&Arc<Tracker>>,
    page: Fallback,
) -> Result<(Server, Option<Server>)> {
    let serve = |address: SocketAddr, fallback: Fallback| {
        let serve = ServeConfig {
            threads: threads(config.tracker.threads),
            tls: tls(config),
            max_connections: config.tracker.max_connections,
            ..ServeConfig::new(address)
        };
        let server = track::serve(&serve, tracker.cloned(), fallback);
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
fn health_only(tracker: Option<&Arc<Tracker>>) -> Fallback {
    use axum::http::StatusCode;
    use axum::routing::get;
    let tracker = tracker.cloned();
    let ready = move || {
        let readiness = tracker.as_ref().map(|tracker| tracker.readiness()).unwrap_or_default();
        let code = match readiness.is_ready() {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        std::future::ready((code, readiness.problems.join("\n")))
    };
    let alive = || std::future::ready("ok");
    router_fallback(Router::new().route("/healthz", get(alive)).route("/readyz", get(ready)))
}
