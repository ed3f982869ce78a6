//! One click a request: `/c` redirects, `/b` takes beacons and pings.
//!
//! [`Tracker::accept`] is everything up to the queued record, without sockets or waiting; what
//! follows waits for durability and answers.

use super::client::{client_ip, is_forwarded};
use super::draft::{Circumstances, Draft, Terms};
use super::limits::{MAX_PURPOSE, MAX_REFERRER, MAX_USER_AGENT, MAX_WORD};
use super::metrics::Metrics;
use super::refusal::Refusal;
use super::respond::{self, Body};
use super::sender::Pending;
use super::throttle::Link;
use super::tracker::Tracker;
use crate::keys::Signer;
use click_core::link::{DestinationPolicy, LinkError, Macros, ParsedLink};
use click_core::record::Capture;
use click_engine::log::LogError;
use hyper::header::{HeaderMap, HeaderName, HeaderValue, REFERER, USER_AGENT};
use hyper::{Method, Response, StatusCode};
use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Headers that say that nobody looks at the page yet.
pub(super) const PURPOSE: [HeaderName; 4] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-purpose"),
    HeaderName::from_static("x-moz"),
];

/// A request for `/c` or `/b`, without its socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visit<'a> {
    pub method: &'a Method,
    pub query: &'a [u8],
    pub headers: &'a HeaderMap,
    pub peer: IpAddr,
    pub now_ms: u64,
    pub capture: Capture,
}

/// A genuine click, queued (or not) and with the answer it will get.
pub(super) struct Accepted {
    pub queued: Queued,
    /// Where to send the visitor; `None` for beacons.
    pub location: Option<HeaderValue>,
    /// The client fetches ahead: it must ask again for the real click.
    pub ahead: bool,
}

/// What became of the record.
pub(super) enum Queued {
    Pending(Pending),
    Throttled,
    Failed(LogError),
}

/// Whether the record is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Logged {
    Yes,
    Throttled,
    No(&'static str),
}

impl Tracker {
    /// Checks the link, builds the click, and queues it.
    pub(super) fn accept(&self, visit: &Visit<'_>) -> Result<Accepted, Refusal> {
        let link = ParsedLink::parse(visit.query)?;
        let counted = self.throttle.link(link.signature());
        let keys = self.read_keys();
        let signer = keys.signer(link.key_id()).ok_or(LinkError::UnknownKey)?;
        let terms = Terms::from_link(&link, signer)?;
        let redirect = visit.capture == Capture::Redirect;
        let location =
            redirect.then(|| self.location(&link, signer, &terms.click_id)).transpose()?;
        let circumstances = self.circumstances(visit);
        let ahead = is_ahead(&circumstances.purpose);
        let ad_active = self.ad_active(&terms.ad_id);
        let draft = Draft { terms, circumstances, ad_active };
        let queued = self.queue(&draft, counted, visit.now_ms);
        Ok(Accepted { queued, location, ahead })
    }

    fn queue(&self, draft: &Draft<'_>, link: Link, now_ms: u64) -> Queued {
        if !self.throttle.allow(link, now_ms) {
            self.throttle.count(&draft.terms.ad_id);
            Metrics::add(&self.metrics().throttled, 1);
            return Queued::Throttled;
        }
        self.sender.append(&draft.click()).map_or_else(Queued::Failed, Queued::Pending)
    }

    fn location(
        &self,
        link: &ParsedLink<'_>,
        signer: &Signer,
        click_id: &str,
    ) -> Result<HeaderValue, Refusal> {
        let policy = DestinationPolicy {
            extra_schemes: &self.config.extra_schemes,
            allowed_hosts: signer.hosts.as_deref(),
        };
        let location = link.destination(&policy, &Macros { click_id })?;
        HeaderValue::from_maybe_shared(bytes::Bytes::from(location))
            .map_err(|_| LinkError::BadDestination.into())
    }

    fn circumstances<'a>(&self, visit: &Visit<'a>) -> Circumstances<'a> {
        let headers = visit.headers;
        let trusted = &self.config.trusted_proxies;
        let ip = client_ip(visit.peer, headers, trusted);
        let peer = visit.peer.to_canonical();
        let believed = trusted.iter().any(|net| net.contains(&peer));
        self.detector.note(visit.now_ms, peer, !believed && is_forwarded(headers));
        let agent = headers.get(USER_AGENT).map(|value| text(value, MAX_USER_AGENT));
        Circumstances {
            received_at: visit.now_ms,
            capture: visit.capture,
            method: clip(Cow::Borrowed(visit.method.as_str()), MAX_WORD),
            purpose: purpose(headers),
            ip: ip.into(),
            peer_ip: Some(peer).into(),
            user_agent: Some(agent.unwrap_or_default()),
            referrer: headers.get(REFERER).map(|v| text(v, MAX_REFERRER)).unwrap_or_default(),
            ..Circumstances::default()
        }
    }

    /// Waits until the record is durable, at most until the deadline.
    pub(super) async fn settle(&self, queued: Queued, arrived: Instant) -> Logged {
        let pending = match queued {
            Queued::Pending(pending) => pending,
            Queued::Throttled => return Logged::Throttled,
            Queued::Failed(error) => return Logged::No(reason(&error)),
        };
        let deadline = arrived + self.config.redirect_deadline;
        match pending.durable_by(&self.sender, deadline).await {
            Some(Ok(())) => {
                self.metrics().durable.record(arrived.elapsed());
                Logged::Yes
            }
            Some(Err(error)) => Logged::No(reason(&error)),
            None => Logged::No("deadline"),
        }
    }

    /// Counts a visitor who is sent on.
    pub(super) fn count_redirect(&self, logged: Logged) {
        match logged {
            Logged::Yes => Metrics::add(&self.metrics().redirects, 1),
            Logged::No(reason) => self.metrics().unlogged.add(reason, 1),
            Logged::Throttled => {}
        }
    }

    /// The answer to `/c`.
    pub(super) async fn redirect(&self, visit: &Visit<'_>, arrived: Instant) -> Response<Body> {
        let accepted = match self.accept(visit) {
            Ok(accepted) => accepted,
            Err(refusal) => {
                self.note_refusal(&refusal, visit.peer, visit.query);
                return respond::refused(&refusal);
            }
        };
        let (location, ahead) = (accepted.location, accepted.ahead);
        let logged = self.settle(accepted.queued, arrived).await;
        if let Logged::No(reason) = logged
            && !is_human(visit.method)
        {
            self.metrics().unavailable.add(reason, 1);
            return respond::unavailable();
        }
        self.count_redirect(logged);
        if ahead {
            return respond::not_now();
        }
        respond::found(location, logged == Logged::Yes)
    }

    /// The answer to `POST /b`.
    pub(super) async fn beacon(&self, visit: &Visit<'_>, arrived: Instant) -> Response<Body> {
        let accepted = match self.accept(visit) {
            Ok(accepted) => accepted,
            Err(refusal) => {
                self.note_refusal(&refusal, visit.peer, visit.query);
                return respond::refused(&refusal);
            }
        };
        match self.settle(accepted.queued, arrived).await {
            Logged::Yes => {
                Metrics::add(&self.metrics().beacons, 1);
                respond::empty(StatusCode::NO_CONTENT)
            }
            Logged::Throttled => respond::throttled(),
            Logged::No(reason) => {
                self.metrics().unavailable.add(reason, 1);
                respond::unavailable()
            }
        }
    }
}

/// GET and HEAD are never asked to come again (SPEC §10).
fn is_human(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// Waits at most `left`, without a timer if the result is there.
pub(super) async fn within<T>(left: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(left, work).await.ok()
}

/// A stable word for why the log did not take a record.
pub(super) fn reason(error: &LogError) -> &'static str {
    match error {
        LogError::Busy { .. } => "busy",
        LogError::Full { .. } => "full",
        LogError::Poisoned { .. } => "poisoned",
        LogError::Closed => "closed",
        LogError::NotCopied => "not_copied",
        LogError::NoPartition { .. }
        | LogError::PayloadSize { .. }
        | LogError::EmptyBatch
        | LogError::BatchSize { .. }
        | LogError::TimeBackwards { .. }
        | LogError::TimeRange { .. }
        | LogError::BelowStart { .. }
        | LogError::BeyondEnd { .. }
        | LogError::Corrupt { .. }
        | LogError::Locked { .. }
        | LogError::NoLog { .. }
        | LogError::Exists { .. }
        | LogError::Options { .. }
        | LogError::ReadOnly
        | LogError::Archive { .. }
        | LogError::Topic { .. }
        | LogError::Kafka { .. }
        | LogError::Copy { .. }
        | LogError::Io { .. } => "log_error",
    }
}

/// Prefetch and prerender, which are answered so that the real click asks again (SPEC §12).
fn is_ahead(purpose: &str) -> bool {
    let purpose = purpose.to_ascii_lowercase();
    purpose.contains("prefetch") || purpose.contains("prerender")
}

/// The purpose headers, joined by `, `.
fn purpose(headers: &HeaderMap) -> Cow<'_, str> {
    let mut all = Cow::Borrowed("");
    for value in PURPOSE.iter().flat_map(|name| headers.get_all(name)) {
        let value = text(value, MAX_PURPOSE);
        if all.is_empty() {
            all = value;
        } else {
            let joined = all.to_mut();
            joined.push_str(", ");
            joined.push_str(&value);
        }
    }
    clip(all, MAX_PURPOSE)
}

/// A header as text of at most `limit` bytes; bytes that are not UTF-8 become U+FFFD.
fn text(value: &HeaderValue, limit: usize) -> Cow<'_, str> {
    clip(String::from_utf8_lossy(value.as_bytes()), limit)
}

fn clip(text: Cow<'_, str>, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return text;
    }
    let end = text.floor_char_boundary(limit);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}
