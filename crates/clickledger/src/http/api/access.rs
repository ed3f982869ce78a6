//! Who may read the API and the page: this machine alone, or whoever has the access token.
//!
//! Must never compare a token in variable time, put the token itself into a cookie, or take a
//! request that came through a proxy or under a foreign host name for a local one.

use super::ApiState;
use super::error::ApiError;
use axum::extract::{ConnectInfo, Form, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, SocketAddr};
use subtle::ConstantTimeEq;

/// Name of the cookie that the login form sets.
const COOKIE: &str = "clickledger_access";
/// How long a wrong token is kept waiting.
const WRONG_TOKEN_DELAY: std::time::Duration = std::time::Duration::from_millis(300);
/// Headers by which a proxy shows itself.
const PROXY_HEADERS: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Who may read.
#[derive(Clone)]
pub enum AccessRule {
    /// Processes of this machine, directly.
    Loopback,
    /// Whoever shows the token, in `Authorization: Bearer` or by the cookie of the login form.
    Token(TokenHash),
}

/// A token's hash; the token itself is not kept.
#[derive(Clone)]
pub struct TokenHash {
    token: [u8; 32],
    cookie: String,
}

impl AccessRule {
    /// The rule for a configured token.
    pub fn token(token: &str) -> AccessRule {
        AccessRule::Token(TokenHash::of(token))
    }
}

impl TokenHash {
    /// That of a configured token.
    pub fn of(token: &str) -> TokenHash {
        let cookie = hex(&hash("cookie", &hash_hex("token", token)));
        TokenHash { token: hash("token", token), cookie }
    }

    /// Whether this is the token, in constant time.
    pub fn fits(&self, token: &str) -> bool {
        hash("token", token).ct_eq(&self.token).into()
    }

    fn fits_cookie(&self, value: &str) -> bool {
        value.as_bytes().ct_eq(self.cookie.as_bytes()).into()
    }
}

fn hash(what: &str, text: &str) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(b"clickledger access ");
    hasher.update(what.as_bytes());
    hasher.update(b"\0");
    hasher.update(text.as_bytes());
    hasher.finalize().into()
}

fn hash_hex(what: &str, text: &str) -> String {
    hex(&hash(what, text))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lets a request through, or answers it.
pub async fn guard(State(rule): State<AccessRule>, request: Request, next: Next) -> Response {
    let allowed = match &rule {
        AccessRule::Loopback => is_local(&request),
        AccessRule::Token(token) => shows_token(token, request.headers()),
    };
    if allowed {
        return next.run(request).await;
    }
    refuse(&rule, request.uri().path())
}

fn refuse(rule: &AccessRule, path: &str) -> Response {
    match rule {
        AccessRule::Token(_) if path == "/" => Redirect::to("/login").into_response(),
        AccessRule::Token(_) => {
            let mut response = ApiError::new(
                StatusCode::UNAUTHORIZED,
                "token_missing",
                "send the access token as Authorization: Bearer TOKEN, or log in at /login",
            )
            .into_response();
            let challenge = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            response
        }
        AccessRule::Loopback => ApiError::new(
            StatusCode::FORBIDDEN,
            "loopback_only",
            "without an access token page and API answer only this machine, directly and as \
             localhost: set one in the configuration to open them",
        )
        .into_response(),
    }
}

fn is_local(request: &Request) -> bool {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let loopback = peer.is_some_and(|peer| peer.0.ip().to_canonical().is_loopback());
    let headers = request.headers();
    // A page of another site can make a browser ask here under that site's name; a proxy on this
    // machine asks for anybody.
    let direct = PROXY_HEADERS.iter().all(|name| !headers.contains_key(*name));
    loopback && direct && headers.get(header::HOST).is_none_or(is_local_host)
}

fn is_local_host(host: &HeaderValue) -> bool {
    let Ok(host) = host.to_str() else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

fn shows_token(token: &TokenHash, headers: &HeaderMap) -> bool {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
    if bearer.is_some_and(|bearer| token.fits(bearer.trim())) {
        return true;
    }
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .any(|(name, value)| name == COOKIE && token.fits_cookie(value))
}

/// The login form's fields.
#[derive(serde::Deserialize)]
pub struct Login {
    token: String,
}

/// Takes the login form: sets the cookie and goes to the page, or shows the form again.
pub async fn log_in(State(state): State<ApiState>, Form(login): Form<Login>) -> Response {
    let AccessRule::Token(token) = &state.access else {
        return Redirect::to("/").into_response();
    };
    if !token.fits(login.token.trim()) {
        tokio::time::sleep(WRONG_TOKEN_DELAY).await;
        return Redirect::to("/login?wrong=1").into_response();
    }
    let cookie = format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict", token.cookie);
    let mut response = Redirect::to("/").into_response();
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}
