//! What tests of the core in other engines have in common.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::ledger::{Ledger, run};
use crate::server::BIN;

/// The native library, which lies beside the tests.
pub fn library() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().join("libclick_jvm.so")
}

/// All rows of a store, with their versions.
pub fn show(data: &Path, store: &str) -> String {
    let data = data.display().to_string();
    let of = |view| {
        let view = ["show", "--format", "csv", "--with-version", "--by", view];
        let shown = run(&[&view[..], &["--data", &data, "--store", store]].concat());
        String::from_utf8_lossy(&shown.stdout).into_owned()
    };
    of("ad") + &of("publisher")
}

/// `clickledger post`.
pub struct Posting(Child);

impl Posting {
    /// From the topic of rows to these stores.
    pub fn begin(ledger: &Ledger, stores: &str) -> Posting {
        let child = Command::new(BIN)
            .args(["post", "--log", ledger.url(), "--store", stores])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Posting(child)
    }

    pub fn stop(mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        let status = self.0.wait().unwrap();
        assert!(status.success(), "a clean stop ends with {status}");
    }
}

impl Drop for Posting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
