//! Reports from the store: an ad's minutes, totals, top lists.
//!
//! A report is computed on a thread that may block, a few at a time. Its `as_of` is the store's
//! mark in the same snapshot as the rows.

use super::ApiState;
use super::error::ApiError;
use super::params::Params;
use super::render::{put_time, state};
use crate::http::live::{classes, row_json};
use axum::Json;
use axum::extract::{Path, Query, State};
use click_core::limits::{MAX_ID_BYTES, MINUTE_MS};
use click_core::types::Millis;
use click_engine::store::{
    self, Buckets, Calendar, GroupBy, QueryError, Sort, Step, TotalRow, TotalsQuery,
};
use serde_json::{Map, Value, json};
use std::time::Duration;

type Pairs = Query<Vec<(String, String)>>;
type Answer = Result<Json<Value>, ApiError>;

const HOUR_MS: u64 = 60 * MINUTE_MS;
/// How long a report waits for its turn.
const TURN: Duration = Duration::from_secs(5);
/// Most lines of one answer.
const MAX_LINES: usize = 100_000;
const KEYS: &[(&str, GroupBy)] = &[
    ("ad", GroupBy::Ad),
    ("campaign", GroupBy::Campaign),
    ("advertiser", GroupBy::Advertiser),
    ("publisher", GroupBy::Publisher),
    ("all", GroupBy::All),
];
const SORTS: &[(&str, Sort)] = &[
    ("key", Sort::Key),
    ("valid", Sort::Valid),
    ("measured", Sort::Measured),
    ("spend", Sort::Spend),
];
const STEPS: &[(&str, Option<Step>)] =
    &[("none", None), ("hour", Some(Step::Hour)), ("day", Some(Step::Day))];

/// `GET /v1/ads/{ad}/minutes`
pub async fn minutes(
    State(api): State<ApiState>,
    Path(ad): Path<String>,
    Query(pairs): Pairs,
) -> Answer {
    let params = Params::new(pairs, &["from", "to"])?;
    if ad.is_empty() || ad.len() > MAX_ID_BYTES {
        return Err(ApiError::parameter("ad", format!("an id has 1-{MAX_ID_BYTES} bytes")));
    }
    let range = Range::new(&params)?;
    let timeline = api.timeline();
    let id = ad.clone();
    let (range, (mark, rows)) = compute(&api, move |reader| {
        let (from, to) = range.resolve(reader)?;
        let rows = store::ad_minutes(reader, &timeline, &id, from, to)?;
        Ok(((from, to), rows))
    })
    .await?;
    let mut answer = envelope(mark, range);
    answer.insert("ad_id".into(), json!(ad));
    let rows = rows.iter().map(|row| Value::Object(row_json(&row.row, row.sealed)));
    answer.insert("rows".into(), rows.collect());
    Ok(Json(Value::Object(answer)))
}

/// `GET /v1/totals`
pub async fn totals(State(api): State<ApiState>, Query(pairs): Pairs) -> Answer {
    let known = ["group_by", "from", "to", "step", "tz", "sort", "limit", "advertiser"];
    let params = Params::new(pairs, &known)?;
    let ask = Ask {
        group_by: params.choice("group_by", KEYS)?,
        step: params.choice("step", STEPS)?,
        calendar: Calendar::new(params.text("tz").unwrap_or("UTC"))?,
        sort: params.choice("sort", SORTS)?,
        limit: params.number("limit", 10_000, MAX_LINES)?,
        range: Range::new(&params)?,
        advertiser: params.text("advertiser").map(str::to_owned),
    };
    ask.answer(&api).await
}

/// `GET /v1/top`
pub async fn top(State(api): State<ApiState>, Query(pairs): Pairs) -> Answer {
    let params = Params::new(pairs, &["by", "from", "to", "sort", "limit"])?;
    let ask = Ask {
        group_by: params.choice("by", KEYS)?,
        step: None,
        calendar: Calendar::new("UTC")?,
        // The first one is the default.
        sort: params.choice("sort", &SORTS[1..])?,
        limit: params.number("limit", 10, 1000)?,
        range: Range::new(&params)?,
        advertiser: None,
    };
    ask.answer(&api).await
}

/// A question for totals whose range is not settled yet.
struct Ask {
    group_by: GroupBy,
    step: Option<Step>,
    calendar: Calendar,
    sort: Sort,
    limit: usize,
    range: Range,
    /// Its ads alone.
    advertiser: Option<String>,
}

impl Ask {
    async fn answer(self, api: &ApiState) -> Answer {
        let Ask { group_by, step, calendar, sort, limit, range, advertiser } = self;
        let timeline = api.timeline();
        let zone = calendar.clone();
        let (range, (mark, rows, cut)) = compute(api, move |reader| {
            let (from, to) = range.resolve(reader)?;
            let buckets = match step {
                Some(step) => zone.cut(from, to, step)?,
                None => Buckets::whole(from, to)?,
            };
            let query = TotalsQuery { group_by, buckets, sort, limit };
            Ok(((from, to), store::totals_of(reader, &timeline, &query, advertiser.as_deref())?))
        })
        .await?;
        let mut answer = envelope(mark, range);
        answer.insert("truncated".into(), json!(cut));
        let lines = rows.iter().map(|row| total(row, group_by, &calendar));
        answer.insert("totals".into(), lines.collect());
        Ok(Json(Value::Object(answer)))
    }
}

/// A range as asked for; what is left out depends on the store's mark.
struct Range {
    from: Option<Millis>,
    to: Option<Millis>,
}

impl Range {
    fn new(params: &Params) -> Result<Range, ApiError> {
        let range = Range { from: params.time("from")?, to: params.time("to")? };
        if let (Some(from), Some(to)) = (range.from, range.to)
            && from >= to
        {
            return Err(ApiError::parameter("from", "from must be before to".into()));
        }
        Ok(range)
    }

    /// Without `to`, up to what the store knows; without `from`, the hour before.
    fn resolve(&self, reader: &dyn store::LedgerReader) -> Result<(Millis, Millis), ApiError> {
        let to = match self.to {
            Some(to) => to,
            None => {
                let mark = reader.read_mark().map_err(QueryError::from)?;
                let end = mark.minute().end();
                end.max(self.from.map_or(end, |from| from.plus(MINUTE_MS)))
            }
        };
        Ok((self.from.unwrap_or(Millis(to.0.saturating_sub(HOUR_MS))), to))
    }
}

/// Runs a report on a thread that may block.
async fn compute<T: Send + 'static>(
    api: &ApiState,
    report: impl FnOnce(&dyn store::LedgerReader) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let turn = tokio::time::timeout(TURN, api.reports.clone().acquire_owned()).await;
    let Ok(Ok(turn)) = turn else {
        return Err(ApiError::unavailable("too many reports at once: try again"));
    };
    let reader = api.reader.clone();
    let task = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        report(&*reader)
    });
    task.await.map_err(|_| ApiError::unavailable("the report stopped unexpectedly"))?
}

fn envelope(mark: Millis, (from, to): (Millis, Millis)) -> Map<String, Value> {
    let mut answer = Map::new();
    put_time(&mut answer, "as_of", mark);
    put_time(&mut answer, "from", from);
    put_time(&mut answer, "to", to);
    answer
}

fn total(row: &TotalRow, by: GroupBy, calendar: &Calendar) -> Value {
    let counts = &row.sums.counts;
    let mut line = Map::new();
    line.insert("start".into(), json!(calendar.format(row.start)));
    line.insert("start_ms".into(), json!(row.start.0));
    line.insert("end".into(), json!(calendar.format(row.end)));
    line.insert("end_ms".into(), json!(row.end.0));
    let (id, sum) = match by {
        GroupBy::All => (None, "spend"),
        GroupBy::Ad => (Some("ad_id"), "spend"),
        GroupBy::Campaign => (Some("campaign_id"), "spend"),
        GroupBy::Advertiser => (Some("advertiser_id"), "spend"),
        GroupBy::Publisher => (Some("publisher_id"), "payout"),
    };
    if let Some(id) = id {
        line.insert(id.into(), json!(row.key));
    }
    line.insert("currency".into(), json!(row.currency));
    line.insert("measured".into(), json!(counts.measured));
    line.insert("pending".into(), json!(counts.pending));
    line.insert("classes".into(), classes(counts));
    line.insert(format!("{sum}_micros"), json!(counts.sum_micros.to_string()));
    line.insert("late_measured".into(), json!(row.sums.late_measured));
    line.insert(format!("late_{sum}_micros"), json!(row.sums.late_micros.to_string()));
    line.insert("state".into(), json!(state(row.sealed)));
    Value::Object(line)
}
