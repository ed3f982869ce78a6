//! The archive in a bucket by its commands: what a directory would hold, byte for byte, and read
//! from there by everything that reads archives.

#![cfg(feature = "clouds")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use click_sim::s3_server::S3Server;

const BIN: &str = env!("CARGO_BIN_EXE_clickledger");
const CLICKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/clicks.csv");

fn run(server: &S3Server, args: &[&str]) -> (Output, String) {
    let output = Command::new(BIN).args(args).envs(server.settings()).output().unwrap();
    let said =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat();
    (output, said)
}

fn good(server: &S3Server, args: &[&str]) -> String {
    let (output, said) = run(server, args);
    assert!(output.status.success(), "{args:?}: {said}");
    said
}

/// Content of all files below a folder by their names in it.
fn files(root: &Path, folder: PathBuf) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(root, path));
        } else if path.file_name().unwrap() != "LOCK" {
            found.insert(path.strip_prefix(root).unwrap().into(), std::fs::read(&path).unwrap());
        }
    }
    found
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_bucket_holds_what_a_directory_would_and_is_read_alike() {
    let dir = tempfile::tempdir().unwrap();
    let Some(server) = S3Server::start(&dir.path().join("s3")) else { return };
    let [data, again, folder] = ["data", "again", "folder"].map(|name| dir.path().join(name));
    let (data, again, url) = (text(&data), text(&again), server.url("deep/down"));
    good(&server, &["import", "--data", data, CLICKS]);
    good(&server, &["archive", "--data", data, "--archive", text(&folder)]);
    std::fs::remove_dir_all(Path::new(data).join("archive-checkpoints")).unwrap();
    let said = good(&server, &["archive", "--data", data, "--archive", &url]);
    assert!(said.starts_with(&format!("{url}: ")), "{said}");
    let (there, here) = (server.folder("deep/down"), files(&folder, folder.clone()));
    assert!(here.len() > 2 && files(&there, there.clone()) == here, "{:?}", here.keys());

    let report = good(&server, &["audit", "--data", data, "--archive", &url]);
    assert!(report.contains("\n0 differences") && report.contains("327 measured"), "{report}");
    let store = format!("sqlite:{data}/ledger.db");
    let report = good(&server, &["audit", "--archive", &url, "--store", &store]);
    assert!(report.contains("\n0 differences") && !report.contains("rows     0 "), "{report}");
    good(&server, &["replay", "--archive", &url, "--data", again]);
    let rows = |data| good(&server, &["show", "--format", "csv", "--with-version", "--data", data]);
    assert_eq!(rows(data), rows(again));
    let verdicts = good(&server, &["show", "--format", "csv", "--verdicts", "--data", data]);
    let click = verdicts.lines().nth(1).unwrap().split(',').nth(2).unwrap();
    let explained = |at: [&str; 2]| good(&server, &["explain", click, at[0], at[1]]);
    assert_eq!(explained(["--archive", &url]), explained(["--data", data]));
}

#[test]
fn what_is_changed_in_a_bucket_is_found_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let Some(server) = S3Server::start(&dir.path().join("s3")) else { return };
    let (data, url) = (dir.path().join("data"), server.url("a"));
    good(&server, &["import", "--data", text(&data), CLICKS]);
    // The configuration beside the data says where its archive is.
    let config = format!("[archive]\nurl = \"{url}\"\n");
    std::fs::write(data.join("clickledger.toml"), config).unwrap();
    good(&server, &["archive", "--data", text(&data)]);
    let root = server.folder("a/verdicts");
    let name = files(&root, root.clone()).into_keys().next().unwrap();
    let mut bytes = std::fs::read(root.join(&name)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(root.join(&name), bytes).unwrap();
    let (output, said) = run(&server, &["audit", "--data", text(&data)]);
    let is_named = |line: &str| line.contains(text(&name)) && line.contains("was changed");
    assert!(output.status.code() == Some(1) && said.lines().any(is_named), "{said}");
}
