//! The product's own parts as a server: the tracker on one thread over an embedded log and, if
//! asked, the engine with SQLite behind it, in one process.

use super::wait_for_the_end;
use anyhow::{Context, Result};
use click_engine::disk::RealDisk;
use click_engine::driver::{Engine, EngineConfig, EngineParts};
use click_engine::log::{DiskLog, EventLog, LogOptions, SystemClock};
use click_engine::store::SqliteStore;
use clickledger::http::track::{ServeConfig, Tracker, TrackerConfig, no_fallback, serve};
use clickledger::keys::KeyStore;
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

#[derive(clap::Args)]
pub struct ServerArgs {
    /// Data directory.
    #[arg(long)]
    dir: PathBuf,
    /// Also fold the log and write the ledger.
    #[arg(long)]
    engine: bool,
}

type EngineThread = JoinHandle<Result<()>>;

/// Serves until its input ends.
pub fn run(args: &ServerArgs) -> Result<()> {
    let log: Arc<dyn EventLog> =
        Arc::new(DiskLog::open_or_create(&args.dir.join("log"), &LogOptions::default())?);
    let stop = Arc::new(AtomicBool::new(false));
    let engine = args.engine.then(|| start_engine(args, &log, &stop)).transpose()?;
    let (keys, _) = KeyStore::open(&args.dir)?;
    let config = TrackerConfig { dir: Some(args.dir.clone()), ..TrackerConfig::default() };
    let tracker = Arc::new(Tracker::new(config, log, keys.ring()?)?);
    let mut listen = ServeConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)));
    listen.threads = 1;
    let server = serve(&listen, tracker, no_fallback()).context("cannot listen")?;
    super::say(&json!({ "port": server.address().port() }))?;
    wait_for_the_end();
    server.shutdown();
    stop.store(true, Ordering::Relaxed);
    engine.map(join).transpose()?;
    Ok(())
}

fn start_engine(
    args: &ServerArgs,
    log: &Arc<dyn EventLog>,
    stop: &Arc<AtomicBool>,
) -> Result<EngineThread> {
    let path = args.dir.join("ledger.db");
    let store = SqliteStore::open(&path, &log.log_id().to_string(), log.generation())?;
    let parts = EngineParts {
        log: log.clone(),
        disk: Arc::new(RealDisk),
        clock: Arc::new(SystemClock),
        checkpoints: args.dir.join("checkpoints"),
        dead_letters: args.dir.join("dead-letters"),
        store: Some(Box::new(store)),
        sink: None,
        status: Arc::default(),
    };
    let (engine, store) = Engine::open(parts, EngineConfig::default())?;
    let stop = stop.clone();
    let work = move || Ok(engine.run(store, &stop)?);
    Ok(std::thread::Builder::new().name("engine".into()).spawn(work)?)
}

fn join(thread: EngineThread) -> Result<()> {
    thread.join().map_err(|_| anyhow::anyhow!("the engine panicked"))?
}
