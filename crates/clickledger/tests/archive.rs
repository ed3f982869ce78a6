//! The archive by its commands: audited, damaged and found out, replayed, and asked about clicks.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const BIN: &str = env!("CARGO_BIN_EXE_clickledger");
const CLICKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/clicks.csv");

fn run(command: &str, data: &Path, more: &[&str]) -> Output {
    Command::new(BIN).arg(command).arg("--data").arg(data).args(more).output().unwrap()
}

fn says(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

fn good(command: &str, data: &Path, more: &[&str]) -> String {
    let output = run(command, data, more);
    assert!(output.status.success(), "{command}: {}", says(&output));
    says(&output)
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn the_ledger_is_audited_and_written_again_from_the_archive() {
    let dir = tempfile::tempdir().unwrap();
    let (data, again) = (dir.path().join("data"), dir.path().join("again"));
    good("import", &data, &[CLICKS]);
    let report = good("audit", &data, &[]);
    assert!(report.contains("\n0 differences"), "{report}");
    assert!(report.contains("327 measured") && report.contains("0 not decided yet"), "{report}");
    let json: serde_json::Value = serde_json::from_str(&good("audit", &data, &["--json"])).unwrap();
    assert_eq!((&json["differ"], &json["verdicts_compared"]), (&0.into(), &327.into()));
    let day = good("audit", &data, &["--day", "2017-11-07", "--advertiser", "adv"]);
    assert!(day.contains("\n0 differences"), "{day}");
    let archive = data.join("archive");
    let archive = archive.to_str().unwrap();
    good("replay", &again, &["--archive", archive]);
    for args in [&["--format", "csv", "--with-version"][..], &["--format", "csv", "--verdicts"]] {
        assert_eq!(good("show", &data, args), good("show", &again, args));
    }
    let report = good("audit", &again, &["--archive", archive]);
    assert!(report.contains("\n0 differences"), "{report}");
    let twice = run("replay", &again, &["--archive", archive]);
    assert!(!twice.status.success() && says(&twice).contains("holds a log already"));
}

#[test]
fn what_is_changed_in_the_archive_is_found_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    good("import", &data, &[CLICKS]);
    good("archive", &data, &[]);
    for dataset in ["clicks", "verdicts"] {
        let file = files(&data.join("archive").join(dataset)).remove(0);
        let name = file.file_name().unwrap().to_str().unwrap();
        let whole = std::fs::read(&file).unwrap();
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 4;
        std::fs::write(&file, changed).unwrap();
        finds(&data, name, "was changed");
        std::fs::remove_file(&file).unwrap();
        finds(&data, name, "is missing");
        std::fs::write(&file, whole).unwrap();
        good("audit", &data, &[]);
    }
}

fn finds(data: &Path, what: &str, how: &str) {
    let output = run("audit", data, &[]);
    let said = says(&output);
    let named = said.lines().any(|line| line.contains(what) && line.contains(how));
    assert!(output.status.code() == Some(1) && named, "{said}");
}

/// For each reason there is a click whose explanation has it, with evidence where there is any.
#[test]
fn each_reason_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    good("import", &data, &[CLICKS]);
    good("archive", &data, &[]);
    let verdicts = good("show", &data, &["--format", "csv", "--verdicts"]);
    let of = |class: &str| {
        let mut lines = verdicts.lines().map(|line| line.split(',').collect::<Vec<_>>());
        lines.find(|cells| cells[3] == class).unwrap()[2].to_owned()
    };
    let evidence = [
        ("D1", "an earlier click claimed the same link", true),
        ("D2", "the same user clicked the same ad a moment before", true),
        ("G3", "clicks of its source within a second of it", true),
        ("T2", "expires at", false),
        ("T4", "too long before its fold time", false),
        ("G5", "purpose", false),
        ("G8", "method", false),
    ];
    for (class, words, has_others) in evidence {
        let id = of(class);
        let said = good("explain", &data, &[&id]);
        assert!(said.contains(&format!("verdict {class}")) && said.contains(words), "{said}");
        let others = said.lines().filter(|line| line.starts_with("    ")).count();
        assert!(others > 0 || !has_others, "{class}: {said}");
        let archive = data.join("archive");
        let from_archive = good("explain", &data, &["--archive", archive.to_str().unwrap(), &id]);
        assert_eq!(said, from_archive);
    }
    let nobody = run("explain", &data, &["nobody"]);
    assert!(!nobody.status.success() && says(&nobody).contains("no click has the id"));
}

/// Whether any cell of the archived clicks holds this text.
fn archive_mentions(archive: &Path, text: &str) -> bool {
    files(&archive.join("clicks")).iter().any(|file| {
        let file = std::fs::File::open(file).unwrap();
        let rows = parquet::file::reader::SerializedFileReader::new(file).unwrap();
        rows.into_iter().any(|row| row.unwrap().to_string().contains(text))
    })
}

/// Addresses and users go, the ledger stays, and the audit says what it did not see.
#[test]
fn persons_are_taken_out_of_the_archive() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let clicks = dir.path().join("clicks.csv");
    let csv = "click_id,user_id,ad_id,received_at,append_time,ip,user_agent\n\
        c1,somebody@example.org,a,1510047000000,1510047000000,203.0.113.77,Mozilla/5.0\n\
        c2,other,a,1510047001000,1510047001000,203.0.113.78,Mozilla/5.0\n\
        c1,somebody@example.org,a,1510047002000,1510047002000,203.0.113.77,Mozilla/5.0\n\
        c3,other,a,1520047001000,1520047001000,203.0.113.78,Mozilla/5.0\n";
    std::fs::write(&clicks, csv).unwrap();
    good("import", &data, &[clicks.to_str().unwrap()]);
    let before = good("audit", &data, &["--json"]);
    let archive = data.join("archive");
    assert!(archive_mentions(&archive, "203.0.113.77"));
    let result = |json: &str| {
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        json["result_sha256"].as_str().unwrap().to_owned()
    };
    let privacy = |action: &[&str]| {
        let output =
            Command::new(BIN).arg("privacy").args(action).arg("--data").arg(&data).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", says(&output));
        says(&output)
    };
    privacy(&["truncate", "--older-than", "30d"]);
    assert!(!archive_mentions(&archive, "203.0.113.7") && !archive_mentions(&archive, "Mozilla"));
    assert!(archive_mentions(&archive, "203.0.113.0"));
    let said = privacy(&["erase", "--user", "somebody@example.org"]);
    assert!(said.contains("2 clicks erased, 0 remain"), "{said}");
    assert!(!archive_mentions(&archive, "somebody@example.org"));
    let said = privacy(&["erase", "--user", "other"]);
    assert!(said.contains("1 clicks erased, 1 remain") && said.contains("run it again"), "{said}");
    let after = good("audit", &data, &["--json"]);
    assert_eq!(result(&before), result(&after));
    let report = good("audit", &data, &[]);
    assert!(
        report.contains("without what tells of persons (3 clicks of erased users)"),
        "{report}"
    );
}

/// What another policy would have cost, by advertiser, and its ledger beside the real one.
#[test]
fn another_policy_is_tried_in_a_shadow() {
    let dir = tempfile::tempdir().unwrap();
    let (data, clicks) = (dir.path().join("data"), dir.path().join("clicks.csv"));
    let mut csv = "click_id,user_id,ad_id,advertiser_id,price_micros,received_at\n".to_owned();
    // Of each user a second click, so many seconds after the first.
    for (user, seconds) in [20, 31, 45, 60, 61].into_iter().enumerate() {
        let first = 1_510_047_000_000 + user as u64 * 600_000;
        let (advertiser, second) = (user % 2, first + seconds * 1_000);
        csv += &format!("a{user},u{user},ad,adv{advertiser},1000,{first}\n");
        csv += &format!("b{user},u{user},ad,adv{advertiser},1000,{second}\n");
    }
    std::fs::write(&clicks, csv).unwrap();
    good("import", &data, &[clicks.to_str().unwrap()]);
    good("archive", &data, &[]);
    let (policy, shadow) = (dir.path().join("policy.toml"), dir.path().join("shadow.db"));
    std::fs::write(&policy, "policy_id = \"minute\"\ndouble_click_ms = 60000\n").unwrap();
    let archive = data.join("archive");
    let replay = || {
        let mut command = Command::new(BIN);
        command.args(["replay", "--format", "csv", "--archive"]).arg(&archive);
        command.arg("--policy").arg(&policy).arg("--shadow").arg(&shadow);
        command.output().unwrap()
    };
    let before = good("show", &data, &["--format", "csv"]);
    let output = replay();
    let expected = "advertiser_id,currency,measured,valid_before,valid_after,spend_before_micros,\
        spend_after_micros,spend_change_micros,class_changes\n\
        adv0,USD,6,5,4,5000,4000,-1000,D2 +1 V -1\n\
        adv1,USD,4,4,2,4000,2000,-2000,D2 +2 V -2\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{}", says(&output));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("9 valid as they were judged, 6 under policy 'minute'"), "{said}");
    assert_eq!(good("show", &data, &["--format", "csv"]), before);
    let again = replay();
    assert!(!again.status.success() && says(&again).contains("is there already"));
    // The shadow is a ledger that the audit finds other than the real one.
    let mut audit = Command::new(BIN);
    audit.args(["audit", "--archive"]).arg(&archive).arg("--store").arg(&shadow);
    let output = audit.output().unwrap();
    assert!(!output.status.success() && says(&output).contains("D2 1 instead of 0"));
}
