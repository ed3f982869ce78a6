//! Status for people and pages, health for supervisors, metrics for Prometheus.

use super::error::ApiError;
use super::params::Params;
use super::render::put_time;
use super::{ApiState, Hooks, Level, Notice, now};
use crate::http::metrics::{self, STREAM_CLIENTS, STREAM_RESETS, Sample};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use click_core::fold::Gap;
use click_core::verdict::Class;
use click_engine::live::EngineStatus;
use serde_json::{Map, Value, json};
use std::sync::atomic::Ordering;

/// `GET /v1/status`
pub async fn status(
    State(api): State<ApiState>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, ApiError> {
    Params::new(pairs, &[])?;
    let status = (api.status)();
    let now = now();
    let mut answer = Map::new();
    put_time(&mut answer, "now", now);
    put_time(&mut answer, "as_of", status.watermark);
    answer.insert("behind_ms".into(), json!(now.since(status.watermark)));
    // The log goes on, so its sums can always change.
    answer.insert("state".into(), json!("provisional"));
    answer.insert("engine".into(), engine(&status));
    answer.insert("tracker".into(), (api.hooks.tracker)());
    answer.insert("check".into(), json!((api.hooks.check)()));
    answer.insert("notices".into(), json!(notices(&api, &status)));
    answer.insert("not_ready".into(), json!(not_ready(&api, &status)));
    answer.insert("version".into(), json!(env!("CARGO_PKG_VERSION")));
    Ok(Json(Value::Object(answer)))
}

fn engine(status: &EngineStatus) -> Value {
    let mut engine = Map::new();
    put_time(&mut engine, "watermark", status.watermark);
    put_time(&mut engine, "checkpoint", status.checkpoint);
    put_time(&mut engine, "store_mark", status.store_mark);
    let count = |class: Class| (class.code().into(), json!(status.by_class[class as usize]));
    engine.insert("classes".into(), Value::Object(Class::ALL.into_iter().map(count).collect()));
    engine.insert("failed".into(), json!(status.failed));
    let numbers = [
        ("lag", status.lag),
        ("arriving", status.arriving),
        ("measured", status.measured),
        ("pending", status.pending),
        ("repeats", status.repeats),
        ("gaps", status.gaps),
        ("dead_letters", status.dead_letters),
        ("rows_waiting", status.rows_waiting),
        ("rows_open", status.rows_open),
        ("claims", status.claims),
        ("partitions", status.read_to.len() as u64),
    ];
    engine.extend(numbers.map(|(name, value)| (name.to_string(), json!(value))));
    Value::Object(engine)
}

fn notices(api: &ApiState, status: &EngineStatus) -> Vec<Notice> {
    let notice = |level, code: &str, message: &str| Notice {
        level,
        code: code.into(),
        message: message.into(),
    };
    let mut notices = (api.hooks.notices)();
    let failed = status.failed.iter();
    notices.extend(
        failed.map(|why| {
            notice(Level::Error, "engine_failed", &format!("the engine stopped: {why}"))
        }),
    );
    if status.gaps > 0 {
        let message = format!(
            "{} records are known to be missing: a tracker had them, the log does not",
            status.gaps
        );
        notices.push(notice(Level::Warning, "gaps", &message));
    }
    if status.no_room {
        let message = "no room for a checkpoint, it is tried again: a restart would take longer";
        notices.push(notice(Level::Warning, "engine_warning", message));
    }
    for store in &status.stores {
        if let Some(problem) = &store.problem {
            let message = format!("the {} store takes nothing: {problem}", store.name);
            notices.push(notice(Level::Warning, "engine_warning", &message));
        }
        if store.lacks {
            let message =
                format!("the {} store lacks rows: run `clickledger store rebuild`", store.name);
            notices.push(notice(Level::Warning, "engine_warning", &message));
        }
    }
    let warnings = status.warnings.iter();
    notices.extend(warnings.map(|text| notice(Level::Warning, "engine_warning", text)));
    notices
}

fn not_ready(api: &ApiState, status: &EngineStatus) -> Vec<String> {
    let mut reasons = (api.hooks.not_ready)();
    reasons.extend(status.failed.iter().map(|why| format!("the engine stopped: {why}")));
    reasons
}

/// `GET /v1/gaps`: what `clickledger resend` takes.
pub async fn gaps(
    State(api): State<ApiState>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, ApiError> {
    Params::new(pairs, &[])?;
    let status = (api.status)();
    let mut answer = Map::new();
    put_time(&mut answer, "as_of", status.watermark);
    answer.insert("missing".into(), json!(status.gaps));
    let gap = |gap: &Gap| {
        json!({
            "partition": gap.partition.0,
            "tracker_id": gap.tracker_id,
            "epoch": gap.epoch,
            "from": gap.from,
            "to": gap.to,
        })
    };
    answer.insert("gaps".into(), status.open_gaps.iter().map(gap).collect());
    Ok(Json(Value::Object(answer)))
}

/// `GET /healthz`: the process answers.
pub async fn healthz() -> Json<Value> {
    Json(json!({ "ok": true }))
}

/// `GET /readyz`: clicks can be made durable; else 503, and the body says why not.
pub async fn readyz(State(api): State<ApiState>) -> impl IntoResponse {
    let reasons = not_ready(&api, &(api.status)());
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": reasons.is_empty(), "reasons": reasons })))
}

/// `GET /metrics`
pub async fn metrics(State(api): State<ApiState>) -> impl IntoResponse {
    let mut samples = metrics::of_engine(&(api.status)());
    let clients = api.live.clients().load(Ordering::Relaxed);
    let resets = api.live.resets().load(Ordering::Relaxed);
    samples.push(Sample::new(&STREAM_CLIENTS, clients));
    samples.push(Sample::new(&STREAM_RESETS, resets));
    samples.extend((api.hooks.metrics)());
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], metrics::render(&samples))
}

/// `/healthz`, `/readyz` and `/metrics` of a process that has a tracker alone.
pub fn of_tracker(hooks: Hooks) -> (Router, Router) {
    let (ready, metrics) = (hooks.clone(), hooks);
    let ready = move || {
        let reasons = (ready.not_ready)();
        let good = reasons.is_empty();
        let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        std::future::ready((status, Json(json!({ "ready": good, "reasons": reasons }))))
    };
    let metrics = move || {
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        let text = metrics::render(&(metrics.metrics)());
        std::future::ready(([(header::CONTENT_TYPE, kind)], text))
    };
    let open = Router::new().route("/healthz", get(healthz)).route("/readyz", get(ready));
    (open, Router::new().route("/metrics", get(metrics)))
}
