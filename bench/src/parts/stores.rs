//! Serving stores: rows a second beside what the store takes at its simplest, bytes of memory a
//! row, and the times of a dashboard's questions over many rows.

use crate::Settings;
use crate::peers::{prepared_upserts, redis_benchmark};
use crate::process::data_dir;
use crate::report::{Figure, Line, Report, progress};
use crate::stats::Samples;
use anyhow::{Context, Result, anyhow};
use click_core::policy::Timeline;
use click_core::row::{Counts, Row, RowKey};
use click_core::types::{Millis, Minute, Version};
use click_core::verdict::CLASSES;
use click_engine::store::{
    Buckets, CassandraStore, GroupBy, LedgerReader, Sort, StoreAddress, StoreError, TotalsQuery,
    ad_minutes, summary_id, totals_of,
};
use click_sim::cassandra::Cassandra;
use click_sim::redis::Redis;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

pub const PART: &str = "stores";
pub const UNIT: &str = "rows/s";
/// Rows of a write, as an engine under load publishes them.
pub const BATCH: u64 = 20_000;
/// Ads of one advertiser, which has them all.
pub const ADS: u64 = 10_000;
/// 2026-11-26T00:00Z.
const DAY: u32 = 29_926_080;
const QUESTIONS: usize = 100;

/// A store under measurement.
struct Contender<'a> {
    name: &'a str,
    url: String,
    /// Of these many rows.
    rows: u64,
    peer: Option<Figure>,
}

/// Each store, in turn.
pub fn run(settings: &Settings, report: &mut Report) -> Result<()> {
    let scale = if settings.quick { 100 } else { 1 };
    let dir = tempfile::tempdir_in(data_dir()?)?;
    let file = dir.path().join("ledger.db");
    let url = format!("sqlite:{}", file.display());
    measure(&Contender { name: "SQLite", url, rows: 10_000_000 / scale, peer: None }, report)?;
    std::fs::remove_file(&file)?;
    super::shards::run(1_000_000 / scale, report)?;
    if let Some(redis) = Redis::start(&dir.path().join("single")) {
        let url = redis.url();
        let peer = redis_benchmark(&url, 1_000_000 / scale)?;
        redis.ask(0, "FLUSHALL");
        let before = used_memory(&redis)?;
        let rows = 10_000_000 / scale;
        measure(&Contender { name: "Redis", url, rows, peer: Some(peer) }, report)?;
        let bytes = (used_memory(&redis)? - before) / number(rows);
        report.alone(PART, "Redis, dense: 60 minutes of an ad's hour", "B/row", one(bytes));
        redis.ask(0, "FLUSHALL");
        sparse(&redis, 1_000_000 / scale, report)?;
    }
    if let Some(redis) = Redis::start_cluster(&dir.path().join("cluster")) {
        let (url, rows) = (redis.url(), 2_000_000 / scale);
        measure(&Contender { name: "Redis Cluster of 3", url, rows, peer: None }, report)?;
    }
    if let Some(node) = Cassandra::start(dir.path()) {
        let url = node.url("ads");
        let address = url.parse().map_err(|error: String| anyhow!(error))?;
        if let StoreAddress::Cassandra(address) = &address {
            CassandraStore::init(address)?;
        }
        let rows = 300_000 / scale;
        let peer = prepared_upserts(&url, rows / 4)?;
        measure(&Contender { name: "Cassandra, one node", url, rows, peer: Some(peer) }, report)?;
    }
    report.note(format!(
        "stores: batches of {BATCH} rows, each with a mark; {ADS} ads of one advertiser; servers \
         and clients share this machine"
    ));
    Ok(())
}

fn measure(contender: &Contender<'_>, report: &mut Report) -> Result<()> {
    let Contender { name, url, rows, peer } = contender;
    progress(&format!("stores: {rows} rows into {name}"));
    let address: StoreAddress = url.parse().map_err(|error: String| anyhow!(error))?;
    let mut store = address.open(Path::new(""), "bench", 1)?;
    let mut spent = 0.0;
    for first in (0..*rows).step_by(usize::try_from(BATCH)?) {
        let batch: Vec<Row> = (first..(first + BATCH).min(*rows)).map(dense).collect();
        let begun = Instant::now();
        // A machine that does something else may make it late.
        while let Err(error) = store.publish(&batch, Millis(first + 1)) {
            let is_late = matches!(error, StoreError::Unavailable(_));
            anyhow::ensure!(is_late && begun.elapsed().as_secs() < 60, "{error}");
        }
        spent += begun.elapsed().as_secs_f64();
    }
    report.line(Line {
        part: PART,
        what: format!("{name}: new rows"),
        unit: UNIT,
        ours: Figure::new("", one(number(*rows) / spent)),
        other: peer.clone(),
    });
    if store.wants_summaries() {
        let minutes = rows / ADS;
        let sums: Vec<Row> = (0..minutes).map(sum).collect();
        store.upsert(&sums)?;
    }
    drop(store);
    let reader = address.reader(Path::new(""))?;
    questions(contender, &reader, report)
}

/// What a dashboard asks.
fn questions(
    contender: &Contender<'_>,
    reader: &Arc<dyn LedgerReader>,
    report: &mut Report,
) -> Result<()> {
    let Contender { name, rows, .. } = contender;
    let timeline = Timeline::default();
    let minutes = u32::try_from(rows / ADS)?.max(1);
    let (from, to) = (Minute(DAY).start(), Minute(DAY + minutes.min(1_440)).start());
    let times = |ask: &mut dyn FnMut(usize) -> Result<()>, times: usize| -> Result<[f64; 2]> {
        let mut took = Vec::with_capacity(times);
        for turn in 0..times {
            let begun = Instant::now();
            ask(turn)?;
            took.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        took.sort_by(f64::total_cmp);
        Ok([took[took.len() / 2], took[took.len() * 99 / 100]])
    };
    let ad = times(
        &mut |turn| {
            let id = format!("ad-{:05}", turn as u64 * 97 % ADS);
            ad_minutes(&**reader, &timeline, &id, from, to).map(drop).context("an ad's day")
        },
        QUESTIONS,
    )?;
    let total = |group_by, from, limit| {
        let buckets = Buckets::whole(from, to).context("a range")?;
        let query = TotalsQuery { group_by, buckets, sort: Sort::Spend, limit };
        let advertiser = (group_by == GroupBy::Advertiser).then_some("adv");
        let found = totals_of(&**reader, &timeline, &query, advertiser)?;
        anyhow::ensure!(!found.1.is_empty(), "nothing found");
        Ok(())
    };
    let of_advertiser = if reader.has_summaries() { QUESTIONS } else { 5 };
    let advertiser = times(&mut |_| total(GroupBy::Advertiser, from, 10), of_advertiser)?;
    let hour = Minute((DAY + minutes.min(1_440)).saturating_sub(60).max(DAY)).start();
    let top = times(&mut |_| total(GroupBy::Ad, hour, 10), 5)?;
    for (what, [middle, slow]) in [
        ("an ad's minutes of the range", ad),
        ("total of an advertiser of 10,000 ads", advertiser),
        ("top 10 of 10,000 ads in the last hour", top),
    ] {
        let of = format!("{name}, {rows} rows: {what}");
        report.alone(PART, &format!("{of}, p50"), "ms", one(middle));
        report.alone(PART, &format!("{of}, p99"), "ms", one(slow));
    }
    Ok(())
}

/// One row of each ad's hour: the most that a row can cost.
fn sparse(redis: &Redis, rows: u64, report: &mut Report) -> Result<()> {
    let address: StoreAddress = redis.url().parse().map_err(|error: String| anyhow!(error))?;
    let mut store = address.open(Path::new(""), "bench", 1)?;
    let before = used_memory(redis)?;
    for first in (0..rows).step_by(usize::try_from(BATCH)?) {
        let end = (first + BATCH).min(rows);
        let batch: Vec<Row> = (first..end).map(|n| row(&format!("ad-{n:07}"), 0, 1)).collect();
        store.upsert(&batch)?;
    }
    let bytes = (used_memory(redis)? - before) / number(rows);
    report.alone(PART, "Redis, sparse: one minute of an ad's hour", "B/row", one(bytes));
    Ok(())
}

fn used_memory(redis: &Redis) -> Result<f64> {
    let said = redis.ask(0, "INFO memory");
    let used = said.lines().find_map(|line| line.strip_prefix("used_memory:"));
    Ok(used.context("redis says what it uses")?.trim().parse()?)
}

/// All ads in a minute, then in the next.
pub fn dense(n: u64) -> Row {
    row(&format!("ad-{:05}", n % ADS), n / ADS, 1 + n % 7)
}

/// All ads of the advertiser in a minute.
fn sum(minute: u64) -> Row {
    row(&summary_id("adv"), minute, ADS * 4)
}

fn row(ad: &str, minute: u64, clicks: u64) -> Row {
    let mut by_class = [0; CLASSES];
    by_class[CLASSES - 1] = clicks;
    let minute = Minute(DAY + u32::try_from(minute).unwrap_or(0));
    let key = RowKey::Ad {
        ad_id: ad.into(),
        currency: "USD".into(),
        campaign_id: format!("c-{}", &ad[ad.len() - 3..]),
        advertiser_id: "adv".into(),
    };
    let sum_micros = i128::from(clicks) * 250_000;
    Row {
        key: key.into(),
        minute,
        posted_minute: None,
        counts: Counts { measured: clicks, pending: 0, by_class, sum_micros },
        version: Version::new(1, minute.end()),
    }
}

fn one(value: f64) -> Samples {
    Samples(vec![value])
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub fn number(value: u64) -> f64 {
    value as f64
}
