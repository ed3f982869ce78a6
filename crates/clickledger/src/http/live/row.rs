//! How a row looks in JSON, in reports and on the stream: money as text, times in both forms.

use crate::http::api::render::{rfc3339, state};
use click_core::row::{Counts, Row, RowKey};
use click_core::verdict::Class;
use click_engine::live::LiveRow;
use serde_json::{Map, Value, json};

/// A row's JSON object with its state; `state` is `provisional` or `sealed`.
pub fn row_json(row: &Row, sealed: bool) -> Map<String, Value> {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.into(), value);
    let sum = match &*row.key {
        RowKey::Ad { ad_id, currency, campaign_id, advertiser_id } => {
            put("view", json!("ad"));
            put("ad_id", json!(ad_id));
            put("campaign_id", json!(campaign_id));
            put("advertiser_id", json!(advertiser_id));
            put("currency", json!(currency));
            "spend_micros"
        }
        RowKey::Publisher { publisher_id, placement_id, currency } => {
            put("view", json!("publisher"));
            put("publisher_id", json!(publisher_id));
            put("placement_id", json!(placement_id));
            put("currency", json!(currency));
            "payout_micros"
        }
    };
    put("minute", json!(rfc3339(row.minute.start())));
    put("minute_ms", json!(row.minute.start().0));
    let posted = row.posted_minute.map(click_core::types::Minute::start);
    put("posted_minute", json!(posted.map(rfc3339)));
    put("posted_minute_ms", json!(posted.map(|at| at.0)));
    put("measured", json!(row.counts.measured));
    put("pending", json!(row.counts.pending));
    put("classes", classes(&row.counts));
    put(sum, json!(row.counts.sum_micros.to_string()));
    put("version", json!(row.version.0.to_string()));
    put("state", json!(state(sealed)));
    object
}

/// Counts by class, every class, in table order.
pub fn classes(counts: &Counts) -> Value {
    let count = |class: Class| (class.code().to_string(), json!(counts.of(class)));
    Value::Object(Class::ALL.into_iter().map(count).collect())
}

/// A changed row as a stream carries it, with what filters look at.
#[derive(Debug)]
pub struct LiveJson {
    /// Whether it is of the ad view.
    pub of_ad_view: bool,
    /// The ad, or publisher.
    pub id: String,
    /// Who pays; empty in the publisher view.
    pub advertiser_id: String,
    /// The JSON object.
    pub json: String,
}

impl LiveJson {
    /// Serialises a row, with its change since `before` if that is known.
    pub fn new(live: &LiveRow, before: Option<&Counts>) -> LiveJson {
        let mut object = row_json(&live.row, live.sealed);
        if let Some(before) = before {
            object.insert("change".into(), change(&live.row.counts, before));
        }
        let (of_ad_view, id, advertiser) = match &*live.row.key {
            RowKey::Ad { ad_id, advertiser_id, .. } => (true, ad_id, advertiser_id.clone()),
            RowKey::Publisher { publisher_id, .. } => (false, publisher_id, String::new()),
        };
        let json = Value::Object(object).to_string();
        LiveJson { of_ad_view, id: id.clone(), advertiser_id: advertiser, json }
    }
}

/// What changed, by class and `pending`: only what did.
fn change(counts: &Counts, before: &Counts) -> Value {
    let mut changes = Map::new();
    let mut put = |name: &str, new: u64, old: u64| {
        if new != old {
            changes.insert(name.into(), json!(new.wrapping_sub(old).cast_signed()));
        }
    };
    put("pending", counts.pending, before.pending);
    Class::ALL.into_iter().for_each(|class| put(class.code(), counts.of(class), before.of(class)));
    Value::Object(changes)
}
