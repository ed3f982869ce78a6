//! Another system's export beside ours: each cause is planted, and found with its clicks and money.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod random;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use parquet::arrow::ArrowWriter;

const BIN: &str = env!("CARGO_BIN_EXE_clickledger");
/// 2017-11-07T09:30Z.
const T0: u64 = 1_510_047_000_000;
const MINUTE: u64 = 60_000;

fn run(arguments: &[&str], dir: &Path) -> Output {
    Command::new(BIN).args(arguments).current_dir(dir).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn says(output: &Output) -> String {
    out(output) + &String::from_utf8_lossy(&output.stderr)
}

/// Clicks c0 to c9, a minute apart, of ads by turns; and four that are no ordinary ones.
fn import(dir: &Path) {
    let mut csv = "click_id,user_id,ad_id,advertiser_id,price_micros,purpose,received_at,\
        append_time\n"
        .to_owned();
    for n in 0..10 {
        let (ad, at) = (n % 2, T0 + n * MINUTE);
        writeln!(csv, "c{n},u{n},ad{ad},adv{ad},1000,,{at},{at}").unwrap();
        if n == 2 {
            writeln!(csv, "double,u2,ad0,adv0,1000,,{0},{0}", at + 5_000).unwrap();
            writeln!(csv, "c2,u2,ad0,adv0,1000,,{0},{0}", at + 6_000).unwrap();
        }
    }
    let at = T0 + 9 * MINUTE + 1_000;
    writeln!(csv, "preview,u20,ad1,adv1,1000,prefetch,{at},{at}").unwrap();
    writeln!(csv, "late,u21,ad1,adv1,1000,,{},{}", T0 + 1_000, T0 + 40 * MINUTE).unwrap();
    std::fs::write(dir.join("ours.csv"), csv).unwrap();
    let done = run(&["import", "--data", "data", "ours.csv"], dir);
    assert!(done.status.success(), "{}", says(&done));
}

fn reconcile(dir: &Path, theirs: &str, more: &[&str]) -> Output {
    std::fs::write(dir.join("theirs.csv"), theirs).unwrap();
    let arguments = ["reconcile", "--data", "data", "--theirs", "theirs.csv"];
    run(&[&arguments[..], more].concat(), dir)
}

const PERIOD: [&str; 4] = ["--from", "2017-11-07T09:00Z", "--to", "2017-11-07T10:00Z"];

#[test]
fn each_cause_is_found_click_by_click() {
    let dir = tempfile::tempdir().unwrap();
    import(dir.path());
    let mut theirs = "id,price_micros\n".to_owned();
    for id in ["c0", "c1", "c2", "c4", "c5", "c6", "c7", "c8", "c9"] {
        let price = if id == "c4" { 1_250 } else { 1_000 };
        writeln!(theirs, "{id},{price}").unwrap();
    }
    for id in ["double", "preview", "late", "c5", "unknown"] {
        writeln!(theirs, "{id},1000").unwrap();
    }
    std::fs::write(dir.path().join("map.toml"), "id = \"click_id\"\n").unwrap();
    let more = [&PERIOD[..], &["--map", "map.toml", "--format", "csv"]].concat();
    let output = reconcile(dir.path(), &theirs, &more);
    assert_eq!(output.status.code(), Some(1), "{}", says(&output));
    let mut lines: Vec<String> = out(&output).lines().skip(1).map(str::to_owned).collect();
    lines.sort();
    let expected = [
        "class_D2,adv0,ad0,USD,1,1000,double",
        "class_G5,adv1,ad1,USD,1,1000,preview",
        "duplicate_there,adv1,ad1,USD,1,1000,c5",
        "late,adv1,ad1,USD,1,1000,late",
        "missing_here,,,USD,1,1000,unknown",
        "missing_there,adv1,ad1,USD,-1,-1000,c3",
        "price,adv0,ad0,USD,0,250,c4",
    ];
    assert_eq!(lines, expected);
    let more = [&PERIOD[..], &["--map", "map.toml", "--html", "page.html"]].concat();
    let output = reconcile(dir.path(), &theirs, &more);
    let said = out(&output);
    // 14 rows of theirs at 1000, one of them 250 more; ten of ours.
    let sums = "USD: theirs 14 clicks, 0.014250; ours 10 clicks, 0.010000; difference +4 clicks";
    assert!(said.starts_with(sums), "{said}");
    assert!(said.contains("9 clicks are billed by both"), "{said}");
    let page = std::fs::read_to_string(dir.path().join("page.html")).unwrap();
    assert!(page.contains("<td class=n>+4</td><td class=n>0.004250</td>"), "{page}");
}

#[test]
fn counts_per_minute_are_split_too() {
    let dir = tempfile::tempdir().unwrap();
    import(dir.path());
    let row = |n: u64, clicks: u64, spend: u64| {
        format!("ad{},{},{clicks},{spend}\n", n % 2, T0 + n * MINUTE)
    };
    let mut theirs = "ad_id,time,clicks,spend_micros\n".to_owned();
    // Minute 0 has the late click, too; minute 2 the double one; minute 3 is missing; minute 4 is
    // dearer; minute 9 has the preview and one that nobody here has seen.
    for n in 0..10 {
        theirs += &match n {
            2 => row(n, 2, 2_000),
            3 => continue,
            4 => row(n, 1, 1_250),
            9 => row(n, 3, 3_000),
            n => row(n, 1, 1_000),
        };
    }
    theirs += &format!("ad1,{T0},1,1000\n");
    let output = reconcile(dir.path(), &theirs, &["--format", "csv"]);
    assert_eq!(output.status.code(), Some(1), "{}", says(&output));
    let mut lines: Vec<String> = out(&output).lines().skip(1).map(str::to_owned).collect();
    lines.sort();
    let expected = [
        "class_D1,adv0,ad0,USD,1,1000,",
        "class_G5,adv1,ad1,USD,1,1000,",
        "late,adv1,ad1,USD,1,1000,late",
        "missing_here,adv1,ad1,USD,1,1000,",
        "missing_there,adv1,ad1,USD,-1,-1000,",
        "price,adv0,ad0,USD,0,250,",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn another_time_zone_is_seen_and_can_be_named() {
    let dir = tempfile::tempdir().unwrap();
    import(dir.path());
    let mut theirs = "ad_id,time,clicks\n".to_owned();
    for n in 0..10 {
        writeln!(theirs, "ad{},2017-11-07 10:{}:00,1", n % 2, 30 + n).unwrap();
    }
    let json = |more: &[&str]| {
        let output = reconcile(dir.path(), &theirs, &[&["--format", "json"], more].concat());
        let value: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
        (output.status.code(), value)
    };
    let (code, report) = json(&[]);
    assert_eq!((code, &report["zone_minutes"]), (Some(1), &60.into()), "{report:#}");
    // The late click is billed in the very minute of theirs, by chance: that of 10:10.
    let zone = report["causes"].as_array().unwrap().iter().find(|c| c["cause"] == "time_zone");
    assert_eq!(zone.unwrap()["difference"]["clicks"], 10);
    let (_, report) = json(&["--zone", "Europe/Berlin"]);
    assert_eq!(report["zone_minutes"], 0, "{report:#}");
    // They do not have the late click, which happened in the period and is billed after it.
    let causes = report["causes"].as_array().unwrap();
    let late: Vec<_> = causes.iter().map(|c| c["cause"].as_str().unwrap()).collect();
    assert_eq!(late, ["late", "missing_there"], "{report:#}");
    assert_eq!(report["difference"]["USD"]["clicks"], 0);
}

#[test]
fn an_equal_export_differs_in_nothing() {
    let dir = tempfile::tempdir().unwrap();
    import(dir.path());
    let mut theirs = "click_id\n".to_owned();
    (0..10).for_each(|n| writeln!(theirs, "c{n}").unwrap());
    theirs += "late\n";
    let output = reconcile(dir.path(), &theirs, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", says(&output));
    assert!(out(&output).contains("difference +0 clicks, 0.000000"), "{}", out(&output));
    run(&["archive", "--data", "data"], dir.path());
    let from_archive =
        ["reconcile", "--archive", "data/archive", "--theirs", "theirs.csv", "--format", "csv"];
    let output = run(&from_archive, dir.path());
    assert_eq!(output.status.code(), Some(0), "{}", says(&output));
}

#[test]
fn what_cannot_be_read_is_said_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    import(dir.path());
    for (theirs, expected) in [
        ("click_id,price_micros\nc1,1.5\n", "line 2: price_micros: '1.5' is no whole number"),
        ("ad_id,clicks\nad0,3\n", "line 2: a row without click_id needs a time"),
        ("ad_id,time\nad0,soon\n", "line 2: time: 'soon' is neither ms since 1970"),
        ("name\nx\n", "line 2: names neither a click_id nor an ad_id"),
        ("click_id,ad_id,time\nc1,,\n,ad0,1510047000000\n", "split the file"),
        ("click_id\n", "has no rows"),
    ] {
        let output = reconcile(dir.path(), theirs, &[]);
        assert!(!output.status.success() && says(&output).contains(expected), "{}", says(&output));
    }
}

fn write_parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn reconcile_parquet(dir: &Path, columns: Vec<(&str, ArrayRef)>, more: &[&str]) -> Output {
    write_parquet(&dir.join("theirs.parquet"), columns);
    let arguments = ["reconcile", "--data", "data", "--theirs", "theirs.parquet"];
    run(&[&arguments[..], more].concat(), dir)
}

#[test]
fn parquet_is_read_like_csv() {
    let dir = tempfile::tempdir().unwrap();
    import(dir.path());
    std::fs::write(dir.path().join("map.toml"), "id = \"click_id\"\n").unwrap();
    let more = [&PERIOD[..], &["--map", "map.toml", "--format", "csv"]].concat();
    let ids = ["c0", "c1", "c2", "c4", "c5", "double", "c5", "unknown"];
    let csv: String = ids
        .iter()
        .map(|id| format!("{id},{}\n", if *id == "c4" { "0.001250" } else { "" }))
        .collect();
    let by_csv = reconcile(dir.path(), &format!("id,amount\n{csv}"), &more);
    let amounts = ids.iter().map(|id| (*id == "c4").then_some(1_250));
    let amounts = Decimal128Array::from_iter(amounts).with_precision_and_scale(18, 6).unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("not looked at", Arc::new(Float64Array::from(vec![0.5; ids.len()]))),
        ("id", Arc::new(StringArray::from(ids.to_vec()))),
        ("amount", Arc::new(amounts)),
    ];
    let by_parquet = reconcile_parquet(dir.path(), columns, &more);
    assert_eq!(by_parquet.status.code(), Some(1), "{}", says(&by_parquet));
    assert!(out(&by_parquet).lines().count() > 8, "{}", out(&by_parquet));
    assert_eq!(out(&by_parquet), out(&by_csv));
}

/// A timestamp that names no zone is of `--zone`, one that does is not; a date is a day there.
#[test]
fn parquet_times_may_leave_out_their_zone() {
    let dir = tempfile::tempdir().unwrap();
    import(dir.path());
    let hour = 60 * MINUTE;
    let ads = || Arc::new(StringArray::from_iter_values((0..10).map(|n| format!("ad{}", n % 2))));
    let times = |shift: u64| {
        let time = |n: u64| i64::try_from(T0 + shift + n * MINUTE).unwrap();
        TimestampMillisecondArray::from_iter_values((0..10).map(time))
    };
    let zone = |times: TimestampMillisecondArray| {
        let columns: Vec<(&str, ArrayRef)> = vec![("ad_id", ads()), ("time", Arc::new(times))];
        let more = ["--format", "json", "--zone", "Europe/Berlin"];
        let output = reconcile_parquet(dir.path(), columns, &more);
        let report: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
        (report["zone_minutes"].as_i64(), report["agreed"].as_u64())
    };
    assert_eq!(zone(times(hour)), (Some(0), Some(10)));
    assert_eq!(zone(times(0).with_timezone("UTC")), (Some(0), Some(10)));
    assert_eq!(zone(times(hour).with_timezone("UTC")).0, Some(60));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("ad_id", Arc::new(StringArray::from(vec!["ad0", "ad1"]))),
        ("time", Arc::new(Date32Array::from(vec![17_477; 2]))),
        ("clicks", Arc::new(Int64Array::from(vec![5, 6]))),
    ];
    let output = reconcile_parquet(dir.path(), columns, &["--per", "day"]);
    assert_eq!(output.status.code(), Some(0), "{}", says(&output));
}

#[test]
fn parquet_that_cannot_be_read_is_said_with_its_row() {
    let dir = tempfile::tempdir().unwrap();
    import(dir.path());
    let ids = || Arc::new(StringArray::from(vec!["c0", "c1"])) as ArrayRef;
    let prices = Arc::new(StringArray::from(vec![Some("1"), Some("x")])) as ArrayRef;
    let floats = Arc::new(Float64Array::from(vec![0.5, 0.5])) as ArrayRef;
    for (columns, expected) in [
        (vec![("click_id", ids()), ("price_micros", prices)], "row 2: price_micros: 'x' is no"),
        (vec![("click_id", ids()), ("amount", floats)], "'amount' has type Float64; write it as"),
        (vec![("name", ids())], "row 1: names neither a click_id nor an ad_id"),
    ] {
        let output = reconcile_parquet(dir.path(), columns, &[]);
        let said = says(&output);
        assert!(!output.status.success() && said.contains(expected), "{said}");
        assert!(said.contains("theirs.parquet"), "{said}");
    }
    std::fs::write(dir.path().join("theirs.parquet"), "PAR1 and no more").unwrap();
    let arguments = ["reconcile", "--data", "data", "--theirs", "theirs.parquet"];
    let output = run(&arguments, dir.path());
    assert!(!output.status.success() && says(&output).contains("parquet: "), "{}", says(&output));
}
