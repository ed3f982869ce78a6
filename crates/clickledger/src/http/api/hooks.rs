//! What the tracker tells the API: its counters, whether it can take clicks, what looks wrong.

use super::{Hooks, Level, Notice};
use crate::http::metrics::{
    ACKNOWLEDGED, ARCHIVE_FAILING, ARCHIVED_UNTIL, AT_RISK, BEHIND, CLOCK_DIFFERENCE,
    CLUSTER_CLOCK, CONNECTIONS, CONNECTIONS_REFUSED, COPIED, COPIES_KEPT, COPY_FAILING,
    DEAD_LETTERS_DROPPED, DURABLE, FORWARD_RESTARTS, Metric, REFUSED, SPOOLED, Sample, Sampled,
    THROTTLED, TRUNCATION_FAILING, UNAVAILABLE, UNLOGGED,
};
use crate::http::track::limits::CLOCK_WARN_MS;
use crate::http::track::{CountBy, Histogram, Metrics, Tracker};
use click_engine::forward::{CopiesStatus, ForwardStatus};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Ads listed with their throttled clicks.
const THROTTLED_ADS: usize = 20;

impl Hooks {
    /// Hooks to a tracker; no self-check.
    pub fn of_tracker(tracker: &Arc<Tracker>) -> Hooks {
        let [a, b, c, d] = [(); 4].map(|()| Arc::clone(tracker));
        Hooks {
            metrics: Arc::new(move || samples(a.metrics())),
            tracker: Arc::new(move || numbers(&b)),
            notices: Arc::new(move || notices(&c)),
            not_ready: Arc::new(move || d.readiness().problems),
            ..Hooks::default()
        }
    }
}

/// What an archive tells.
pub struct ArchiveFacts {
    /// Everything before it is archived, ms since 1970.
    pub until: u64,
    /// What is wrong, if anything is.
    pub problem: Option<String>,
    /// Why addresses are not truncated that should be.
    pub untruncated: Option<String>,
}

impl Hooks {
    /// Adds what an archive tells.
    #[must_use]
    pub fn with_archive(mut self, facts: Arc<dyn Fn() -> ArchiveFacts + Send + Sync>) -> Hooks {
        let (metrics, notices, also) = (self.metrics, self.notices, Arc::clone(&facts));
        self.metrics = Arc::new(move || {
            let ArchiveFacts { until, problem, untruncated } = facts();
            let until = Sampled::Millis(until.into());
            let mut samples = metrics();
            samples.push(Sample { value: until, ..Sample::new(&ARCHIVED_UNTIL, 0) });
            samples.push(Sample::new(&ARCHIVE_FAILING, u64::from(problem.is_some())));
            let untruncated = u64::from(untruncated.is_some());
            samples.push(Sample::new(&TRUNCATION_FAILING, untruncated));
            samples
        });
        self.notices = Arc::new(move || {
            let ArchiveFacts { problem, untruncated, .. } = also();
            let notice = |code: &str, message| {
                [Notice { level: Level::Warning, code: code.into(), message }]
            };
            let problem = problem.map(|problem| {
                notice("archive", format!("the archive waits, nothing is lost: {problem}"))
            });
            let untruncated = untruncated.map(|reason| {
                let message = format!("addresses in the archive are not truncated: {reason}");
                notice("archive_truncation", message)
            });
            let own = problem.into_iter().chain(untruncated).flatten();
            notices().into_iter().chain(own).collect()
        });
        self
    }
}

/// What a tracker's spool tells, and the copies of others' that it keeps, if it does.
pub type SpoolFacts = Arc<dyn Fn() -> (ForwardStatus, Option<CopiesStatus>) + Send + Sync>;

impl Hooks {
    /// Adds what a spool tells.
    #[must_use]
    pub fn with_spool(mut self, facts: SpoolFacts) -> Hooks {
        let (metrics, notices, tracker) = (self.metrics, self.notices, self.tracker);
        let [a, b, c] = [(); 3].map(|()| Arc::clone(&facts));
        self.metrics = Arc::new(move || {
            let (status, copies) = a();
            let clock = Sampled::Millis(status.clock_difference_ms.into());
            let mut samples = metrics();
            samples.extend(copies.map(|copies| Sample::new(&COPIES_KEPT, copies.waiting)));
            samples.extend([
                Sample::new(&BEHIND, status.behind),
                Sample::new(&AT_RISK, status.at_risk),
                Sample::new(&COPIED, status.behind - status.at_risk),
                Sample::new(&COPY_FAILING, u64::from(status.copy_problem.is_some())),
                Sample::new(&SPOOLED, status.spooled),
                Sample::new(&FORWARD_RESTARTS, status.restarts),
                Sample { value: clock, ..Sample::new(&CLUSTER_CLOCK, 0) },
            ]);
            samples
        });
        self.tracker = Arc::new(move || {
            let (mut numbers, (status, _)) = (tracker(), b());
            if let Value::Object(numbers) = &mut numbers {
                numbers.insert("at_risk".into(), json!(status.at_risk));
                numbers.insert("spooled".into(), json!(status.spooled));
            }
            numbers
        });
        self.notices = Arc::new(move || {
            let (status, _) = c();
            let notice =
                |code: &str, message| Notice { level: Level::Warning, code: code.into(), message };
            let ForwardStatus { behind, at_risk, .. } = status;
            let behind = status.problem.map(|problem| {
                let message = format!(
                    "{behind} records wait in the spool, {at_risk} of them on this disk alone: \
                     {problem}"
                );
                notice("cluster", message)
            });
            let copy = status
                .copy_problem
                .map(|problem| notice("spool_copy", format!("the spool is not copied: {problem}")));
            let clock = status.clock_difference_ms;
            let apart = (clock.unsigned_abs() >= CLOCK_WARN_MS).then(|| {
                let message =
                    format!("clocks of cluster and tracker differ by {clock} ms: set them");
                notice("cluster_clock", message)
            });
            notices().into_iter().chain(behind).chain(copy).chain(apart).collect()
        });
        self
    }
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn samples(metrics: &Metrics) -> Vec<Sample> {
    let clock = i128::from(metrics.clock_difference_ms.load(Ordering::Relaxed));
    let mut samples = vec![
        Sample::with(&ACKNOWLEDGED, "redirect", get(&metrics.redirects)),
        Sample::with(&ACKNOWLEDGED, "beacon", get(&metrics.beacons)),
        Sample::with(&ACKNOWLEDGED, "batch", get(&metrics.batch_clicks)),
        Sample::new(&THROTTLED, get(&metrics.throttled)),
        Sample::new(&CONNECTIONS, get(&metrics.connections)),
        Sample::new(&CONNECTIONS_REFUSED, get(&metrics.connections_refused)),
        Sample::new(&DEAD_LETTERS_DROPPED, get(&metrics.dead_letters_dropped)),
        Sample { value: Sampled::Millis(clock), ..Sample::new(&CLOCK_DIFFERENCE, 0) },
        Sample { value: durations(&metrics.durable), ..Sample::new(&DURABLE, 0) },
    ];
    samples.extend(by(&REFUSED, &metrics.refused));
    samples.extend(by(&UNAVAILABLE, &metrics.unavailable));
    samples.extend(by(&UNLOGGED, &metrics.unlogged));
    samples
}

fn by(metric: &'static Metric, counts: &CountBy) -> impl Iterator<Item = Sample> {
    counts.get().into_iter().map(move |(word, count)| Sample::with(metric, word, count))
}

/// Bucket `n` holds what is below `2^n` µs: at most `2^n - 1`.
fn durations(histogram: &Histogram) -> Sampled {
    let buckets = histogram.buckets.iter().enumerate();
    let buckets = buckets.map(|(n, count)| ((1u64 << n) - 1, get(count)));
    Sampled::Micros { buckets: buckets.collect(), sum: get(&histogram.sum_micros) }
}

fn numbers(tracker: &Tracker) -> Value {
    let metrics = tracker.metrics();
    let by = |counts: &CountBy| -> Value {
        counts.get().into_iter().map(|(word, count)| (word.to_string(), json!(count))).collect()
    };
    let mut throttled = tracker.throttled_by_ad();
    throttled.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    throttled.truncate(THROTTLED_ADS);
    let throttled: Vec<Value> =
        throttled.iter().map(|(ad, count)| json!({ "ad_id": ad, "clicks": count })).collect();
    json!({
        "tracker_id": tracker.tracker_id(),
        "redirects": get(&metrics.redirects),
        "beacons": get(&metrics.beacons),
        "batch_clicks": get(&metrics.batch_clicks),
        "throttled": get(&metrics.throttled),
        "throttled_ads": throttled,
        "unlogged": metrics.unlogged.total(),
        "unlogged_by_reason": by(&metrics.unlogged),
        "unavailable_by_reason": by(&metrics.unavailable),
        "refused_by_reason": by(&metrics.refused),
        "connections": get(&metrics.connections),
        "clock_difference_ms": metrics.clock_difference_ms.load(Ordering::Relaxed),
    })
}

fn notices(tracker: &Tracker) -> Vec<Notice> {
    let code = "tracker_warning".to_string();
    let warnings = tracker.readiness().warnings.into_iter().map(|message| Notice {
        level: Level::Warning,
        code: code.clone(),
        message,
    });
    let mut notices: Vec<Notice> = warnings.collect();
    let unlogged = tracker.metrics().unlogged.total();
    if unlogged > 0 {
        notices.push(Notice {
            level: Level::Warning,
            code: "unlogged".into(),
            message: format!(
                "{unlogged} visitors were redirected without a durable record: those clicks may be \
                 missing. /v1/status tells the reasons"
            ),
        });
    }
    notices
}
