//! `clickledger store`: serving stores made ready, and filled again from log or archive.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use click_core::limits::GRID_MS;
use click_core::policy::Timeline;
use click_core::row::{Row, RowId};
use click_core::stage::window::PublishedRow;
use click_core::types::Millis;
use click_engine::archive::Location;
use click_engine::driver::{FinalVerdict, RefoldSink, refold};
use click_engine::log::EventLog;
use click_engine::store::{LedgerStore, StoreAddress, StoreError, Summaries};
use indicatif::ProgressBar;

use super::data::{DataDir, threads};
use super::{archive, progress};
use crate::out;

/// Rows of one write.
const ROWS_AT_ONCE: usize = 20_000;

/// Make serving stores ready, or fill one again.
#[derive(Args, Debug)]
pub struct StoreArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Make what a store needs before it is used: in Cassandra, keyspace and tables.
    ///
    /// What is there already is left as it is, and brought up to this program's schema.
    Init {
        /// Data directory whose configuration names the stores.
        #[arg(long, value_name = "DIR", required_unless_present = "store")]
        data: Option<PathBuf>,
        /// One store [default: all of `store.url`].
        #[arg(long, value_name = "URL")]
        store: Option<StoreAddress>,
    },
    /// Write every row again that a store may lack, from the log or the archive.
    ///
    /// Rows are absolute: what the store has already stays as it is. Not while a server runs,
    /// unless the rows come from the archive.
    Rebuild {
        /// Data directory.
        #[arg(long, value_name = "DIR", required_unless_present = "archive")]
        data: Option<PathBuf>,
        /// The store to fill [default: all of `store.url`].
        #[arg(long, value_name = "URL", required_unless_present = "data")]
        store: Option<StoreAddress>,
        /// Take the clicks from this archive: a directory, or a URL such as s3://BUCKET/PREFIX
        /// [default: from the log].
        #[arg(long, value_name = "URL")]
        archive: Option<Location>,
        /// Threads of the fold [default: all cores].
        #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
        threads: usize,
    },
}

/// Runs the command.
pub fn run(args: &StoreArgs) -> Result<()> {
    match &args.action {
        Action::Init { data, store } => {
            for address in stores(data.as_deref(), store.as_ref())? {
                init(&address)?;
            }
            Ok(())
        }
        Action::Rebuild { data, store, archive: place, threads: asked } => {
            let stores = stores(data.as_deref(), store.as_ref())?;
            match (place, data) {
                (Some(place), _) => {
                    let log = archive::read(place)?.into_log();
                    stores.iter().try_for_each(|store| rebuild(&log, store, threads(*asked)))
                }
                (None, Some(data)) => {
                    let log = DataDir::new(data).log_for_refold()?;
                    stores.iter().try_for_each(|store| rebuild(&*log, store, threads(*asked)))
                }
                (None, None) => bail!("name a data directory or an archive"),
            }
        }
    }
}

fn stores(data: Option<&Path>, store: Option<&StoreAddress>) -> Result<Vec<StoreAddress>> {
    match (store, data) {
        (Some(store), _) => Ok(vec![store.clone()]),
        (None, Some(data)) => DataDir::new(data).stores(),
        (None, None) => bail!("name a data directory or a store"),
    }
}

fn init(address: &StoreAddress) -> Result<()> {
    match address {
        #[cfg(feature = "cassandra")]
        StoreAddress::Cassandra(cassandra) => {
            for line in click_engine::store::CassandraStore::init(cassandra)? {
                out::line(format_args!("{address}: {line}"));
            }
        }
        #[cfg(not(feature = "cassandra"))]
        StoreAddress::Cassandra(_) => {
            bail!("this build has no Cassandra: build with --features cassandra");
        }
        StoreAddress::Sqlite(_) | StoreAddress::Redis(_) | StoreAddress::RedisCluster(_) => {
            out::line(format_args!("{address}: needs nothing made"));
        }
    }
    Ok(())
}

fn rebuild(log: &dyn EventLog, address: &StoreAddress, threads: usize) -> Result<()> {
    let name = address.to_string();
    let store = address.open(Path::new(""), &log.log_id().to_string(), log.generation());
    let records = (0..log.partitions()).map(|partition| {
        let range = log.range(partition);
        range.end - range.start
    });
    out::note(format_args!("{name}: folding {} records again", records.sum::<u64>()));
    let store = store.with_context(|| name.clone())?;
    let mut filler = Filler {
        summaries: store.wants_summaries().then(Default::default),
        store,
        waiting: HashMap::new(),
        failed: None,
        written: 0,
        bar: progress::spinner("rows"),
    };
    let summary = refold(log, threads, &mut filler)?;
    filler.flush();
    filler.bar.finish_and_clear();
    if let Some(error) = filler.failed {
        return Err(error).with_context(|| name);
    }
    let mark = Millis(summary.watermark.0 / GRID_MS * GRID_MS);
    filler.store.set_mark(mark).with_context(|| name.clone())?;
    out::line(format_args!("{name}: {} rows written, as of {}", filler.written, mark.0));
    Ok(())
}

/// Writes rows as they come, the newest of each in a part.
struct Filler {
    store: Box<dyn LedgerStore>,
    /// Sums by advertiser, if the store wants them, and the rows that they lack.
    summaries: Option<(Summaries, Vec<PublishedRow>)>,
    waiting: HashMap<RowId, Row>,
    failed: Option<StoreError>,
    written: u64,
    bar: ProgressBar,
}

impl RefoldSink for Filler {
    fn verdict(&mut self, _: &FinalVerdict) {}

    fn row(&mut self, row: &Row) {
        if let Some((_, rows)) = &mut self.summaries {
            rows.push(PublishedRow { row: row.clone(), decided: !row.counts.only_pending() });
        }
        self.take(row.clone());
    }

    fn folded(&mut self, watermark: Millis, timeline: &Timeline) {
        let Some((summaries, rows)) = &mut self.summaries else { return };
        let sums = summaries.put(rows);
        rows.clear();
        summaries.forget(watermark, timeline);
        for sum in sums {
            self.take(sum.row);
        }
    }
}

impl Filler {
    fn take(&mut self, row: Row) {
        if row.counts.only_pending() {
            return;
        }
        self.waiting.insert(row.id(), row);
        if self.waiting.len() >= ROWS_AT_ONCE {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let rows: Vec<Row> = self.waiting.drain().map(|(_, row)| row).collect();
        if self.failed.is_some() {
            return;
        }
        match self.store.upsert(&rows) {
            Ok(()) => {
                self.written += rows.len() as u64;
                self.bar.set_position(self.written);
                self.bar.set_message(format!("{} rows written", self.written));
            }
            Err(error) => self.failed = Some(error),
        }
    }
}
