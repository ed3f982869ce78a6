//! The data directory: where its parts lie, and how a command opens them. Must never write to a
//! ledger that a running server has open.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use click_core::limits::LOOK_AHEAD_MS;
use click_core::record::Record;
use click_core::types::Millis;
use click_engine::disk::{Disk, DiskLock, LockMode, RealDisk};
use click_engine::driver::{Engine, EngineConfig, EngineParts};
use click_engine::kafka::KafkaSettings;
use click_engine::log::{
    Clock, Commit, DiskLog, EventLog, LogError, LogId, LogOptions, RecordBatch, SystemClock,
};
use click_engine::store::{LateStore, LedgerReader, LedgerStore, StoreAddress};

use crate::cluster;
use crate::config::{Config, VerdictsOf};
use crate::serve::ServeArgs;

/// Rounds of ticks after which a log whose clock stands still is taken as it is.
const SETTLE_TRIES: u32 = 10;

/// A store and its address.
pub type NamedStore = (String, Box<dyn LedgerStore>);

/// Paths inside a data directory.
#[derive(Clone, Debug)]
pub struct DataDir {
    root: PathBuf,
}

impl DataDir {
    pub fn new(root: &Path) -> DataDir {
        DataDir { root: root.to_path_buf() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// What a tracker keeps of its own in front of a part of a log in Kafka, from 0 on.
    pub fn spool(&self, part: usize) -> PathBuf {
        match part {
            0 => self.root.join("spool"),
            part => self.root.join(format!("spool-{part}")),
        }
    }

    /// What a tracker knows of its log's parts.
    pub fn layout(&self) -> PathBuf {
        self.root.join("layout.json")
    }

    /// What it keeps of other trackers' ones.
    pub fn spool_copies(&self) -> PathBuf {
        self.root.join("spool-copies")
    }

    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    pub fn dead_letters(&self) -> PathBuf {
        self.root.join("dead-letters")
    }

    /// What an archiver remembers of its own fold, or of clicks that a job judges.
    pub fn archive_checkpoints(&self, of: VerdictsOf) -> PathBuf {
        self.root.join(match of {
            VerdictsOf::Fold => "archive-checkpoints",
            VerdictsOf::Job => "archive-checkpoints-job",
        })
    }

    /// Where the ledger is served from, the one that reports read first.
    ///
    /// # Errors
    /// If the directory's configuration cannot be read.
    pub fn stores(&self) -> Result<Vec<StoreAddress>> {
        let stores = self.config(Vec::new())?.store.addresses()?;
        Ok(stores.iter().map(|store| store.below(&self.root)).collect())
    }

    pub fn rejects(&self, file: &Path) -> PathBuf {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        self.root.join("rejects").join(format!("{name}.rejects.csv"))
    }

    /// The log for writing, created with `partitions` if there is none. An existing one keeps its
    /// own number of partitions.
    pub fn open_or_create_log(&self, partitions: u32) -> Result<Arc<dyn EventLog>> {
        if self.kafka()?.is_some() {
            bail!("a topic stamps time by itself: import into a data directory of its own");
        }
        match self.open_embedded() {
            Err(error) if is_no_log(&error) => {
                let options = LogOptions { partitions, ..LogOptions::default() };
                Ok(Arc::new(DiskLog::create(&self.log(), &options)?))
            }
            other => Ok(Arc::new(other?)),
        }
    }

    /// The log for writing: nobody else folds it into this directory meanwhile.
    pub fn open_log(&self) -> Result<Arc<dyn EventLog>> {
        match self.kafka()? {
            Some(kafka) => Ok(cluster::open(kafka, true, Some(self.lock(LockMode::Exclusive)?))?),
            None => Ok(Arc::new(self.open_embedded()?)),
        }
    }

    /// The log for appending alone: with Kafka, whoever folds it.
    pub fn open_to_append(&self) -> Result<Arc<dyn EventLog>> {
        match self.kafka()? {
            Some(kafka) => Ok(cluster::open(kafka, true, None)?),
            None => self.open_log(),
        }
    }

    /// The log for reading, while nobody writes to it or folds it into this directory.
    pub fn open_log_readonly(&self) -> Result<Arc<dyn EventLog>> {
        match self.kafka()? {
            Some(kafka) => Ok(cluster::open(kafka, true, Some(self.lock(LockMode::Shared)?))?),
            None => Ok(Arc::new(self.open_embedded_readonly()?)),
        }
    }

    fn open_embedded(&self) -> Result<DiskLog> {
        let partitions = self.open_embedded_readonly()?.partitions();
        let options = LogOptions { partitions, ..LogOptions::default() };
        Ok(DiskLog::open(&self.log(), &options)?)
    }

    /// The log in the directory.
    pub fn open_embedded_readonly(&self) -> Result<DiskLog> {
        Ok(DiskLog::open_readonly(&self.log(), &LogOptions::default())?)
    }

    /// What its configuration says of a log in Kafka.
    fn kafka(&self) -> Result<Option<KafkaSettings>> {
        cluster::settings(&self.config(Vec::new())?)
    }

    /// The directory's own configuration, with `set` over it.
    pub fn config(&self, set: Vec<(String, String)>) -> Result<Config> {
        let serve = ServeArgs { data: Some(self.root.clone()), set, ..ServeArgs::default() };
        Config::from_layers(&serve.layers()?)
    }

    /// How to speak to the cluster that the log is in, or `url` is.
    pub fn kafka_settings(&self, url: Option<&str>) -> Result<KafkaSettings> {
        let set = url.map(|url| ("log.url".to_owned(), url.to_owned())).into_iter().collect();
        let found = cluster::settings(&self.config(set)?)?;
        found.context("no topic is named: use --log, or set log.url")
    }

    /// Makes sure that one process at a time folds a log of others into this directory.
    pub fn lock(&self, mode: LockMode) -> Result<Box<dyn DiskLock>> {
        self.lock_file("engine.lock", mode)
    }

    /// Makes sure that one process at a time archives from this directory.
    pub fn lock_archive(&self) -> Result<Box<dyn DiskLock>> {
        self.lock_file("archive.lock", LockMode::Exclusive)
    }

    fn lock_file(&self, name: &str, mode: LockMode) -> Result<Box<dyn DiskLock>> {
        let path = self.root.join(name);
        RealDisk.lock(&path, mode).map_err(|error| {
            if error.kind() == std::io::ErrorKind::WouldBlock {
                return LogError::Locked { path: self.root.display().to_string().into() }.into();
            }
            anyhow::Error::from(error).context(format!("cannot lock {}", path.display()))
        })
    }

    /// The stores of a log of which this is known; one that does not answer is asked again later.
    pub fn open_stores(&self, log_id: LogId, generation: u16) -> Result<Vec<NamedStore>> {
        let log_id = log_id.to_string();
        let open = |address: &StoreAddress| {
            let store: Box<dyn LedgerStore> = match address {
                StoreAddress::Sqlite(_) => address.open(Path::new(""), &log_id, generation)?,
                StoreAddress::Redis(_)
                | StoreAddress::RedisCluster(_)
                | StoreAddress::Cassandra(_) => {
                    Box::new(LateStore::new(address, Path::new(""), &log_id, generation)?)
                }
            };
            Ok((address.to_string(), store))
        };
        self.stores()?.iter().map(open).collect()
    }

    /// What an engine on `log` is made of.
    pub fn engine_parts(
        &self,
        log: Arc<dyn EventLog>,
        store: Option<Box<dyn LedgerStore>>,
    ) -> EngineParts {
        EngineParts {
            log,
            disk: Arc::new(RealDisk),
            clock: Arc::new(SystemClock),
            checkpoints: self.checkpoints(),
            dead_letters: self.dead_letters(),
            store,
            sink: None,
            status: Arc::default(),
        }
    }

    /// Folds what the store does not have yet.
    pub fn catch_up(&self, log: Arc<dyn EventLog>, threads: usize) -> Result<()> {
        let mut stores = self.open_stores(log.log_id(), log.generation())?.into_iter();
        let config = EngineConfig { threads, ..EngineConfig::default() };
        let parts = self.engine_parts(log, stores.next().map(|(_, store)| store));
        let (mut engine, mut store) = Engine::open(parts, config)?;
        for (name, store) in stores {
            engine.add_store(&name, store)?;
        }
        match &mut store {
            Some(store) => engine.catch_up(Some(&mut **store))?,
            None => engine.catch_up(None)?,
        }
        Ok(())
    }

    /// The store for reading, up to date with the log unless a server keeps it so by itself.
    pub fn fresh_reader(&self, threads: usize) -> Result<Arc<dyn LedgerReader>> {
        self.check_exists()?;
        match self.open_log() {
            Ok(log) => self.catch_up(log, threads)?,
            Err(error) if is_locked(&error) => {}
            Err(error) => return Err(error),
        }
        self.reader()
    }

    /// The store that reports read.
    pub fn reader(&self) -> Result<Arc<dyn LedgerReader>> {
        let stores = self.stores()?;
        let first = stores.first().context("no store is configured")?;
        Ok(first.reader(Path::new(""))?)
    }

    /// The log for reading its every record: refused while a server runs.
    pub fn log_for_refold(&self) -> Result<Arc<dyn EventLog>> {
        self.check_exists()?;
        self.open_log_readonly().map_err(|error| match is_locked(&error) {
            true => error.context("this command reads the whole log; stop the server first"),
            false => error,
        })
    }

    /// Appends ticks until every click that is in the log has its final verdict: at most about a
    /// second. Refused while a server runs, which does so by itself.
    pub fn settle(&self) -> Result<()> {
        self.check_exists()?;
        let log = self.open_log()?;
        let newest = if self.kafka()?.is_some() { ticked(&*log)? } else { newest(&*log) };
        settle(&*log, newest)
    }

    /// Appends two ticks, a second and two seconds behind everything, unless they are the end
    /// already: then all clicks can be archived, with verdicts that the archive alone decides. Log
    /// time goes on by these two seconds only, whatever the wall clock says. A topic stamps time by
    /// itself: there it takes these seconds.
    pub fn close(&self) -> Result<()> {
        self.check_exists()?;
        let log = self.open_log()?;
        if self.kafka()?.is_some() {
            let newest = ticked(&*log)?;
            settle(&*log, newest)?;
            return settle(&*log, newest + LOOK_AHEAD_MS);
        }
        let partitions = 0..log.partitions();
        let ends: Vec<_> =
            partitions.clone().map(|p| closing_ticks(&*log, p)).collect::<Result<_>>()?;
        if ends.iter().all(|end| end.is_some() && *end == ends[0]) {
            return Ok(());
        }
        let newest = newest(&*log);
        for partition in partitions {
            for step in [1, 2] {
                let at = Millis(newest).plus(step * LOOK_AHEAD_MS);
                log.append_at(partition, at.0, &Record::tick(at).to_bytes())?.wait()?;
            }
        }
        Ok(())
    }

    fn check_exists(&self) -> Result<()> {
        if !self.log().is_dir() && self.kafka()?.is_none() {
            bail!("{} holds no ledger: import a file or start a server first", self.root.display());
        }
        Ok(())
    }

    /// Creates the directory itself, readable by its owner alone.
    pub fn create(&self) -> Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&self.root).with_context(|| format!("cannot create {}", self.root.display()))
    }
}

/// Appends ticks until each partition's time is a second behind `newest`.
fn settle(log: &dyn EventLog, newest: u64) -> Result<()> {
    let wanted = Millis(newest).plus(LOOK_AHEAD_MS + 1);
    for _ in 0..SETTLE_TRIES {
        let oldest = ticks(log)?.into_iter().min().unwrap_or(0);
        if oldest >= wanted.0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(wanted.since(Millis(oldest)).min(LOOK_AHEAD_MS)));
    }
    Ok(())
}

/// Appends a tick to every partition; the times that they were given.
fn ticks(log: &dyn EventLog) -> Result<Vec<u64>> {
    let tick = Record::tick(Millis(SystemClock.now().0 / 1000)).to_bytes();
    let commits: Vec<Commit> =
        (0..log.partitions()).map(|p| log.append(p, &tick)).collect::<Result<_, _>>()?;
    commits.into_iter().map(|commit| Ok(commit.wait()?.append_time)).collect()
}

/// The time of a topic's end, by a tick on every partition.
fn ticked(log: &dyn EventLog) -> Result<u64> {
    Ok(ticks(log)?.into_iter().max().unwrap_or(0))
}

fn newest(log: &dyn EventLog) -> u64 {
    (0..log.partitions()).map(|partition| log.last_append_time(partition)).max().unwrap_or(0)
}

/// The time of the ticks that [`DataDir::close`] has appended, if they are the partition's end.
fn closing_ticks(log: &dyn EventLog, partition: u32) -> Result<Option<u64>> {
    let range = log.range(partition);
    let mut batch = RecordBatch::new();
    let from = range.end.saturating_sub(2).max(range.start);
    log.read(partition, from, 1 << 20, &mut batch)?;
    let ticks: Vec<u64> = batch
        .iter()
        .filter(|(_, time, payload)| *payload == Record::tick(Millis(*time)).to_bytes())
        .map(|(_, time, _)| time)
        .collect();
    Ok(match ticks.as_slice() {
        [first, second] if first + LOOK_AHEAD_MS == *second => Some(*first),
        _ => None,
    })
}

/// Whether a server (or another command) has the log open.
pub fn is_locked(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(LogError::Locked { .. }))
}

fn is_no_log(error: &anyhow::Error) -> bool {
    // A directory without a log, or none at all.
    matches!(error.downcast_ref(), Some(LogError::NoLog { .. }))
        || matches!(error.downcast_ref(), Some(LogError::Io { kind, .. })
            if *kind == std::io::ErrorKind::NotFound)
}

/// Threads to fold with: those asked for, else all cores.
pub fn threads(asked: usize) -> usize {
    match asked {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        some => some,
    }
}
