//! `GET /v1/stream`: server-sent events, changed rows as they change.
//!
//! Events: `rows` (changed rows as of W), `time` (W as it moves, once a second, with a heartbeat
//! comment), `reset` (the client was too slow, rows were skipped: read the state anew and go on).
//! Each client has a bounded place in the shared queue and no buffer of its own.

use super::error::ApiError;
use super::params::Params;
use super::render::rfc3339;
use super::{ApiState, now};
use crate::http::live::{Client, Event, LiveJson};
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use click_core::types::Millis;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Most stream connections at once.
const MAX_CLIENTS: u64 = 1_000;
const BEAT: Duration = Duration::from_secs(1);

/// Which rows a client wants.
struct Filter {
    ad_view: Option<bool>,
    id: Option<String>,
    advertiser: Option<String>,
}

struct Session {
    api: ApiState,
    events: Receiver<Arc<Event>>,
    beat: Interval,
    filter: Filter,
    _client: Client,
}

/// `GET /v1/stream`
pub async fn stream(
    State(api): State<ApiState>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let filter = Filter::new(&Params::new(pairs, &["view", "ad", "advertiser"])?)?;
    if api.live.clients().load(Ordering::Relaxed) >= MAX_CLIENTS {
        return Err(ApiError::unavailable("too many stream connections: try again later"));
    }
    let events = api.live.subscribe();
    let events = events.ok_or_else(|| ApiError::unavailable("shutting down"))?;
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let client = Client::new(&api.live);
    let session = Session { api, events, beat, filter, _client: client };
    let frames = futures_util::stream::unfold(session, |mut session| async {
        let text = session.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), session))
    });
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(frames)).into_response())
}

impl Filter {
    fn new(params: &Params) -> Result<Filter, ApiError> {
        let views = [("all", None), ("ad", Some(true)), ("publisher", Some(false))];
        let owned = |name| params.text(name).map(String::from);
        let (id, advertiser) = (owned("ad"), owned("advertiser"));
        let mut ad_view = params.choice("view", &views)?;
        if id.is_some() || advertiser.is_some() {
            if ad_view == Some(false) {
                let message = "the publisher view has no ads or advertisers: leave view out";
                return Err(ApiError::parameter("view", message.into()));
            }
            ad_view = Some(true);
        }
        Ok(Filter { ad_view, id, advertiser })
    }

    fn wants(&self, row: &LiveJson) -> bool {
        self.ad_view.is_none_or(|wanted| wanted == row.of_ad_view)
            && self.id.as_ref().is_none_or(|id| *id == row.id)
            && self.advertiser.as_ref().is_none_or(|one| *one == row.advertiser_id)
    }
}

impl Session {
    /// The next piece of the stream; `None` once the hub is closed.
    async fn next(&mut self) -> Option<String> {
        loop {
            tokio::select! {
                biased;
                event = self.events.recv() => match event {
                    Ok(event) => if let Some(text) = rows_event(&event, &self.filter) {
                        return Some(text);
                    },
                    Err(RecvError::Lagged(skipped)) => return Some(self.reset(skipped)),
                    Err(RecvError::Closed) => return None,
                },
                _ = self.beat.tick() => return Some(self.time()),
            }
        }
    }

    fn reset(&self, skipped: u64) -> String {
        self.api.live.resets().fetch_add(1, Ordering::Relaxed);
        let times = times((self.api.status)().watermark);
        format!("event: reset\ndata: {{{times},\"skipped_events\":{skipped}}}\n\n")
    }

    fn time(&self) -> String {
        let status = (self.api.status)();
        let times = times(status.watermark);
        let (now, arriving) = (now(), status.arriving);
        format!(
            ": heartbeat\nevent: time\ndata: {{{times},\"now_ms\":{},\"arriving\":{arriving}}}\n\n",
            now.0
        )
    }
}

fn times(as_of: Millis) -> String {
    format!("\"as_of\":\"{}\",\"as_of_ms\":{}", rfc3339(as_of), as_of.0)
}

fn rows_event(event: &Event, filter: &Filter) -> Option<String> {
    let mut rows = event.rows.iter().filter(|row| filter.wants(row)).peekable();
    rows.peek()?;
    let mut text = format!(
        "event: rows\ndata: {{{},\"now_ms\":{},\"arriving\":{},\"rows\":[",
        times(event.as_of),
        now().0,
        event.arriving
    );
    for (index, row) in rows.enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}{}", if index == 0 { "" } else { "," }, row.json);
    }
    text.push_str("]}\n\n");
    Some(text)
}
