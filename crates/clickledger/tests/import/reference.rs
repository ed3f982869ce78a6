//! What `import` and `show` make of a file equals what the plain reference makes of the log that
//! was written: rows of both views with their versions, and every verdict, byte for byte.
//!
//! The samples in `tests/data` were written for this: together they hold every class that has a
//! rule, late and stale clicks, records sent again, several partitions, awkward ids and lines.

use super::{import, show};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use click_engine::log::{DiskLog, EventLog, LogOptions, RecordBatch};
use click_sim::bridge::plain_record;
use click_sim::reference::{PlainRecord, Reference};

const READ_BYTES: usize = 1 << 20;

fn records(data: &Path) -> (Vec<PlainRecord>, u32) {
    let log = DiskLog::open_readonly(&data.join("log"), &LogOptions::default()).unwrap();
    let (mut records, mut batch) = (Vec::new(), RecordBatch::new());
    for partition in 0..log.partitions() {
        let mut range = log.range(partition);
        while range.start < range.end {
            batch.clear();
            log.read(partition, range.start, READ_BYTES, &mut batch).unwrap();
            for (offset, append_time, payload) in &batch {
                records.push(plain_record((partition, offset), append_time, payload));
                range.start = offset + 1;
            }
        }
    }
    (records, log.partitions())
}

#[track_caller]
fn assert_same(what: &str, ours: &str, reference: &str) {
    for (number, (our, other)) in ours.lines().zip(reference.lines()).enumerate() {
        assert_eq!(our, other, "{what}, line {}", number + 1);
    }
    assert!(ours == reference, "{what}: one is longer than the other, or ends otherwise");
}

/// Imports a file and compares; returns the classes that its clicks had and how many rows there
/// are of late clicks.
fn check(file: &Path, rejected: usize) -> (BTreeSet<String>, usize) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let said = String::from_utf8(import(&data, file, &[]).stdout).unwrap();
    assert!(said.contains(&format!(" {rejected} rejected,")), "{said}");
    let (records, partitions) = records(&data);
    let reference = Reference::new(records, partitions);
    let show = |more: &[&str]| show(&data, more);
    assert_same("ads", &show(&[]), &reference.show_ads(false));
    assert_same("ads and versions", &show(&["--with-version"]), &reference.show_ads(true));
    let publishers = show(&["--by", "publisher", "--with-version"]);
    assert_same("publishers", &publishers, &reference.show_publishers(true));
    let verdicts = show(&["--verdicts"]);
    assert_same("verdicts", &verdicts, &reference.show_verdicts());
    let at = reference.last_grid_instant();
    let rows = reference.rows_by_ad(at);
    let late = rows.keys().filter(|(_, _, posted, ..)| posted.is_some());
    let classes = reference.verdicts(at).into_values().map(|verdict| verdict.class.to_string());
    (classes.collect(), late.count())
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

#[track_caller]
fn check_sample(name: &str, wanted: &[&str], late: usize) {
    let (classes, found_late) = check(&sample(name), 0);
    let wanted: BTreeSet<String> = wanted.iter().map(|code| (*code).to_owned()).collect();
    assert_eq!((classes, found_late), (wanted, late), "what {name} is there to show");
}

#[test]
fn an_access_log_equals_the_reference() {
    check_sample("access.log", &["G3", "G8", "V"], 0);
}

#[test]
fn csv_with_partitions_and_late_clicks_equals_the_reference() {
    let classes = ["D1", "D2", "G3", "G5", "G8", "T2", "T3", "T4", "V"];
    check_sample("clicks.csv", &classes, 15);
}

#[test]
fn ndjson_out_of_order_equals_the_reference() {
    check_sample("clicks.ndjson", &["D1", "D2", "G3", "G5", "G8", "T2", "T3", "V"], 0);
}

/// Ten thousand lines of a real server, where they are at hand.
#[test]
fn a_real_access_log_equals_the_reference() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/apache_logs.log");
    if !file.exists() {
        println!("skipped: the real access log is not there");
        return;
    }
    // One request of it has a path of 595 bytes, which can be no id.
    let (classes, _) = check(&file, 1);
    assert!(classes.contains("V"), "{classes:?}");
}
