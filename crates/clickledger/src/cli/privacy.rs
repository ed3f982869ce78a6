//! `clickledger privacy`: takes what tells of persons out of the archive. No number changes by it.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use click_core::types::Millis;
use click_engine::archive::{Archive, Location, SALT_BYTES, erase_user, truncate_addresses};

use super::data::DataDir;
use super::link::seconds;
use super::{archive, progress};
use crate::config::truncation_age;
use crate::keys::{now_ms, random};
use crate::out;

/// Take addresses or a user out of the archive; the ledger that it comes to stays the same.
///
/// Files are written again and the old ones removed; an audit of them is as exact as before. The
/// log is not touched: `log.keep_hours` limits how long it holds anything. Run one at a time.
#[derive(Args, Debug)]
pub struct PrivacyArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Truncate addresses to /24 and /48, and leave out user agents and peers.
    Truncate {
        #[command(flatten)]
        place: Place,
        /// Of clicks that are older than this, 97 hours at least, in whole spans of the archive.
        #[arg(long, value_name = "TIME", default_value = "30d", value_parser = seconds)]
        older_than: u64,
    },
    /// Give a user a new name that tells nothing, and leave out what else tells of the person.
    Erase {
        #[command(flatten)]
        place: Place,
        /// The `user_id`, exactly.
        #[arg(long, value_name = "ID")]
        user: String,
    },
}

#[derive(Args, Debug)]
struct Place {
    /// Data directory.
    #[arg(long, value_name = "DIR", required_unless_present = "archive")]
    data: Option<PathBuf>,
    /// Where the archive is: a directory, or a URL such as s3://BUCKET/PREFIX [default:
    /// `archive.url` of the data directory's configuration, else `archive` in it].
    #[arg(long, value_name = "URL")]
    archive: Option<Location>,
}

impl Place {
    fn open(&self) -> Result<Archive> {
        match (&self.data, &self.archive) {
            (Some(data), asked) => {
                archive::read(&archive::of(&DataDir::new(data), asked.as_ref())?)
            }
            (None, Some(archive)) => archive::read(archive),
            (None, None) => bail!("name a data directory or an archive"),
        }
    }
}

/// Runs the command.
pub fn run(args: &PrivacyArgs) -> Result<()> {
    match &args.action {
        Action::Truncate { place, older_than } => {
            truncation_age(*older_than).context("--older-than")?;
            truncate(&place.open()?, *older_than)
        }
        Action::Erase { place, user } => erase(&place.open()?, user),
    }
}

fn truncate(archive: &Archive, older_than: u64) -> Result<()> {
    let before = Millis(now_ms().saturating_sub(older_than.saturating_mul(1000)));
    let spinner = progress::spinner("truncating");
    let done = truncate_addresses(archive, before)?;
    spinner.finish_and_clear();
    let (spans, files) = (done.spans, done.files);
    out::line(format_args!(
        "{spans} spans truncated, {files} files written again, of before {} (ms since 1970)",
        before.0
    ));
    Ok(())
}

fn erase(archive: &Archive, user: &str) -> Result<()> {
    if user.is_empty() {
        bail!("the empty user is nobody: name a user_id");
    }
    let spinner = progress::spinner("erasing");
    let done = erase_user(archive, user, &random::<SALT_BYTES>())?;
    spinner.finish_and_clear();
    out::line(format_args!("{} clicks erased, {} remain", done.clicks, done.remaining));
    if done.remaining > 0 {
        out::line(format_args!(
            "a click may still come that is a duplicate of one of these: run it again once the \
             archive has reached {} (ms since 1970)",
            done.possible_at.0
        ));
    }
    Ok(())
}
