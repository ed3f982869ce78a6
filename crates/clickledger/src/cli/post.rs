//! `clickledger post`: the rows of a job in Flink or Spark, written to a serving store.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use click_core::row::Row;
use click_core::types::Millis;
use click_engine::kafka::{RowTopic, header};
use click_engine::log::LogId;
use click_engine::store::{LateStore, LedgerStore, StoreAddress, StoreError, without_logins};

use super::data::DataDir;
use crate::out;
use crate::serve::Signals;

/// Most records of one write.
const AT_ONCE: usize = 20_000;
/// How long rows are collected for one.
const COLLECT: Duration = Duration::from_millis(200);
/// Time between two questions to a store that does not answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Write the rows of a Flink or Spark job to a store, until SIGTERM.
///
/// Rows are absolute and have versions: any number of these may run, may die at any point and begin
/// again, and none takes anything back. One for each store.
#[derive(Args, Debug)]
pub struct PostArgs {
    /// Data directory whose configuration names the topic and the store.
    #[arg(long, value_name = "DIR", required_unless_present_all = ["log", "store"])]
    data: Option<PathBuf>,
    /// The topic of the clicks, kafka://HOST:PORT,HOST:PORT/TOPIC; its rows are in TOPIC.rows.
    #[arg(long, value_name = "URL")]
    log: Option<String>,
    /// The store, sqlite:FILE [default: the one of `store.url`].
    #[arg(long, value_name = "URL")]
    store: Option<StoreAddress>,
    /// Name by which Kafka keeps how far the store is [default: made of the store's address].
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Read all rows again, for a store that was emptied.
    #[arg(long)]
    from_beginning: bool,
}

/// Runs the command.
pub fn run(args: &PostArgs) -> Result<()> {
    let data = DataDir::new(args.data.as_deref().unwrap_or(Path::new("")));
    let settings = data.kafka_settings(args.log.as_deref())?;
    let address = store(args, &data)?;
    let name = without_logins(&address.to_string());
    let group = args.group.clone().unwrap_or_else(|| format!("clickledger-post {name}"));
    let header = header(&settings)?;
    let log_id = LogId(header.log_id).to_string();
    let store = LateStore::new(&address, Path::new(""), &log_id, header.generation)?;
    if store.wants_summaries() {
        // They have to be made of complete instants, which rows in any order are not.
        bail!("{name} wants sums by advertiser, which this cannot make yet: use sqlite:FILE");
    }
    let mut posting =
        Posting { store, rows: RowTopic::open(&settings, &group)?, stop: false, mark: Millis(0) };
    if args.from_beginning {
        posting.rows.rewind()?;
    }
    let stop = Signals::install()?.into_flag()?;
    out::note(format_args!("posting rows of {} to {name}", settings.address));
    while !posting.stop {
        posting.step(&stop)?;
    }
    out::note("stopped");
    Ok(())
}

fn store(args: &PostArgs, data: &DataDir) -> Result<StoreAddress> {
    if let Some(store) = &args.store {
        return Ok(store.clone());
    }
    let stores = data.stores()?;
    let [store] = &stores[..] else {
        bail!("store.url names {} stores: run one of these for each, with --store", stores.len());
    };
    Ok(store.clone())
}

struct Posting {
    store: LateStore,
    rows: RowTopic,
    stop: bool,
    mark: Millis,
}

impl Posting {
    /// Reads for a while and writes what came.
    fn step(&mut self, stop: &AtomicBool) -> Result<()> {
        let read = self.rows.read(AT_ONCE, COLLECT)?;
        let rows: Vec<Row> = read.rows.into_values().collect();
        let mark = read.mark.filter(|mark| *mark > self.mark);
        self.stop = stop.load(Ordering::Relaxed);
        if rows.is_empty() && mark.is_none() {
            return Ok(());
        }
        while let Err(error) = self.write(&rows, mark) {
            match error {
                StoreError::Unavailable(why) => {
                    out::note(format_args!("{why}: asking again"));
                    std::thread::sleep(ASK_AGAIN);
                }
                StoreError::Lost { .. } => {
                    out::note(format_args!("{error}: reading all rows again"));
                    self.mark = Millis(0);
                    return Ok(self.rows.rewind()?);
                }
                StoreError::Conflict { .. }
                | StoreError::OtherLog { .. }
                | StoreError::Refused(_) => {
                    return Err(error).context("the store takes nothing more");
                }
            }
            if stop.load(Ordering::Relaxed) {
                // Not confirmed: read again at the next start.
                self.stop = true;
                return Ok(());
            }
        }
        self.mark = mark.unwrap_or(self.mark);
        Ok(self.rows.confirm()?)
    }

    fn write(&mut self, rows: &[Row], mark: Option<Millis>) -> Result<(), StoreError> {
        match mark {
            Some(mark) => self.store.publish(rows, mark),
            None => self.store.upsert(rows),
        }
    }
}
