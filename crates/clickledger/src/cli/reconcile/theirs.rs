//! Their side: rows of another system's export, a click each or a count per ad and time.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use click_engine::import::foreign_rows;
use jiff::tz::TimeZone;
use serde_json::Value;

/// Columns that are read.
const KNOWN: [&str; 9] = [
    "click_id",
    "issuer",
    "ad_id",
    "time",
    "clicks",
    "price_micros",
    "spend_micros",
    "amount",
    "currency",
];

/// A row: one click, or several of an ad.
#[derive(Debug, Default)]
pub struct TheirRow {
    pub line: u64,
    pub click_id: String,
    pub issuer: Option<String>,
    pub ad: String,
    /// ms since 1970.
    pub time: Option<u64>,
    pub clicks: i64,
    pub micros: Option<i128>,
    pub currency: Option<String>,
}

/// How a file is read.
pub struct Reading {
    /// Foreign column names.
    pub names: BTreeMap<String, String>,
    /// Of times that name none.
    pub zone: TimeZone,
}

type Cells = BTreeMap<String, String>;

/// All rows of a CSV file with a header, of NDJSON or of Parquet, by the file's name.
///
/// # Errors
/// A row that cannot be read, with its line: nothing is left out of a comparison.
pub fn read(path: &Path, reading: &Reading) -> Result<Vec<TheirRow>> {
    let is = |ends: &[&str]| path.extension().is_some_and(|own| ends.iter().any(|e| own == *e));
    let mut found = Vec::new();
    let mut add = |line: u64, kind: &str, cells: Cells| {
        let row = their_row(line, &renamed(cells, reading), reading);
        found.push(row.with_context(|| format!("{kind} {line}"))?);
        Ok::<_, anyhow::Error>(())
    };
    let mut all = || {
        if is(&["parquet"]) {
            let known = |own: &str| KNOWN.contains(&reading.names.get(own).map_or(own, |n| n));
            return foreign_rows(path, known, |number, cells| add(number, "row", cells));
        }
        let text = std::fs::read_to_string(path)?;
        let mut lines = if is(&["ndjson", "jsonl"]) { json_lines(&text) } else { csv_lines(&text) };
        lines.try_for_each(|row| row.and_then(|(line, cells)| add(line, "line", cells)))
    };
    all().with_context(|| path.display().to_string())?;
    ensure!(!found.is_empty(), "{} has no rows", path.display());
    Ok(found)
}

type Lines<'a> = Box<dyn Iterator<Item = Result<(u64, Cells)>> + 'a>;

fn csv_lines(text: &str) -> Lines<'_> {
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let names = match reader.headers() {
        Ok(names) => names.clone(),
        Err(error) => return Box::new(std::iter::once(Err(error.into()))),
    };
    Box::new(reader.into_records().map(move |record| {
        let record = record?;
        let line = record.position().map_or(0, csv::Position::line);
        let cells = names.iter().zip(&record).map(|(n, v)| (n.to_owned(), v.to_owned()));
        Ok((line, cells.collect()))
    }))
}

fn json_lines(text: &str) -> Lines<'_> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    Box::new(lines.map(|(number, line)| {
        let object: BTreeMap<String, Value> =
            serde_json::from_str(line).with_context(|| format!("line {number}"))?;
        let cell = |value: Value| match value {
            Value::Null => String::new(),
            Value::String(text) => text,
            other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                other.to_string()
            }
        };
        Ok((number, object.into_iter().map(|(name, value)| (name, cell(value))).collect()))
    }))
}

fn renamed(cells: Cells, reading: &Reading) -> Cells {
    let name = |name: String| reading.names.get(&name).cloned().unwrap_or(name);
    cells.into_iter().map(|(own, value)| (name(own), value)).collect()
}

fn their_row(line: u64, cells: &Cells, reading: &Reading) -> Result<TheirRow> {
    let cell = |name: &str| cells.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
    let click_id = cell("click_id").unwrap_or_default().to_owned();
    let ad = cell("ad_id").unwrap_or_default().to_owned();
    if click_id.is_empty() && ad.is_empty() {
        bail!("names neither a click_id nor an ad_id (columns: {})", KNOWN.join(", "));
    }
    let time = cell("time").map(|text| time(text, &reading.zone)).transpose()?;
    let clicks = match cell("clicks") {
        None => 1,
        Some(text) => {
            text.parse().ok().filter(|n| *n >= 0).ok_or_else(|| anyhow!("clicks: '{text}'"))?
        }
    };
    ensure!(!click_id.is_empty() || time.is_some(), "a row without click_id needs a time");
    ensure!(click_id.is_empty() || clicks == 1, "a row with a click_id is one click, not {clicks}");
    let whole = |name: &str| {
        let parsed = cell(name).map(|text| {
            text.parse::<i128>()
                .map_err(|_| anyhow!("{name}: '{text}' is no whole number of micro-units"))
        });
        parsed.transpose()
    };
    let micros = match (whole("price_micros")?, whole("spend_micros")?, cell("amount")) {
        (Some(micros), ..) if !click_id.is_empty() => Some(micros),
        (_, Some(micros), _) => Some(micros),
        (Some(price), None, _) => Some(price * i128::from(clicks)),
        (None, None, Some(text)) => Some(amount(text)?),
        (None, None, None) => None,
    };
    let (issuer, currency) = (cell("issuer"), cell("currency"));
    let (issuer, currency) = (issuer.map(str::to_owned), currency.map(str::to_owned));
    Ok(TheirRow { line, click_id, issuer, ad, time, clicks, micros, currency })
}

/// Decimal money with at most six places, in micro-units.
fn amount(text: &str) -> Result<i128> {
    let wrong = || anyhow!("amount: '{text}' is no decimal number of at most six places");
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() > 6 || whole.len() + part.len() == 0 {
        return Err(wrong());
    }
    let micros: i128 = format!("{whole}{part:0<6}").parse().map_err(|_| wrong())?;
    Ok(sign * micros)
}

/// ms since 1970 of integer ms, RFC 3339, or a date or time in the file's zone.
fn time(text: &str, zone: &TimeZone) -> Result<u64> {
    if let Ok(ms) = text.parse::<u64>() {
        return Ok(ms);
    }
    let at = match text.parse::<jiff::Timestamp>() {
        Ok(at) => at,
        Err(_) => {
            let civil: jiff::civil::DateTime = text.parse().map_err(|_| {
                anyhow!("time: '{text}' is neither ms since 1970 nor such as 2026-11-25T09:30Z")
            })?;
            civil.to_zoned(zone.clone())?.timestamp()
        }
    };
    u64::try_from(at.as_millisecond()).map_err(|_| anyhow!("time: '{text}' is before 1970"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        for (text, micros) in
            [("0.25", 250_000), ("-1.000001", -1_000_001), (".5", 500_000), ("7", 7_000_000)]
        {
            assert_eq!(amount(text).unwrap(), micros);
        }
        for text in ["", ".", "1.0000001", "1,5", "abc", "1e3"] {
            assert!(amount(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_may_leave_out_their_zone() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for text in ["1510047000000", "2017-11-07T09:30Z", "2017-11-07 10:30:00"] {
            assert_eq!(time(text, &berlin).unwrap(), 1_510_047_000_000, "{text}");
        }
        assert_eq!(time("2017-11-07", &TimeZone::UTC).unwrap(), 1_510_012_800_000);
        assert!(time("yesterday", &TimeZone::UTC).is_err());
    }
}
