//! The commands around the ledger: exit codes, links, keys, configuration.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

const BIN: &str = env!("CARGO_BIN_EXE_clickledger");

fn run(args: &[&str]) -> Output {
    Command::new(BIN).args(args).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn check(args: &[&str], code: i32, says: &str) {
    let output = run(args);
    let both = out(&output) + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {both}");
    assert!(both.contains(says), "{args:?}: {both}");
}

#[test]
fn exit_codes_tell_what_kind_of_wrong_it_is() {
    check(&["--help"], 0, "Usage: clickledger <COMMAND>");
    check(&["nonsense"], 2, "unrecognized subcommand");
    check(&["show"], 2, "--data <DIR>");
    check(&["show", "--data", "/nonexistent"], 1, "holds no ledger");
    check(&["serve", "--set", "lisen=x", "--print-config"], 1, "unknown key 'lisen'");
    check(&["serve", "--listen", "x", "--print-config"], 1, "flag --listen: key 'listen'");
    check(
        &["serve", "--set", "engine.threads=3", "--print-config"],
        0,
        "threads = 3  # flag --set",
    );
}

#[test]
fn an_archive_is_where_this_program_can_write() {
    let archive_at = |url: &str, code, says: &str| {
        check(&["serve", "--set", &format!("archive.url={url}"), "--print-config"], code, says);
    };
    archive_at("/a/b", 0, "url = \"/a/b\"");
    archive_at("ftp://host/a", 1, "flag --set archive.url: key 'archive.url'");
    archive_at("https://host/a", 1, "write a directory, file:///DIR, s3://BUCKET/PREFIX");
    let (code, says) = match cfg!(feature = "clouds") {
        true => (0, "url = \"s3://bucket/a\""),
        false => (1, "cargo build --release -p clickledger --features clouds"),
    };
    archive_at("s3://bucket/a", code, says);
    check(&["audit", "--archive", "s3:///a"], 2, "names no bucket");
    check(&["audit", "--archive", "a", "--store", "other://a"], 2, "write sqlite:FILE");
}

#[test]
fn links_are_minted_and_keys_are_shown_once() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let link = ["link", "--data", data, "--base", "https://t.example/", "--ad", "a b", "--to"];
    let links = run(&[&link[..], &["https://e.example/?x=1", "--count", "3"]].concat());
    let text = out(&links);
    assert!(links.status.success() && text.lines().count() == 3, "{text}");
    for line in text.lines() {
        let query = line.strip_prefix("https://t.example/c?").unwrap();
        let parsed = click_core::link::ParsedLink::parse(query.as_bytes()).unwrap();
        assert_eq!(parsed.ad_id().decode(), "a b");
    }
    let token = out(&run(&["key", "add", "--data", data, "--right", "edge"]));
    let id = token.split('.').next().unwrap();
    let listed = out(&run(&["key", "list", "--data", data]));
    assert!(listed.contains(id) && !listed.contains(token.trim()), "{listed}");
    check(&["key", "revoke", "--data", data, id], 0, "revoked");
    check(&["key", "revoke", "--data", data, id], 1, "already revoked");
    check(&[&link[..], &["javascript:alert(1)"]].concat(), 1, "cannot be a destination");
    check(&[&link[..], &["https://e.example/", "--ttl", "soon"]].concat(), 2, "such as 24h");
}

#[test]
fn a_policy_is_checked_and_appended() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let csv = dir.path().join("c.csv");
    std::fs::write(&csv, "click_id,ad_id,received_at\n1,a,1510047000000\n").unwrap();
    assert!(run(&["import", "--data", data, csv.to_str().unwrap()]).status.success());
    let file = dir.path().join("p.toml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "policy_id = \"strict\"\nburst_clicks = 3\n").unwrap();
    check(&["policy", "add", "--data", data, path], 0, "policy 'strict' is in force from");
    std::fs::write(&file, "policy_id = \"short\"\nhorizon_ms = 1\n").unwrap();
    check(&["policy", "add", "--data", data, path], 1, "horizon_ms must be at least");
}
