//! Sockets: one single-threaded runtime per core, each with its own listener on the same port.
//!
//! Owns connections, limits and shutdown. Must never look into a click.

use super::batch::collect;
use super::click::Visit;
use super::limits::{
    DRAIN_TIMEOUT, HANDSHAKE_TIMEOUT, HEAD_TIMEOUT, MAX_BEACON_BODY, MAX_HEAD, READ_BUFFER,
};
use super::metrics::Metrics;
use super::quick;
use super::refusal::Refusal;
use super::respond::{self, Body, method_not_allowed};
use super::tls::TlsFiles;
use super::tracker::Tracker;
use super::waiting;
use crate::keys::now_ms;
use axum::extract::ConnectInfo;
use click_core::record::Capture;
use http_body_util::Either;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// Answers every request that is not the tracker's. The peer's address is in the request's
/// extensions as `axum::extract::ConnectInfo<SocketAddr>`.
pub type Fallback = Arc<dyn Fn(Request<Incoming>) -> Answer + Send + Sync>;

/// A fallback that has nothing: 404.
pub fn no_fallback() -> Fallback {
    Arc::new(|_| Box::pin(std::future::ready(respond::empty(StatusCode::NOT_FOUND))))
}

/// An axum router as fallback.
pub fn router_fallback(router: axum::Router) -> Fallback {
    let service = TowerToHyperService::new(router);
    Arc::new(move |request| {
        let answer = service.call(request);
        Box::pin(async move {
            match answer.await {
                Ok(response) => response.map(Either::Right),
                Err(never) => match never {},
            }
        })
    })
}

/// Where and how to listen.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// Port 0 takes a free one, see [`Server::address`].
    pub listen: SocketAddr,
    /// Runtimes; at least 1.
    pub threads: usize,
    pub tls: Option<TlsFiles>,
    /// More connections than this are closed at once.
    pub max_connections: u64,
}

impl ServeConfig {
    /// Plain HTTP on `listen`, one thread per core, 20,000 connections.
    pub fn new(listen: SocketAddr) -> ServeConfig {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        ServeConfig { listen, threads, tls: None, max_connections: 20_000 }
    }
}

/// A running server. Dropping it leaves the threads running; call [`Server::shutdown`].
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    stop_chores: Sender<()>,
    threads: Vec<JoinHandle<()>>,
    chores: Option<JoinHandle<()>>,
    tracker: Option<Arc<Tracker>>,
}

impl Server {
    /// The address that is listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connections, finishes open requests (for some seconds), and leaves the
    /// tracker's last heartbeat and state. Nothing that was acknowledged is lost.
    pub fn shutdown(self) {
        if let Some(tracker) = &self.tracker {
            tracker.begin_drain();
        }
        // A receiver that is gone has stopped already.
        let _ = self.stop.send(true);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a server thread had panicked");
            }
        }
        let _ = self.stop_chores.send(());
        if self.chores.is_some_and(|chores| chores.join().is_err()) {
            tracing::error!("the housekeeping thread had panicked");
        }
        if let Some(tracker) = &self.tracker {
            tracker.finish();
        }
    }
}

/// What every connection shares.
struct Shared {
    tracker: Option<Arc<Tracker>>,
    metrics: Arc<Metrics>,
    fallback: Fallback,
    tls: Option<TlsAcceptor>,
    max_connections: u64,
    stop: watch::Receiver<bool>,
}

/// Listens and answers until [`Server::shutdown`]; without a tracker there is the fallback alone.
///
/// # Errors
/// If the address cannot be listened on, or a certificate file is bad.
pub fn serve(
    config: &ServeConfig,
    tracker: impl Into<Option<Arc<Tracker>>>,
    fallback: Fallback,
) -> io::Result<Server> {
    let tracker = tracker.into();
    let tls = config.tls.as_ref().map(TlsFiles::acceptor).transpose()?;
    let (stop, stopped) = watch::channel(false);
    let shared = Arc::new(Shared {
        metrics: tracker.as_ref().map(|tracker| tracker.shared_metrics()).unwrap_or_default(),
        tracker: tracker.clone(),
        fallback,
        tls,
        max_connections: config.max_connections,
        stop: stopped,
    });
    let mut address = config.listen;
    let mut threads = Vec::new();
    for number in 0..config.threads.max(1) {
        let (listener, bound) = listen(address)?;
        address = bound;
        let shared = Arc::clone(&shared);
        let name = format!("http-{number}");
        let run = move || run(listener, &shared);
        threads.push(std::thread::Builder::new().name(name).spawn(run)?);
    }
    let (stop_chores, end) = channel();
    let chores = tracker.clone().map(|tracker| {
        let chores = move || keep_house(&tracker, &end);
        std::thread::Builder::new().name("tracker-chores".into()).spawn(chores)
    });
    let chores = chores.transpose()?;
    Ok(Server { address, stop, stop_chores, threads, chores, tracker })
}

fn keep_house(tracker: &Tracker, end: &Receiver<()>) {
    while end.recv_timeout(Duration::from_millis(500)) == Err(RecvTimeoutError::Timeout) {
        tracker.tick();
    }
}

/// A socket that shares its port with the other threads' ones.
fn listen(address: SocketAddr) -> io::Result<(std::net::TcpListener, SocketAddr)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    let listener = socket.listen(4096)?.into_std()?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// A runtime that says when it rests: a flush of the log need not wait for its clicks then.
fn runtime(shared: &Arc<Shared>) -> io::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    if let Some(tracker) = shared.tracker.clone() {
        let rest = Arc::new(Mutex::new(None));
        let rests = Arc::clone(&rest);
        builder.on_thread_park(move || *lock(&rest) = tracker.rest());
        builder.on_thread_unpark(move || *lock(&rests) = None);
    }
    builder.enable_all().build()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(listener: std::net::TcpListener, shared: &Arc<Shared>) {
    let runtime = runtime(shared);
    let outcome = runtime.and_then(|runtime| {
        let accepting = async {
            waiting::start_here();
            accept(TcpListener::from_std(listener)?, shared).await
        };
        runtime.block_on(accepting)
    });
    if let Err(error) = outcome {
        tracing::error!("listener: {error}");
    }
}

/// Accepts until told to stop, then waits for this thread's connections.
async fn accept(listener: TcpListener, shared: &Arc<Shared>) -> io::Result<()> {
    let mut stop = shared.stop.clone();
    let mut open = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.changed() => break,
            Some(_) = open.join_next(), if !open.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                open.spawn(connection(stream, peer, Arc::clone(shared)));
            }
            Err(error) => {
                // Out of file descriptors, mostly: give open connections time to end.
                tracing::warn!("accept: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    let drained = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
        tracing::warn!("connections were still open at shutdown and are cut");
    }
    Ok(())
}

async fn connection(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    let metrics = &shared.metrics;
    if metrics.connections.fetch_add(1, Ordering::Relaxed) >= shared.max_connections {
        metrics.connections_refused.fetch_add(1, Ordering::Relaxed);
    } else if stream.set_nodelay(true).is_ok() {
        match &shared.tls {
            None => converse(stream, peer, &shared).await,
            Some(acceptor) => {
                let shaken = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await;
                if let Ok(Ok(stream)) = shaken {
                    converse(stream, peer, &shared).await;
                }
            }
        }
    }
    metrics.connections.fetch_sub(1, Ordering::Relaxed);
}

async fn converse<S>(stream: S, peer: SocketAddr, shared: &Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let Some(tracker) = &shared.tracker else {
        return serve_any(stream, peer, shared).await;
    };
    if let Some(rest) = quick::clicks(stream, peer.ip(), tracker, shared.stop.clone()).await {
        serve_any(rest, peer, shared).await;
    }
}

async fn serve_any<S>(stream: S, peer: SocketAddr, shared: &Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let service =
        service_fn(
            |request| async move { Ok::<_, Infallible>(answer(request, peer, shared).await) },
        );
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(READ_BUFFER)
        .max_header_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    let mut stop = shared.stop.clone();
    tokio::select! {
        biased;
        // A broken connection is the peer's business; nothing is owed to it.
        _ = serving.as_mut() => return,
        _ = stop.wait_for(|stopped| *stopped) => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
}

async fn answer(
    mut request: Request<Incoming>,
    peer: SocketAddr,
    shared: &Shared,
) -> Response<Body> {
    let arrived = Instant::now();
    let Some(tracker) = &shared.tracker else {
        return (shared.fallback)(with_peer(request, peer)).await;
    };
    match request.uri().path() {
        "/c" => {
            let body = drain(&mut request).await;
            tracker.single(&request, Capture::Redirect, peer.ip(), arrived, body).await
        }
        "/b" => respond::any_origin(match *request.method() {
            Method::POST => {
                let body = drain(&mut request).await;
                let capture = beacon_kind(request.headers());
                tracker.single(&request, capture, peer.ip(), arrived, body).await
            }
            Method::OPTIONS => respond::empty(StatusCode::NO_CONTENT),
            _ => method_not_allowed("POST"),
        }),
        "/v1/clicks" if request.method() == Method::POST => {
            let (head, body) = request.into_parts();
            tracker.batch(&head.headers, body, peer.ip()).await
        }
        "/v1/clicks" => method_not_allowed("POST"),
        _ => (shared.fallback)(with_peer(request, peer)).await,
    }
}

fn with_peer(mut request: Request<Incoming>, peer: SocketAddr) -> Request<Incoming> {
    request.extensions_mut().insert(ConnectInfo(peer));
    request
}

impl Tracker {
    async fn single(
        &self,
        request: &Request<Incoming>,
        capture: Capture,
        peer: IpAddr,
        arrived: Instant,
        body: Result<(), Refusal>,
    ) -> Response<Body> {
        let query = request.uri().query().unwrap_or("").as_bytes();
        if let Err(refusal) = body {
            self.note_refusal(&refusal, peer, query);
            return respond::refused(&refusal);
        }
        let (method, headers) = (request.method(), request.headers());
        let visit = Visit { method, query, headers, peer, now_ms: now_ms(), capture };
        if capture == Capture::Redirect {
            self.redirect(&visit, arrived).await
        } else {
            self.beacon(&visit, arrived).await
        }
    }
}

/// Reads a body that nobody needs, so that the connection can go on.
async fn drain(request: &mut Request<Incoming>) -> Result<(), Refusal> {
    if request.body().is_end_stream() {
        return Ok(());
    }
    collect(request.body_mut(), MAX_BEACON_BODY).await.map(|_| ())
}

/// `<a ping>` says so by its content type.
fn beacon_kind(headers: &HeaderMap) -> Capture {
    let ping = |value: &HeaderValue| value.as_bytes().starts_with(b"text/ping");
    if headers.get(CONTENT_TYPE).is_some_and(ping) { Capture::Ping } else { Capture::Beacon }
}
