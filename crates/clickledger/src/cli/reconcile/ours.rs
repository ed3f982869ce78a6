//! Our side: every click with its verdict, and the minute in which it is billed.

use std::ops::ControlFlow;

use anyhow::Result;
use click_core::record::{Kind, Record};
use click_core::types::{Millis, Offset, Partition};
use click_core::verdict::Class;
use click_engine::driver::{FinalVerdict, refold};
use click_engine::log::{EventLog, LogError, for_each_record};

/// A click whose verdict is final. Times are ms since 1970.
pub struct OurClick {
    pub click_id: String,
    pub issuer: String,
    pub ad: String,
    pub advertiser: String,
    pub currency: String,
    pub micros: i128,
    /// When it happened.
    pub time: u64,
    /// Beginning of the minute in which it is billed: the posted one of a late click.
    pub billed: u64,
    /// It is billed in another minute than it happened in.
    pub is_late: bool,
    pub class: Class,
}

/// All clicks of a log in the order of positions; and how many have no final verdict.
pub fn read(log: &dyn EventLog, threads: usize) -> Result<(Vec<OurClick>, u64)> {
    let mut verdicts: Vec<FinalVerdict> = Vec::new();
    let summary = refold(log, threads, &mut verdicts)?;
    verdicts.sort_unstable_by_key(|verdict| (verdict.partition, verdict.offset));
    let mut rest = verdicts.iter().peekable();
    let mut clicks = Vec::with_capacity(verdicts.len());
    for partition in 0..log.partitions() {
        for_each_record(log, partition, log.range(partition), |offset, _, payload| {
            let at = (Partition(partition), Offset(offset));
            if let Some(verdict) = rest.next_if(|verdict| (verdict.partition, verdict.offset) == at)
                && let Ok(Record { kind: Kind::Click(click), .. }) = Record::decode(payload)
            {
                let time = click.received_at.min(verdict.fold_time);
                let is_late = summary.timeline.sealing_starts(time.minute()) <= verdict.fold_time;
                let billed = if is_late { verdict.fold_time } else { time };
                clicks.push(OurClick {
                    click_id: click.click_id.to_owned(),
                    issuer: click.issuer.to_owned(),
                    ad: click.ad_id.to_owned(),
                    advertiser: click.advertiser_id.to_owned(),
                    currency: click.currency.to_owned(),
                    micros: i128::from(click.price.0),
                    time: time.0,
                    billed: begin(billed),
                    is_late,
                    class: verdict.reasons.class(),
                });
            }
            Ok::<_, LogError>(ControlFlow::Continue(()))
        })?;
    }
    Ok((clicks, summary.pending + summary.arriving))
}

fn begin(at: Millis) -> u64 {
    at.0 / 60_000 * 60_000
}
