//! Verdicts (SPEC §4): every click's reasons, the first of which in table order is its class.
//!
//! Owns the rules. Must never see a transport repeat, or look at W: a verdict is a fact about
//! the whole log, `Reference::verdicts` says from when on it is known.

use std::collections::BTreeMap;

use super::fold_time::Folded;
use super::policy::Policies;
use super::record::{PlainClick, PlainIp, PlainPolicy, Position};
use super::rows;
use super::{BURST_SPAN_MS, DOUBLE_CLICK_MEMORY_MS, MINUTE_MS, SKEW_MS};

/// The classes in the order of the verdict table. G9, G2, G1, G4 and S1 have no rule yet.
pub const CLASSES: [&str; 14] =
    ["T2", "T3", "T4", "G8", "G5", "G9", "G2", "G1", "G4", "D1", "D2", "G3", "S1", "V"];

/// What a click ends as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The first reason, or `V`.
    pub class: &'static str,
    /// All reasons in table order; none for `V`.
    pub reasons: Vec<&'static str>,
    /// The id of the policy in force at the click's `fold_time`.
    pub policy: String,
}

/// A click with all that is decided about it.
pub(super) struct Judged {
    pub(super) position: Position,
    pub(super) fold_time: u64,
    pub(super) click_time: u64,
    pub(super) minute: u64,
    /// Of a late click (SPEC §5).
    pub(super) posted_minute: Option<u64>,
    pub(super) click: PlainClick,
    policy: PlainPolicy,
    reasons: Vec<&'static str>,
}

impl Judged {
    pub(super) fn class(&self) -> &'static str {
        self.reasons.first().copied().unwrap_or("V")
    }

    pub(super) fn verdict(&self) -> Verdict {
        let policy = self.policy.id.clone();
        Verdict { class: self.class(), reasons: self.reasons.clone(), policy }
    }

    fn has(&self, reason: &str) -> bool {
        self.reasons.contains(&reason)
    }
}

/// All clicks but the repeats, in fold order, judged.
pub(super) fn judge(
    folded: &[Folded],
    repeats: &[(u64, Position)],
    policies: &Policies,
) -> Vec<Judged> {
    let mut clicks = Vec::new();
    for f in folded {
        let repeat = repeats.iter().any(|(_, position)| *position == f.position());
        if let (Some(click), false) = (f.click(), repeat) {
            clicks.push(measured(f, click, policies));
        }
    }
    judge_users(&mut clicks);
    judge_sources(&mut clicks);
    for click in &mut clicks {
        click.reasons.sort_by_key(|reason| CLASSES.iter().position(|class| class == reason));
    }
    clicks
}

fn measured(f: &Folded, click: &PlainClick, policies: &Policies) -> Judged {
    let fold_time = f.fold_time;
    let click_time = click.received_at.min(fold_time);
    let minute = click_time / MINUTE_MS;
    let late = rows::unposted_until(minute, policies) <= fold_time;
    let policy = policies.at(fold_time).clone();
    let reasons = stateless(click, fold_time, click_time, &policy, policies);
    Judged {
        position: f.position(),
        fold_time,
        click_time,
        minute,
        posted_minute: late.then_some(fold_time / MINUTE_MS),
        click: click.clone(),
        policy,
        reasons,
    }
}

fn stateless(
    click: &PlainClick,
    fold_time: u64,
    click_time: u64,
    policy: &PlainPolicy,
    policies: &Policies,
) -> Vec<&'static str> {
    let expired = |expires_at: u64| {
        click.received_at > expires_at
            || expires_at > click_time + policy.link_lifetime_ms + SKEW_MS
    };
    let spool_limit_ms = policies.smallest_spool_limit(click.received_at, fold_time);
    let rules = [
        ("T2", click.expires_at.is_some_and(expired)),
        ("T3", click.ad_active == Some(false)),
        ("T4", fold_time > click.received_at + spool_limit_ms),
        ("G8", is_no_click(click.method.as_deref().unwrap_or(""))),
        ("G5", is_preview(click.purpose.as_deref().unwrap_or(""))),
    ];
    rules.into_iter().filter(|(_, hits)| *hits).map(|(reason, _)| reason).collect()
}

/// An empty method is an unknown one (SPEC §11).
fn is_no_click(method: &str) -> bool {
    !method.is_empty() && !["GET", "POST"].contains(&method.to_ascii_uppercase().as_str())
}

fn is_preview(purpose: &str) -> bool {
    let purpose = purpose.to_ascii_lowercase();
    ["prefetch", "prerender", "preview"].iter().any(|word| purpose.contains(word))
}

/// D1 and D2, for clicks without a stateless reason.
fn judge_users(clicks: &mut [Judged]) {
    // By (issuer, click_id, user_id): the last claim's fold_time and the H in force there. An
    // earlier claim has expired, or this one would not have been made.
    let mut claims: BTreeMap<(String, String, String), (u64, u64)> = BTreeMap::new();
    // By (user_id, ad_id): click_time and fold_time of the last that claimed and was not D2.
    let mut singles: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
    for judged in clicks.iter_mut().filter(|judged| judged.reasons.is_empty()) {
        let click = &judged.click;
        let now = judged.fold_time;
        let link = (click.issuer.clone(), click.click_id.clone(), click.user_id.clone());
        if claims.get(&link).is_some_and(|(claimed, horizon_ms)| now - claimed <= *horizon_ms) {
            judged.reasons.push("D1");
            continue;
        }
        claims.insert(link, (now, judged.policy.horizon_ms));
        if click.user_id.is_empty() {
            continue;
        }
        let pair = (click.user_id.clone(), click.ad_id.clone());
        let is_double = |(click_time, fold_time): &(u64, u64)| {
            judged.click_time.abs_diff(*click_time) <= judged.policy.double_click_ms
                && now - fold_time <= DOUBLE_CLICK_MEMORY_MS
        };
        if singles.get(&pair).is_some_and(is_double) {
            judged.reasons.push("D2");
        } else {
            singles.insert(pair, (judged.click_time, now));
        }
    }
}

/// SPEC §4, "by source".
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Key(Vec<u8>),
    V4([u8; 4]),
    V6Subnet([u8; 8]),
}

fn source(click: &PlainClick) -> Option<Source> {
    if !click.source_key.is_empty() {
        return Some(Source::Key(click.source_key.clone()));
    }
    match click.ip? {
        PlainIp::V4(bytes) => Some(Source::V4(bytes)),
        PlainIp::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]) => {
            Some(Source::V4([a, b, c, d]))
        }
        PlainIp::V6([a, b, c, d, e, f, g, h, ..]) => {
            Some(Source::V6Subnet([a, b, c, d, e, f, g, h]))
        }
    }
}

/// G3, over the clicks of each source in fold order, those with G5 or G8 left out.
fn judge_sources(clicks: &mut [Judged]) {
    let mut by_source: BTreeMap<Source, Vec<usize>> = BTreeMap::new();
    for (index, judged) in clicks.iter().enumerate() {
        if judged.has("G5") || judged.has("G8") {
            continue;
        }
        if let Some(source) = source(&judged.click) {
            by_source.entry(source).or_default().push(index);
        }
    }
    for indexes in by_source.values() {
        let hits: Vec<bool> = (0..indexes.len()).map(|i| in_burst(clicks, indexes, i)).collect();
        for (index, hit) in indexes.iter().zip(hits) {
            if hit {
                clicks[*index].reasons.push("G3");
            }
        }
    }
}

/// Whether click `i` of a source is one of N + 1 consecutive ones within the span, N being the
/// threshold of the policy that judges it.
fn in_burst(clicks: &[Judged], indexes: &[usize], i: usize) -> bool {
    let allowed = clicks[indexes[i]].policy.burst_clicks as usize;
    (i.saturating_sub(allowed)..=i).any(|start| {
        let run = indexes.get(start..=start + allowed);
        run.is_some_and(|run| {
            span(run.iter().map(|index| clicks[*index].fold_time)) < BURST_SPAN_MS
                && span(run.iter().map(|index| clicks[*index].click_time)) < BURST_SPAN_MS
        })
    })
}

fn span(times: impl Iterator<Item = u64> + Clone) -> u64 {
    times.clone().max().unwrap_or(0) - times.min().unwrap_or(0)
}
