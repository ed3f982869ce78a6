//! Very many clicks through the embedded log and the engine in bounded memory and disk: the log is
//! cut off behind the checkpoints, the engine runs as the product runs it, journal, checkpoints and
//! published rows included; rows are counted, not stored.

use crate::clicks::Clicks;
use crate::counting::CountingStore;
use crate::measure::{Measure, available_memory, peak_resident};
use crate::process::data_dir;
use crate::report::{Report, progress};
use crate::stats::Samples;
use crate::worker::engine::{append, parts};
use anyhow::{Result, ensure};
use click_core::record::Record;
use click_core::types::Millis;
use click_engine::driver::{Engine, EngineConfig, append_header};
use click_engine::live::EngineStatus;
use click_engine::log::{Commit, DiskLog, EventLog, LogOptions, Retention};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const PART: &str = "billion";
/// Clicks that may wait in the log for the engine: bounds the disk.
const MOST_WAITING: u64 = 8_000_000;
/// Clicks between two looks at the engine, the memory and the disk.
const LOOK_EVERY: u64 = 1_000_000;
/// The log keeps this much beyond what checkpoints need, bytes.
const KEPT: u64 = 256 << 20;
/// More than a click costs in memory while it is remembered, bytes.
const ENOUGH: u64 = 20;
/// How long click ids are remembered by the default policy, seconds.
const HORIZON_SECONDS: u64 = 96 * 3600 + 300;

#[derive(clap::Args)]
pub struct BillionArgs {
    /// Clicks.
    #[arg(long = "count", default_value_t = 1_000_000_000)]
    count: u64,
    /// Clicks per second of log time; what is older than the dedup horizon (96 h) is forgotten.
    #[arg(long, default_value_t = 5_000)]
    rate: u64,
    /// Threads and shards of the engine.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

/// The engine on a thread, and the log that it reads.
struct World<'a> {
    log: Arc<dyn EventLog>,
    status: Arc<Mutex<EngineStatus>>,
    dir: &'a Path,
    most_disk: u64,
}

impl World<'_> {
    fn status(&self) -> EngineStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until at most `waiting` records of the log are unread.
    fn wait_for_engine(&self, waiting: u64) -> Result<()> {
        loop {
            let status = self.status();
            ensure!(status.failed.is_none(), "the engine failed: {:?}", status.failed);
            let read = status.read_to.first().map_or(0, |offset| offset.0);
            if self.log.range(0).end.saturating_sub(read) <= waiting {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Appends all clicks, never far ahead of the engine.
    fn feed(&mut self, args: &BillionArgs) -> Result<()> {
        let mut clicks = Clicks::new(1, args.rate, 10);
        let (mut payload, mut newest, mut last) = (Vec::new(), None, 0);
        let begun = Instant::now();
        for done in 1..=args.count {
            payload.clear();
            last = clicks.next_into(&mut payload);
            append(&*self.log, last, &payload, &mut newest)?;
            if done.is_multiple_of(LOOK_EVERY) {
                self.wait_for_engine(MOST_WAITING)?;
                self.most_disk = self.most_disk.max(disk_used(self.dir));
                self.tell(done, begun.elapsed());
            }
        }
        let closing = Millis(last + 2000);
        append(&*self.log, closing.0, &Record::tick(closing).to_bytes(), &mut newest)?;
        newest.map(Commit::wait).transpose()?;
        self.wait_for_engine(0)?;
        self.most_disk = self.most_disk.max(disk_used(self.dir));
        Ok(())
    }

    /// The engine sleeps while its log has nothing new, and looks up after that.
    fn wake_engine(&self) -> Result<()> {
        let time = self.log.last_append_time(0);
        self.log.append_at(0, time, &Record::tick(Millis(time)).to_bytes())?.wait()?;
        Ok(())
    }

    fn tell(&self, done: u64, elapsed: Duration) {
        if done.is_multiple_of(50 * LOOK_EVERY) {
            let (seconds, held) = (elapsed.as_secs(), self.status().claims);
            progress(&format!("billion: {done} clicks in {seconds} s, {held} claims held"));
        }
    }
}

/// Feeds and folds side by side; prints minutes, memory and disk.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub fn run(args: &BillionArgs, report: &mut Report) -> Result<()> {
    let held = args.count.min(args.rate * HORIZON_SECONDS);
    let (needed, available) = (held * ENOUGH, available_memory());
    ensure!(needed < available, "{held} clicks held may not fit in {available} bytes");
    let dir = tempfile::tempdir_in(data_dir()?)?;
    let log: Arc<dyn EventLog> =
        Arc::new(DiskLog::create(&dir.path().join("log"), &LogOptions::default())?);
    append_header(&*log)?.wait()?;
    let config = EngineConfig {
        threads: args.threads,
        // No ticks of the wall clock: the made-up clicks carry the time.
        tick_after: Duration::from_secs(1 << 32),
        retention: Retention { max_age_ms: None, max_bytes: Some(KEPT) },
        ..EngineConfig::default()
    };
    let store = CountingStore::default();
    let counted = store.clone();
    let mut parts = parts(log.clone(), dir.path());
    parts.store = Some(Box::new(store));
    let (engine, store) = Engine::open(parts, config)?;
    let mut world = World { log, status: engine.status(), dir: dir.path(), most_disk: 0 };
    let (stop, measure) = (AtomicBool::new(false), Measure::begin());
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| engine.run(store, &stop));
        let fed = world.feed(args);
        stop.store(true, Ordering::Relaxed);
        let woken = world.wake_engine();
        thread.join().map_err(|_| anyhow::anyhow!("the engine panicked"))??;
        fed.and(woken)
    })?;
    let (wall, cpu) = measure.end();
    let status = world.status();
    ensure!(status.measured == args.count, "{} clicks measured", status.measured);
    let gib = |bytes: u64| Samples(vec![bytes as f64 / f64::from(1 << 30)]);
    let minutes = Samples(vec![wall.as_secs_f64() / 60.0]);
    report.alone(PART, &format!("{} clicks through log and engine", args.count), "min", minutes);
    let rate = Samples(vec![args.count as f64 / wall.as_secs_f64()]);
    report.alone(PART, "rate, generator on the same machine", "clicks/s", rate);
    report.alone(PART, "CPU, generator included", "s", Samples(vec![cpu.as_secs_f64()]));
    report.alone(PART, "most memory resident", "GiB", gib(peak_resident()));
    report.alone(PART, "most disk used", "GiB", gib(world.most_disk));
    report.alone(PART, "claims held at the end", "", Samples(vec![status.claims as f64]));
    report.alone(PART, "rows published", "", Samples(vec![counted.rows() as f64]));
    Ok(())
}

/// Bytes that the files below `dir` take on disk.
fn disk_used(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => disk_used(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}
