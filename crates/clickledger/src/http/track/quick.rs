//! The way of nearly all clicks: `GET /c?...` without a body on a connection that stays open. Its
//! head is read where it lies, and its answer is one piece of bytes; hyper does several times the
//! work for it ([ADR 22](../../../../../docs/adr/0022-most-clicks-take-a-short-way.md)).
//!
//! Whatever is not exactly that goes to hyper with every byte that has come, for the rest of the
//! connection. Must never answer anything but a click's redirect.

use super::click::{Logged, PURPOSE, Visit};
use super::limits::{HEAD_TIMEOUT, MAX_HEAD};
use super::respond::write_found;
use super::tracker::Tracker;
use crate::keys::now_ms;
use click_core::link::every_byte;
use click_core::record::Capture;
use httparse::Status;
use hyper::Method;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HeaderMap, HeaderName, HeaderValue, REFERER,
    TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use std::io::Cursor;
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, join, split};
use tokio::sync::watch;
use tokio::time::sleep_until;

/// Bytes of a connection's buffer at first; most heads are shorter.
const READ: usize = 2048;
/// Headers of a head; a browser sends about twenty.
const MAX_HEADERS: usize = 40;
/// What tells a click's circumstances.
const TOLD: [HeaderName; 4] =
    [USER_AGENT, REFERER, FORWARDED, HeaderName::from_static("x-forwarded-for")];
/// What makes a request another one than the usual, but for [`PURPOSE`].
const UNUSUAL: [HeaderName; 4] = [CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT, UPGRADE];

/// What the bytes of a connection begin with.
enum Asked<'a> {
    /// Not the whole of a head yet.
    Part,
    /// A click, with the link's query; its head has `length` bytes.
    Click { query: &'a [u8], length: usize },
    /// Something for hyper.
    Other,
}

/// Answers clicks until something else comes, and gives the connection back then, as if nothing of
/// that had been read. `None`: the connection is done.
pub(super) async fn clicks<S>(
    mut stream: S,
    peer: IpAddr,
    tracker: &Tracker,
    mut stop: watch::Receiver<bool>,
) -> Option<impl AsyncRead + AsyncWrite + Unpin + Send>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut read = Vec::with_capacity(READ);
    let mut answer = Vec::new();
    let mut headers = HeaderMap::with_capacity(TOLD.len());
    let mut since = Instant::now();
    let mut patience = pin!(sleep_until((since + HEAD_TIMEOUT).into()));
    let mut stopped = pin!(stop.wait_for(|stopped| *stopped));
    loop {
        match asked(&read, &mut headers) {
            Asked::Click { query, length } => {
                let arrived = Instant::now();
                let visit = Visit {
                    method: &Method::GET,
                    query,
                    headers: &headers,
                    peer,
                    now_ms: now_ms(),
                    capture: Capture::Redirect,
                };
                // A refusal has left no trace: hyper's answer is made from the start.
                let Ok(accepted) = tracker.accept(&visit) else { break };
                read.drain(..length);
                let logged = tracker.settle(accepted.queued, arrived).await;
                tracker.count_redirect(logged);
                write_found(&mut answer, accepted.location.as_ref(), logged == Logged::Yes);
                stream.write_all(&answer).await.ok()?;
                since = arrived;
                continue;
            }
            Asked::Other => break,
            Asked::Part if read.len() >= MAX_HEAD => break,
            Asked::Part => {}
        }
        tokio::select! {
            biased;
            got = stream.read_buf(&mut read) => if got.ok()? == 0 { return None },
            () = patience.as_mut() => {
                if since.elapsed() >= HEAD_TIMEOUT {
                    return None;
                }
                patience.as_mut().reset((since + HEAD_TIMEOUT).into());
            }
            _ = stopped.as_mut() => break,
        }
    }
    let (reader, writer) = split(stream);
    Some(join(Cursor::new(read).chain(reader), writer))
}

/// What is asked first; the headers of a click that tell something of it are in `told` then.
fn asked<'a>(read: &'a [u8], told: &mut HeaderMap) -> Asked<'a> {
    if read.is_empty() {
        return Asked::Part;
    }
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(read, &mut headers) {
        Ok(Status::Partial) => Asked::Part,
        Ok(Status::Complete(length)) => match query(&request, told) {
            Some(query) => Asked::Click { query, length },
            None => Asked::Other,
        },
        Err(_) => Asked::Other,
    }
}

/// The link's query, if this is a click as browsers make it.
fn query<'a>(request: &httparse::Request<'_, 'a>, told: &mut HeaderMap) -> Option<&'a [u8]> {
    told.clear();
    let query = request.path?.strip_prefix("/c?")?.as_bytes();
    let usual = request.method == Some("GET") && request.version == Some(1);
    if !usual || !every_byte(query, is_plain) {
        return None;
    }
    for header in request.headers.iter() {
        let is = |name: &HeaderName| header.name.eq_ignore_ascii_case(name.as_str());
        if let Some(name) = TOLD.iter().find(|name| is(name)) {
            told.append(name.clone(), HeaderValue::from_bytes(header.value).ok()?);
        } else if is(&CONNECTION) {
            header.value.eq_ignore_ascii_case(b"keep-alive").then_some(())?;
        } else if UNUSUAL.iter().chain(&PURPOSE).any(is) {
            return None;
        }
    }
    Some(query)
}

/// Bytes that no reader of a URL takes for anything but themselves.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'!' | b'$'..=b';' | b'=' | b'?'..=b'~')
}
