//! The dashboard's files, built into the program: it works without a network.
//!
//! Sources are in `dashboard/`. Nothing is inlined into HTML, so that the content policy can forbid
//! inline scripts and styles.

use super::api::ApiState;
use super::api::access::AccessRule;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

const INDEX: &str = include_str!("../../../../dashboard/index.html");
const LOGIN: &str = include_str!("../../../../dashboard/login.html");
const OPENAPI: &str = include_str!("../../../../docs/openapi.json");
const ASSETS: &[(&str, &str, &str)] = &[
    ("page.css", "text/css; charset=utf-8", include_str!("../../../../dashboard/page.css")),
    ("page.js", "text/javascript; charset=utf-8", include_str!("../../../../dashboard/page.js")),
    ("chart.js", "text/javascript; charset=utf-8", include_str!("../../../../dashboard/chart.js")),
    ("icon.svg", "image/svg+xml", include_str!("../../../../dashboard/icon.svg")),
];

fn file(kind: &'static str, body: &'static str) -> Response {
    // Asked for anew after an upgrade, so that page and API always fit.
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")];
    (headers, body).into_response()
}

/// `GET /`
pub async fn index() -> Response {
    file("text/html; charset=utf-8", INDEX)
}

/// `GET /login`: the form, if there is a token at all.
pub async fn login(State(api): State<ApiState>) -> Response {
    match api.access {
        AccessRule::Token(_) => file("text/html; charset=utf-8", LOGIN),
        AccessRule::Loopback => Redirect::to("/").into_response(),
    }
}

/// `GET /assets/{name}`
pub async fn asset(Path(name): Path<String>) -> Response {
    match ASSETS.iter().find(|(known, ..)| *known == name) {
        Some((_, kind, body)) => file(kind, body),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// `GET /v1/openapi.json`
pub async fn openapi() -> Response {
    file("application/json", OPENAPI)
}
