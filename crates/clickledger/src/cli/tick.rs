//! `clickledger tick`: time for the partitions in which nobody appends, where no engine of this
//! program runs.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use click_core::record::{Kind, Record};
use click_core::types::Millis;
use click_engine::log::{Clock, EventLog, LogError, RecordBatch, SystemClock};

use super::data::DataDir;
use crate::cluster;
use crate::serve::Signals;

/// How long nobody has appended where a tick is due (SPEC §1).
const AFTER: Duration = Duration::from_millis(100);
const READ_BYTES: usize = 1 << 20;

/// Append ticks to the topic's idle partitions, beside Flink or Spark.
///
/// An engine of this program does so by itself. More of these do no harm. Runs until SIGTERM.
#[derive(Args, Debug)]
pub struct TickArgs {
    /// Data directory whose configuration names the topic.
    #[arg(long, value_name = "DIR", required_unless_present = "log")]
    data: Option<PathBuf>,
    /// The topic, kafka://HOST:PORT,HOST:PORT/TOPIC.
    #[arg(long, value_name = "URL")]
    log: Option<String>,
}

/// Runs the command.
pub fn run(args: &TickArgs) -> Result<()> {
    let data = DataDir::new(args.data.as_deref().unwrap_or(std::path::Path::new("")));
    let log = cluster::open(data.kafka_settings(args.log.as_deref())?, false, None)?;
    let stop = Signals::install()?.into_flag()?;
    let mut tails = Tails::new(&*log);
    while !stop.load(Ordering::Relaxed) {
        tails.look(&*log)?;
        tails.tick(&*log)?;
        log.wait(&tails.ends, AFTER / 2);
    }
    Ok(())
}

/// Where each partition ends, and since when.
struct Tails {
    ends: Vec<u64>,
    since: Vec<Instant>,
    batch: RecordBatch,
}

impl Tails {
    fn new(log: &dyn EventLog) -> Tails {
        let ends: Vec<u64> = (0..log.partitions()).map(|p| log.range(p).end).collect();
        log.prepare(&ends);
        let since = vec![Instant::now(); ends.len()];
        Tails { ends, since, batch: RecordBatch::new() }
    }

    fn look(&mut self, log: &dyn EventLog) -> Result<(), LogError> {
        self.ends.resize(log.partitions() as usize, 0);
        self.since.resize(self.ends.len(), Instant::now());
        for (partition, end) in (0..).zip(&mut self.ends) {
            self.batch.clear();
            log.read(partition, *end, READ_BYTES, &mut self.batch)?;
            if partition == 0 {
                extend(log, &self.batch)?;
            }
            if let Some((offset, ..)) = self.batch.last() {
                *end = offset + 1;
                self.since[partition as usize] = Instant::now();
            }
        }
        Ok(())
    }

    fn tick(&mut self, log: &dyn EventLog) -> Result<(), LogError> {
        let tick = Record::tick(Millis(SystemClock.now().0 / 1000)).to_bytes();
        for (partition, since) in (0..).zip(&mut self.since) {
            if since.elapsed() >= AFTER {
                *since = Instant::now();
                match log.append(partition, &tick) {
                    Ok(_) | Err(LogError::Busy { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// Partition 0 says which partitions there are more of.
fn extend(log: &dyn EventLog, batch: &RecordBatch) -> Result<(), LogError> {
    for (.., payload) in batch.iter() {
        if let Ok(Kind::Layout(layout)) = Record::decode(payload).map(|record| record.kind) {
            log.extend(&layout)?;
        }
    }
    Ok(())
}
