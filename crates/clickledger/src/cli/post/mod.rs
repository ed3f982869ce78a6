//! `clickledger post`: the rows of a job in Flink or Spark, written to serving stores.

mod newest;
mod whole;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use click_core::record::Header;
use click_engine::kafka::{KafkaSettings, RowTopic, header};
use click_engine::log::LogId;
use click_engine::store::{LateStore, LedgerStore, StoreAddress, store_list, without_logins};

use super::data::DataDir;
use crate::out;
use crate::serve::Signals;
use writer::Writer;

/// Most records of one read, and rows of one write.
const AT_ONCE: usize = 20_000;
/// How long rows are collected for one.
const COLLECT: Duration = Duration::from_millis(200);

/// Write the rows of a Flink or Spark job to the serving stores, until SIGTERM.
///
/// Rows are absolute and have versions: any number of these may run, may die at any point and begin
/// again, and none takes anything back. Stores other than SQLite get sums by advertiser, too, which
/// a job with `--sums true` makes possible.
#[derive(Args, Debug)]
pub struct PostArgs {
    /// Data directory whose configuration names the topic and the stores.
    #[arg(long, value_name = "DIR", required_unless_present_all = ["log", "store"])]
    data: Option<PathBuf>,
    /// The topic of the clicks, kafka://HOST:PORT,HOST:PORT/TOPIC; its rows are in TOPIC.rows.
    #[arg(long, value_name = "URL")]
    log: Option<String>,
    /// The stores, as in `store.url` [default: those of `store.url`].
    #[arg(long, value_name = "URL")]
    store: Option<String>,
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
    let stores = match &args.store {
        Some(stores) => store_list(stores).map_err(|why| anyhow!("--store: {why}"))?,
        None => data.stores()?,
    };
    if args.group.is_some() && stores.len() != 1 {
        bail!("{} stores cannot have one group: run one of these for each", stores.len());
    }
    let settings = data.kafka_settings(args.log.as_deref())?;
    let header = header(&settings)?;
    let stop = Signals::install()?.into_flag()?;
    let posts = stores.iter().map(|store| {
        let name = without_logins(&store.to_string());
        let group = args.group.clone().unwrap_or_else(|| format!("clickledger-post {name}"));
        let (settings, from_beginning) = (settings.clone(), args.from_beginning);
        Post { settings, header, store: store.clone(), name, group, from_beginning }
    });
    post_all(posts.collect(), &stop)?;
    out::note("stopped");
    Ok(())
}

/// Each on a thread of its own; one that fails ends all.
fn post_all(posts: Vec<Post>, stop: &Arc<AtomicBool>) -> Result<()> {
    std::thread::scope(|scope| {
        let begin = |post: Post| {
            scope.spawn(move || {
                let name = post.name.clone();
                let result =
                    post.run(Arc::clone(stop)).with_context(|| format!("posting to {name}"));
                stop.fetch_or(result.is_err(), Ordering::Relaxed);
                result
            })
        };
        let threads: Vec<_> = posts.into_iter().map(begin).collect();
        let ends = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err(anyhow!("a thread that posts has panicked")))
        });
        ends.collect::<Vec<_>>().into_iter().collect()
    })
}

/// Posting to one store.
struct Post {
    settings: KafkaSettings,
    header: Header,
    store: StoreAddress,
    name: String,
    group: String,
    from_beginning: bool,
}

impl Post {
    fn run(&self, stop: Arc<AtomicBool>) -> Result<()> {
        let (log_id, base) = (LogId(self.header.log_id).to_string(), Path::new(""));
        let store = LateStore::new(&self.store, base, &log_id, self.header.generation)?;
        let rows = RowTopic::open(&self.settings, &self.group)?;
        out::note(format_args!("posting rows of {} to {}", self.settings.address, self.name));
        let sums = store.wants_summaries();
        let writer = Writer::new(store, stop);
        if sums {
            whole::post(writer, rows, self.from_beginning)
        } else {
            newest::post(writer, rows, self.from_beginning)
        }
    }
}
