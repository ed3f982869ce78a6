//! Whether several SQLite files, each with the rows of its share of ads and a thread of its own,
//! take more rows a second than one file does.

use super::stores::{ADS, BATCH, PART, UNIT, dense, number};
use crate::process::data_dir;
use crate::report::{Figure, Line, Report, progress};
use crate::stats::Samples;
use anyhow::Result;
use click_core::row::Row;
use click_core::types::Millis;
use click_engine::store::{LedgerStore, SqliteStore, StoreError};
use std::time::Instant;

/// One file and two files in turns, forth and back.
pub fn run(rows: u64, report: &mut Report) -> Result<()> {
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for files in [1, 2, 2, 1] {
        progress(&format!("stores: {rows} rows into {files} SQLite file(s)"));
        let rate = rows_a_second(files, rows)?;
        if files == 1 { &mut one } else { &mut two }.push(rate);
    }
    report.line(Line {
        part: PART,
        what: "SQLite: new rows by two threads into two files".into(),
        unit: UNIT,
        ours: Figure::new("", Samples(two)),
        other: Some(Figure::new("one file", Samples(one))),
    });
    Ok(())
}

fn rows_a_second(files: u64, rows: u64) -> Result<f64> {
    let dir = tempfile::tempdir_in(data_dir()?)?;
    let open = |n| SqliteStore::open(&dir.path().join(format!("{n}.db")), "bench", 1);
    let mut stores = (0..files).map(open).collect::<Result<Vec<_>, _>>()?;
    let mut spent = 0.0;
    for first in (0..rows).step_by(usize::try_from(BATCH)?) {
        let all = first..(first + BATCH).min(rows);
        let share = |file| all.clone().filter(move |n| n % ADS % files == file).map(dense);
        let shares: Vec<Vec<Row>> = (0..files).map(|file| share(file).collect()).collect();
        let begun = Instant::now();
        publish(&mut stores, &shares, Millis(first + 1))?;
        spent += begun.elapsed().as_secs_f64();
    }
    Ok(number(rows) / spent)
}

fn publish(
    stores: &mut [SqliteStore],
    shares: &[Vec<Row>],
    mark: Millis,
) -> Result<(), StoreError> {
    std::thread::scope(|scope| {
        let pairs = stores.iter_mut().zip(shares);
        let threads: Vec<_> =
            pairs.map(|(store, rows)| scope.spawn(move || store.publish(rows, mark))).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}
