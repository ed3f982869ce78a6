//! `clickledger policy add`: a new policy as a record of the log (SPEC §8).

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use click_core::policy::Policy;
use click_core::record::{Kind, Record};
use click_core::types::Millis;
use serde::Deserialize;

use super::data::DataDir;
use crate::out;

/// Thresholds of the rules, and from when they are in force.
#[derive(Args, Debug)]
pub struct PolicyArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Append the policy in FILE (TOML) to the log; not while a server runs.
    ///
    /// Keys: policy_id, and any of effective_from (ms or RFC 3339), link_lifetime_ms,
    /// spool_limit_ms, horizon_ms, seal_after_ms, double_click_ms, burst_clicks. What is left out
    /// has its default. It is in force a minute after it is appended at the earliest.
    Add {
        /// Data directory.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        file: PathBuf,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    policy_id: String,
    effective_from: Option<toml::Value>,
    link_lifetime_ms: Option<u64>,
    spool_limit_ms: Option<u64>,
    horizon_ms: Option<u64>,
    seal_after_ms: Option<u64>,
    double_click_ms: Option<u64>,
    burst_clicks: Option<u64>,
}

/// Runs the command.
pub fn run(args: &PolicyArgs) -> Result<()> {
    let Action::Add { data, file } = &args.action;
    let context = || format!("policy {}", file.display());
    let policy = read(file)?;
    let log =
        DataDir::new(data).open_to_append().context("the log must not be in use by a server")?;
    let kind = Kind::Policy(policy.clone());
    let record = Record { sent_at: None, transport: None, previous: None, kind };
    let payload = record.to_bytes();
    Record::decode(&payload).with_context(context)?;
    let position = log.append(0, &payload)?.wait()?;
    let earliest = Millis(position.append_time).plus(click_core::limits::POLICY_NOTICE_MS);
    let from = policy.effective_from.max(earliest);
    out::line(format_args!("policy '{}' is in force from {} ms", policy.policy_id, from.0));
    Ok(())
}

/// The policy that a file holds.
pub(super) fn read(file: &Path) -> Result<Policy> {
    let context = || format!("policy {}", file.display());
    let text = std::fs::read_to_string(file).with_context(context)?;
    parse(&text).with_context(context)
}

fn parse(text: &str) -> Result<Policy> {
    let file: PolicyFile = toml::from_str(text)?;
    if !click_core::record::valid_id(file.policy_id.as_bytes()) {
        bail!("policy_id must have 1 to 128 bytes without control characters");
    }
    let default = Policy::default();
    let policy = Policy {
        policy_id: file.policy_id,
        effective_from: file.effective_from.map_or(Ok(Millis(0)), |value| time(&value))?,
        link_lifetime_ms: file.link_lifetime_ms.unwrap_or(default.link_lifetime_ms),
        spool_limit_ms: file.spool_limit_ms.unwrap_or(default.spool_limit_ms),
        horizon_ms: file.horizon_ms.unwrap_or(default.horizon_ms),
        seal_after_ms: file.seal_after_ms.unwrap_or(default.seal_after_ms),
        double_click_ms: file.double_click_ms.unwrap_or(default.double_click_ms),
        burst_clicks: file.burst_clicks.unwrap_or(default.burst_clicks),
    };
    policy.check()?;
    Ok(policy)
}

fn time(value: &toml::Value) -> Result<Millis> {
    let ms = match value.as_integer() {
        Some(ms) => ms,
        None => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let at: jiff::Timestamp = text.parse().context("effective_from")?;
            at.as_millisecond()
        }
    };
    let ms = u64::try_from(ms).context("effective_from is before 1970")?;
    if ms > click_core::limits::MAX_TIME_MS {
        bail!("effective_from is after the year 9999");
    }
    Ok(Millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_checked_before_they_are_appended() {
        let policy = parse("policy_id = \"p\"\neffective_from = 1970-01-01T00:00:01Z").unwrap();
        assert_eq!((policy.effective_from, policy.burst_clicks), (Millis(1000), 10));
        for (text, expected) in [
            ("burst_clicks = 3", "missing field `policy_id`"),
            ("policy_id = \"\"", "1 to 128 bytes"),
            ("policy_id = \"p\"\nburst = 3", "unknown field `burst`"),
            ("policy_id = \"p\"\nhorizon_ms = 5", "horizon_ms must be at least"),
            ("policy_id = \"p\"\neffective_from = -1", "before 1970"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
