//! Whole inputs to begin with: one or a few for everything that a format can say.

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use click_core::fold::{encode_journal, encode_rows};
use click_core::link::{LinkSpec, SigningKey, Target, mint};
use click_core::row::{Counts, Row, RowKey};
use click_core::stage::user::{Claim, Journal, PairClick};
use click_core::types::{Millis, Minute, Offset, Version};
use click_engine::checkpoint::{Checkpoint, RunRef};
use click_engine::forward::Message;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use std::sync::Arc;

use crate::bridge;
use crate::check::{Dice, Run, Style, World};
use crate::generate::{GeneratorConfig, generate};

const NOW: u64 = 1_700_000_000_000;

/// The key of all links.
pub(super) fn key() -> SigningKey {
    SigningKey::new("k1", b"a secret for links that nobody follows").expect("a good key")
}

pub(super) fn links() -> Vec<Vec<u8>> {
    let whole = LinkSpec {
        click_id: "c-1",
        user_id: "u.1",
        ad_id: "ad-1",
        campaign_id: "m",
        advertiser_id: "v",
        publisher_id: "p",
        placement_id: "l",
        price_micros: Some(250_000),
        payout_micros: Some(100_000),
        currency: "USD",
        expires_s: Some(NOW / 1000),
        target: Target::Url("https://shop.example/a?b={click_id}#c"),
    };
    let hosts = Target::Hosts(&["shop.example", "other.example_8080"]);
    let placement = LinkSpec { ad_id: "a", target: hosts, ..LinkSpec::default() };
    let nowhere =
        LinkSpec { click_id: "c", ad_id: "a", expires_s: Some(NOW / 1000), ..LinkSpec::default() };
    let query = |spec: &LinkSpec<'_>| {
        let link = mint(spec, &key()).expect("a good link");
        link.trim_start_matches("/c?").to_owned()
    };
    let extras = ["", "&gclid=x%20y&utm_source=z", "&r=https://shop.example/x?y=z"];
    let links = [whole, placement, nowhere].map(|spec| query(&spec));
    links.iter().zip(extras).map(|(link, extras)| format!("{link}{extras}").into_bytes()).collect()
}

pub(super) fn records() -> Vec<Vec<u8>> {
    let config = GeneratorConfig { records: 400, ..GeneratorConfig::from_seed(3) };
    let records = generate(&config, 3);
    let payloads = records.iter().map(|record| bridge::payload(record, config.partitions));
    payloads.step_by(25).collect()
}

pub(super) fn journals() -> Vec<Vec<u8>> {
    let mut journals = vec![encode_journal(&Journal::default())];
    let mut journal = Journal::default();
    for (group, identity) in [(0, 1), (5, u128::MAX), (127, 1 << 77)] {
        let fold_time = Millis(NOW + u64::from(group));
        journal.claims.push(Claim { group, identity, fold_time });
        journal.pairs.push(PairClick { group, identity, fold_time, age_ms: 7 });
    }
    journals.push(encode_journal(&journal));
    journals
}

pub(super) fn rows() -> Vec<Vec<u8>> {
    let ad = RowKey::Ad {
        ad_id: "a".into(),
        currency: "USD".into(),
        campaign_id: String::new(),
        advertiser_id: "v".into(),
    };
    let publisher = RowKey::Publisher {
        publisher_id: "p".into(),
        placement_id: "\u{e9}".into(),
        currency: "EUR".into(),
    };
    let mut counts = Counts { measured: 3, pending: 1, sum_micros: -5, ..Counts::default() };
    counts.by_class[13] = 2;
    let row = |key: RowKey, posted_minute| Row {
        key: Arc::new(key),
        minute: Minute(28_000_000),
        posted_minute,
        counts,
        version: Version::new(1, Millis(NOW)),
    };
    let rows = [row(ad, None), row(publisher, Some(Minute(28_000_001)))];
    vec![encode_rows(rows.iter()), encode_rows(rows[..0].iter())]
}

pub(super) fn checkpoints() -> Vec<Vec<u8>> {
    let config = GeneratorConfig { records: 40, ..GeneratorConfig::from_seed(1) };
    let world = World::new(&generate(&config, 1), config.partitions);
    let w = world.history.fold_times.values().copied().max().unwrap_or_default();
    let checkpoint = Checkpoint {
        log_id: [7; 16],
        generation: 1,
        watermark: Millis(w),
        store_mark: Millis(NOW),
        positions: vec![Offset(3), Offset(0)],
        runs: vec![RunRef { number: 1, len: 4096, newest: Millis(NOW) }],
        waiting_rows: rows().swap_remove(0),
        parts: Run::new(&world, Style::plain(), Dice::new(0)).up_to(w),
    };
    vec![checkpoint.encode()]
}

/// A question, and records of two partitions.
pub(super) fn copies() -> Vec<Vec<u8>> {
    let begin = || Message::new([1; 16], [2; 16], [3; 16], 1, 4);
    let mut whole = begin();
    for (partition, record) in (1..3).zip(records()) {
        whole.section(partition, 5, 7);
        whole.record(&record);
        whole.record(&record);
    }
    whole.section(3, 9, 0);
    vec![begin().finish(), whole.finish()]
}

pub(super) fn csv() -> Vec<Vec<u8>> {
    let whole = "click_id,ad_id,received_at,user_id,price_micros,currency,user_agent,ip,method,\
        expires_at,tracker_id,epoch,seq,partition,append_time\n\
        c1,a,1700000000000,u,250000,USD,\"Mozilla/5.0, \"\"x\"\"\",10.0.0.1,GET,\
        2023-11-15T00:00:00Z,t,0,0,0,1700000000001\n\
        c2,a,2023-11-14T22:13:20.5Z,,,EUR,,::1,HEAD,,t,0,1,1,1700000000002\n";
    vec![whole.into(), b"click_id,ad_id,received_at\nc,a,1\n".to_vec()]
}

pub(super) fn ndjson() -> Vec<Vec<u8>> {
    let whole = r#"{"click_id":"c1","ad_id":"a","received_at":1700000000000,"price_micros":5}
{"click_id":"c\u00e9","ad_id":"a","received_at":"2023-11-14T22:13:20Z","ad_active":false,"ip":null}
"#;
    vec![whole.into()]
}

pub(super) fn access_logs() -> Vec<Vec<u8>> {
    let line = "83.149.9.216 - - [17/May/2015:10:05:03 +0000] \"GET /a.png?b=c HTTP/1.1\" 200 \
        203023 \"http://semicomplete.com/x\" \"Mozilla/5.0 (Macintosh)\"\n";
    vec![line.repeat(2).into_bytes()]
}

/// Files with and without dictionaries, in every compression that is read.
pub(super) fn parquet() -> Vec<Vec<u8>> {
    let text = |values: [Option<&str>; 3]| Arc::new(StringArray::from_iter(values)) as ArrayRef;
    let numbers = |values: [Option<i64>; 3]| Arc::new(Int64Array::from_iter(values)) as ArrayRef;
    let now = NOW.cast_signed();
    let rows = RecordBatch::try_from_iter_with_nullable([
        ("click_id", text([Some("c1"), Some("c2"), Some("c3")]), false),
        ("ad_id", text([Some("a"), Some("a"), Some("b")]), false),
        ("received_at", numbers([Some(now), Some(now + 1), Some(now + 2)]), false),
        ("price_micros", numbers([Some(250_000), None, Some(5)]), true),
        ("user_id", text([Some("u"), None, Some("u")]), true),
        ("ad_active", Arc::new(BooleanArray::from(vec![true, false, true])) as _, true),
    ]);
    let rows = rows.expect("columns of one length");
    let plain = WriterProperties::builder().set_dictionary_enabled(false);
    let zstd = parquet::basic::ZstdLevel::default();
    let properties = [
        plain.build(),
        WriterProperties::builder().set_compression(Compression::SNAPPY).build(),
        WriterProperties::builder().set_compression(Compression::ZSTD(zstd)).build(),
    ];
    properties.map(|properties| parquet_file(&rows, properties)).into()
}

fn parquet_file(rows: &RecordBatch, properties: WriterProperties) -> Vec<u8> {
    let mut bytes = Vec::new();
    let writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties));
    let mut writer = writer.expect("columns that can be written");
    writer.write(rows).expect("room");
    writer.close().expect("room");
    bytes
}
