//! `clickledger load`: an open-loop load generator. Requests leave at intended instants whatever
//! the answers do, and latency counts from the intended instant, so that a stall is seen in full
//! (no coordinated omission). Every acknowledged click id goes to a journal at once.
//!
//! Must never journal a click that was not acknowledged, nor send one again by itself.

pub mod client;
mod journal;
mod links;
mod report;
mod worker;

use std::cell::RefCell;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use tokio::sync::{Mutex, mpsc};

use crate::out;
use journal::Journal;
use links::Link;
use report::Report;
use worker::Worker;

/// Time that open requests have at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Send clicks at a given rate and measure.
#[derive(Args, Debug)]
pub struct LoadArgs {
    /// Links to click, a line each, as `clickledger link --count N` prints them; each is sent once.
    #[arg(long, value_name = "FILE")]
    links: PathBuf,
    /// Clicks a second.
    #[arg(long, value_name = "R")]
    rate: f64,
    /// How long.
    #[arg(long, value_name = "S")]
    seconds: f64,
    /// File that gets the id of every acknowledged click, a line each.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Keep-alive connections.
    #[arg(long, value_name = "N", default_value_t = 64)]
    connections: usize,
    /// Begin again with the first link when all are used; such clicks are duplicates.
    #[arg(long)]
    repeat: bool,
    /// Send each visitor's synthetic address in X-Forwarded-For; needs trusted_proxies there.
    #[arg(long)]
    forwarded: bool,
    /// Send batches of N to POST /v1/clicks instead of a request a click.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    batch: usize,
    /// How batches are written; Protocol Buffers need an edge key.
    #[arg(long, value_enum, default_value_t = BatchFormat::Json)]
    format: BatchFormat,
    /// Edge key for batches; better in the environment.
    #[arg(long, value_name = "TOKEN", env = "CLICKLEDGER_EDGE_KEY", hide_env_values = true)]
    key: Option<String>,
    /// The tracker, such as http://127.0.0.1:8080.
    url: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BatchFormat {
    Json,
    Protobuf,
}

/// Clicks of one request.
#[derive(Clone, Copy, Debug)]
struct Due {
    first: usize,
    count: usize,
    at: Instant,
}

/// What all connections share; they live on one thread.
struct Shared {
    links: Vec<Link>,
    host: String,
    forwarded: bool,
    format: Option<BatchFormat>,
    key: Option<String>,
    journal: RefCell<Journal>,
    report: RefCell<Report>,
}

/// Runs the command.
pub fn run(args: &LoadArgs) -> Result<()> {
    check(args)?;
    let (address, host) = target(&args.url)?;
    let shared = Rc::new(Shared {
        links: links::read(&args.links)?,
        host,
        forwarded: args.forwarded,
        format: (args.batch > 0).then_some(args.format),
        key: args.key.clone(),
        journal: RefCell::new(Journal::open(args.journal.as_deref())?),
        report: RefCell::new(Report::new()?),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let begun = Instant::now();
    local.block_on(&runtime, drive(args, address, &shared))?;
    shared.journal.borrow_mut().finish()?;
    let report = shared.report.borrow();
    report.print(begun.elapsed());
    if report.acknowledged() == 0 {
        bail!("nothing was acknowledged");
    }
    Ok(())
}

fn check(args: &LoadArgs) -> Result<()> {
    if !(args.rate > 0.0 && args.rate <= 1e7 && args.seconds > 0.0 && args.seconds <= 1e6) {
        bail!("--rate and --seconds must be above 0");
    }
    if !(1..=10_000).contains(&args.connections) || args.batch > 20_000 {
        bail!("--connections must be 1 to 10000 and --batch at most 20000");
    }
    if args.batch > 0 && args.format == BatchFormat::Protobuf && args.key.is_none() {
        bail!(
            "Protocol Buffers batches need --key; make one with: clickledger key add --right edge"
        );
    }
    Ok(())
}

fn target(url: &str) -> Result<(SocketAddr, String)> {
    let rest = url.strip_prefix("http://");
    let rest = rest.with_context(|| format!("'{url}' must begin with http://"))?;
    let host = rest.split('/').next().unwrap_or(rest);
    let with_port = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let mut found = with_port.to_socket_addrs().with_context(|| format!("cannot find {host}"))?;
    let address = found.next().with_context(|| format!("{host} has no address"))?;
    Ok((address, host.to_owned()))
}

async fn drive(args: &LoadArgs, address: SocketAddr, shared: &Rc<Shared>) -> Result<()> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let receiver = Rc::new(Mutex::new(receiver));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..args.connections {
        let worker = Worker::new(address, Rc::clone(shared));
        workers.spawn_local(worker.run(Rc::clone(&receiver)));
    }
    let plan = plan(args, shared.links.len());
    let pacer = std::thread::Builder::new().name("pacer".into());
    let pacing = pacer.spawn(move || pace(&plan, &sender))?;
    let all = async {
        while let Some(ended) = workers.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    };
    let limit = Duration::from_secs_f64(args.seconds) + LAST_ANSWERS;
    match tokio::time::timeout(limit, all).await {
        Ok(result) => result?,
        Err(_) => out::note("some requests were not answered in time"),
    }
    if pacing.is_finished() && pacing.join().is_err() {
        bail!("the pacer panicked");
    }
    Ok(())
}

/// When requests leave.
struct Plan {
    requests: usize,
    clicks: usize,
    per_request: usize,
    interval: Duration,
    links: usize,
}

fn plan(args: &LoadArgs, links: usize) -> Plan {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "both are bounded and positive"
    )]
    let wanted = (args.rate * args.seconds).ceil() as usize;
    let clicks = if args.repeat { wanted } else { wanted.min(links) };
    if clicks < wanted {
        out::note(format_args!("{links} links are enough for {clicks} of {wanted} clicks"));
    }
    let per_request = args.batch.max(1);
    #[expect(clippy::cast_precision_loss, reason = "batches are small")]
    let interval = Duration::from_secs_f64(per_request as f64 / args.rate);
    Plan { requests: clicks.div_ceil(per_request), clicks, per_request, interval, links }
}

/// Hands out requests at their instants; a thread of its own, because timers of the runtime are
/// no finer than a millisecond.
fn pace(plan: &Plan, sender: &mpsc::UnboundedSender<Due>) {
    let begun = Instant::now();
    for number in 0..plan.requests {
        let after = plan.interval.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 requests")]
        let at = begun + Duration::from_secs_f64(after * number as f64);
        if let Some(early) = at.checked_duration_since(Instant::now()) {
            std::thread::sleep(early);
        }
        let first = number * plan.per_request;
        let count = plan.per_request.min(plan.clicks - first);
        if sender.send(Due { first: first % plan.links, count, at }).is_err() {
            return;
        }
    }
}
