//! `GET /v1/live`: the last hour as of the newest update, from memory: what the page draws.

use super::ApiState;
use super::error::ApiError;
use super::params::Params;
use super::render::{put_time, state};
use crate::http::live::LiveMinute;
use axum::Json;
use axum::extract::{Query, State};
use click_core::types::Millis;
use click_core::verdict::Class;
use click_engine::store::sealed_at;
use serde_json::{Map, Value, json};

/// `GET /v1/live`
pub async fn live(
    State(api): State<ApiState>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, ApiError> {
    let params = Params::new(pairs, &["top"])?;
    let top = params.number("top", 10, 100)?;
    let hour = api.live.hour(top);
    let timeline = api.timeline();
    let as_of = hour.as_of.max((api.status)().watermark);
    let mut answer = Map::new();
    put_time(&mut answer, "as_of", as_of);
    let minutes = hour.minutes.iter().map(|(minute, counts)| {
        let sealed = sealed_at(*minute, None, &timeline) <= as_of;
        let mut line = counts_json(counts, sealed);
        put_time(&mut line, "minute", minute.start());
        Value::Object(line)
    });
    answer.insert("minutes".into(), minutes.collect());
    // The hour reaches to now, so its sums can always change.
    let ads = hour.top.iter().map(|ad| {
        let mut line = counts_json(&ad.counts, false);
        line.insert("ad_id".into(), json!(ad.ad_id));
        Value::Object(line)
    });
    answer.insert("top_ads".into(), ads.collect());
    answer.insert("ads".into(), json!(hour.ads));
    put_time(&mut answer, "from", hour.minutes.first().map_or(Millis(0), |one| one.0.start()));
    answer.insert("classes".into(), class_list());
    Ok(Json(Value::Object(answer)))
}

fn counts_json(counts: &LiveMinute, sealed: bool) -> Map<String, Value> {
    let mut line = Map::new();
    line.insert("measured".into(), json!(counts.measured));
    line.insert("pending".into(), json!(counts.pending));
    let count = |class: Class| (class.code().into(), json!(counts.by_class[class as usize]));
    line.insert("classes".into(), Value::Object(Class::ALL.into_iter().map(count).collect()));
    let spend = counts.spend.iter().map(|(code, sum)| (code.clone(), json!(sum.to_string())));
    line.insert("spend_micros".into(), Value::Object(spend.collect()));
    line.insert("state".into(), json!(state(sealed)));
    line
}

/// Codes and titles in table order, so that a client need not know them.
fn class_list() -> Value {
    let one = |class: Class| json!({ "code": class.code(), "title": class.title() });
    Class::ALL.into_iter().map(one).collect()
}
