//! `POST /v1/clicks`: many clicks at once, each with its own result.
//!
//! A whole batch is refused only if it cannot be read or its key is wrong; else every item ends as
//! accepted, throttled or refused, in order. 503 means that the log did not take it: send it all
//! again, repeats are recognised by their click ids.

use super::batch_item::{self, Item};
use super::batch_proto;
use super::click::{Logged, reason, within};
use super::draft::Draft;
use super::limits::{BODY_TIMEOUT, MAX_BATCH_BODY, MAX_BATCH_ITEMS};
use super::metrics::Metrics;
use super::refusal::Refusal;
use super::respond::{self, Body};
use super::sender::Pending;
use super::tracker::Tracker;
use crate::keys::{BearerRight, KeyRing, now_ms};
use click_core::record::Click;
use http_body_util::{BodyExt, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;
use std::net::IpAddr;
use std::time::Instant;

/// What was queued, one for each partition, or why nothing was.
type Queue = Result<Vec<Pending>, &'static str>;

/// How a batch is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Lines,
    Protobuf,
}

/// Who sent a batch, when, and what that allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller<'k> {
    pub peer: IpAddr,
    pub now_ms: u64,
    /// S, ms.
    pub spool_limit_ms: u64,
    /// Issuer and `ip_optional` of the edge key, if there is one.
    pub edge: Option<(&'k str, bool)>,
}

/// What became of one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Outcome {
    Accepted,
    Throttled,
    Refused(Refusal),
}

#[derive(Serialize)]
struct Answer<'a> {
    accepted: usize,
    throttled: usize,
    refused: usize,
    results: &'a [Outcome],
}

impl Tracker {
    /// The answer to `POST /v1/clicks`.
    pub(super) async fn batch<B>(
        &self,
        headers: &HeaderMap,
        body: B,
        peer: IpAddr,
    ) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let keys = self.keys();
        let (format, caller) = match self.admit(headers, &keys, peer) {
            Ok(admitted) => admitted,
            Err(refusal) => return self.refuse_batch(&refusal, peer),
        };
        let body = match collect(body, MAX_BATCH_BODY).await {
            Ok(body) => body,
            Err(refusal) => return self.refuse_batch(&refusal, peer),
        };
        let arrived = Instant::now();
        let (outcomes, queued) = match self.take(format, &body, &caller) {
            Ok(taken) => taken,
            Err(refusal) => return self.refuse_batch(&refusal, peer),
        };
        match self.settle_batch(queued, arrived).await {
            Logged::No(reason) => {
                self.metrics().unavailable.add(reason, 1);
                respond::unavailable()
            }
            Logged::Yes | Logged::Throttled => self.answer(&outcomes, &body, peer),
        }
    }

    fn refuse_batch(&self, refusal: &Refusal, peer: IpAddr) -> Response<Body> {
        self.note_refusal(refusal, peer, b"POST /v1/clicks");
        respond::refused(refusal)
    }

    /// Format and caller, from the headers alone.
    fn admit<'k>(
        &self,
        headers: &HeaderMap,
        keys: &'k KeyRing,
        peer: IpAddr,
    ) -> Result<(Format, Caller<'k>), Refusal> {
        let edge = authorize(headers, keys)?;
        let identity = |value: &hyper::header::HeaderValue| value.as_bytes() == b"identity";
        if !headers.get(CONTENT_ENCODING).is_none_or(identity) {
            let message = "send the body without content-encoding";
            return Err(Refusal::new(415, "content_encoding", message));
        }
        let format = format(headers)?;
        let spool_limit_ms = self.config.spool_limit_ms;
        let caller = Caller { peer: peer.to_canonical(), now_ms: now_ms(), spool_limit_ms, edge };
        Ok((format, caller))
    }

    fn take(
        &self,
        format: Format,
        body: &[u8],
        caller: &Caller<'_>,
    ) -> Result<(Vec<Outcome>, Queue), Refusal> {
        match format {
            Format::Json => Ok(self.take_items(&json_items(body)?, caller)),
            Format::Lines => Ok(self.take_items(&line_items(body)?, caller)),
            Format::Protobuf => {
                let clicks = batch_proto::clicks(body, caller)?;
                let (outcomes, ready) = self.sort_out(clicks.iter(), |click| (*click, None));
                Ok((outcomes, self.queue_all(&ready)))
            }
        }
    }

    fn take_items(
        &self,
        items: &[Result<Item<'_>, Refusal>],
        caller: &Caller<'_>,
    ) -> (Vec<Outcome>, Queue) {
        let keys = self.keys();
        let drafts: Vec<Result<Drafted<'_>, Refusal>> =
            items.iter().map(|item| draft_of(item.as_ref(), &keys, caller)).collect();
        let (outcomes, ready) =
            self.sort_out(drafts.iter(), |(draft, signature)| (draft.click(), *signature));
        (outcomes, self.queue_all(&ready))
    }

    /// Gives every item its outcome and collects the clicks to append.
    fn sort_out<'d, T: 'd>(
        &self,
        items: impl Iterator<Item = &'d Result<T, Refusal>>,
        click: impl Fn(&'d T) -> (Click<'d>, Option<&'d str>),
    ) -> (Vec<Outcome>, Vec<Click<'d>>) {
        let now_ms = now_ms();
        let mut ready = Vec::new();
        let mut outcomes = Vec::new();
        for item in items {
            outcomes.push(match item.as_ref().map(&click) {
                Err(refusal) => Outcome::Refused(refusal.clone()),
                Ok((click, Some(signature)))
                    if !self.throttle.allow(self.throttle.link(signature), now_ms) =>
                {
                    self.throttle.count(click.ad_id);
                    Outcome::Throttled
                }
                Ok((mut click, _)) => {
                    click.ad_active = self.ad_active(click.ad_id).or(click.ad_active);
                    ready.push(click);
                    Outcome::Accepted
                }
            });
        }
        (outcomes, ready)
    }

    fn queue_all(&self, clicks: &[Click<'_>]) -> Queue {
        self.sender.append_all(clicks).map_err(|error| reason(&error))
    }

    async fn settle_batch(&self, queued: Queue, arrived: Instant) -> Logged {
        let pending = match queued {
            Ok(pending) => pending,
            Err(reason) => return Logged::No(reason),
        };
        let all = async {
            for one in pending {
                one.durable(&self.sender).await?;
            }
            Ok(())
        };
        match within(self.config.batch_deadline, all).await {
            Some(Ok(())) => {
                self.metrics().durable.record(arrived.elapsed());
                Logged::Yes
            }
            Some(Err(error)) => Logged::No(reason(&error)),
            None => Logged::No("deadline"),
        }
    }

    fn answer(&self, outcomes: &[Outcome], body: &[u8], peer: IpAddr) -> Response<Body> {
        let mut answer = Answer { accepted: 0, throttled: 0, refused: 0, results: outcomes };
        for outcome in outcomes {
            match outcome {
                Outcome::Accepted => answer.accepted += 1,
                Outcome::Throttled => answer.throttled += 1,
                Outcome::Refused(refusal) => {
                    answer.refused += 1;
                    self.note_refusal(refusal, peer, body);
                }
            }
        }
        let metrics = self.metrics();
        Metrics::add(&metrics.batches, 1);
        Metrics::add(&metrics.batch_clicks, answer.accepted as u64);
        Metrics::add(&metrics.throttled, answer.throttled as u64);
        match serde_json::to_vec(&answer) {
            Ok(body) => respond::json(StatusCode::OK, body),
            Err(_) => respond::empty(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// A click and the signature of its link, if it has one.
type Drafted<'a> = (Draft<'a>, Option<&'a str>);

fn draft_of<'a>(
    item: Result<&'a Item<'_>, &Refusal>,
    keys: &'a KeyRing,
    caller: &Caller<'a>,
) -> Result<Drafted<'a>, Refusal> {
    let item = item.map_err(Clone::clone)?;
    Ok((batch_item::draft(item, keys, caller)?, item.signature()))
}

/// The edge key of `Authorization: Bearer`; no header is no key, a wrong one is an error.
fn authorize<'k>(
    headers: &HeaderMap,
    keys: &'k KeyRing,
) -> Result<Option<(&'k str, bool)>, Refusal> {
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let words = value.to_str().ok().and_then(|value| value.split_once(' '));
    let token = words.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let bearer = token.and_then(|(_, token)| keys.authenticate(token.trim()));
    let Some(bearer) = bearer else {
        let message = "the key is unknown or revoked: send Authorization: Bearer with an edge key";
        return Err(Refusal::new(401, "bad_key", message));
    };
    match bearer.right {
        BearerRight::Edge { ip_optional } => Ok(Some((&bearer.issuer, ip_optional))),
        BearerRight::Admin => Err(Refusal::new(
            403,
            "not_an_edge_key",
            "an admin key sends no clicks: use an edge key",
        )),
    }
}

fn format(headers: &HeaderMap) -> Result<Format, Refusal> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let name = value.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match name.as_str() {
        "application/json" => Ok(Format::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Format::Lines),
        "application/x-protobuf" | "application/protobuf" => Ok(Format::Protobuf),
        _ => {
            let message = "set content-type to application/json, application/x-ndjson or \
                           application/x-protobuf";
            Err(Refusal::new(415, "content_type", message))
        }
    }
}

/// The whole body, within size and time.
pub(super) async fn collect<B>(body: B, limit: usize) -> Result<Bytes, Refusal>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large =
        || Refusal::new(413, "body_too_large", format!("the body has more than {limit} bytes"));
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    match within(BODY_TIMEOUT, Limited::new(body, limit).collect()).await {
        Some(Ok(collected)) => Ok(collected.to_bytes()),
        Some(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Some(Err(_)) => Err(Refusal::new(400, "body_broken", "the body ended early")),
        None => Err(Refusal::new(408, "body_too_slow", "the body took too long")),
    }
}

pub(super) fn too_many() -> Refusal {
    let message = format!("more than {MAX_BATCH_ITEMS} clicks in one batch");
    Refusal::new(413, "too_many_items", message)
}

fn json_items(body: &[u8]) -> Result<Vec<Result<Item<'_>, Refusal>>, Refusal> {
    let raw: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| {
        Refusal::new(400, "bad_json", format!("the body is not a JSON array: {error}"))
    })?;
    if raw.len() > MAX_BATCH_ITEMS {
        return Err(too_many());
    }
    Ok(raw.into_iter().map(|item| batch_item::parse(item.get().as_bytes())).collect())
}

fn line_items(body: &[u8]) -> Result<Vec<Result<Item<'_>, Refusal>>, Refusal> {
    let filled = |line: &&[u8]| !line.trim_ascii().is_empty();
    let lines: Vec<&[u8]> = body.split(|&b| b == b'\n').filter(filled).collect();
    if lines.len() > MAX_BATCH_ITEMS {
        return Err(too_many());
    }
    Ok(lines.into_iter().map(batch_item::parse).collect())
}
