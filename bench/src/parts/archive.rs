//! The archive: its Parquet files written beside pyarrow, and the audit beside DuckDB that runs
//! `docs/audit.sql` over the same files.

use super::fold::{path, prepare_log};
use crate::Settings;
use crate::contend::{Contender, compete};
use crate::peers::{DuckDb, PyArrow};
use crate::process::{data_dir, field, output, worker};
use crate::report::{Figure, Line, Report, number, progress};
use crate::stats::Samples;
use anyhow::{Result, ensure};
use click_engine::archive::DATASETS;
use std::path::Path;

const PART: &str = "archive";
/// Of how many of the fold's clicks one is archived.
const SHARE: u64 = 5;
/// Clicks a second of log time: just less than a full file a minute.
const RATE: u64 = 4000;

/// Prepares log and archive, then lets the contenders run in turns.
pub fn run(settings: &Settings, report: &mut Report) -> Result<()> {
    let dir = tempfile::tempdir_in(data_dir()?)?;
    let clicks = settings.clicks() / SHARE;
    progress(&format!("archive: writing {clicks} clicks to a log"));
    prepare_log(dir.path(), clicks, RATE)?;
    whole(settings, report, dir.path(), clicks)?;
    for dataset in DATASETS {
        encode(settings, report, dir.path(), dataset)?;
    }
    audit(settings, report, dir.path())?;
    report.note(format!("archive: {clicks} clicks at {RATE} a second of log time"));
    Ok(())
}

/// The whole archiver, once a round and back: there is no peer of it.
#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn whole(settings: &Settings, report: &mut Report, dir: &Path, clicks: u64) -> Result<()> {
    let run = || output(&mut worker(None, &["archive", "--dir", path(dir)?])?);
    let mut contenders = [Contender::new("archiver", run)];
    compete(PART, settings.rounds(), &mut contenders, "rows")?;
    let [ours] = &contenders;
    let (what, ours) = ("from the log, judged, durable".to_owned(), ours.per_cpu(clicks as f64));
    report.line(Line { part: PART, what, unit: "clicks/CPU-s", ours, other: None });
    Ok(())
}

/// Columns in memory to Parquet in memory.
fn encode(settings: &Settings, report: &mut Report, dir: &Path, dataset: &str) -> Result<()> {
    let ours =
        || output(&mut worker(None, &["encode", "--dir", path(dir)?, "--dataset", dataset])?);
    let mut contenders = vec![Contender::new("our writer", ours)];
    match PyArrow::prepare() {
        Ok(pyarrow) => {
            let run = move || pyarrow.encode(&dir.join(crate::worker::archive::FOLDER), dataset);
            contenders.push(Contender::new("pyarrow, one thread", run));
        }
        Err(error) => report.skip(format!("pyarrow: {error:#}")),
    }
    compete(PART, settings.rounds(), &mut contenders, "rows")?;
    let rows = field(contenders[0].answer(), "rows")?;
    let mut figures = contenders.iter().map(|contender| contender.per_cpu(rows));
    let (Some(ours), other) = (figures.next(), figures.next()) else { return Ok(()) };
    let what = format!("{dataset}/, columns to Parquet");
    report.line(Line { part: PART, what, unit: "rows/CPU-s", ours, other });
    let size = |contender: &Contender<'_>| {
        let bytes = field(contender.answer(), "bytes")? / rows;
        Ok(Figure::new(contender.name(), Samples(vec![bytes])))
    };
    let sizes: Vec<Figure> = contenders.iter().map(size).collect::<Result<_>>()?;
    let mut sizes = sizes.into_iter();
    let (Some(ours), other) = (sizes.next(), sizes.next()) else { return Ok(()) };
    report.line(Line { part: PART, what: format!("{dataset}/"), unit: "B/row", ours, other });
    Ok(())
}

/// Everything computed again from the files, on all cores.
fn audit(settings: &Settings, report: &mut Report, dir: &Path) -> Result<()> {
    let threads = std::thread::available_parallelism()?.to_string();
    let ours =
        || output(&mut worker(None, &["audit", "--dir", path(dir)?, "--threads", &threads])?);
    let mut contenders = vec![Contender::new("our audit", ours)];
    match DuckDb::prepare() {
        Ok(duckdb) => {
            let run = move || duckdb.audit(&dir.join(crate::worker::archive::FOLDER));
            contenders.push(Contender::new("DuckDB, docs/audit.sql", run));
        }
        Err(error) => report.skip(format!("DuckDB: {error:#}")),
    }
    compete(PART, settings.rounds(), &mut contenders, "found")?;
    let found = &contenders[0].answer()["found"];
    ensure!(field(found, "differences")? == 0.0, "the archive differs from itself: {found}");
    let clicks = field(found, "clicks")?;
    progress(&format!("archive: {} clicks audited", number(clicks)));
    let mut line = |what: &str, unit, figure: &dyn Fn(&Contender<'_>) -> Figure| {
        let (ours, other) = (figure(&contenders[0]), contenders.get(1).map(figure));
        report.line(Line { part: PART, what: what.into(), unit, ours, other });
    };
    line("audit", "clicks/CPU-s", &|contender| contender.per_cpu(clicks));
    line("audit, by the clock", "clicks/s", &|contender| contender.by_the_clock(clicks));
    Ok(())
}
