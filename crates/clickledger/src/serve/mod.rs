//! `clickledger serve`: tracker, engine, store, API and page in one process.
//!
//! Owns the order of coming up and of going down: nothing is taken before it can be made durable,
//! and nothing that was acknowledged is left unfolded by a clean stop. Decides nothing else.

mod archiver;
mod args;
mod copies;
mod engine;
mod other_site;
mod parts;
mod source;
mod spool;
mod spools;
mod truncating;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use click_engine::log::LogHealth;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Config, Role};
use crate::keys::{FirstKeys, KeyStore};
use crate::out;

pub use archiver::follow;
pub use args::ServeArgs;
pub use parts::Running;

/// Time between two looks at the log's health.
const LOOK: Duration = Duration::from_millis(200);

/// Runs the command.
pub fn run(args: &ServeArgs) -> Result<ExitCode> {
    let layers = args.layers()?;
    let config = Config::from_layers(&layers)?;
    if args.print_config {
        out::line(layers.print().trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    log_to_stderr();
    let signals = Signals::install()?;
    let (running, first) = Running::start(&config, args.self_check.as_deref())?;
    announce(&config, &running, first.as_ref());
    let ended = signals.wait(&running, None);
    out::note("stopping: finishing open requests");
    running.stop()?;
    ended?;
    out::note("stopped; everything that was acknowledged is in the ledger");
    Ok(ExitCode::SUCCESS)
}

/// Warnings and errors to standard error; `RUST_LOG` changes what is told.
pub fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,object_store=error"));
    // Fails if there is one already, which then stays.
    let _ =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

/// SIGTERM and SIGINT, taken from the moment that this exists: a stop that is asked for while
/// everything still comes up is a clean one, too.
pub struct Signals {
    runtime: tokio::runtime::Runtime,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over.
    pub fn install() -> Result<Signals> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let inside = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        drop(inside);
        Ok(Signals { runtime, terminate, interrupt })
    }

    /// A flag that a signal sets.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn into_flag(self) -> Result<Arc<AtomicBool>> {
        let flag = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&flag);
        let Signals { runtime, mut terminate, mut interrupt } = self;
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            });
            asked.store(true, Ordering::Relaxed);
        })?;
        Ok(flag)
    }

    /// Returns at a signal, after `limit` if there is one, or with the reason if the log can take
    /// no more.
    pub fn wait(self, running: &Running, limit: Option<Duration>) -> Result<()> {
        let Signals { runtime, mut terminate, mut interrupt } = self;
        let begun = Instant::now();
        runtime.block_on(async {
            while limit.is_none_or(|limit| begun.elapsed() < limit) {
                tokio::select! {
                    _ = terminate.recv() => break,
                    _ = interrupt.recv() => break,
                    () = tokio::time::sleep(LOOK) => {}
                }
                if let LogHealth::Poisoned { reason } = running.log_health() {
                    bail!("the log can take no more: {reason}; start again to recover");
                }
            }
            Ok(())
        })
    }
}

fn announce(config: &Config, running: &Running, first: Option<&FirstKeys>) {
    let scheme = if config.tls.certificates.is_empty() { "http" } else { "https" };
    let (tracker, admin) = (running.address(), running.admin_address());
    if config.is(Role::Tracker) {
        out::line(format_args!("tracker   {scheme}://{tracker}/c?..."));
    }
    if config.is(Role::Engine) {
        out::line(format_args!("page      {scheme}://{admin}/"));
        for store in config.store.addresses().unwrap_or_default() {
            out::line(format_args!("ledger    {}", store.below(&config.data)));
        }
    }
    if let Some(first) = first {
        out::line(format_args!("admin key {}  (shown this once)", first.admin.secret));
        out::line(format_args!("signing key {}", first.signing.id));
    }
    if config.access_token.is_empty() {
        out::line("page and API answer this machine alone; set access_token to open them");
    }
    if !config.is(Role::Tracker) {
        return;
    }
    match sample_link(config, &format!("{scheme}://{tracker}")) {
        Ok(link) => out::line(format_args!("try it    {link}")),
        Err(error) => out::note(format_args!("no sample link: {error:#}")),
    }
}

fn sample_link(config: &Config, base: &str) -> Result<String> {
    use click_core::link::{LinkSpec, Target, mint};
    let (store, _) = KeyStore::open(&config.data)?;
    let Some((key, _)) = store.minting_key()? else { bail!("no signing key is in force") };
    let click_id = crate::cli::link::random_id()?;
    let spec = LinkSpec {
        click_id: &click_id,
        user_id: "me",
        ad_id: "sample-ad",
        price_micros: Some(250_000),
        currency: "USD",
        expires_s: Some(crate::cli::link::now_s()? + 24 * 3600),
        target: Target::Url("https://example.com/"),
        ..LinkSpec::default()
    };
    Ok(format!("{base}{}", mint(&spec, &key)?))
}
