//! `docs/audit.sql` over the archives of generated logs: DuckDB, which knows nothing of the code,
//! comes to the verdicts and rows of the reference, to the unit and to the byte.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use click_core::types::Millis;
use click_engine::archive::{Archive, truncate_addresses};
use click_sim::bridge::{self, give_source_keys};
use click_sim::generate::{GeneratorConfig, generate};
use click_sim::given_log::GivenLog;
use click_sim::python::python_with;
use click_sim::reference::{PlainPayload, PlainRecord, PlainRow, Reference};

/// 17 and 22 are there for bursts that span a second and no more, 24 for rows that are all pending.
const SEEDS: [u64; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 17, 22, 24];

/// Audits each archive named on a line of stdin, as of an instant, if any, or its end, and again as
/// of one of the grid, and leaves what came out beside it.
const SCRIPT: &str = r#"
import sys
sys.path.insert(0, sys.argv[1])
import audit
for line in sys.stdin:
    archive, as_of, grid = line.rstrip("\n").split("\t")
    database = audit.audited(archive, int(as_of) if as_of else None)
    database.execute("ALTER TABLE verdicts DROP policy_index")
    for table in ("verdicts", "rows_by_ad", "rows_by_publisher"):
        with open(f"{archive}/{table}.tsv", "w") as out:
            for row in database.execute(f"FROM {table}").fetchall():
                print("\t".join("" if cell is None else str(cell) for cell in row), file=out)
    outputs = [f"--{o.replace('_', '-')}={archive}/{view}.csv" for o, view, _ in audit.OUTPUTS]
    status = audit.main([archive, "--as-of", grid, *outputs])
    if status:
        sys.exit(f"{archive}: ended with {status}")
"#;

/// Puts a file with another verdict in the place of one of the archive's.
const TAMPER: &str = r#"
import duckdb, glob, os, sys
name = min(glob.glob(sys.argv[1] + "/verdicts/*/*/*.parquet"))
duckdb.execute(f"CREATE TABLE t AS FROM read_parquet('{name}', hive_partitioning = false)")
duckdb.execute('''UPDATE t SET class = 'G9', reasons = 'G9'
    WHERE "offset" = (SELECT min("offset") FROM t)''')
duckdb.execute(f"COPY (FROM t ORDER BY \"offset\") TO '{name}' (FORMAT parquet)")
"#;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// Archives a log, and truncates addresses if it is asked to; the records below the archive's end.
fn archive(
    records: &[PlainRecord],
    partitions: u32,
    dir: &Path,
    truncated: bool,
) -> Vec<PlainRecord> {
    let log = bridge::log(records, partitions);
    let (end, objects) = GivenLog::new(bridge::header(records, partitions), log).archive(dir);
    if truncated {
        // Up to the last span.
        let until = Millis(end.until.0 - 1);
        let spans = truncate_addresses(&Archive::open(objects).unwrap(), until).unwrap().spans;
        assert_eq!(spans + 1, end.manifests);
    }
    let fold_times = Reference::new(records.to_vec(), partitions).fold_times();
    let archived = |record: &&PlainRecord| fold_times[&record.position()] < end.until.0;
    records.iter().filter(archived).cloned().collect()
}

fn start(script: &str, python: &Path, argument: &Path, input: &str) -> Output {
    let mut command = Command::new(python);
    command.args(["-c", script]).arg(argument).env("PYTHONDONTWRITEBYTECODE", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn said(out: &Output) -> String {
    [&out.stdout, &out.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

/// As a table of the script: sorted lines of cells.
fn lines(cells: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let mut lines: Vec<String> = cells.map(|cells| cells.join("\t")).collect();
    lines.sort_unstable();
    lines
}

fn table(dir: &Path, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(dir.join(name)).unwrap();
    lines(text.split_terminator('\n').map(|line| vec![line.to_owned()]))
}

fn optional(number: Option<u64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

fn row(key: [String; 4], more: &[String], row: &PlainRow) -> Vec<String> {
    let numbers = [row.measured, row.pending].into_iter().chain(row.counts);
    let numbers = numbers.map(|number| number.to_string()).chain([row.sum.to_string()]);
    key.into_iter().chain(more.iter().cloned()).chain(numbers).collect()
}

/// Everything that the SQL has to come to, in its tables' form.
struct Expected {
    verdicts: Vec<String>,
    by_ad: Vec<String>,
    by_publisher: Vec<String>,
}

impl Expected {
    fn new(records: &[PlainRecord], reference: &Reference, w: u64) -> Expected {
        let fold_times = reference.fold_times();
        let clicks: BTreeMap<_, _> = records.iter().map(|r| (r.position(), &r.payload)).collect();
        let verdicts = reference.verdicts(w).into_iter().map(|(at, verdict)| {
            let PlainPayload::Click(click) = clicks[&at] else { panic!("a verdict of no click") };
            let numbers = [u64::from(at.0), at.1, fold_times[&at]].map(|n| n.to_string());
            let [partition, offset, fold_time] = numbers;
            let (class, reasons) = (verdict.class.to_owned(), verdict.reasons.join("+"));
            vec![
                partition,
                offset,
                class,
                reasons,
                fold_time,
                click.click_id.clone(),
                verdict.policy,
            ]
        });
        let by_ad = reference.rows_by_ad(w).into_iter().map(|(key, content)| {
            let (ad, minute, posted, currency, campaign, advertiser) = key;
            let key = [ad, minute.to_string(), optional(posted), currency];
            row(key, &[campaign, advertiser], &content)
        });
        let by_publisher = reference.rows_by_publisher(w).into_iter().map(|(key, content)| {
            let (publisher, placement, minute, posted, currency) = key;
            let key = [publisher, placement, minute.to_string(), optional(posted)];
            row(key, &[currency], &content)
        });
        let (by_ad, by_publisher) = (lines(by_ad), lines(by_publisher));
        Expected { verdicts: lines(verdicts), by_ad, by_publisher }
    }
}

/// What the SQL left beside an archive is what the reference says of its records.
fn compare(dir: &Path, records: &[PlainRecord], reference: &Reference, w: u64) -> [usize; 3] {
    let expected = Expected::new(records, reference, w);
    let tables = [
        ("verdicts.tsv", &expected.verdicts),
        ("rows_by_ad.tsv", &expected.by_ad),
        ("rows_by_publisher.tsv", &expected.by_publisher),
    ];
    for (name, lines) in tables {
        assert_eq!(&table(dir, name), lines, "{name} of {}", dir.display());
    }
    let shown = [
        ("show_by_ad.csv", reference.show_ads(false)),
        ("show_by_publisher.csv", reference.show_publishers(false)),
        ("show_verdicts.csv", reference.show_verdicts()),
    ];
    for (name, text) in shown {
        let found = std::fs::read_to_string(dir.join(name)).unwrap();
        assert_eq!(found, text, "{name} of {}", dir.display());
    }
    tables.map(|(_, lines)| lines.len())
}

/// Half a second after the middle record, if W gets there.
fn in_the_midst(records: &[PlainRecord], reference: &Reference) -> u64 {
    let middle = reference.fold_times()[&records[records.len() / 2].position()];
    reference.watermark().min(middle + 500)
}

#[test]
fn sql_comes_to_the_same() {
    let Some(python) = python_with("duckdb") else { return };
    let root = tempfile::tempdir().unwrap();
    let (mut archives, mut input) = (Vec::new(), String::new());
    for seed in SEEDS {
        let config = GeneratorConfig::moving_or_not(seed);
        let dir = root.path().join(seed.to_string());
        let mut records = generate(&config, seed);
        let truncated = seed % 2 == 0;
        if truncated {
            give_source_keys(&mut records);
        }
        let records = archive(&records, config.partitions, &dir, truncated);
        let reference = Reference::new(records.clone(), config.partitions);
        // Of some in the midst of things, where much is pending.
        let midst = (seed % 3 == 1).then(|| in_the_midst(&records, &reference));
        let (as_of, grid) = (optional(midst), reference.last_grid_instant());
        input += &format!("{}\t{as_of}\t{grid}\n", dir.display());
        let w = midst.unwrap_or_else(|| reference.watermark());
        archives.push((dir, records, reference, w));
    }
    let begun = Instant::now();
    let out = start(SCRIPT, &python, &docs(), &input);
    assert!(out.status.success(), "{}", said(&out));
    let took = begun.elapsed();
    let mut total = [0; 3];
    for (dir, records, reference, w) in &archives {
        let compared = compare(dir, records, reference, *w);
        total.iter_mut().zip(compared).for_each(|(sum, number)| *sum += number);
    }
    let [verdicts, by_ad, by_publisher] = total;
    let logs = archives.len();
    println!("{logs} archives: {verdicts} verdicts, {by_ad} and {by_publisher} rows, {took:?}");
    assert!(verdicts > 3_000 && by_ad > 1_500 && by_publisher > 1_500, "{total:?}");
    a_changed_verdict_is_named(&python, &archives[0].0);
}

fn a_changed_verdict_is_named(python: &Path, dir: &Path) {
    let out = start(TAMPER, python, dir, "");
    assert!(out.status.success(), "{}", said(&out));
    let out = Command::new(python).arg(docs().join("audit.py")).arg(dir).output().unwrap();
    let text = said(&out);
    assert_eq!(out.status.code(), Some(1), "{text}");
    let differences: Vec<&str> = text.lines().filter(|l| l.starts_with("differs: ")).collect();
    let [file, verdict] = differences.as_slice() else { panic!("{text}") };
    assert!(file.contains("verdicts/day="), "{file}");
    assert!(verdict.contains("differs: verdict, ") && verdict.contains("G9 [G9]"), "{verdict}");
}
