//! `clickledger import`: a file into a ledger.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use click_engine::import::{AppendOptions, Format, Names, ReadOptions, Stage, prepare};
use indicatif::ProgressBar;

use super::data::{DataDir, threads};
use super::progress;
use crate::keys::source::source_keys;
use crate::out;

/// Import clicks from a file.
///
/// Importing a file again, or after a crash, changes nothing: what is in the ledger already is left
/// out. Bad lines go to a reject file with their line numbers; the rest is imported.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// Data directory; the ledger is created if there is none.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// CSV with a header, NDJSON, Parquet, or a web server's access log (combined format).
    file: PathBuf,
    /// What the file holds [default: by its name or beginning].
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
    /// TOML file of foreign column names, a line each: theirs = "ours".
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// Take times without a zone for UTC instead of rejecting them.
    #[arg(long)]
    assume_utc: bool,
    /// Where bad lines go [default: DIR/rejects/FILE.rejects.csv].
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Rows between two waits for the disk; changes no result.
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    batch: usize,
    /// Leave out the closing ticks: the last second's verdicts stay pending.
    #[arg(long)]
    no_close: bool,
    /// Threads of the fold [default: all cores]; changes no result.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    threads: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatArg {
    Csv,
    Ndjson,
    Parquet,
    AccessLog,
}

impl From<FormatArg> for Format {
    fn from(arg: FormatArg) -> Format {
        match arg {
            FormatArg::Csv => Format::Csv,
            FormatArg::Ndjson => Format::Ndjson,
            FormatArg::Parquet => Format::Parquet,
            FormatArg::AccessLog => Format::AccessLog,
        }
    }
}

/// Runs the command.
pub fn run(args: &ImportArgs) -> Result<()> {
    let begun = Instant::now();
    let data = DataDir::new(&args.data);
    let rejects = args.rejects.clone().unwrap_or_else(|| data.rejects(&args.file));
    data.create()?;
    let options = ReadOptions {
        format: args.format.map(Format::from),
        names: names(args)?,
        assume_utc: args.assume_utc,
        source_keys: Some(source_keys(&args.data).context("the secret of source keys")?),
        rejects: rejects.clone(),
    };
    let mut bars = Bars::default();
    let context = || args.file.display().to_string();
    let file = prepare(&args.file, &options, &mut |stage, done, total| {
        bars.show(stage, done, total);
    });
    let file = file.with_context(context)?;
    for column in file.ignored_columns() {
        out::note(format_args!("column '{column}' is not used"));
    }
    if let Some(first) = file.first_reject() {
        let (count, path) = (file.rejected(), rejects.display());
        out::note(format_args!("{count} bad lines, see {path}; the first: {first}"));
    }
    let log = data.open_or_create_log(file.partitions())?;
    let options = AppendOptions { batch: args.batch, close: !args.no_close };
    let done = file.append_to(&*log, options, &mut |stage, done, total| {
        bars.show(stage, done, total);
    });
    let done = done.with_context(context)?;
    bars.finish();
    let spinner = progress::spinner("folding");
    data.catch_up(log, threads(args.threads))?;
    spinner.finish_and_clear();
    let seconds = begun.elapsed().as_secs_f64();
    out::line(format_args!(
        "{} rows imported, {} were there already, {} rejected, in {seconds:.1} s",
        done.appended,
        done.present,
        file.rejected()
    ));
    Ok(())
}

fn names(args: &ImportArgs) -> Result<Names> {
    let Some(path) = &args.map else { return Ok(Names::default()) };
    Names::new(&column_map(path)?).with_context(|| format!("column map {}", path.display()))
}

/// Foreign column names and ours, from a TOML file.
pub fn column_map(path: &Path) -> Result<BTreeMap<String, String>> {
    let context = || format!("column map {}", path.display());
    let text = std::fs::read_to_string(path).with_context(context)?;
    toml::from_str(&text).with_context(context)
}

/// One bar after the other, a stage each.
#[derive(Default)]
struct Bars {
    current: Option<(Stage, ProgressBar)>,
}

impl Bars {
    fn show(&mut self, stage: Stage, done: u64, total: u64) {
        let current = self.current.as_ref().filter(|(shown, _)| *shown == stage);
        let bar = match current {
            Some((_, bar)) => bar.clone(),
            None => self.next(stage, total),
        };
        bar.set_length(total);
        bar.set_position(done);
    }

    fn next(&mut self, stage: Stage, total: u64) -> ProgressBar {
        self.finish();
        let (message, bytes) = match stage {
            Stage::Hash => ("hashing", true),
            Stage::Read => ("reading", true),
            Stage::Match => ("comparing", false),
            Stage::Append => ("appending", false),
        };
        let bar = progress::bar(message, total, bytes);
        self.current = Some((stage, bar.clone()));
        bar
    }

    fn finish(&mut self) {
        if let Some((_, bar)) = self.current.take() {
            bar.finish_and_clear();
        }
    }
}
