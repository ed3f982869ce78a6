//! `clickledger resend`: what a cluster lost, sent again from the spool of the tracker that had it.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use click_engine::disk::RealDisk;
use click_engine::forward::{Hole, request};
use serde::Deserialize;

use super::data::DataDir;
use super::layout;
use crate::out;

/// Send records again that a cluster has lost, from a tracker's spool.
///
/// The engine tells what is missing at /v1/gaps. The tracker, running or at its next start, sends
/// those records that its spool still has; nothing counts twice by that.
#[derive(Args, Debug)]
pub struct ResendArgs {
    /// Data directory of the tracker.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// What is missing, as the engine's /v1/gaps answers; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    gaps: PathBuf,
}

/// The answer of `/v1/gaps`.
#[derive(Deserialize)]
struct Gaps {
    gaps: Vec<Hole>,
}

/// Runs the command.
pub fn run(args: &ResendArgs) -> Result<()> {
    let data = DataDir::new(&args.data);
    if !data.spool(0).is_dir() {
        bail!("{} has no spool: name the data directory of a tracker", args.data.display());
    }
    let name = args.gaps.display().to_string();
    let text = if name == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        text
    } else {
        std::fs::read_to_string(&args.gaps).with_context(|| name.clone())?
    };
    let found: Gaps =
        serde_json::from_str(&text).with_context(|| format!("{name} is no answer of /v1/gaps"))?;
    for (part, holes) in by_part(&data, &found.gaps)? {
        request(&RealDisk, &data.spool(part), &holes)?;
    }
    let count: u64 = found.gaps.iter().map(|hole| hole.to.saturating_sub(hole.from)).sum();
    out::line(format_args!(
        "asked for {count} records in {} gaps: a running tracker sends them within a second, \
         another one at its next start; look at /v1/gaps again",
        found.gaps.len()
    ));
    Ok(())
}

/// The holes by part of the log, in the part's own numbers of partitions.
fn by_part(data: &DataDir, holes: &[Hole]) -> Result<BTreeMap<usize, Vec<Hole>>> {
    let layout = layout::read(data)?;
    let parts = layout.as_ref().map_or(0, |layout| layout.parts.len());
    let mut found: BTreeMap<usize, Vec<Hole>> = BTreeMap::new();
    for hole in holes {
        let begin = |part: usize| layout.as_ref().map_or(0, |layout| layout.begins(part).0);
        let part = (0..parts).rfind(|part| begin(*part) <= hole.partition).unwrap_or(0);
        let own = Hole { partition: hole.partition - begin(part), ..hole.clone() };
        found.entry(part).or_default().push(own);
    }
    Ok(found)
}
