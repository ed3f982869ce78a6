//! A connection's loop: take what is due, send it, note the answer.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde::Deserialize;
use tokio::sync::{Mutex, mpsc};

use super::client::Client;
use super::links::{self, Link};
use super::{BatchFormat, Due, Shared};

/// Wait after a connection failed, so that a server that restarts is not hammered.
const RETRY: Duration = Duration::from_millis(20);

pub struct Worker {
    client: Client,
    shared: Rc<Shared>,
}

/// Per-item results of a batch.
#[derive(Deserialize)]
struct BatchAnswer<'a> {
    #[serde(borrow)]
    results: Vec<ItemAnswer<'a>>,
}

#[derive(Deserialize)]
struct ItemAnswer<'a> {
    status: &'a str,
}

impl Worker {
    pub fn new(address: SocketAddr, shared: Rc<Shared>) -> Worker {
        Worker { client: Client::new(address), shared }
    }

    pub async fn run(mut self, due: Rc<Mutex<mpsc::UnboundedReceiver<Due>>>) -> Result<()> {
        loop {
            let next = due.lock().await.recv().await;
            let Some(next) = next else { return Ok(()) };
            let asked = match self.shared.format {
                None => self.single(next).await?,
                Some(format) => self.batch(next, format).await?,
            };
            if let Err(error) = asked {
                self.shared.report.borrow_mut().error(&error, next.count);
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    async fn single(&mut self, due: Due) -> Result<io::Result<()>> {
        let shared = Rc::clone(&self.shared);
        let link = &shared.links[due.first];
        let forwarded = match shared.forwarded {
            true => {
                let [a, b, c, d] = address(due.first);
                format!("X-Forwarded-For: {a}.{b}.{c}.{d}\r\n")
            }
            false => String::new(),
        };
        let (target, host, agent) = (&link.target, &shared.host, links::AGENT);
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n{forwarded}\r\n"
        );
        let answer = match self.client.ask(&[request.as_bytes()]).await {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(error)),
        };
        let good = matches!(answer.status, 200..=399) && !answer.unlogged;
        if good {
            shared.journal.borrow_mut().acknowledged(&[&link.click_id])?;
        }
        let mut report = shared.report.borrow_mut();
        report.answered(answer.status, answer.unlogged, due.at.elapsed());
        report.add(usize::from(good), 1);
        Ok(Ok(()))
    }

    async fn batch(&mut self, due: Due, format: BatchFormat) -> Result<io::Result<()>> {
        let shared = Rc::clone(&self.shared);
        let pick = |index: usize| &shared.links[(due.first + index) % shared.links.len()];
        let chosen: Vec<&Link> = (0..due.count).map(pick).collect();
        let source = |index: usize| address(due.first + index);
        let (kind, body) = match format {
            BatchFormat::Json => {
                let by_edge = shared.key.is_some();
                let source: Option<&dyn Fn(usize) -> [u8; 4]> =
                    if by_edge { Some(&source) } else { None };
                ("application/json", links::json_body(&chosen, source))
            }
            BatchFormat::Protobuf => {
                ("application/x-protobuf", links::protobuf_body(&chosen, now_ms(), &source)?)
            }
        };
        let key = shared.key.as_ref();
        let key = key.map_or_else(String::new, |key| format!("Authorization: Bearer {key}\r\n"));
        let head = format!(
            "POST /v1/clicks HTTP/1.1\r\nHost: {}\r\n{key}Content-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n",
            shared.host,
            body.len()
        );
        let answer = match self.client.ask(&[head.as_bytes(), &body]).await {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(error)),
        };
        let mut accepted = Vec::new();
        if answer.status == 200 {
            let results: BatchAnswer<'_> = serde_json::from_slice(self.client.body(answer))?;
            let items = chosen.iter().zip(&results.results);
            let items = items.filter(|(_, item)| item.status == "accepted");
            accepted.extend(items.map(|(link, _)| link.click_id.as_str()));
        }
        shared.journal.borrow_mut().acknowledged(&accepted)?;
        let mut report = shared.report.borrow_mut();
        report.answered(answer.status, false, due.at.elapsed());
        report.add(accepted.len(), due.count);
        Ok(Ok(()))
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A public-looking address a click, so that no burst rule takes them for one source.
fn address(number: usize) -> [u8; 4] {
    #[expect(clippy::cast_possible_truncation, reason = "spread over 24 bits by intention")]
    let bits = (number as u32).wrapping_mul(2_654_435_761) >> 8;
    let [_, b, c, d] = bits.to_be_bytes();
    [81, b, c, d]
}
