//! How many rows a second the embedded store takes: new ones, newer ones and repeated ones, and how
//! many it sums. `cargo run --release -p click-engine --example store_rate [ROWS]`.

use click_core::policy::Timeline;
use click_core::row::{Counts, Row, RowKey};
use click_core::types::{Millis, Minute, Version};
use click_core::verdict::CLASSES;
use click_engine::store::{
    Buckets, GroupBy, LedgerStore, Sort, SqliteReader, SqliteStore, TotalsQuery, totals,
};
use std::time::Instant;

/// Rows of one transaction, as an engine under load publishes them.
const BATCH: usize = 20_000;
/// Rows of a minute.
const PER_MINUTE: usize = 50_000;

fn row(n: usize, at: u64) -> Row {
    let mut by_class = [0; CLASSES];
    by_class[CLASSES - 1] = at;
    // Spread over the ads as a hash would, so that the index is filled in no order.
    let ad = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44;
    let key = RowKey::Ad {
        ad_id: format!("ad-{ad:07}"),
        currency: "USD".into(),
        campaign_id: format!("campaign-{:05}", ad % 20_000),
        advertiser_id: format!("advertiser-{:04}", ad % 3_000),
    };
    let minute = u32::try_from(n / PER_MINUTE).unwrap_or(u32::MAX);
    let counts = Counts { measured: at, pending: 0, by_class, sum_micros: i128::from(at) * 1000 };
    let version = Version::new(1, Millis(at * 1000));
    Row { key: key.into(), minute: Minute(minute), posted_minute: None, counts, version }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::io::Write;
    let count = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let path = std::env::temp_dir().join(format!("store-rate-{}.db", std::process::id()));
    let mut store = SqliteStore::open(&path, "rate", 1)?;
    let mut out = std::io::stdout();
    for (what, at) in [("new", 1u64), ("newer", 2), ("repeated", 2)] {
        let rows: Vec<Row> = (0..count).map(|n| row(n, at)).collect();
        let began = Instant::now();
        for batch in rows.chunks(BATCH) {
            store.publish(batch, Millis(at))?;
        }
        let seconds = began.elapsed().as_secs_f64();
        writeln!(out, "{what:9} {count} rows {seconds:.2} s {:.0} rows/s", count as f64 / seconds)?;
    }
    let reader = SqliteReader::open(&path)?;
    let buckets = Buckets::whole(Millis(0), Millis(u64::from(u32::MAX)))?;
    let query = TotalsQuery { group_by: GroupBy::Campaign, buckets, sort: Sort::Valid, limit: 10 };
    let began = Instant::now();
    totals(&reader, &Timeline::default(), &query)?;
    let seconds = began.elapsed().as_secs_f64();
    writeln!(out, "totals    {count} rows {seconds:.2} s {:.0} rows/s", count as f64 / seconds)?;
    writeln!(out, "file      {} bytes/row", std::fs::metadata(&path)?.len() / count as u64)?;
    drop(store);
    std::fs::remove_file(&path)?;
    Ok(())
}
