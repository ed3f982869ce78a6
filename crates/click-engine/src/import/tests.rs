//! Import against the embedded log: equal logs from equal files in every format, and from every
//! point at which an import can be cut off.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch as Rows, StringArray};
use click_core::record::{Kind, Record};
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

use super::{AppendOptions, Appended, ImportError, Names, Prepared, ReadOptions, prepare};
use crate::log::{DiskLog, EventLog, LogOptions, RecordBatch};

const CLOSED: AppendOptions = AppendOptions { batch: 2, close: true };

fn read(dir: &Path, name: &str, content: &[u8], names: Names) -> Result<Prepared, ImportError> {
    let path = dir.join(name);
    std::fs::write(&path, content).unwrap();
    let rejects = dir.join("rejects.csv");
    let options = ReadOptions { names, rejects, ..ReadOptions::default() };
    prepare(&path, &options, &mut |_, _, _| {})
}

fn append(file: &Prepared, log: &dyn EventLog) -> Result<Appended, ImportError> {
    file.append_to(log, CLOSED, &mut |_, _, _| {})
}

fn log_in(dir: &Path, partitions: u32) -> DiskLog {
    let options = LogOptions { partitions, ..LogOptions::default() };
    DiskLog::open_or_create(&dir.join("log"), &options).unwrap()
}

type Seen = (u32, u64, Vec<u8>);

fn records(log: &dyn EventLog) -> Vec<Seen> {
    let mut seen = Vec::new();
    for partition in 0..log.partitions() {
        let mut batch = RecordBatch::new();
        log.read(partition, 0, 1 << 24, &mut batch).unwrap();
        seen.extend(batch.iter().map(|(_, time, payload)| (partition, time, payload.to_vec())));
    }
    seen
}

fn click_ids(log: &dyn EventLog) -> Vec<(u64, String)> {
    let id = |(_, time, payload): &Seen| match Record::decode(payload).unwrap().kind {
        Kind::Click(click) => Some((*time, click.click_id.to_owned())),
        Kind::Tick
        | Kind::Heartbeat { .. }
        | Kind::Policy(_)
        | Kind::Header(_)
        | Kind::Layout(_) => None,
    };
    records(log).iter().filter_map(id).collect()
}

const CSV: &[u8] = b"click_id,ad_id,received_at,user_id,extra\n\
    c1,a,3000,u,x\nc2,a,1000,,x\nbad,a,never,u,x\nshort,a\nc3,a,2000,u,x\nc4,a,1000,u,x\n";

#[test]
fn rows_go_in_order_of_their_time_and_bad_ones_to_the_rejects() {
    let dir = TempDir::new().unwrap();
    let file = read(dir.path(), "f.csv", CSV, Names::default()).unwrap();
    assert_eq!((file.rows(), file.rejected(), file.partitions()), (4, 2, 1));
    assert_eq!(file.ignored_columns(), ["extra"]);
    let rejects = std::fs::read_to_string(dir.path().join("rejects.csv")).unwrap();
    assert!(rejects.contains("\n4,\"received_at 'never' is neither"), "{rejects}");
    assert!(rejects.contains("\n5,\"row has 2 fields, the header has 5\""), "{rejects}");
    let log = log_in(dir.path(), 1);
    let done = append(&file, &log).unwrap();
    assert_eq!(done, Appended { appended: 4, present: 0, ticks: 1 });
    let ids = [(1000, "c2"), (1000, "c4"), (2000, "c3"), (3000, "c1")];
    assert_eq!(click_ids(&log), ids.map(|(time, id)| (time, id.to_owned())));
    assert_eq!(log.last_append_time(0), 4000);
}

#[test]
fn every_format_gives_the_same_clicks() {
    let ndjson = br#"{"id":"c1","ad_id":"a","received_at":3000,"user_id":null,"price_micros":5}
{"id":"c2","ad_id":"a","received_at":"1970-01-01T00:00:01Z","price_micros":"6"}"#;
    let csv = b"\xef\xbb\xbfid,ad_id,received_at,price_micros\r\nc1,a,3000,5\r\nc2,a,1000,6\r\n";
    let columns = [
        ("id", Arc::new(StringArray::from(vec!["c1", "c2"])) as _),
        ("ad_id", Arc::new(StringArray::from(vec!["a", "a"])) as _),
        ("received_at", Arc::new(Int64Array::from(vec![3000, 1000])) as _),
        ("price_micros", Arc::new(Int64Array::from(vec![5, 6])) as _),
    ];
    let batch = Rows::try_from_iter(columns).unwrap();
    let parquet = parquet(&batch);
    let pairs = BTreeMap::from([("id".to_owned(), "click_id".to_owned())]);
    let names = Names::new(&pairs).unwrap();
    let files: [(&str, &[u8]); 3] = [("f.csv", csv), ("f.ndjson", ndjson), ("f.parquet", &parquet)];
    let mut all = Vec::new();
    for (name, content) in files {
        let dir = TempDir::new().unwrap();
        let file = read(dir.path(), name, content, names.clone()).unwrap();
        assert_eq!((file.rows(), file.rejected()), (2, 0), "{name}: {:?}", file.first_reject());
        let log = log_in(dir.path(), 1);
        append(&file, &log).unwrap();
        all.push(click_ids(&log));
    }
    assert_eq!(all[0], [(1000, "c2".to_owned()), (3000, "c1".to_owned())]);
    assert!(all.iter().all(|ids| *ids == all[0]));
}

fn parquet(batch: &Rows) -> Vec<u8> {
    let mut parquet = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut parquet, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    parquet
}

#[test]
fn a_damaged_parquet_file_is_read_or_refused() {
    let columns = [
        ("click_id", Arc::new(StringArray::from(vec!["c1", "c2"])) as _),
        ("ad_id", Arc::new(StringArray::from(vec!["a", "a"])) as _),
        ("received_at", Arc::new(Int64Array::from(vec![3000, 1000])) as _),
    ];
    let whole = parquet(&Rows::try_from_iter(columns).unwrap());
    let dir = TempDir::new().unwrap();
    let mut refused = 0;
    // The parquet crate panics on some of these.
    for (at, value) in (0..whole.len()).flat_map(|at| [(at, 0xff), (at, 0x01)]) {
        let mut damaged = whole.clone();
        damaged[at] ^= value;
        refused += u32::from(read(dir.path(), "f.parquet", &damaged, Names::default()).is_err());
    }
    assert!(refused > 100, "{refused}");
}

const PARTS: &[u8] = b"click_id,ad_id,received_at,append_time,partition,tracker_id,epoch,seq\n\
    c1,a,1000,9000,0,,,\nc2,a,1000,8000,1,t,0,4\nc3,a,1000,8500,0,,,\nc4,a,1000,9500,1,,,\n\
    c5,a,1000,9100,2,,,\nc6,a,1000,9900,0,t,0,5\n";

/// A log that holds the first `keep[p]` records of each partition of `whole`.
fn cut_off(whole: &[Seen], keep: [usize; 3]) -> (TempDir, DiskLog) {
    let dir = TempDir::new().unwrap();
    let log = log_in(dir.path(), 3);
    let mut left = keep;
    for (partition, time, payload) in whole {
        let left = &mut left[*partition as usize];
        if *left > 0 {
            *left -= 1;
            log.append_at(*partition, *time, payload).unwrap().wait().unwrap();
        }
    }
    (dir, log)
}

#[test]
fn wherever_it_is_cut_off_it_ends_the_same() {
    let dir = TempDir::new().unwrap();
    let file = read(dir.path(), "f.csv", PARTS, Names::default()).unwrap();
    assert_eq!(file.partitions(), 3);
    let log = log_in(dir.path(), 3);
    assert_eq!(append(&file, &log).unwrap(), Appended { appended: 6, present: 0, ticks: 3 });
    let again = append(&file, &log).unwrap();
    assert_eq!(again, Appended { appended: 0, present: 6, ticks: 0 });
    let whole = records(&log)[1..].to_vec();
    let times: Vec<_> = click_ids(&log).iter().map(|(time, _)| *time).collect();
    assert_eq!(times, [9000, 9000, 9900, 8000, 9500, 9100], "time never goes back");
    let header = records(&log)[0].clone();
    for a in 0..=3 {
        for (b, c) in [(0, 0), (1, 0), (2, 1), (3, 2), (0, 2)] {
            let mut start = vec![header.clone()];
            start.extend(whole.iter().cloned());
            let (_dir, resumed) = cut_off(&start, [a + 1, b, c]);
            append(&file, &resumed).unwrap();
            assert_eq!(records(&resumed)[1..], whole, "cut at {a} {b} {c}");
        }
    }
}

#[test]
fn a_file_from_before_the_log_is_refused() {
    let dir = TempDir::new().unwrap();
    let log = log_in(dir.path(), 1);
    let first = read(dir.path(), "f.csv", CSV, Names::default()).unwrap();
    append(&first, &log).unwrap();
    let second = b"click_id,ad_id,received_at\nd1,a,3999\n";
    let second = read(dir.path(), "g.csv", second, Names::default()).unwrap();
    let refused = append(&second, &log).unwrap_err().to_string();
    assert!(refused.contains("3999 ms, before the ledger's last record at 4000 ms"), "{refused}");
    let third = b"click_id,ad_id,received_at,partition\nd1,a,4000,1\n";
    let third = read(dir.path(), "h.csv", third, Names::default()).unwrap();
    let refused = append(&third, &log).unwrap_err().to_string();
    assert!(refused.contains("names partition 1, the ledger has partitions 0 to 0"), "{refused}");
}

#[test]
fn the_sample_access_log_is_read_to_its_last_line() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/apache_logs.log");
    if !sample.exists() {
        println!("skipped: {} is not there", sample.display());
        return;
    }
    let dir = TempDir::new().unwrap();
    let options =
        ReadOptions { rejects: PathBuf::from(dir.path()).join("r"), ..Default::default() };
    let file = prepare(&sample, &options, &mut |_, _, _| {}).unwrap();
    println!("{} rows, {} rejected: {:?}", file.rows(), file.rejected(), file.first_reject());
    assert_eq!(file.rows() + file.rejected(), 10_000);
    assert!(file.rejected() < 10, "{:?}", file.first_reject());
}
