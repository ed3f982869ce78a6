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
    // The third kill comes well before the end, and a fourth would come well after it.
    let short = ["--chaos", "--seconds", "6", "--kill-every", "1.7", "--rate", "300", "--listen"];
    let out = demo(&[&short[..], &[listen.as_str()]].concat());
    let last = out.lines().last().unwrap();
    assert!(last.contains("lost 0, double 0, after 3 kills"), "{out}");
}
