//! `clickledger show`: ledger rows, or a verdict a click, exactly as SPEC §11 writes them.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use click_engine::store::{Scan, StoreAddress, View};

use super::data::{DataDir, threads};
use super::table::{Format, Writer};
use super::{rows, verdicts};
use crate::out;

/// Show the ledger's rows, or the verdict of every click.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// Data directory.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// `json` is one object a line.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The view: the advertiser's or the publisher's.
    #[arg(long, value_enum, default_value_t = By::Ad)]
    by: By,
    /// One line a click instead, by reading the whole log; not while a server runs.
    #[arg(long, conflicts_with_all = ["by", "with_version"])]
    verdicts: bool,
    /// The store to read [default: the first of `store.url`].
    #[arg(long, value_name = "URL", conflicts_with = "verdicts")]
    store: Option<StoreAddress>,
    /// Add each row's version.
    #[arg(long)]
    with_version: bool,
    /// Threads of the fold [default: all cores]; changes no result.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    threads: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    Ad,
    Publisher,
}

/// Runs the command.
pub fn run(args: &ShowArgs) -> Result<()> {
    let data = DataDir::new(&args.data);
    if args.verdicts {
        let log = data.log_for_refold()?;
        return out::buffered(|out| {
            verdicts::write(&*log, threads(args.threads), args.format, out)
        });
    }
    let fresh = data.fresh_reader(threads(args.threads))?;
    let reader = match &args.store {
        Some(store) => store.reader(std::path::Path::new(""))?,
        None => fresh,
    };
    let view = match args.by {
        By::Ad => View::Ad,
        By::Publisher => View::Publisher,
    };
    out::buffered(|out| {
        let mut table = Writer::new(args.format, rows::columns(view, args.with_version), out)?;
        let mut failed = None;
        reader.scan(&Scan::all(view), &mut |row| {
            let written = rows::write(&row, args.with_version, &mut table);
            failed = written.err();
            failed.is_none()
        })?;
        failed.map_or(Ok(()), Err)?;
        table.finish()
    })
}
