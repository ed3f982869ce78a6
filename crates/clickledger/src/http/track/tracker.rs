//! The tracker's parts and its life: construction, housekeeping, readiness, shutdown.

use super::catalogue::Catalogue;
use super::client::ProxyDetector;
use super::dead_letter::DeadLetters;
use super::limits::{CLOCK_LIMIT_MS, CLOCK_WARN_MS, HEARTBEAT, HOUSEKEEPING};
use super::metrics::Metrics;
use super::refusal::Refusal;
use super::sender::Sender;
use super::throttle::Throttle;
use crate::keys::{KeyRing, KeyStore, now_ms};
use click_engine::log::{EventLog, LogHealth, Rest};
use ipnet::IpNet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant, SystemTime};
use thiserror::Error;

/// How a tracker behaves. `Default` has the documented defaults and keeps no files.
#[derive(Debug, Clone)]
pub struct TrackerConfig {
    /// Readable part of the tracker id.
    pub label: String,
    /// Where state and the dead-letter sample are kept.
    pub dir: Option<PathBuf>,
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a visitor waits for durability (SPEC §10).
    pub redirect_deadline: Duration,
    /// How long a batch waits for it.
    pub batch_deadline: Duration,
    /// Records of one link an hour (SPEC §4).
    pub records_per_link_hour: u32,
    /// S: how far back a batch may state `received_at`, ms.
    pub spool_limit_ms: u64,
    /// Schemes of destinations beyond http and https, lower case.
    pub extra_schemes: Vec<String>,
    /// List of paused ads, read again when it changes.
    pub paused_ads: Option<PathBuf>,
    /// Key file that is read again when it changes.
    pub key_store: Option<KeyStore>,
}

impl Default for TrackerConfig {
    fn default() -> Self {
        TrackerConfig {
            label: "tracker".into(),
            dir: None,
            trusted_proxies: Vec::new(),
            redirect_deadline: Duration::from_secs(1),
            batch_deadline: Duration::from_secs(5),
            records_per_link_hour: 1000,
            spool_limit_ms: 72 * 3_600_000,
            extra_schemes: Vec::new(),
            paused_ads: None,
            key_store: None,
        }
    }
}

/// Why a tracker cannot start.
#[derive(Debug, Error)]
pub enum TrackerError {
    #[error("state of the tracker: {0}")]
    State(std::io::Error),
    #[error("dead-letter log: {0}")]
    DeadLetters(std::io::Error),
    #[error("list of paused ads: {0}")]
    PausedAds(std::io::Error),
}

/// Whether the tracker can do its work; `problems` tells what keeps it from that, `warnings` what
/// else an operator should look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readiness {
    pub problems: Vec<String>,
    pub warnings: Vec<String>,
}

impl Readiness {
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Everything a request needs; shared by all threads.
pub struct Tracker {
    pub(super) config: TrackerConfig,
    pub(super) sender: Sender,
    pub(super) throttle: Throttle,
    pub(super) detector: ProxyDetector,
    pub(super) dead_letters: DeadLetters,
    keys: RwLock<Arc<KeyRing>>,
    catalogue: RwLock<Option<Arc<Catalogue>>>,
    metrics: Arc<Metrics>,
    draining: AtomicBool,
    chores: Mutex<Chores>,
}

struct Chores {
    heartbeat: Instant,
    housekeeping: Instant,
    keys_modified: Option<SystemTime>,
    ads_modified: Option<SystemTime>,
    clock_warned: bool,
}

impl Tracker {
    /// A new tracker instance that appends to `log` and believes links of `keys`.
    ///
    /// # Errors
    /// See [`TrackerError`].
    pub fn new(
        config: TrackerConfig,
        log: Arc<dyn EventLog>,
        keys: KeyRing,
    ) -> Result<Tracker, TrackerError> {
        let dir = config.dir.as_deref();
        let sender = Sender::new(log, &config.label, dir).map_err(TrackerError::State)?;
        let letters = dir.map(|dir| dir.join("dead-letter.log"));
        let letters = DeadLetters::open(letters.as_deref()).map_err(TrackerError::DeadLetters)?;
        let ads_modified = config.paused_ads.as_ref().and_then(modified);
        let list = config.paused_ads.as_deref().map(Catalogue::load).transpose();
        let list = list.map_err(TrackerError::PausedAds)?.map(Arc::new);
        let now = Instant::now();
        Ok(Tracker {
            throttle: Throttle::new(config.records_per_link_hour),
            detector: ProxyDetector::default(),
            dead_letters: letters,
            keys: RwLock::new(Arc::new(keys)),
            catalogue: RwLock::new(list),
            metrics: Arc::default(),
            draining: AtomicBool::new(false),
            chores: Mutex::new(Chores {
                heartbeat: now,
                housekeeping: now,
                keys_modified: config.key_store.as_ref().and_then(KeyStore::modified),
                ads_modified,
                clock_warned: false,
            }),
            sender,
            config,
        })
    }

    /// Adds a part of the log: from now on new clicks go there.
    pub fn add_part(&self, log: Arc<dyn EventLog>) {
        self.sender.add_part(log);
    }

    /// Whether the log takes clicks.
    pub fn log_health(&self) -> LogHealth {
        self.sender.health()
    }

    /// A server's thread has answered, or queued, all that it was asked for.
    pub(super) fn rest(&self) -> Option<Rest> {
        self.sender.rest()
    }

    /// The keys in force.
    pub fn keys(&self) -> Arc<KeyRing> {
        Arc::clone(&self.read_keys())
    }

    /// The keys in force, which cannot change meanwhile.
    pub(super) fn read_keys(&self) -> RwLockReadGuard<'_, Arc<KeyRing>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts other keys in force.
    pub fn set_keys(&self, keys: KeyRing) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    /// Counters since the start.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(super) fn shared_metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// Records not appended by the throttle, by ad.
    pub fn throttled_by_ad(&self) -> Vec<(String, u64)> {
        self.throttle.by_ad()
    }

    /// Label and random bits of this instance.
    pub fn tracker_id(&self) -> &str {
        self.sender.tracker_id()
    }

    /// The peer that is probably a proxy missing from `trusted_proxies`.
    pub fn suspected_proxy(&self) -> Option<IpAddr> {
        self.detector.suspect(now_ms())
    }

    /// Whether clicks can be taken and made durable.
    pub fn readiness(&self) -> Readiness {
        let mut readiness = Readiness::default();
        match self.sender.health() {
            LogHealth::Ok => {}
            LogHealth::Poisoned { reason } | LogHealth::Full { reason } => {
                readiness.problems.push(format!("the log takes no clicks: {reason}"));
            }
        }
        if self.draining.load(Ordering::Relaxed) {
            readiness.problems.push("shutting down".into());
        }
        let difference = self.sender.clock_difference_ms();
        let said = || format!("clocks of log and tracker differ by {difference} ms: set them");
        match difference.unsigned_abs() {
            CLOCK_LIMIT_MS.. => readiness.problems.push(said()),
            CLOCK_WARN_MS.. => readiness.warnings.push(said()),
            _ => {}
        }
        if let Some(peer) = self.suspected_proxy() {
            readiness.warnings.push(format!(
                "most clicks come from {peer}, which sends forwarding headers but is not trusted: \
                 trusted_proxies is probably missing"
            ));
        }
        readiness
    }

    /// Chores that are due: heartbeats, state file, changed key and ad files. Call it every second
    /// or so; it blocks for file system calls.
    pub fn tick(&self) {
        let mut chores = self.chores.lock().unwrap_or_else(PoisonError::into_inner);
        if chores.heartbeat.elapsed() >= HEARTBEAT {
            chores.heartbeat = Instant::now();
            self.heartbeat();
        }
        if chores.housekeeping.elapsed() >= HOUSEKEEPING {
            chores.housekeeping = Instant::now();
            self.save_state();
            self.reload_keys(&mut chores);
            self.reload_ads(&mut chores);
            self.watch_clock(&mut chores);
        }
    }

    /// From now on `/readyz` says that this instance goes away.
    pub fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Last heartbeats and state; call it when no request is open any more.
    pub fn finish(&self) {
        self.heartbeat();
        self.save_state();
    }

    fn heartbeat(&self) {
        let sent = match self.sender.heartbeat() {
            Ok(sent) => sent,
            Err(error) => return tracing::warn!("heartbeat: {error}"),
        };
        for pending in sent {
            if let Err(error) = pending.wait(&self.sender) {
                tracing::warn!("heartbeat: {error}");
            }
        }
    }

    fn save_state(&self) {
        if let Err(error) = self.sender.save() {
            tracing::warn!("state of the tracker: {error}");
        }
    }

    fn reload_keys(&self, chores: &mut Chores) {
        let Some(store) = &self.config.key_store else { return };
        let modified = store.modified();
        if modified == chores.keys_modified {
            return;
        }
        chores.keys_modified = modified;
        match store.ring() {
            Ok(ring) => self.set_keys(ring),
            Err(error) => tracing::error!("keys stay as they were: {error}"),
        }
    }

    fn reload_ads(&self, chores: &mut Chores) {
        let Some(path) = &self.config.paused_ads else { return };
        let changed = modified(path);
        if changed == chores.ads_modified {
            return;
        }
        chores.ads_modified = changed;
        match Catalogue::load(path) {
            Ok(list) => {
                let mut current = self.catalogue.write().unwrap_or_else(PoisonError::into_inner);
                *current = Some(Arc::new(list));
            }
            Err(error) => tracing::error!("paused ads stay as they were: {error}"),
        }
    }

    fn watch_clock(&self, chores: &mut Chores) {
        let difference = self.sender.clock_difference_ms();
        self.metrics.clock_difference_ms.store(difference, Ordering::Relaxed);
        let apart = difference.unsigned_abs() >= CLOCK_WARN_MS;
        if apart && !chores.clock_warned {
            tracing::warn!("clocks of log and tracker differ by {difference} ms: set them");
        }
        chores.clock_warned = apart;
    }

    /// Whether the ad runs, if the operator keeps a list.
    pub(super) fn ad_active(&self, ad: &str) -> Option<bool> {
        let list = self.catalogue.read().unwrap_or_else(PoisonError::into_inner);
        list.as_ref().map(|list| list.is_active(ad))
    }

    /// Counts a refusal and offers it to the sample.
    pub(super) fn note_refusal(&self, refusal: &Refusal, peer: IpAddr, request: &[u8]) {
        self.metrics.refused.add(refusal.code, 1);
        if !self.dead_letters.offer(refusal.code, peer, request) {
            Metrics::add(&self.metrics.dead_letters_dropped, 1);
        }
    }
}

fn modified(path: &PathBuf) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|meta| meta.modified()).ok()
}
