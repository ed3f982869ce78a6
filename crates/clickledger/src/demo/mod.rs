//! `clickledger demo`: a server with realistic visitors, who come over real HTTP; and the same with
//! a server that is killed every few seconds while an outside check counts.
//!
//! Owns only the traffic and the check. Must never reach into the server: what it knows of the
//! ledger it asks over HTTP or reads from the data directory once the server has stopped.

mod chaos;
mod check;
mod people;
mod traffic;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::config::Config;
use crate::keys::KeyStore;
use crate::out;
use crate::serve::{self, Running, ServeArgs, Signals};

/// Run a server with realistic traffic and open the page to watch it.
///
/// Popular and rare ads, a day in four minutes, duplicates, double clicks, prefetches, HEAD
/// requests and a robot's burst every minute. Ends with Ctrl-C.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Kill the server every few seconds, start it again, re-send what was not acknowledged, and
    /// count: acknowledged = measured, lost 0, double 0.
    #[arg(long)]
    chaos: bool,
    /// Keep the ledger here [default: a temporary directory, removed at the end].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address and port of everything.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Visits a second, in the mean of a day.
    #[arg(long, value_name = "R", default_value_t = 60.0)]
    rate: f64,
    /// Chaos: seconds between two kills.
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    kill_every: f64,
    /// End after so many seconds by itself.
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
}

/// Runs the command.
pub fn run(args: &DemoArgs) -> Result<ExitCode> {
    if !(args.rate > 0.0 && args.rate <= 50_000.0 && args.kill_every >= 0.5) {
        anyhow::bail!("--rate must be within 0-50000 and --kill-every at least 0.5");
    }
    let temporary = match args.data {
        None => Some(Temporary::new()?),
        Some(_) => None,
    };
    let kept = args.data.clone().unwrap_or_default();
    let data = temporary.as_ref().map_or(kept, |temporary| temporary.0.clone());
    match args.chaos {
        true => chaos::run(args, &data),
        false => plain(args, data),
    }
}

/// A directory that goes away with the demo.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Result<Temporary> {
        let name = format!("clickledger-demo-{}", crate::cli::link::random_id()?);
        Ok(Temporary(std::env::temp_dir().join(name)))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Nothing is owed to a demo's files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Settings that the demo gives its server: its visitors come through a proxy that is trusted.
fn settings(args: &DemoArgs, data: PathBuf) -> ServeArgs {
    ServeArgs {
        data: Some(data),
        listen: Some(args.listen.to_string()),
        set: vec![("tracker.trusted_proxies".into(), "127.0.0.0/8, ::1".into())],
        ..ServeArgs::default()
    }
}

fn plain(args: &DemoArgs, data: PathBuf) -> Result<ExitCode> {
    serve::log_to_stderr();
    let signals = Signals::install()?;
    let config = Config::from_layers(&settings(args, data).layers()?)?;
    let (running, _) = Running::start(&config, None)?;
    let address = running.address();
    let (store, _) = KeyStore::open(&config.data)?;
    let (key, _) = store.minting_key()?.context("no signing key is in force")?;
    let stop = Arc::new(AtomicBool::new(false));
    let visitors = traffic::spawn(address, key, args.rate, Arc::clone(&stop))?;
    guide(address, &config);
    let ended = signals.wait(&running, args.seconds.map(Duration::from_secs_f64));
    stop.store(true, Ordering::Relaxed);
    let sent = visitors.join().map_err(|_| anyhow::anyhow!("the visitors panicked"))??;
    let status = running.status();
    running.stop()?;
    ended?;
    out::line(format_args!(
        "{} visits; {} clicks measured, {} of them valid",
        sent,
        status.measured,
        status.by_class[click_core::verdict::Class::V as usize]
    ));
    Ok(ExitCode::SUCCESS)
}

fn guide(address: SocketAddr, config: &Config) {
    out::line(format_args!("open      http://{address}/"));
    out::line("look at   the clicks per minute rise and fall: a day takes four minutes here");
    out::line(
        "          valid clicks beside duplicates (D1), double clicks (D2), prefetches (G5),",
    );
    out::line(
        "          HEAD requests (G8), and a robot's burst every minute (G3): all of it, also",
    );
    out::line(
        "          its first ten clicks; the spend of the top ads; how fresh the numbers are",
    );
    out::line(format_args!("ledger    sqlite3 {}", config.data.join("ledger.db").display()));
    out::line(format_args!("raw       curl http://{address}/v1/totals?group_by=ad"));
    out::line("end with  Ctrl-C");
}
