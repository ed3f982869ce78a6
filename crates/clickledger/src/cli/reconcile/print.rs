//! The report as tables, CSV or JSON.

use anyhow::Result;
use serde_json::json;

use super::causes::{Report, Sum};
use crate::cli::table::{Column, Format, Kind, Writer};
use crate::out;

/// Lines of the table of ads, and of clicks.
const SHOWN: usize = 20;

/// Prints it; CSV has a line a part of the difference, JSON all of it.
pub fn print(report: &Report, format: Format) -> Result<()> {
    match format {
        Format::Table => tables(report),
        Format::Csv => out::buffered(|out| {
            let mut table = Writer::new(format, item_columns(), out)?;
            report.items.iter().try_for_each(|item| {
                table.row(&[
                    item.cause.code(),
                    item.advertiser.clone(),
                    item.ad.clone(),
                    item.currency.clone(),
                    item.sum.clicks.to_string(),
                    item.sum.micros.to_string(),
                    item.click_id.clone(),
                ])
            })?;
            table.finish()
        }),
        Format::Json => {
            out::line(format_args!("{:#}", as_json(report)));
            Ok(())
        }
    }
}

fn item_columns() -> Vec<Column> {
    let text = |name| Column { name, kind: Kind::Text };
    let count = |name| Column { name, kind: Kind::Count };
    vec![
        text("cause"),
        text("advertiser_id"),
        text("ad_id"),
        text("currency"),
        count("clicks"),
        text("micros"),
        text("click_id"),
    ]
}

fn tables(report: &Report) -> Result<()> {
    for (currency, [theirs, ours, difference]) in report.totals() {
        out::line(format_args!(
            "{currency}: theirs {} clicks, {}; ours {} clicks, {}; difference {:+} clicks, {}",
            theirs.clicks,
            money(theirs.micros),
            ours.clicks,
            money(ours.micros),
            difference.clicks,
            money(difference.micros)
        ));
    }
    notes(report).iter().for_each(out::line);
    let text = |name| Column { name, kind: Kind::Text };
    let count = |name| Column { name, kind: Kind::Count };
    let columns =
        vec![text("cause"), count("clicks"), count("money"), text("currency"), text("meaning")];
    out::line("");
    table(
        columns,
        report.by_cause().into_iter().map(|((currency, cause), sum)| {
            vec![cause.code(), signed(sum.clicks), money(sum.micros), currency, cause.told()]
        }),
    )?;
    let columns = vec![
        text("advertiser_id"),
        text("ad_id"),
        text("cause"),
        count("clicks"),
        count("money"),
        text("currency"),
    ];
    let ads = report.by_ad();
    out::line(format_args!("\nby ad, the {} greatest", SHOWN.min(ads.len())));
    let ads = ads.into_iter().take(SHOWN);
    table(
        columns,
        ads.map(|((advertiser, ad, currency, cause), sum)| {
            vec![advertiser, ad, cause.code(), signed(sum.clicks), money(sum.micros), currency]
        }),
    )?;
    let named: Vec<_> = report.items.iter().filter(|item| !item.click_id.is_empty()).collect();
    out::line(format_args!("\nclicks, the first {} of {}", SHOWN.min(named.len()), named.len()));
    let columns = vec![text("click_id"), text("ad_id"), text("cause"), count("money")];
    table(
        columns,
        named.into_iter().take(SHOWN).map(|item| {
            let (id, ad) = (item.click_id.clone(), item.ad.clone());
            vec![id, ad, item.cause.code(), money(item.sum.micros)]
        }),
    )
}

fn table(columns: Vec<Column>, rows: impl Iterator<Item = Vec<String>>) -> Result<()> {
    out::buffered(|out| {
        let mut table = Writer::new(Format::Table, columns, out)?;
        let mut rows = rows;
        rows.try_for_each(|row| table.row(&row))?;
        table.finish()
    })
}

/// What a reader has to know beside the numbers.
pub fn notes(report: &Report) -> Vec<String> {
    let mut notes = vec![format!("{} clicks are billed by both", report.agreed)];
    if report.zone_minutes != 0 {
        notes.push(format!(
            "their times are {:+} minutes off ours: another time zone; name it with --zone",
            report.zone_minutes
        ));
    }
    if report.unpriced > 0 {
        notes.push(format!(
            "{} of their rows name no money: ours stands for it, or 0 where we have no such click",
            report.unpriced
        ));
    }
    notes
}

/// With a sign, but for none.
pub fn signed(clicks: i64) -> String {
    if clicks == 0 { "0".to_owned() } else { format!("{clicks:+}") }
}

/// Micro-units as a decimal.
pub fn money(micros: i128) -> String {
    let (sign, whole) = (if micros < 0 { "-" } else { "" }, micros.unsigned_abs());
    format!("{sign}{}.{:06}", whole / 1_000_000, whole % 1_000_000)
}

fn as_json(report: &Report) -> serde_json::Value {
    let sums = |sums: &std::collections::BTreeMap<String, Sum>| {
        let sum = |(currency, sum): (&String, &Sum)| (currency.clone(), sum_json(*sum));
        sums.iter().map(sum).collect::<serde_json::Map<_, _>>()
    };
    let causes: Vec<_> = report
        .by_cause()
        .into_iter()
        .map(|((currency, cause), sum)| {
            json!({ "cause": cause.code(), "currency": currency, "difference": sum_json(sum) })
        })
        .collect();
    let items: Vec<_> = report
        .items
        .iter()
        .map(|item| {
            json!({
                "cause": item.cause.code(),
                "advertiser_id": item.advertiser,
                "ad_id": item.ad,
                "currency": item.currency,
                "clicks": item.sum.clicks,
                "micros": item.sum.micros.to_string(),
                "click_id": item.click_id,
            })
        })
        .collect();
    json!({
        "theirs": sums(&report.theirs),
        "ours": sums(&report.ours),
        "difference": sums(&report.difference()),
        "agreed": report.agreed,
        "zone_minutes": report.zone_minutes,
        "rows_without_money": report.unpriced,
        "causes": causes,
        "items": items,
    })
}

fn sum_json(sum: Sum) -> serde_json::Value {
    json!({ "clicks": sum.clicks, "micros": sum.micros.to_string() })
}

#[cfg(test)]
mod tests {
    use super::money;

    #[test]
    fn money_is_a_decimal_of_six_places() {
        assert_eq!(money(0), "0.000000");
        assert_eq!(money(-1_500_000), "-1.500000");
        assert_eq!(money(12_000_001), "12.000001");
    }
}
