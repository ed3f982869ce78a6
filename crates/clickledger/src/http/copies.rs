//! `POST /v1/spool-copies`: takes copies of other trackers' spools, from whoever shows the token
//! that both sites have. Must never answer 200 before what it was given is durable.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use click_engine::forward::{Copies, CopyRefusal, MAX_MESSAGE};

use crate::http::api::access::TokenHash;
use crate::http::api::error::ApiError;

/// Where copies are taken.
pub const PATH: &str = "/v1/spool-copies";
/// Time for a whole message to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where copies go, and who may give them.
#[derive(Clone)]
struct Keeper {
    copies: Arc<Copies>,
    token: TokenHash,
}

/// The route.
pub fn router(copies: Arc<Copies>, token: &str) -> Router {
    let keeper = Keeper { copies, token: TokenHash::of(token) };
    Router::new().route(PATH, post(take)).with_state(keeper)
}

async fn take(State(keeper): State<Keeper>, request: Request) -> Response {
    if !shows(&keeper.token, request.headers()) {
        let fix = "send the token that both sites have as spool.copy_token";
        return ApiError::new(StatusCode::UNAUTHORIZED, "token_wrong", fix).into_response();
    }
    let body = tokio::time::timeout(PATIENCE, to_bytes(request.into_body(), MAX_MESSAGE)).await;
    let Ok(Ok(body)) = body else {
        let fix = format!("send at most {MAX_MESSAGE} bytes within {} s", PATIENCE.as_secs());
        return ApiError::new(StatusCode::BAD_REQUEST, "body", &fix).into_response();
    };
    // It waits for the disk.
    let taken = tokio::task::spawn_blocking(move || keeper.copies.take(&body)).await;
    match taken {
        Ok(Ok(held)) => Json(held).into_response(),
        Ok(Err(refusal)) => refused(&refusal).into_response(),
        Err(_) => ApiError::unavailable("keeping the copy stopped unexpectedly").into_response(),
    }
}

fn shows(token: &TokenHash, headers: &HeaderMap) -> bool {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    bearer.and_then(|value| value.strip_prefix("Bearer ")).is_some_and(|shown| token.fits(shown))
}

fn refused(refusal: &CopyRefusal) -> ApiError {
    let (status, code) = match refusal {
        CopyRefusal::Damaged(_) => (StatusCode::BAD_REQUEST, "damaged"),
        CopyRefusal::OtherLog => (StatusCode::CONFLICT, "other_log"),
        CopyRefusal::Itself => (StatusCode::CONFLICT, "itself"),
        CopyRefusal::AskFirst => (StatusCode::CONFLICT, "ask_first"),
        CopyRefusal::Hole { .. } => (StatusCode::CONFLICT, "hole"),
        CopyRefusal::TooMany(_) => (StatusCode::SERVICE_UNAVAILABLE, "too_many"),
        CopyRefusal::Log(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    ApiError::new(status, code, &refusal.to_string())
}
