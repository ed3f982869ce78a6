//! Anyone's tools read the archive: DuckDB, pyarrow and Spark give every cell of every row as the
//! archive's own reader does, by the lines that `docs/formats/archive.md` tells people to write.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod extremes;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use click_engine::archive::{Archive, Cell, DATASETS, Objects, StoredTable};
use click_sim::bridge;
use click_sim::generate::{GeneratorConfig, generate};
use click_sim::given_log::GivenLog;
use click_sim::python::python_with;
use serde_json::Value;

const SEEDS: std::ops::Range<u64> = 0..6;
/// Packages of Python that read Parquet, one of them by way of a JVM.
const READERS: [&str; 3] = ["duckdb", "pyarrow", "pyspark"];

/// Archives a generated log with extreme records in the midst of it.
fn archive(seed: u64, root: &Path) -> (PathBuf, Archive, Arc<dyn Objects>) {
    let config = GeneratorConfig::from_seed(seed);
    let records = generate(&config, seed);
    let mut log = bridge::log(&records, config.partitions);
    let middle = log[0].len() / 2;
    let time = log[0][middle].0;
    log[0].splice(middle..middle, extremes::payloads().into_iter().map(|payload| (time, payload)));
    let dir = root.join(seed.to_string());
    let header = bridge::header(&records, config.partitions);
    let (_, objects) = GivenLog::new(header, log).archive(&dir);
    (dir, Archive::open(objects.clone()).unwrap(), objects)
}

fn value(cell: Cell<'_>) -> Value {
    match cell {
        Cell::Empty => Value::Null,
        Cell::Int(number) => number.into(),
        Cell::Text(text) => text.into(),
        Cell::Bytes(bytes) => {
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
        }
        Cell::Bool(bool) => bool.into(),
    }
}

/// A dataset as the archive's own reader has it, in the form of `print_rows.py`.
fn own(archive: &Archive, objects: &dyn Objects, dataset: &str) -> String {
    let (mut names, mut rows) = (String::new(), Vec::new());
    let files = archive.manifests().iter().flat_map(|manifest| &manifest.files);
    for file in files.filter(|file| file.dataset == dataset) {
        let table = StoredTable::read(archive, file).unwrap();
        let stored = objects.get(&file.name).unwrap().unwrap();
        assert!(table.to_parquet().unwrap() == stored, "{}: written otherwise", file.name);
        names = serde_json::to_string(&table.columns().collect::<Vec<_>>()).unwrap() + "\n";
        for cells in table.rows() {
            let [Cell::Int(partition), Cell::Int(offset), ..] = *cells else { panic!("{cells:?}") };
            let values: Vec<Value> = cells.into_iter().map(value).collect();
            rows.push(((partition, offset), serde_json::to_string(&values).unwrap() + "\n"));
        }
    }
    rows.sort_unstable();
    names + &rows.into_iter().map(|(_, row)| row).collect::<String>()
}

/// Spark runs on a JVM.
#[expect(clippy::print_stdout, reason = "a test says why it skips")]
fn has_java() -> bool {
    let out = Command::new("java").arg("-version").output();
    let found = out.is_ok_and(|out| out.status.success());
    if !found {
        assert!(std::env::var_os("CLICKTEST_CI").is_none(), "no java is installed");
        println!("skipped: no java is installed");
    }
    found
}

/// Has a reader write all that is asked for: by line an archive, a dataset, and where to.
fn read_with(reader: &str, asked: &str, dir: &Path) -> bool {
    let Some(python) = python_with(reader) else { return false };
    if reader == "pyspark" && !has_java() {
        return false;
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(python);
    command.arg(here.join("tests/readers/print_rows.py"));
    command.arg(here.join("../../docs/formats/archive.md")).arg(reader).current_dir(dir);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(asked.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{reader}: {}", String::from_utf8_lossy(&out.stderr));
    true
}

fn same(found: &str, expected: &str, what: &str) {
    let unequal = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert_eq!(unequal, None, "{what}: the first row that differs");
    assert!(found == expected, "{what}: another number of rows");
}

/// The archives hold what readers might see differently.
fn is_adversarial(clicks: &str) {
    let rows: Vec<Vec<Value>> =
        clicks.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<String> = serde_json::from_str(clicks.lines().next().unwrap()).unwrap();
    let has = |name: &str, value: Value| {
        let column = names.iter().position(|column| column == name).unwrap();
        assert!(rows.iter().any(|row| row[column] == value), "no {name} is {value}");
    };
    for kind in ["click", "tick", "heartbeat", "policy", "header", "undecodable"] {
        has("kind", kind.into());
    }
    for name in ["payload", "user_agent"] {
        has(name, Value::Null);
        has(name, "".into());
    }
    for name in ["epoch", "next_seq", "burst_clicks", "catalogue_version"] {
        has(name, extremes::LARGEST.into());
    }
    for name in ["tracker_id", "policy_id", "click_id", "user_id"] {
        has(name, extremes::UNICODE.into());
    }
    has("ad_active", false.into());
    has("source_key", "00".into());
}

#[test]
fn everyone_reads_the_same() {
    let root = tempfile::tempdir().unwrap();
    let (mut asked, mut expected) = (String::new(), Vec::new());
    for seed in SEEDS {
        let (dir, archive, objects) = archive(seed, root.path());
        for dataset in DATASETS {
            let out = dir.join(format!("{dataset}.jsonl"));
            asked += &format!("{}\t{dataset}\t{}\n", dir.display(), out.display());
            let text = own(&archive, &*objects, dataset);
            if dataset == DATASETS[0] {
                is_adversarial(&text);
            }
            expected.push((out, text));
        }
    }
    let rows: usize = expected.iter().map(|(_, text)| text.lines().count() - 1).sum();
    assert!(rows > 2_000, "{rows}");
    for reader in READERS {
        if !read_with(reader, &asked, root.path()) {
            continue;
        }
        for (out, text) in &expected {
            let what = format!("{reader}, {}", out.display());
            same(&std::fs::read_to_string(out).unwrap(), text, &what);
            std::fs::remove_file(out).unwrap();
        }
        println!("{reader}: {rows} rows of {} datasets, every cell equal", expected.len());
    }
}
