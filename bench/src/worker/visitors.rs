//! Visitors who click at a fixed rate, whatever the answers do, and an onlooker who follows the
//! stream: how long until a click is acknowledged, and until it is seen. All times count from the
//! instant at which the click was meant to be sent, so that a stall is seen in full.

use super::watch::Watcher;
use crate::stats::percentile;
use anyhow::{Result, ensure};
use clickledger::load::client::Client;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Connections over which the visitors come.
const CONNECTIONS: usize = 64;
/// Time between the first look at the stream and the first click.
const LEAD: Duration = Duration::from_millis(300);

#[derive(clap::Args)]
pub struct VisitorArgs {
    #[arg(long)]
    port: u16,
    /// Paths of signed links, a line each; line n leads to the ad of number n.
    #[arg(long)]
    links: PathBuf,
    /// Clicks a second.
    #[arg(long)]
    rate: u32,
}

/// What the connections share.
struct Plan {
    address: SocketAddr,
    links: Vec<String>,
    begin: Instant,
    rate: u32,
    next: Cell<usize>,
    acknowledged: RefCell<Vec<u64>>,
    late: RefCell<Vec<u64>>,
}

impl Plan {
    /// When click `number` is meant to be sent.
    fn intended(&self, number: usize) -> Instant {
        self.begin + Duration::from_secs(number as u64) / self.rate
    }
}

/// Sends every link once.
pub fn run(args: &VisitorArgs) -> Result<Value> {
    let text = std::fs::read_to_string(&args.links)?;
    let links: Vec<String> = text.lines().map(str::to_owned).collect();
    let clicks = links.len();
    let watcher = Watcher::start(args.port, clicks)?;
    let plan = Rc::new(Plan {
        address: SocketAddr::from(([127, 0, 0, 1], args.port)),
        links,
        begin: Instant::now() + LEAD,
        rate: args.rate,
        next: Cell::new(0),
        acknowledged: RefCell::default(),
        late: RefCell::default(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, send_all(&plan))?;
    let seen = watcher.seen()?;
    let missing = seen.iter().filter(|seen| seen.is_none()).count();
    ensure!(missing == 0, "{missing} of {clicks} acknowledged clicks were never on the stream");
    let visible = seen.iter().flatten().enumerate();
    let visible = visible.map(|(number, at)| micros(at.duration_since(plan.intended(number))));
    Ok(json!({
        "clicks": clicks,
        "visible": figures(visible.collect()),
        "acknowledged": figures(plan.acknowledged.take()),
        "late": figures(plan.late.take()),
    }))
}

async fn send_all(plan: &Rc<Plan>) -> Result<()> {
    let connect = |_| tokio::task::spawn_local(send(Rc::clone(plan)));
    let tasks: Vec<_> = (0..CONNECTIONS).map(connect).collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// One connection: takes the next click, waits for its instant, clicks.
async fn send(plan: Rc<Plan>) -> Result<()> {
    let mut client = Client::new(plan.address);
    loop {
        let number = plan.next.get();
        let Some(link) = plan.links.get(number) else { return Ok(()) };
        plan.next.set(number + 1);
        let intended = plan.intended(number);
        tokio::time::sleep_until(intended.into()).await;
        plan.late.borrow_mut().push(micros(intended.elapsed()));
        let from = Ipv4Addr::from(0x5000_0000 | u32::try_from(number)?);
        let request = format!(
            "GET {link} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: {}\r\n\
             X-Forwarded-For: {from}\r\n\r\n",
            crate::clicks::USER_AGENT
        );
        let answer = client.ask(&[request.as_bytes()]).await?;
        plan.acknowledged.borrow_mut().push(micros(intended.elapsed()));
        let kept = answer.status == 302 && !answer.unlogged;
        ensure!(kept, "click {number} was answered {} and not recorded", answer.status);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn figures(mut micros: Vec<u64>) -> Value {
    micros.sort_unstable();
    let at = |fraction| percentile(&micros, fraction);
    json!({ "p50": at(0.50), "p90": at(0.90), "p99": at(0.99), "max": micros.last() })
}
