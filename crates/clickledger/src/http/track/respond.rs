//! The tracker's answers. Headers are constants; none may be cached, and none is ever a 301.

use super::refusal::Refusal;
use bytes::Bytes;
use http_body_util::{Either, Full};
use httpdate::fmt_http_date;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, DATE,
    HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use rustix::time::{ClockId, clock_gettime};
use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A body in memory (ours) or a stream (the fallback's).
pub type Body = Either<Full<Bytes>, axum::body::Body>;

const LOGGED: HeaderName = HeaderName::from_static("x-click-logged");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Sends the origin of the page with the ad to other sites, and no path: what browsers do unasked.
const REFERRER: HeaderValue = HeaderValue::from_static("strict-origin-when-cross-origin");

/// An answer without body that no cache keeps.
pub fn empty(status: StatusCode) -> Response<Body> {
    with_body(status, Bytes::new())
}

fn with_body(status: StatusCode, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

/// 302; `logged` is false where the record is not known to be durable.
pub fn found(location: Option<HeaderValue>, logged: bool) -> Response<Body> {
    let mut response = empty(StatusCode::FOUND);
    let headers = response.headers_mut();
    if let Some(location) = location {
        headers.insert(LOCATION, location);
    }
    headers.insert(REFERRER_POLICY, REFERRER);
    if !logged {
        headers.insert(LOGGED, HeaderValue::from_static("no"));
    }
    response
}

/// [`found`] as bytes, with the headers that hyper would send.
pub fn write_found(out: &mut Vec<u8>, location: Option<&HeaderValue>, logged: bool) {
    out.clear();
    out.extend_from_slice(b"HTTP/1.1 302 Found\r\n");
    if let Some(location) = location {
        write_header(out, &LOCATION, location.as_bytes());
    }
    if !logged {
        write_header(out, &LOGGED, b"no");
    }
    TAIL.with_borrow_mut(|tail| out.extend_from_slice(tail.now()));
}

fn write_header(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// What all of a second's answers have in common, up to the end of the head.
#[derive(Default)]
struct Tail {
    second: Option<u64>,
    bytes: Vec<u8>,
}

thread_local! {
    static TAIL: RefCell<Tail> = RefCell::default();
}

impl Tail {
    fn now(&mut self) -> &[u8] {
        // The clock of the last tick is good enough for a date, and read faster.
        let tick = clock_gettime(ClockId::RealtimeCoarse);
        let second = u64::try_from(tick.tv_sec).unwrap_or(0);
        if self.second != Some(second) {
            self.second = Some(second);
            self.write(UNIX_EPOCH + Duration::from_secs(second));
        }
        &self.bytes
    }

    fn write(&mut self, now: SystemTime) {
        self.bytes.clear();
        write_header(&mut self.bytes, &CACHE_CONTROL, NO_STORE.as_bytes());
        write_header(&mut self.bytes, &REFERRER_POLICY, REFERRER.as_bytes());
        write_header(&mut self.bytes, &CONTENT_LENGTH, b"0");
        write_header(&mut self.bytes, &DATE, fmt_http_date(now).as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
    }
}

/// 503 to a client that fetches ahead of a person: it must ask again for the real click.
pub fn not_now() -> Response<Body> {
    empty(StatusCode::SERVICE_UNAVAILABLE)
}

/// 503: nothing was acknowledged, send it again.
pub fn unavailable() -> Response<Body> {
    let refusal = Refusal::new(503, "unavailable", "the click could not be stored: send it again");
    let mut response = refused(&refusal);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// 429: this link has had its records of this hour.
pub fn throttled() -> Response<Body> {
    let message = "this link came too often within the hour: it is counted, not stored";
    let mut response = refused(&Refusal::new(429, "throttled", message));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("3600"));
    response
}

/// A 4xx or 5xx with its reason as JSON.
pub fn refused(refusal: &Refusal) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    json(status, refusal.to_json())
}

/// JSON.
pub fn json(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut response = with_body(status, Bytes::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// 405 with the methods that are allowed.
pub fn method_not_allowed(allow: &'static str) -> Response<Body> {
    let message = format!("only {allow} is allowed here");
    let mut response = refused(&Refusal::new(405, "method_not_allowed", message));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// Lets pages of any origin send beacons; no credentials are involved.
pub fn any_origin(mut response: Response<Body>) -> Response<Body> {
    let any = HeaderValue::from_static("*");
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, any);
    response
}
