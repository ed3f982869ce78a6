//! The JSON API and what it needs: reports from the store, live state from the hub, health.
//!
//! It reads only. Money is text, times are RFC 3339 beside milliseconds, and every number stands
//! beside the `as_of` that it is true as of and its `state`. Contract: `docs/openapi.json`.

pub mod access;
pub mod error;
mod health;
mod hooks;
pub use hooks::{ArchiveFacts, SpoolFacts};
mod live_view;
mod params;
pub mod render;
mod reports;
mod stream;

use crate::http::live::Live;
use crate::http::metrics::Sample;
use crate::http::page;
use access::AccessRule;
use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{get, post};
use click_core::policy::Timeline;
use click_core::types::Millis;
use click_engine::live::EngineStatus;
use click_engine::store::LedgerReader;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// Reports that may be computed at once; the next ones wait, and then get 503.
const REPORTS_AT_ONCE: usize = 4;

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Good to know.
    Info,
    /// Look at it soon.
    Warning,
    /// Counting is at risk.
    Error,
}

/// Something that the page says at its top.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Notice {
    /// How much it matters.
    pub level: Level,
    /// A stable word for programs.
    pub code: String,
    /// A sentence for people that names the thing and the fix.
    pub message: String,
}

/// What a self-check that sends its own clicks has found so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SelfCheck {
    /// Clicks that were acknowledged to the sender.
    pub acknowledged: u64,
    /// Of these, how many are measured in the ledger.
    pub measured: u64,
    /// Acknowledged and not measured, past the time that it may take.
    pub lost: u64,
    /// Measured more than once.
    pub double: u64,
    /// Times the engine was killed.
    pub kills: u64,
}

/// What the rest of the process tells the API; each is asked anew at every request.
#[derive(Clone)]
pub struct Hooks {
    /// Samples of other parts; the engine's and the hub's own are added.
    pub metrics: Arc<dyn Fn() -> Vec<Sample> + Send + Sync>,
    /// The `tracker` object of `/v1/status`, `null` without one.
    pub tracker: Arc<dyn Fn() -> serde_json::Value + Send + Sync>,
    /// What the page says at its top; engine warnings are added.
    pub notices: Arc<dyn Fn() -> Vec<Notice> + Send + Sync>,
    /// Why clicks cannot be taken now; empty when they can.
    pub not_ready: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// Numbers of a self-check, if one runs.
    pub check: Arc<dyn Fn() -> Option<SelfCheck> + Send + Sync>,
}

impl Default for Hooks {
    fn default() -> Hooks {
        Hooks {
            metrics: Arc::new(Vec::new),
            tracker: Arc::new(|| serde_json::Value::Null),
            notices: Arc::new(Vec::new),
            not_ready: Arc::new(Vec::new),
            check: Arc::new(|| None),
        }
    }
}

/// A shared cell with the engine's status; another one is put in when the engine is restarted.
pub type StatusCell = Arc<Mutex<EngineStatus>>;

/// Everything that the API reads from.
#[derive(Clone)]
pub struct ApiState {
    /// Reports.
    pub reader: Arc<dyn LedgerReader>,
    /// Live views.
    pub live: Arc<Live>,
    /// The engine's status.
    pub status: Arc<dyn Fn() -> EngineStatus + Send + Sync>,
    /// Policies, for what is sealed when.
    pub timeline: Arc<Mutex<Timeline>>,
    /// The rest of the process.
    pub hooks: Hooks,
    /// Who may read.
    pub access: AccessRule,
    reports: Arc<Semaphore>,
}

impl ApiState {
    /// State without hooks; the fields are public to be set.
    pub fn new(
        reader: Arc<dyn LedgerReader>,
        live: Arc<Live>,
        status: StatusCell,
        access: AccessRule,
    ) -> ApiState {
        ApiState {
            reader,
            live,
            status: Arc::new(move || lock(&status).clone()),
            timeline: Arc::default(),
            hooks: Hooks::default(),
            access,
            reports: Arc::new(Semaphore::new(REPORTS_AT_ONCE)),
        }
    }

    fn timeline(&self) -> Timeline {
        lock(&self.timeline).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The wall clock, for freshness only.
fn now() -> Millis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let ms = since.map(|since| since.as_millis()).unwrap_or_default();
    Millis(u64::try_from(ms).unwrap_or(u64::MAX))
}

/// API and page. Requests carry their peer as `ConnectInfo<SocketAddr>` in the extensions; without
/// it a request counts as one from elsewhere.
pub fn router(state: ApiState) -> Router {
    let guarded = Router::new()
        .route("/", get(page::index))
        .route("/v1/ads/{ad}/minutes", get(reports::minutes))
        .route("/v1/totals", get(reports::totals))
        .route("/v1/top", get(reports::top))
        .route("/v1/live", get(live_view::live))
        .route("/v1/stream", get(stream::stream))
        .route("/v1/status", get(health::status))
        .route("/v1/gaps", get(health::gaps))
        .route("/v1/openapi.json", get(page::openapi))
        .route("/metrics", get(health::metrics))
        .layer(from_fn_with_state(state.access.clone(), access::guard));
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/login", get(page::login))
        .route("/login", post(access::log_in))
        .route("/assets/{name}", get(page::asset))
        .merge(guarded)
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::wrong_method)
        .layer(map_response(secure))
        .with_state(state)
}

/// What a process without an engine answers: health, and metrics to whom `access` lets.
pub fn tracker_router(hooks: Hooks, access: AccessRule) -> Router {
    let (open, guarded) = health::of_tracker(hooks);
    guarded
        .layer(from_fn_with_state(access, access::guard))
        .merge(open)
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::wrong_method)
        .layer(map_response(secure))
}

/// Headers that every response has. Pages may run nothing that is not served from here.
async fn secure(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
        img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
        frame-ancestors 'none'";
    let headers = response.headers_mut();
    let mut put = |name, value| headers.insert(name, HeaderValue::from_static(value));
    put(header::CONTENT_SECURITY_POLICY, POLICY);
    put(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(header::X_FRAME_OPTIONS, "DENY");
    put(header::REFERRER_POLICY, "no-referrer");
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
