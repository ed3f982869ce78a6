//! Fold rate from encoded payloads in memory, dedup and activity rule on, and bytes of memory per
//! click held.

use crate::clicks::Clicks;
use crate::measure::{Measure, cpu_time, resident};
use anyhow::Result;
use click_core::fold::{Effects, Fold, Serial};
use click_core::record::Header;
use click_core::types::{Millis, Offset, Partition};
use click_engine::log::RecordBatch;
use std::time::{Duration, Instant};

/// Records parsed at a time, as the engine does.
const CHUNK: usize = 4096;
/// Rows are published as often as the engine publishes them.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
pub struct FoldArgs {
    /// Clicks to fold.
    #[arg(long, default_value_t = 10_000_000)]
    clicks: u64,
    /// Clicks per second of log time.
    #[arg(long, default_value_t = 50_000)]
    rate: u64,
    /// Duplicates in a thousand.
    #[arg(long, default_value_t = 10)]
    duplicates: u64,
    /// Clicks per batch.
    #[arg(long, default_value_t = 16_384)]
    batch: u64,
}

/// Makes a batch, then folds it; only the folding is measured.
#[expect(clippy::print_stdout, reason = "a program that prints a table")]
pub fn run(args: &FoldArgs) -> Result<()> {
    let header = Header { log_id: [7; 16], generation: 1, partitions: 1 };
    let mut fold = Fold::new(&header, 1);
    let mut clicks = Clicks::new(1, args.rate, args.duplicates);
    let mut batch = RecordBatch::default();
    let (mut effects, mut payload) = (Effects::default(), Vec::new());
    let (mut cpu, mut rows, mut verdicts, mut bytes) = (Duration::ZERO, 0, 0, 0);
    let before = resident();
    let whole = Measure::begin();
    let mut published = Instant::now();
    let mut done = 0;
    let (mut parse_t, mut push_t) = (Duration::ZERO, Duration::ZERO);
    while done < args.clicks {
        batch.clear();
        for offset in done..(done + args.batch).min(args.clicks) {
            payload.clear();
            let time = clicks.next_into(&mut payload);
            bytes += payload.len();
            batch.push(offset, time, &payload);
        }
        done += batch.len() as u64;
        let begun = cpu_time();
        let mut records =
            batch.iter().map(|(offset, time, payload)| (Offset(offset), Millis(time), payload));
        while records.len() > 0 {
            let t = cpu_time();
            let chunk = fold.parse(Partition(0), records.by_ref().take(CHUNK));
            let t2 = cpu_time();
            fold.push(Partition(0), chunk);
            let t3 = cpu_time();
            parse_t += t2 - t;
            push_t += t3 - t2;
        }
        effects.clear();
        let publish = published.elapsed() >= PUBLISH_EVERY;
        if publish {
            published = Instant::now();
        }
        fold.advance(fold.possible_watermark(), publish, &Serial, &mut effects);
        cpu += cpu_time().saturating_sub(begun);
        rows += effects.rows.len();
        verdicts += effects.verdicts.len();
    }
    let (wall, _) = whole.end();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = args.clicks as f64 / cpu.as_secs_f64();
    let (claims, pairs) = fold.dedup_memory();
    let held = fold.claims();
    println!("clicks {} of {} bytes each", args.clicks, bytes as u64 / args.clicks);
    println!("fold {:.2} s CPU, {:.2} M clicks/CPU-second", cpu.as_secs_f64(), rate / 1e6);
    println!("rows published {rows}, verdicts {verdicts}, open rows {}", fold.open_rows());
    println!(
        "claims held {held}, {:.2} bytes each; D2 {} MiB; resident +{} MiB; wall {:.1} s",
        claims as f64 / held as f64,
        pairs >> 20,
        (resident() - before) >> 20,
        wall.as_secs_f64()
    );
    println!("parse {parse_t:?} push {push_t:?}");
    println!("by class {:?}", fold.totals().by_class);
    Ok(())
}
