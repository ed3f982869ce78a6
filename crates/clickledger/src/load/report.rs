//! What a load run has seen: counts by answer, and the latency of every answered request from the
//! instant at which it was meant to leave.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::out;

/// Longest latency told apart, microseconds.
const LONGEST_US: u64 = 10 * 60 * 1_000_000;

pub struct Report {
    latency_us: Histogram<u64>,
    sent: usize,
    acknowledged: usize,
    unlogged: u64,
    by_status: BTreeMap<u16, u64>,
    errors: BTreeMap<String, usize>,
}

impl Report {
    pub fn new() -> Result<Report> {
        Ok(Report {
            latency_us: Histogram::new_with_bounds(1, LONGEST_US, 3)?,
            sent: 0,
            acknowledged: 0,
            unlogged: 0,
            by_status: BTreeMap::new(),
            errors: BTreeMap::new(),
        })
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    /// One answered request.
    pub fn answered(&mut self, status: u16, unlogged: bool, latency: Duration) {
        *self.by_status.entry(status).or_default() += 1;
        self.unlogged += u64::from(unlogged);
        let us = u64::try_from(latency.as_micros()).unwrap_or(LONGEST_US);
        self.latency_us.saturating_record(us.max(1));
    }

    /// Clicks of an answered request.
    pub fn add(&mut self, acknowledged: usize, sent: usize) {
        self.acknowledged += acknowledged;
        self.sent += sent;
    }

    /// A request whose outcome is unknown.
    pub fn error(&mut self, error: &io::Error, clicks: usize) {
        *self.errors.entry(error.kind().to_string()).or_default() += clicks;
        self.sent += clicks;
    }

    /// Prints everything.
    pub fn print(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let rate = self.acknowledged as f64 / seconds;
        out::line(format_args!(
            "sent {}, acknowledged {}, unlogged {}, in {seconds:.2} s ({rate:.0}/s)",
            self.sent, self.acknowledged, self.unlogged
        ));
        for (status, count) in &self.by_status {
            out::line(format_args!("status {status}: {count}"));
        }
        for (error, count) in &self.errors {
            out::line(format_args!("outcome unknown ({error}): {count}"));
        }
        let at = |q: f64| ms(self.latency_us.value_at_quantile(q));
        out::line(format_args!(
            "latency ms: p50 {} p90 {} p99 {} p99.9 {} max {}",
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            ms(self.latency_us.max())
        ));
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn ms(us: u64) -> String {
    format!("{:.2}", us as f64 / 1000.0)
}
