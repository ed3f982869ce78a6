//! Distinct clicks per ad and minute, boiled down to four whole numbers that two programs can
//! compare: equal answers before any timing is believed.

use click_core::row::{Row, RowKey};
use click_core::verdict::Class;
use serde_json::{Value, json};
use std::fmt;

/// Sums over the rows `(ad number n, minute m, count c)` with `c > 0`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows.
    pub rows: u64,
    /// Sum of c.
    pub clicks: u64,
    /// Sum of c (n + 1) (m mod 1000003).
    pub linear: i128,
    /// Sum of c c (n + 1).
    pub square: i128,
}

impl Tally {
    /// Adds a row of the advertisers' view: the clicks that are not repeats of a pair of click id
    /// and user. Rows of publishers are passed over, so that nothing counts twice.
    pub fn add(&mut self, row: &Row) {
        let RowKey::Ad { ad_id, .. } = &*row.key else { return };
        let count = row.counts.measured - row.counts.of(Class::D1);
        let ad = ad_id.strip_prefix("ad-").and_then(|number| number.parse::<i128>().ok());
        let Some(ad) = ad.filter(|_| count > 0) else { return };
        let (c, m) = (i128::from(count), i128::from(row.minute.0 % 1_000_003));
        self.rows += 1;
        self.clicks += count;
        self.linear += c * (ad + 1) * m;
        self.square += c * c * (ad + 1);
    }

    /// As an object of a worker's answer; large numbers as text.
    pub fn to_json(self) -> Value {
        json!({
            "rows": self.rows,
            "clicks": self.clicks,
            "linear": self.linear.to_string(),
            "square": self.square.to_string(),
        })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_json())
    }
}
