//! Apache Kafka as the log: a spool filled with made-up clicks, handed on to a topic, and the topic
//! folded by the engine as the product runs it, journal of claims and checkpoints included.

use super::engine::fold_all;
use crate::clicks::Clicks;
use crate::measure::Measure;
use anyhow::Result;
use click_engine::disk::RealDisk;
use click_engine::forward::{ForwardConfig, Forwarder};
use click_engine::kafka::{Destination, KafkaLog, KafkaRemote, KafkaSettings, Patience, header};
use click_engine::log::{
    Clock, Commit, DiskLog, EventLog, LogError, LogOptions, Retention, SystemClock,
};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Partitions of spool and topic.
pub const PARTITIONS: u32 = 4;
/// Clicks a second of [`pace`].
pub const PACE: u64 = 20_000;
/// Clicks of a second of the visitors' time.
const RATE: u64 = 50_000;

#[derive(clap::Args)]
pub struct SpoolArgs {
    /// Directory of the spool or of the engine's checkpoints.
    #[arg(long)]
    dir: PathBuf,
    /// Clicks to write, or seconds of clicks at a fixed rate; ignored otherwise.
    #[arg(long, default_value_t = 0)]
    clicks: u64,
    /// The topic, where there is one.
    #[arg(long, default_value = "")]
    url: String,
    /// Most clicks a second that are handed on; 0: as many as the cluster takes.
    #[arg(long, default_value_t = 0)]
    rate: u64,
}

/// Clicks of the last seconds, each in its partition.
pub fn write(args: &SpoolArgs) -> Result<Value> {
    let options = LogOptions { partitions: PARTITIONS, ..LogOptions::default() };
    let log = DiskLog::create(&args.dir, &options)?;
    let start = SystemClock.now().0 / 1000 - args.clicks * 1000 / RATE;
    let mut clicks = Clicks::new(1, RATE, 10).starting_at(start).in_partitions(PARTITIONS);
    let (mut payload, mut newest, mut bytes) = (Vec::new(), None::<Commit>, 0);
    for _ in 0..args.clicks {
        payload.clear();
        clicks.next_into(&mut payload);
        bytes += payload.len();
        let partition = clicks.partition();
        newest = Some(loop {
            match (log.append(partition, &payload), newest.take()) {
                (Ok(commit), _) => break commit,
                (Err(LogError::Busy { .. }), Some(commit)) => drop(commit.wait()?),
                (Err(error), _) => return Err(error.into()),
            }
        });
    }
    newest.map(Commit::wait).transpose()?;
    Ok(json!({ "clicks": args.clicks, "payload_bytes": bytes }))
}

/// Appends clicks of now at a fixed rate, handed on by a spool as a tracker does.
pub fn pace(args: &SpoolArgs) -> Result<()> {
    let options = LogOptions { partitions: PARTITIONS, ..LogOptions::default() };
    let own: Arc<dyn EventLog> = Arc::new(DiskLog::create(&args.dir, &options)?);
    let mut forwarder = forwarder(args, &own)?;
    let now = || SystemClock.now().0 / 1000;
    let start = now();
    let mut clicks = Clicks::new(2, PACE, 10).starting_at(start).in_partitions(PARTITIONS);
    let (mut payload, mut made) = (Vec::new(), 0);
    super::say(&json!({ "from": start }))?;
    while now() < start + args.clicks * 1000 {
        while made < (now() - start) * PACE / 1000 {
            payload.clear();
            clicks.next_into(&mut payload);
            // Written down by the time it is handed on.
            let _commit = own.append(clicks.partition(), &payload)?;
            made += 1;
        }
        forwarder.step(true)?;
    }
    Ok(())
}

fn forwarder(args: &SpoolArgs, own: &Arc<dyn EventLog>) -> Result<Forwarder> {
    let settings = settings(&args.url)?;
    let to = Destination { topic: settings.address.topic.clone(), first: 0 };
    let remote = Box::new(KafkaRemote::new(settings.clone(), header(&settings)?, to)?);
    let config = ForwardConfig {
        spool_after: Duration::from_millis(300),
        copying: None,
        retention: Retention::default(),
        dir: args.dir.clone(),
    };
    let (disk, clock) = (Arc::new(RealDisk), Arc::new(SystemClock));
    Ok(Forwarder::open(Arc::clone(own), remote, disk, clock, config)?)
}

/// How to speak to the cluster of a topic, which may have one replica.
pub fn settings(url: &str) -> Result<KafkaSettings> {
    let address = url.parse().map_err(anyhow::Error::msg)?;
    let settings = KafkaSettings::new(address);
    Ok(KafkaSettings { allow_single_replica: true, ..settings })
}

/// Hands the whole spool on, confirmed record by record.
pub fn forward(args: &SpoolArgs) -> Result<Value> {
    let options = LogOptions { partitions: PARTITIONS, ..LogOptions::default() };
    let own: Arc<dyn EventLog> = Arc::new(DiskLog::open(&args.dir, &options)?);
    // Left by the run before, if there was one.
    let _ = std::fs::remove_file(args.dir.join("forwarded.json"));
    let mut forwarder = forwarder(args, &own)?;
    let records = forwarder.behind();
    let measure = Measure::begin();
    let begun = Instant::now();
    while forwarder.behind() > 0 {
        forwarder.step(true)?;
        let handed_on = records - forwarder.behind();
        let due = (handed_on * 1000).checked_div(args.rate).map(Duration::from_millis);
        std::thread::sleep(due.unwrap_or_default().saturating_sub(begun.elapsed()));
    }
    let (wall, cpu) = measure.end();
    Ok(json!({ "cpu": cpu.as_secs_f64(), "wall": wall.as_secs_f64(), "records": records }))
}

/// Folds the whole topic from its beginning, without an earlier checkpoint.
pub fn fold(args: &SpoolArgs) -> Result<Value> {
    let log = KafkaLog::open(settings(&args.url)?, Patience::Whole, None)?;
    let records: u64 = (0..log.partitions()).map(|p| log.range(p).end).sum();
    let mut answer = fold_all(Arc::new(log), &args.dir)?;
    // All but the header.
    answer["records"] = json!(records - 1);
    Ok(answer)
}
