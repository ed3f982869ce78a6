//! The CSV of `show` (SPEC §11), byte for byte.
//!
//! Owns columns, order, quoting and the printed minute. Must never count anything.

use std::collections::BTreeMap;

use super::record::Position;
use super::rows::{AdKey, PlainRow, PublisherKey};
use super::verdict::{CLASSES, Verdict};

const MINUTES_PER_DAY: u64 = 24 * 60;
const AD_COLUMNS: &str = "ad_id,minute,posted_minute,currency,campaign_id,advertiser_id";
const PUBLISHER_COLUMNS: &str = "publisher_id,placement_id,minute,posted_minute,currency";

/// The ad view; with a `generation` the version column, too.
pub(super) fn ads(rows: &BTreeMap<AdKey, PlainRow>, generation: Option<u16>) -> String {
    let lines = rows.iter().map(|((ad, minute, posted, currency, campaign, advertiser), row)| {
        let (minute, posted) = (printed(*minute), posted.map(printed).unwrap_or_default());
        let (campaign, advertiser) = (campaign.clone(), advertiser.clone());
        (vec![ad.clone(), minute, posted, currency.clone(), campaign, advertiser], row)
    });
    table(AD_COLUMNS, "spend_micros", lines.collect(), generation)
}

/// The publisher view; with a `generation` the version column, too.
pub(super) fn publishers(
    rows: &BTreeMap<PublisherKey, PlainRow>,
    generation: Option<u16>,
) -> String {
    let lines = rows.iter().map(|((publisher, placement, minute, posted, currency), row)| {
        let (minute, posted) = (printed(*minute), posted.map(printed).unwrap_or_default());
        (vec![publisher.clone(), placement.clone(), minute, posted, currency.clone()], row)
    });
    table(PUBLISHER_COLUMNS, "payout_micros", lines.collect(), generation)
}

/// One line a click, by partition and offset.
pub(super) fn verdicts(
    verdicts: &BTreeMap<Position, Verdict>,
    click_ids: &BTreeMap<Position, String>,
) -> String {
    let mut out = "partition,offset,click_id,class,reasons\n".to_owned();
    for (position, verdict) in verdicts {
        let cells = [
            position.0.to_string(),
            position.1.to_string(),
            click_ids[position].clone(),
            verdict.class.to_owned(),
            verdict.reasons.join("+"),
        ];
        push_line(&mut out, &cells);
    }
    out
}

fn table(
    keys: &str,
    sum_name: &str,
    mut lines: Vec<(Vec<String>, &PlainRow)>,
    generation: Option<u16>,
) -> String {
    // Strings compare bytewise, and the empty one comes first.
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    let version_name = if generation.is_some() { ",version" } else { "" };
    let classes = CLASSES.join(",");
    let mut out = format!("{keys},measured,pending,{classes},{sum_name}{version_name}\n");
    for (mut cells, row) in lines {
        cells.push(row.measured.to_string());
        cells.push(row.pending.to_string());
        cells.extend(row.counts.iter().map(u64::to_string));
        cells.push(row.sum.to_string());
        cells.extend(generation.map(|g| (u64::from(g) << 48 | row.version_ms).to_string()));
        push_line(&mut out, &cells);
    }
    out
}

fn push_line(out: &mut String, cells: &[String]) {
    let quoted: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
    out.push_str(&quoted.join(","));
    out.push('\n');
}

/// RFC 4180: in quotes only where needed.
fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

/// `2017-11-07T09:30Z`.
fn printed(minute: u64) -> String {
    let (year, month, day) = date(minute / MINUTES_PER_DAY);
    let (hour, minute) = (minute % MINUTES_PER_DAY / 60, minute % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}Z")
}

/// The date of a day counted from 1970, by walking the calendar.
fn date(mut days: u64) -> (u64, u64, u64) {
    let mut year = 1970;
    while days >= 365 + leap_day(year) {
        days -= 365 + leap_day(year);
        year += 1;
    }
    let lengths = [31, 28 + leap_day(year), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

fn leap_day(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    u64::from(leap)
}
