//! Small shapes that all answers share.

use click_core::types::Millis;
use serde_json::{Map, Value, json};

/// An instant in RFC 3339, UTC; digits alone where no calendar reaches.
pub fn rfc3339(at: Millis) -> String {
    let ms = i64::try_from(at.0).ok();
    let instant = ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    instant.map_or_else(|| at.0.to_string(), |instant| instant.to_string())
}

/// The word for whether a number can still change.
pub const fn state(sealed: bool) -> &'static str {
    if sealed { "sealed" } else { "provisional" }
}

/// Puts an instant under `name` and `name_ms`.
pub fn put_time(object: &mut Map<String, Value>, name: &str, at: Millis) {
    object.insert(name.into(), json!(rfc3339(at)));
    object.insert(format!("{name}_ms"), json!(at.0));
}
