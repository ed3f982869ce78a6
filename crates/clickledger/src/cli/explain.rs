//! `clickledger explain`: one click, its verdict, and for each reason the evidence.

use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use click_core::record::{Click, Kind, Record, Source};
use click_core::types::{Millis, Offset, Partition};
use click_core::verdict::{Class, Reasons};
use click_engine::archive::Location;
use click_engine::driver::{FinalVerdict, RefoldSummary, refold};
use click_engine::log::{EventLog, LogError, for_each_record};

use super::data::threads;
use super::{archive, progress};
use crate::out;

/// Clicks of the same source that are named.
const NAMED: usize = 20;

/// Say why a click was judged as it was.
///
/// Every click of this id is told with its position, verdict, and for each reason what it rests on.
/// From the log, which is folded again, or from the archive.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// The click id.
    click_id: String,
    /// Data directory.
    #[arg(long, value_name = "DIR", required_unless_present = "archive")]
    data: Option<PathBuf>,
    /// Read the archive instead of the log, a directory or a URL; also while a server runs.
    #[arg(long, value_name = "URL")]
    archive: Option<Location>,
    /// Threads of the fold [default: all cores]; changes no result.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    threads: usize,
}

/// Runs the command.
pub fn run(args: &ExplainArgs) -> Result<()> {
    let log = archive::log(args.data.as_deref(), args.archive.as_ref())?;
    let spinner = progress::spinner("folding");
    let mut verdicts = Vec::new();
    let summary = refold(&*log, threads(args.threads), &mut verdicts)?;
    verdicts.sort_unstable_by_key(|verdict: &FinalVerdict| (verdict.partition, verdict.offset));
    let verdicts = Verdicts(verdicts);
    let asked = clicks(&*log, &|click| click.click_id == args.click_id)?;
    if asked.is_empty() {
        bail!("no click has the id {:?} here", args.click_id);
    }
    let others = others(&*log, &asked)?;
    spinner.finish_and_clear();
    let judged: Vec<Judged> = others.iter().filter_map(|own| verdicts.judge(own)).collect();
    for own in &asked {
        tell(own, &verdicts, &judged, &summary);
    }
    Ok(())
}

/// Sorted by position.
struct Verdicts(Vec<FinalVerdict>);

impl Verdicts {
    fn of(&self, own: &Own) -> Option<&FinalVerdict> {
        let at = (own.partition, own.offset);
        let place = self.0.binary_search_by_key(&at, |verdict| (verdict.partition, verdict.offset));
        place.ok().map(|place| &self.0[place])
    }

    fn judge<'a>(&self, own: &'a Own) -> Option<Judged<'a>> {
        let verdict = self.of(own)?;
        Some(Judged { own, fold_time: verdict.fold_time, reasons: verdict.reasons })
    }
}

/// A click with its position.
struct Own {
    partition: Partition,
    offset: Offset,
    payload: Vec<u8>,
}

/// A click with its verdict.
struct Judged<'a> {
    own: &'a Own,
    fold_time: Millis,
    reasons: Reasons,
}

impl Own {
    fn click(&self) -> Click<'_> {
        match Record::decode(&self.payload).map(|record| record.kind) {
            Ok(Kind::Click(click)) => click,
            Ok(
                Kind::Tick
                | Kind::Heartbeat { .. }
                | Kind::Policy(_)
                | Kind::Header(_)
                | Kind::Layout(_),
            )
            | Err(_) => Click::default(),
        }
    }
}

impl Judged<'_> {
    /// Its place in fold order.
    fn place(&self) -> (Millis, Partition, Offset) {
        (self.fold_time, self.own.partition, self.own.offset)
    }

    fn name(&self) -> String {
        let click = self.own.click();
        format!(
            "{} at partition {} offset {}, received {}, fold time {}, {}",
            click.click_id,
            self.own.partition.0,
            self.own.offset.0,
            click.received_at.0,
            self.fold_time.0,
            codes(self.reasons)
        )
    }
}

fn codes(reasons: Reasons) -> String {
    if reasons == Reasons::NONE { Class::V.code().to_owned() } else { reasons.to_string() }
}

/// The clicks of a log that somebody wants.
fn clicks(log: &dyn EventLog, wanted: &dyn Fn(&Click<'_>) -> bool) -> Result<Vec<Own>> {
    let mut found = Vec::new();
    for partition in 0..log.partitions() {
        for_each_record(log, partition, log.range(partition), |offset, _, payload| {
            if let Ok(Record { kind: Kind::Click(click), .. }) = Record::decode(payload)
                && wanted(&click)
            {
                let (partition, offset) = (Partition(partition), Offset(offset));
                found.push(Own { partition, offset, payload: payload.to_vec() });
            }
            Ok::<_, LogError>(ControlFlow::Continue(()))
        })?;
    }
    Ok(found)
}

/// Clicks on the same link, of the same user on the same ad, or from the same source.
fn others(log: &dyn EventLog, asked: &[Own]) -> Result<Vec<Own>> {
    let asked: Vec<Click<'_>> = asked.iter().map(Own::click).collect();
    clicks(log, &|click| {
        asked.iter().any(|own| {
            same_link(own, click) || same_user_and_ad(own, click) || same_source(own, click)
        })
    })
}

fn same_link(a: &Click<'_>, b: &Click<'_>) -> bool {
    (a.issuer, a.click_id, a.user_id) == (b.issuer, b.click_id, b.user_id)
}

fn same_user_and_ad(a: &Click<'_>, b: &Click<'_>) -> bool {
    !a.user_id.is_empty() && (a.user_id, a.ad_id) == (b.user_id, b.ad_id)
}

fn same_source(a: &Click<'_>, b: &Click<'_>) -> bool {
    a.source() != Source::Unknown && a.source() == b.source()
}

fn tell(own: &Own, verdicts: &Verdicts, judged: &[Judged<'_>], summary: &RefoldSummary) {
    let click = own.click();
    out::line(format_args!(
        "click {:?} of ad {:?}, partition {}, offset {}",
        click.click_id, click.ad_id, own.partition.0, own.offset.0
    ));
    out::line(format_args!(
        "  price {} micro-{}, campaign {:?}, advertiser {:?}, user {:?}, issuer {:?}",
        click.price.0,
        click.currency,
        click.campaign_id,
        click.advertiser_id,
        click.user_id,
        click.issuer
    ));
    let Some(verdict) = verdicts.of(own) else {
        out::line("  no verdict: it was sent again (a record of this identity came before), or");
        out::line(format_args!("  it waits for log time to pass {}", summary.watermark.0));
        return;
    };
    let policy = summary.timeline.get(verdict.policy);
    let class = verdict.reasons.class();
    out::line(format_args!(
        "  verdict {} ({}), by policy {:?}, fold time {}, received {}",
        class.code(),
        class.title(),
        policy.map(|policy| policy.policy_id.as_str()).unwrap_or_default(),
        verdict.fold_time.0,
        click.received_at.0
    ));
    let billed = if class == Class::V { "it is billed" } else { "it is not billed" };
    out::line(format_args!("  {billed}"));
    let place = (verdict.fold_time, own.partition, own.offset);
    for reason in verdict.reasons.iter() {
        out::line(format_args!(
            "  {} {}: {}",
            reason.code(),
            reason.title(),
            stated(reason, &click)
        ));
        for line in evidence(reason, &click, place, judged) {
            out::line(format_args!("    {line}"));
        }
    }
}

/// What the record itself says for a reason.
fn stated(reason: Class, click: &Click<'_>) -> String {
    match reason {
        Class::T2 => format!(
            "expires at {}, received at {}",
            click.expires_at.unwrap_or_default().0,
            click.received_at.0
        ),
        Class::T3 => "the ad did not run when it was received".into(),
        Class::T4 => format!("received at {}, too long before its fold time", click.received_at.0),
        Class::G8 => format!("method {:?}", click.method),
        Class::G5 => format!("purpose {:?}", click.purpose),
        Class::D1 => "an earlier click claimed the same link for the same user".into(),
        Class::D2 => "the same user clicked the same ad a moment before".into(),
        Class::G3 => "clicks of its source within a second of it".into(),
        Class::G9 | Class::G2 | Class::G1 | Class::G4 | Class::S1 | Class::V => String::new(),
    }
}

/// The other clicks that a reason rests on.
fn evidence(
    reason: Class,
    click: &Click<'_>,
    place: (Millis, Partition, Offset),
    judged: &[Judged<'_>],
) -> Vec<String> {
    let claimed = |other: &&Judged<'_>| {
        !other.reasons.any_stateless() && !other.reasons.has(Class::D1) && other.place() < place
    };
    let last = |wanted: &dyn Fn(&Judged<'_>) -> bool| {
        let earlier = judged.iter().filter(claimed).filter(|other| wanted(other));
        earlier.max_by_key(|other| other.place()).map(Judged::name).into_iter().collect()
    };
    match reason {
        Class::D1 => last(&|other| same_link(click, &other.own.click())),
        Class::D2 => last(&|other| {
            !other.reasons.has(Class::D2) && same_user_and_ad(click, &other.own.click())
        }),
        Class::G3 => {
            let near = |other: &&Judged<'_>| {
                other.place() != place
                    && other.fold_time.0.abs_diff(place.0.0) < 1_000
                    && other.reasons.has(Class::G3)
                    && same_source(click, &other.own.click())
            };
            let mut near: Vec<_> = judged.iter().filter(near).collect();
            near.sort_by_key(|other| other.place());
            near.into_iter().take(NAMED).map(Judged::name).collect()
        }
        Class::T2
        | Class::T3
        | Class::T4
        | Class::G8
        | Class::G5
        | Class::G9
        | Class::G2
        | Class::G1
        | Class::G4
        | Class::S1
        | Class::V => Vec::new(),
    }
}
