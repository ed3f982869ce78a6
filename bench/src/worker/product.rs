//! The whole product as a server: everything that `clickledger serve` brings up, with its default
//! settings. Must not set what a user would not.

use super::wait_for_the_end;
use anyhow::{Context, Result};
use clickledger::config::{Config, Layers};
use clickledger::serve::Running;
use serde_json::json;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct ProductArgs {
    /// Data directory.
    #[arg(long)]
    dir: PathBuf,
    /// Sets a key of the configuration, KEY=VALUE.
    #[arg(long)]
    set: Vec<String>,
}

/// Serves until its input ends.
pub fn run(args: &ProductArgs) -> Result<()> {
    let mut layers = Layers::defaults()?;
    let source = "the benchmark";
    layers.set_text("data", &args.dir.to_string_lossy(), source)?;
    layers.set_text("listen", "127.0.0.1:0", source)?;
    // Visitors name their addresses, so that the rules by source have work.
    layers.set_text("tracker.trusted_proxies", "127.0.0.0/8", source)?;
    for pair in &args.set {
        let (key, value) = pair.split_once('=').context("KEY=VALUE")?;
        layers.set_text(key, value, source)?;
    }
    let (running, _) = Running::start(&Config::from_layers(&layers)?, None)?;
    super::say(&json!({ "port": running.address().port() }))?;
    wait_for_the_end();
    running.stop()
}
