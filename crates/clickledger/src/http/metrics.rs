//! Every metric in one place: name, kind, labels, what it tells; and the Prometheus text.
//!
//! `docs/metrics.md` is made from [`ALL`]. A sample can only be of a metric defined here, so that
//! nothing is exported that is not documented. Must never count by anything a stranger can choose.

use click_core::verdict::Class;
use click_engine::live::EngineStatus;
use std::fmt::Write as _;

/// Kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only rises, but for a restart.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts by upper bound.
    Histogram,
}

/// What a metric is; its identity is its name.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name with unit.
    pub name: &'static str,
    /// Kind.
    pub kind: MetricKind,
    /// Name of its one label, empty for none.
    pub label: &'static str,
    /// What it tells, and what to do about it.
    pub help: &'static str,
}

/// A value of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sampled {
    /// A counter's or gauge's value.
    Value(i128),
    /// A gauge of milliseconds, shown in seconds.
    Millis(i128),
    /// Upper bounds in microseconds with the count of each bucket alone, and the sum in
    /// microseconds.
    Micros {
        /// Upper bound (inclusive) and count.
        buckets: Vec<(u64, u64)>,
        /// Sum of all values.
        sum: u64,
    },
}

/// A metric's value, for one value of its label.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Which metric.
    pub metric: &'static Metric,
    /// Value of the label; empty if the metric has none.
    pub label: String,
    /// The value.
    pub value: Sampled,
}

impl Sample {
    /// A value of a metric without label.
    pub fn new(metric: &'static Metric, value: impl Into<i128>) -> Sample {
        Sample { metric, label: String::new(), value: Sampled::Value(value.into()) }
    }

    /// A value for one value of the label.
    pub fn with(metric: &'static Metric, label: &str, value: impl Into<i128>) -> Sample {
        Sample { metric, label: label.into(), value: Sampled::Value(value.into()) }
    }
}

macro_rules! metrics {
    ($($id:ident $name:literal $kind:ident $label:literal $help:literal)*) => {
        $(
            #[doc = $help]
            pub static $id: Metric =
                Metric { name: $name, kind: MetricKind::$kind, label: $label, help: $help };
        )*
        /// Every metric there is, in the order of the documentation.
        pub static ALL: &[&Metric] = &[$(&$id),*];
    };
}

metrics! {
    MEASURED "clickledger_clicks_measured_total" Counter ""
        "Measured clicks below the watermark, since the log's first record."
    PENDING "clickledger_clicks_pending" Gauge ""
        "Measured clicks whose verdict is not final yet; about one second's worth."
    BY_CLASS "clickledger_clicks_total" Counter "class"
        "Clicks with a final verdict, by primary class. With the pending ones: all measured."
    ARRIVING "clickledger_clicks_arriving" Gauge ""
        "Clicks read beyond the watermark. Rises without end if a partition stands still."
    LAG "clickledger_lag_records" Gauge ""
        "Records that the log has and the engine has not read. Rises if the engine is too slow."
    WATERMARK "clickledger_watermark_seconds" Gauge ""
        "The watermark W, as Unix time. Compare with the clock: the difference is the delay."
    CHECKPOINT "clickledger_checkpoint_seconds" Gauge ""
        "Watermark of the newest whole checkpoint, as Unix time. A restart replays from there."
    STORE_MARK "clickledger_store_mark_seconds" Gauge ""
        "All rows changed before this Unix time are in the store: the as_of of reports."
    ROWS_WAITING "clickledger_rows_waiting" Gauge ""
        "Rows that the store has not confirmed. Rises if the store is slow or away."
    STORE_WAITING "clickledger_store_rows_waiting" Gauge "store"
        "The same of each store; the one that reports read is called first."
    STORE_FAILING "clickledger_store_failing" Gauge "store"
        "1 while a store takes nothing; the page says why. Nothing is lost, nothing else waits."
    STORE_LACKS "clickledger_store_lacks_rows" Gauge "store"
        "1 if a store lacks rows that are not in memory any more: `clickledger store rebuild`."
    ROWS_OPEN "clickledger_rows_open" Gauge ""
        "Rows in memory that are not sealed."
    CLAIMS "clickledger_claims" Gauge ""
        "Claims held by the dedup set."
    REPEATS "clickledger_records_repeated_total" Counter ""
        "Records dropped because their transport identity was seen before: re-sent, not clicked."
    GAPS "clickledger_records_missing" Gauge ""
        "Records known to be missing. Above 0 means clicks that a tracker had and the log lacks."
    DEAD_LETTERS "clickledger_dead_letters_total" Counter ""
        "Records of the log that cannot be decoded, kept in the dead-letter log."
    ENGINE_FAILED "clickledger_engine_failed" Gauge ""
        "1 if the engine stopped by an error; /readyz says which."
    STREAM_CLIENTS "clickledger_stream_clients" Gauge ""
        "Open connections to /v1/stream."
    STREAM_RESETS "clickledger_stream_resets_total" Counter ""
        "Times a stream client was too slow and was told to start over."
    ACKNOWLEDGED "clickledger_clicks_acknowledged_total" Counter "how"
        "Clicks made durable and acknowledged since the process started, by how they came."
    REFUSED "clickledger_requests_refused_total" Counter "reason"
        "Requests and batch items that are no clicks, by reason. A stranger can raise this."
    UNAVAILABLE "clickledger_requests_unavailable_total" Counter "reason"
        "Requests answered with 503 because the log did not take the click, by reason."
    UNLOGGED "clickledger_clicks_unlogged_total" Counter "reason"
        "Visitors redirected without a durable record, by reason. Above 0 means lost clicks."
    THROTTLED "clickledger_clicks_throttled_total" Counter ""
        "Genuine requests not appended because one link came too often."
    CONNECTIONS "clickledger_connections" Gauge ""
        "Open HTTP connections."
    CONNECTIONS_REFUSED "clickledger_connections_refused_total" Counter ""
        "Connections closed at once because there were too many."
    CLOCK_DIFFERENCE "clickledger_clock_difference_seconds" Gauge ""
        "The log's clock minus the tracker's. Beyond one second warns, beyond 60 is not ready."
    DURABLE "clickledger_durable_seconds" Histogram ""
        "Time from a click's arrival to its durable record."
    DEAD_LETTERS_DROPPED "clickledger_dead_letters_dropped_total" Counter ""
        "Refused requests left out of the dead-letter sample."
    BEHIND "clickledger_spool_behind_records" Gauge ""
        "Records that the tracker's spool has and the cluster has not confirmed."
    AT_RISK "clickledger_spool_at_risk_records" Gauge ""
        "Those of them that no other site has a copy of: on one disk alone."
    COPIED "clickledger_spool_copied_records" Gauge ""
        "Those of them that another site has a copy of (spool.copy_to)."
    COPY_FAILING "clickledger_spool_copy_failing" Gauge ""
        "1 while the other site does not take copies; log and page say why."
    COPIES_KEPT "clickledger_spool_copies_kept_records" Gauge ""
        "Records of other trackers' spools that are kept here and the cluster has not confirmed."
    SPOOLED "clickledger_spool_acknowledged_total" Counter ""
        "Records acknowledged from the spool, since the cluster did not answer in time."
    FORWARD_RESTARTS "clickledger_spool_restarts_total" Counter ""
        "Times that what was under way to the cluster was given up and sent again."
    CLUSTER_CLOCK "clickledger_cluster_clock_difference_seconds" Gauge ""
        "The brokers' clock minus the tracker's, at the last confirmation."
    ARCHIVED_UNTIL "clickledger_archived_until_timestamp_seconds" Gauge ""
        "All records before this Unix time are archived; 0 without an archive."
    ARCHIVE_FAILING "clickledger_archive_failing" Gauge ""
        "1 while the archive does not take what it is given; the page says why. Nothing is lost."
    TRUNCATION_FAILING "clickledger_archive_truncation_failing" Gauge ""
        "1 while addresses in the archive are not truncated that should be; the page says why."
}

/// What the engine's status tells.
pub fn of_engine(status: &EngineStatus) -> Vec<Sample> {
    let seconds =
        |metric, ms: u64| Sample { value: Sampled::Millis(ms.into()), ..Sample::new(metric, 0) };
    let mut samples = vec![
        Sample::new(&MEASURED, status.measured),
        Sample::new(&PENDING, status.pending),
        Sample::new(&ARRIVING, status.arriving),
        Sample::new(&LAG, status.lag),
        Sample::new(&ROWS_WAITING, status.rows_waiting),
        Sample::new(&ROWS_OPEN, status.rows_open),
        Sample::new(&CLAIMS, status.claims),
        Sample::new(&REPEATS, status.repeats),
        Sample::new(&GAPS, status.gaps),
        Sample::new(&DEAD_LETTERS, status.dead_letters),
        Sample::new(&ENGINE_FAILED, i128::from(status.failed.is_some())),
        seconds(&WATERMARK, status.watermark.0),
        seconds(&CHECKPOINT, status.checkpoint.0),
        seconds(&STORE_MARK, status.store_mark.0),
    ];
    let of_class =
        |class: Class| Sample::with(&BY_CLASS, class.code(), status.by_class[class as usize]);
    samples.extend(Class::ALL.into_iter().map(of_class));
    for store in &status.stores {
        samples.push(Sample::with(&STORE_WAITING, &store.name, store.rows_waiting));
        samples.push(Sample::with(&STORE_FAILING, &store.name, u64::from(store.problem.is_some())));
        samples.push(Sample::with(&STORE_LACKS, &store.name, u64::from(store.lacks)));
    }
    samples
}

/// The samples as Prometheus text, in the order of [`ALL`].
pub fn render(samples: &[Sample]) -> String {
    let mut text = String::new();
    for metric in ALL {
        let mut mine = samples.iter().filter(|sample| sample.metric == *metric).peekable();
        if mine.peek().is_none() {
            continue;
        }
        let _ = writeln!(text, "# HELP {} {}", metric.name, metric.help);
        let _ = writeln!(text, "# TYPE {} {}", metric.name, kind_name(metric.kind));
        mine.for_each(|sample| render_sample(&mut text, sample));
    }
    text
}

const fn kind_name(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
    }
}

fn render_sample(text: &mut String, sample: &Sample) {
    let name = sample.metric.name;
    // Writing to a string cannot fail.
    let _ = match &sample.value {
        Sampled::Value(value) => writeln!(text, "{name}{} {value}", labels(sample)),
        Sampled::Millis(ms) => writeln!(text, "{name}{} {}", labels(sample), decimal(*ms, 3)),
        Sampled::Micros { buckets, sum } => {
            let mut count = 0;
            for (bound, more) in buckets {
                count += more;
                let bound = decimal(i128::from(*bound), 6);
                let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {count}");
            }
            let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}");
            let sum = decimal(i128::from(*sum), 6);
            writeln!(text, "{name}_sum {sum}\n{name}_count {count}")
        }
    };
}

fn labels(sample: &Sample) -> String {
    if sample.metric.label.is_empty() {
        return String::new();
    }
    let value = sample.label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{{{}=\"{value}\"}}", sample.metric.label)
}

/// `value / 10^places` without a float.
fn decimal(value: i128, places: u32) -> String {
    let scale = 10u128.pow(places);
    let (whole, part) = (value.unsigned_abs() / scale, value.unsigned_abs() % scale);
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{whole}.{part:0width$}", width = places as usize)
}

/// The text of `docs/metrics.md`.
pub fn document() -> String {
    let mut text = String::from(
        "# Metrics\n\n`GET /metrics` answers in the Prometheus text format. This list is made from \
         the program; a test compares them.\n\n\
         | name | kind | label | meaning |\n|---|---|---|---|\n",
    );
    for Metric { name, kind, label, help } in ALL {
        let _ = writeln!(text, "| `{name}` | {} | {label} | {help} |", kind_name(*kind));
    }
    text
}
