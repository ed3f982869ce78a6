//! The visitors of the plain demo: a thread that sends what the crowd does, over keep-alive
//! connections, at a rate that follows the hours of a quick day.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use click_core::link::SigningKey;
use tokio::sync::{Mutex, mpsc};

use super::people::{People, Visit};
use crate::cli::link::now_s;
use crate::load::client::Client;

const CONNECTIONS: usize = 16;
/// Visits that may wait; beyond that the server is slower than the crowd, which then waits.
const WAITING: usize = 4096;
const BEAT: Duration = Duration::from_millis(20);
const DAY: Duration = Duration::from_secs(240);
const BURST_EVERY: Duration = Duration::from_secs(60);
/// First burst, so that nobody waits a minute to see one.
const FIRST_BURST: Duration = Duration::from_secs(8);

/// Starts the visitors; the thread ends with how many requests were answered.
pub fn spawn(
    address: SocketAddr,
    key: SigningKey,
    rate: f64,
    stop: Arc<AtomicBool>,
) -> Result<JoinHandle<Result<u64>>> {
    let mut people = People::new(key, now_s()?)?;
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, visit_all(address, &mut people, rate, &stop))
    };
    Ok(std::thread::Builder::new().name("visitors".into()).spawn(work)?)
}

async fn visit_all(
    address: SocketAddr,
    people: &mut People,
    rate: f64,
    stop: &AtomicBool,
) -> Result<u64> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let receiver = Rc::new(Mutex::new(receiver));
    let mut browsers = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        browsers.spawn_local(browse(address, Rc::clone(&receiver)));
    }
    let begun = Instant::now();
    let (mut next_burst, mut owed) = (FIRST_BURST, 0.0);
    let mut before = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(BEAT).await;
        let now = begun.elapsed();
        owed += rate * crowd(now) * (now - before).as_secs_f64();
        before = now;
        while owed >= 1.0 {
            owed -= 1.0;
            sender.send(people.visit(now_s()?)?).await?;
        }
        if now >= next_burst {
            next_burst = now + BURST_EVERY;
            for visit in people.burst(now_s()?)? {
                sender.send(visit).await?;
            }
        }
    }
    drop(sender);
    let mut answered = 0;
    while let Some(count) = browsers.join_next().await {
        answered += count?;
    }
    Ok(answered)
}

/// How many are about at this time of day, 1 in the mean.
fn crowd(at: Duration) -> f64 {
    let turn = at.as_secs_f64() / DAY.as_secs_f64() * std::f64::consts::TAU;
    1.0 + 0.6 * turn.sin()
}

async fn browse(address: SocketAddr, visits: Rc<Mutex<mpsc::Receiver<Visit>>>) -> u64 {
    let mut client = Client::new(address);
    let mut answered = 0;
    loop {
        let next = visits.lock().await.recv().await;
        let Some(visit) = next else { return answered };
        match client.ask(&[request(&visit, address).as_bytes()]).await {
            Ok(_) => answered += 1,
            Err(error) => tracing::debug!("a visit failed: {error}"),
        }
    }
}

fn request(visit: &Visit, address: SocketAddr) -> String {
    let Visit { method, target, address: [a, b, c, d], agent, prefetch } = visit;
    let purpose = if *prefetch { "Sec-Purpose: prefetch\r\n" } else { "" };
    format!(
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: {agent}\r\n\
         X-Forwarded-For: {a}.{b}.{c}.{d}\r\n{purpose}\r\n"
    )
}
