//! Ledger rows as the columns of SPEC §11.

use std::io::Write;

use anyhow::{Context, Result};
use click_core::row::{Row, RowKey};
use click_core::types::Minute;
use click_core::verdict::Class;
use click_engine::store::View;

use super::table::{Column, Kind, Writer};

/// The columns of a view.
pub fn columns(view: View, with_version: bool) -> Vec<Column> {
    let (keys, sum): (&[&'static str], _) = match view {
        View::Ad => (
            &["ad_id", "minute", "posted_minute", "currency", "campaign_id", "advertiser_id"],
            "spend_micros",
        ),
        View::Publisher => (
            &["publisher_id", "placement_id", "minute", "posted_minute", "currency"],
            "payout_micros",
        ),
    };
    let text = |name| Column { name, kind: Kind::Text };
    let count = |name| Column { name, kind: Kind::Count };
    let classes = Class::ALL.iter().map(|class| count(class.code()));
    let mut columns: Vec<_> = keys.iter().map(|name| text(*name)).collect();
    columns.extend(["measured", "pending"].map(count));
    columns.extend(classes);
    // Versions and sums pass 2^53: text in JSON.
    columns.push(text(sum));
    columns.extend(with_version.then(|| text("version")));
    columns
}

/// One row.
pub fn write<W: Write>(row: &Row, with_version: bool, out: &mut Writer<'_, W>) -> Result<()> {
    let minute = minute(row.minute)?;
    let posted = row.posted_minute.map_or(Ok(String::new()), self::minute)?;
    let mut values = match &*row.key {
        RowKey::Ad { ad_id, currency, campaign_id, advertiser_id } => vec![
            ad_id.clone(),
            minute,
            posted,
            currency.clone(),
            campaign_id.clone(),
            advertiser_id.clone(),
        ],
        RowKey::Publisher { publisher_id, placement_id, currency } => {
            vec![publisher_id.clone(), placement_id.clone(), minute, posted, currency.clone()]
        }
    };
    let counts = &row.counts;
    values.extend([counts.measured, counts.pending].map(|count| count.to_string()));
    values.extend(counts.by_class.map(|count| count.to_string()));
    values.push(counts.sum_micros.to_string());
    values.extend(with_version.then(|| row.version.0.to_string()));
    out.row(&values)
}

/// Such as `2017-11-07T09:30Z`.
fn minute(minute: Minute) -> Result<String> {
    let at = jiff::Timestamp::from_second(i64::from(minute.0) * 60);
    let at = at.context("a minute beyond the calendar")?;
    Ok(at.strftime("%Y-%m-%dT%H:%MZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::table::Format;
    use click_core::row::Counts;
    use click_core::types::Version;

    #[test]
    fn the_columns_are_those_of_the_interchange() {
        let mut counts = Counts { measured: 3, pending: 1, sum_micros: -5, ..Counts::default() };
        counts.by_class[Class::V as usize] = 2;
        let row = Row {
            key: std::sync::Arc::new(RowKey::Ad {
                ad_id: "a".into(),
                currency: "USD".into(),
                campaign_id: "m".into(),
                advertiser_id: String::new(),
            }),
            minute: Minute(25_167_450),
            posted_minute: Some(Minute(25_167_500)),
            counts,
            version: Version(7),
        };
        let mut out = Vec::new();
        let columns = columns(View::Ad, true);
        let mut writer = Writer::new(Format::Csv, columns, &mut out).unwrap();
        write(&row, true, &mut writer).unwrap();
        writer.finish().unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "ad_id,minute,posted_minute,currency,campaign_id,advertiser_id,measured,pending,\
             T2,T3,T4,G8,G5,G9,G2,G1,G4,D1,D2,G3,S1,V,spend_micros,version\n\
             a,2017-11-07T09:30Z,2017-11-07T10:20Z,USD,m,,3,1,\
             0,0,0,0,0,0,0,0,0,0,0,0,0,2,-5,7\n"
        );
    }
}
