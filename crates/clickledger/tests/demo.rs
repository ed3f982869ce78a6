//! The demo as a stranger runs it, cut short: both kinds end well and say what they counted.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::process::Command;

fn demo(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clickledger"));
    let output = command.arg("demo").args(args).env("RUST_LOG", "error").output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{out}{err}");
    out
}

#[test]
fn the_demo_counts_its_visitors() {
    let out = demo(&["--listen", "127.0.0.1:0", "--seconds", "3", "--rate", "200"]);
    assert!(out.contains("open      http://127.0.0.1:"), "{out}");
    let last = out.lines().last().unwrap();
    let valid = last.split(' ').nth(5).and_then(|word| word.parse::<u64>().ok());
    assert!(valid.is_some_and(|valid| valid > 50), "{last}");
}

#[test]
fn chaos_loses_nothing() {
    // The server comes back at the same port, so a free one is looked for first.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("127.0.0.1:{port}");
    let short = ["--chaos", "--seconds", "6", "--kill-every", "1.5", "--rate", "300", "--listen"];
    let out = demo(&[&short[..], &[listen.as_str()]].concat());
    let last = out.lines().last().unwrap();
    // How many kills fit into the seconds is the machine's: a slow one ends behind a fourth.
    let (counts, kills) = last.split_once(", after ").unwrap();
    assert!(counts.ends_with("lost 0, double 0"), "{out}");
    let kills: u64 = kills.trim_end_matches(" kills").parse().unwrap();
    assert!((2..=4).contains(&kills), "{out}");
}
