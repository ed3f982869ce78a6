//! Rows to write, and all that a store has.

use click_core::row::{Counts, Row, RowKey};
use click_core::types::{Millis, Minute, Version};
use click_core::verdict::CLASSES;
use click_engine::store::{LedgerReader, Scan, View};

pub fn ad_row(ad: &str, minute: u32, measured: u64, at: u64) -> Row {
    let mut by_class = [0; CLASSES];
    by_class[CLASSES - 1] = measured;
    Row {
        key: RowKey::Ad {
            ad_id: ad.into(),
            currency: "USD".into(),
            campaign_id: "c".into(),
            advertiser_id: String::new(),
        }
        .into(),
        minute: Minute(minute),
        posted_minute: None,
        counts: Counts { measured, pending: 0, by_class, sum_micros: i128::from(measured) * 7 },
        version: Version::new(1, Millis(at)),
    }
}

pub fn publisher_row(publisher: &str, minute: u32, measured: u64, at: u64) -> Row {
    let key = RowKey::Publisher {
        publisher_id: publisher.into(),
        placement_id: String::new(),
        currency: "EUR".into(),
    };
    Row { key: key.into(), ..ad_row("", minute, measured, at) }
}

pub fn all(reader: &dyn LedgerReader, view: View) -> Vec<Row> {
    let mut rows = Vec::new();
    reader
        .scan(&Scan::all(view), &mut |row| {
            rows.push(row);
            true
        })
        .unwrap();
    rows
}
