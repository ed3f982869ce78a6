//! What a store takes at its simplest: values without versions, rows without anything to compare.

use crate::report::Figure;
use crate::stats::Samples;
use anyhow::{Context, Result, ensure};
use scylla::client::session_builder::SessionBuilder;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

/// Requests of Cassandra that are under way at once, as many as the store's own.
const AT_ONCE: usize = 128;

/// `redis-benchmark`: pipelined HSET of a value as long as a row's.
pub fn redis_benchmark(url: &str, commands: u64) -> Result<Figure> {
    let port = url.rsplit(':').next().and_then(|rest| rest.split('/').next()).context("a port")?;
    let out = Command::new("redis-benchmark")
        .args(["-p", port, "-n", &commands.to_string(), "-P", "512", "-c", "1", "-r", "1000000"])
        .args([
            "--csv",
            "HSET",
            "key:__rand_int__",
            "a-field-with-campaign",
            "a-packed-row-value-0",
        ])
        .output()
        .context("redis-benchmark")?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    ensure!(out.status.success(), "redis-benchmark: {said}");
    let line = said.lines().last().context("redis-benchmark says nothing")?;
    let rate = line.split("\",\"").nth(1).context("a rate")?.trim_matches('"').parse()?;
    Ok(Figure::new("redis-benchmark, pipelined HSET", Samples(vec![rate])))
}

/// Prepared inserts of as many columns, as fast as one client can.
pub fn prepared_upserts(url: &str, rows: u64) -> Result<Figure> {
    let node = url.trim_start_matches("cassandra://").split('/').next().context("a node")?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build()?;
    let rate = runtime.block_on(async {
        let session = Arc::new(SessionBuilder::new().known_node(node).build().await?);
        for ddl in [
            "CREATE KEYSPACE IF NOT EXISTS simplest WITH replication = \
             {'class': 'NetworkTopologyStrategy', 'datacenter1': 1}",
            "CREATE TABLE IF NOT EXISTS simplest.rows (ad text, day int, minute bigint, a bigint, \
             b bigint, c bigint, d bigint, e bigint, f bigint, g bigint, h bigint, i bigint, \
             PRIMARY KEY ((ad, day), minute))",
        ] {
            session.query_unpaged(ddl, &[]).await?;
        }
        let put = "INSERT INTO simplest.rows (ad, day, minute, a, b, c, d, e, f, g, h, i) \
                   VALUES (?,?,?,?,?,?,?,?,?,?,?,?)";
        let put = Arc::new(session.prepare(put).await?);
        let begun = Instant::now();
        let lanes = (0..AT_ONCE).map(|lane| {
            let (session, put) = (session.clone(), put.clone());
            tokio::spawn(async move {
                for n in (lane as u64..rows).step_by(AT_ONCE) {
                    let minute = i64::try_from(n / 10_000).unwrap_or(0);
                    let ad = format!("ad-{:05}", n % 10_000);
                    let values = (
                        ad, 20_000i32, minute, 1i64, 0i64, 0i64, 0i64, 0i64, 0i64, 0i64, 1i64, 5i64,
                    );
                    session.execute_unpaged(&put, values).await?;
                }
                anyhow::Ok(())
            })
        });
        for lane in lanes.collect::<Vec<_>>() {
            lane.await??;
        }
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let rate = rows as f64 / begun.elapsed().as_secs_f64();
        anyhow::Ok(rate)
    })?;
    Ok(Figure::new("prepared upserts, 12 columns", Samples(vec![rate])))
}
