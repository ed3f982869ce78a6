//! `import` and `show` as a user runs them: twice, in other batch sizes, killed at random points.
//! The ledger must come out the same, byte for byte.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test panics and says what it skips"
)]

mod reference;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const BIN: &str = env!("CARGO_BIN_EXE_clickledger");

fn import(data: &Path, file: &Path, more: &[&str]) -> Output {
    let output = command(data, file, more).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn command(data: &Path, file: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(BIN);
    command.arg("import").args(more).arg("--data").arg(data).arg(file);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn show(data: &Path, more: &[&str]) -> String {
    let args = ["show", "--format", "csv", "--data"];
    let output = Command::new(BIN).args(args).arg(data).args(more).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The sample access log, or clicks of our own that are as many.
fn sample(dir: &Path) -> PathBuf {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/apache_logs.log");
    if sample.exists() {
        return sample;
    }
    println!("the sample log is not there: importing generated clicks");
    let mut csv = String::from("click_id,ad_id,received_at,user_id,ip,price_micros,expires_at\n");
    for number in 0..10_000u64 {
        let (id, ad, user) = (number * 7 % 9_000, number * number % 37, number % 501);
        let at = 1_510_047_000_000 + number * 211 % 900_000;
        let row = format!("c{id},a{ad},{at},u{user},10.0.0.{},9,{}\n", number % 200, at + 9_000);
        csv.push_str(&row);
    }
    let path = dir.join("clicks.csv");
    std::fs::write(&path, csv).unwrap();
    path
}

/// `measured = pending + sum of all classes` in every row.
fn assert_conserved(csv: &str) -> u64 {
    let mut measured = 0;
    for line in csv.lines().skip(1) {
        let fields: Vec<_> = line.rsplitn(18, ',').take(17).collect();
        let number = |index: usize| fields[16 - index].parse::<u64>().unwrap();
        assert_eq!(number(0), (1..16).map(number).sum::<u64>(), "{line}");
        measured += number(0);
    }
    measured
}

#[test]
fn however_it_is_imported_the_ledger_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let file = sample(dir.path());
    let whole = dir.path().join("whole");
    import(&whole, &file, &[]);
    let rows = show(&whole, &["--with-version"]);
    let (ledger, verdicts) = (show(&whole, &[]), show(&whole, &["--verdicts"]));
    let clicks = assert_conserved(&ledger);
    assert_eq!(verdicts.lines().count() as u64, clicks + 1, "a verdict a click");
    assert_eq!(assert_conserved(&show(&whole, &["--by", "publisher"])), clicks);
    let again = String::from_utf8(import(&whole, &file, &[]).stdout).unwrap();
    assert!(again.starts_with("0 rows imported"), "{again}");
    assert_eq!(show(&whole, &["--with-version"]), rows, "imported twice");
    for (name, more) in [
        ("small", ["--batch", "97", "--threads", "1"]),
        ("large", ["--batch", "1000000", "--threads", "7"]),
    ] {
        let other = dir.path().join(name);
        import(&other, &file, &more);
        assert_eq!(show(&other, &["--with-version"]), rows, "{name} batches");
        assert_eq!(show(&other, &["--verdicts"]), verdicts, "{name} batches");
    }
}

#[test]
fn killed_and_started_again_it_ends_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let file = sample(dir.path());
    let whole = dir.path().join("whole");
    import(&whole, &file, &[]);
    let rows = show(&whole, &["--with-version"]);
    let cut = dir.path().join("cut");
    let mut killed = 0;
    for round in 0..12u64 {
        let mut child = command(&cut, &file, &["--batch", "50"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(20 + round * 37 % 200));
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
    }
    println!("killed {killed} times");
    import(&cut, &file, &["--batch", "1000"]);
    assert_eq!(show(&cut, &["--with-version"]), rows);
}

#[test]
fn bad_files_are_refused_with_the_fix() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.csv");
    std::fs::write(&file, "id,ad\n1,2\n").unwrap();
    let output = command(&dir.path().join("d"), &file, &[]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no column 'click_id'") && said.contains("--map"), "{said}");
}
