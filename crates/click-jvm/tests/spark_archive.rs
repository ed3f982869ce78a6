//! Spark computes ledgers again from archives: rows and verdicts are the reference's, of logs of
//! every kind of record, also where addresses are truncated, by slices so small that state goes
//! from one to the next.
//!
//! Needs a JDK, Maven and Spark, which `cargo xtask setup` gets; skips without them, and fails
//! instead where `CLICKTEST_CI` is set.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use click_core::types::Millis;
use click_engine::archive::{Archive, truncate_addresses};
use click_sim::bridge::{self, give_source_keys};
use click_sim::generate::{GeneratorConfig, generate};
use click_sim::given_log::GivenLog;
use click_sim::hosted::{Jars, package};
use click_sim::reference::{PlainRecord, Reference};
use click_sim::spark::{Spark, SparkJob};

/// Those of even seeds have their addresses truncated.
const SEEDS: [u64; 2] = [3, 4];
const PATIENCE: Duration = Duration::from_secs(180);

#[test]
fn spark_computes_a_ledger_again_from_its_archive() {
    let root = tempfile::tempdir().unwrap();
    let Some(spark) = Spark::find(root.path()) else { return };
    let test = std::env::current_exe().unwrap();
    let jars = package(&test.with_file_name("libclick_jvm.so"), "spark");
    for seed in SEEDS {
        let config = GeneratorConfig { records: 3_000, ..GeneratorConfig::from_seed(seed) };
        let dir = root.path().join(seed.to_string());
        let mut records = generate(&config, seed);
        if seed % 2 == 0 {
            give_source_keys(&mut records);
        }
        let records = archive(&records, config.partitions, &dir.join("archive"), seed % 2 == 0);
        let said = again(&spark, &jars, &dir);
        println!(
            "{}",
            said.lines().filter(|l| l.starts_with("slice")).collect::<Vec<_>>().join("\n")
        );

        let reference = Reference::new(records, config.partitions);
        let shown =
            [("ad", reference.show_ads(true)), ("publisher", reference.show_publishers(true))];
        for (view, text) in shown {
            let mut lines: Vec<&str> = text.lines().skip(1).collect();
            lines.sort_unstable();
            assert_eq!(rows(&dir.join("out").join(view)), lines, "{view} of seed {seed}");
            println!("seed {seed}: {} rows by {view}", lines.len());
        }
        let told = said.lines().find(|line| line.starts_with("verdicts: ")).unwrap();
        let verdicts = reference.verdicts(reference.watermark()).len();
        let numbers: Vec<usize> = told.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [archived, open, differ] = numbers[..] else { panic!("{told}") };
        assert_eq!((archived - open, differ), (verdicts, 0), "{told}");
        println!("seed {seed}: {told}");
    }
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
        let until = Millis(end.until.0 - 1);
        truncate_addresses(&Archive::open(objects).unwrap(), until).unwrap();
    }
    let fold_times = Reference::new(records.to_vec(), partitions).fold_times();
    let archived = |record: &&PlainRecord| fold_times[&record.position()] < end.until.0;
    records.iter().filter(archived).cloned().collect()
}

/// Runs the job over an archive; what it says.
fn again(spark: &Spark, jars: &Jars, dir: &Path) -> String {
    let path = |part: &str| dir.join(part).display().to_string();
    let (archive, state, out) = (path("archive"), path("state"), path("out"));
    let arguments = [
        ["--archive", &archive],
        ["--state", &state],
        ["--out", &out],
        ["--tasks", "3"],
        ["--max-records", "1200"],
    ];
    let job = SparkJob {
        master: "local[2]".to_owned(),
        settings: vec![
            format!("spark.driver.extraClassPath={}", jars.bridge.display()),
            // Nothing runs long enough to be worth more.
            "spark.driver.extraJavaOptions=-XX:TieredStopAtLevel=1".to_owned(),
        ],
        memory: "1g".to_owned(),
        environment: Vec::new(),
        jar: jars.job.clone(),
        class: "org.clickledger.spark.ClickJob".to_owned(),
        arguments: arguments.as_flattened().iter().map(|&text| text.to_owned()).collect(),
    };
    let name = dir.file_name().unwrap().to_string_lossy().into_owned();
    let mut driver = spark.submit(&name, &job);
    let status = driver.wait(PATIENCE);
    assert!(status.success(), "{status}: {}", driver.tail());
    driver.log()
}

/// Lines of all files of a folder but their headers, sorted.
fn rows(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for file in std::fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "csv") {
            let text = std::fs::read_to_string(path).unwrap();
            lines.extend(text.lines().skip(1).map(str::to_owned));
        }
    }
    lines.sort_unstable();
    lines
}
