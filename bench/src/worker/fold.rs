//! Fold from encoded payloads in memory, dedup, double-click and activity rule on. Only parsing and
//! folding is measured, never the making of the clicks.

use crate::clicks::Clicks;
use crate::measure::{Measure, cpu_time, resident};
use crate::tally::Tally;
use click_core::fold::{Effects, Fold, Serial};
use click_core::record::{Header, Record};
use click_core::types::{Millis, Offset, Partition};
use click_engine::log::RecordBatch;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Records parsed at a time, as the engine does.
const CHUNK: usize = 4096;
/// Rows are published as often as the engine publishes them.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// A tick so far behind the last click makes every verdict final.
pub const CLOSING_MS: u64 = 2000;

#[derive(clap::Args)]
pub struct FoldArgs {
    /// Clicks to fold.
    #[arg(long)]
    clicks: u64,
    /// Clicks per second of log time.
    #[arg(long)]
    rate: u64,
    /// Duplicates in a thousand.
    #[arg(long, default_value_t = 10)]
    duplicates: u64,
    /// Clicks per batch: as many as the engine reads at once.
    #[arg(long, default_value_t = 4096)]
    batch: u64,
    /// How often, one after the other; the last time is told.
    #[arg(long, default_value_t = 1)]
    pub passes: u32,
}

struct Bench {
    fold: Fold,
    effects: Effects,
    published: Instant,
    cpu: Duration,
    rows: usize,
    verdicts: usize,
}

impl Bench {
    fn new() -> Bench {
        let header = Header { log_id: [7; 16], generation: 1, partitions: 1 };
        Bench {
            fold: Fold::new(&header, 1),
            effects: Effects::default(),
            published: Instant::now(),
            cpu: Duration::ZERO,
            rows: 0,
            verdicts: 0,
        }
    }

    /// Folds a batch; this is what is measured.
    fn fold(&mut self, batch: &RecordBatch) {
        let begun = cpu_time();
        let mut records =
            batch.iter().map(|(offset, time, payload)| (Offset(offset), Millis(time), payload));
        while records.len() > 0 {
            let spare = self.fold.spare_chunk();
            let chunk = self.fold.parse(Partition(0), spare, records.by_ref().take(CHUNK));
            self.fold.push(Partition(0), chunk);
        }
        self.effects.clear();
        let publish = self.published.elapsed() >= PUBLISH_EVERY;
        if publish {
            self.published = Instant::now();
        }
        let w = self.fold.possible_watermark();
        self.fold.advance(w, publish, &Serial, &mut self.effects);
        self.cpu += cpu_time().saturating_sub(begun);
        self.rows += self.effects.rows.len();
        self.verdicts += self.effects.verdicts.len();
    }

    fn answer(&mut self, args: &FoldArgs, bytes: usize, grown: u64, wall: Duration) -> Value {
        let mut tally = Tally::default();
        self.fold.for_each_open_row(|row| tally.add(&row));
        let (claims_bytes, pairs_bytes) = self.fold.dedup_memory();
        json!({
            "clicks": args.clicks,
            "cpu": self.cpu.as_secs_f64(),
            "wall": wall.as_secs_f64(),
            "payload_bytes": bytes,
            "rows_published": self.rows,
            "verdicts": self.verdicts,
            "open_rows": self.fold.open_rows(),
            "claims": self.fold.claims(),
            "claims_bytes": claims_bytes,
            "pairs_bytes": pairs_bytes,
            "resident": grown,
            "by_class": self.fold.totals().by_class,
            "tally": tally.to_json(),
        })
    }
}

/// Makes a batch, then folds it, until all is done.
pub fn run(args: &FoldArgs) -> Value {
    let mut bench = Bench::new();
    let mut clicks = Clicks::new(1, args.rate, args.duplicates);
    let mut batch = RecordBatch::default();
    let (mut payload, mut bytes, mut last) = (Vec::new(), 0, 0);
    let before = resident();
    let whole = Measure::begin();
    let mut done = 0;
    while done < args.clicks {
        batch.clear();
        for offset in done..(done + args.batch).min(args.clicks) {
            payload.clear();
            last = clicks.next_into(&mut payload);
            bytes += payload.len();
            batch.push(offset, last, &payload);
        }
        done += batch.len() as u64;
        bench.fold(&batch);
    }
    let (wall, _) = whole.end();
    let grown = resident().saturating_sub(before);
    let closing = Millis(last + CLOSING_MS);
    batch.clear();
    batch.push(done, closing.0, &Record::tick(closing).to_bytes());
    bench.fold(&batch);
    bench.answer(args, bytes, grown, wall)
}
