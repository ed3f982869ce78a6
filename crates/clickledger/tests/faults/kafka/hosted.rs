//! What tests of the core in other engines have in common.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::background::Background;
use super::ledger::{Ledger, count, metric, run, wait_drained, wait_until};
use crate::server::{Server, said};

/// An engine that counts nothing for so long has read everything.
const STEADY: Duration = Duration::from_secs(2);

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

/// Waits until the native engine has all that the tracker took. That is more than what was
/// acknowledged where a visitor was sent on before the cluster had the click.
pub fn wait_counted(tracker: &Server, native: &Server, acknowledged: usize) {
    wait_drained(tracker);
    let measured = || count(native, "clickledger_clicks_measured_total");
    wait_until("the native engine has everything", || {
        let before = measured();
        std::thread::sleep(STEADY);
        before.parse::<usize>().is_ok_and(|measured| measured >= acknowledged)
            && measured() == before
            && metric(native, "clickledger_clicks_pending") == 0.0
    });
    println!("{} clicks, {acknowledged} of them acknowledged", measured());
}

/// `clickledger post`, from the topic of rows to these stores.
pub fn post(ledger: &Ledger, stores: &str) -> Background {
    Background::start(&["post", "--log", ledger.url(), "--store", stores])
}

/// `clickledger archive` of the verdicts that the job gives.
pub struct Archiving {
    process: Background,
    place: PathBuf,
}

impl Archiving {
    pub fn begin(ledger: &Ledger) -> Archiving {
        let own = "[archive]\nurl = \"../archived\"\ninterval_ms = 5000\nverdicts = \"job\"\n";
        let data = ledger.data("archiver", &["engine"], own);
        let process = Background::start(&["archive", "--follow", "--data", text(&data)]);
        Archiving { process, place: data.join("../archived") }
    }

    /// Ends it. What it wrote folds to the job's own verdicts and to the rows of `store`; how much
    /// of it there was.
    pub fn audit(self, store: &str) -> String {
        self.process.stop();
        let manifests = std::fs::read_dir(self.place.join("manifest")).map_or(0, Iterator::count);
        assert!(manifests > 1, "only {manifests} manifests of the job's verdicts");
        let audited = run(&["audit", "--archive", text(&self.place), "--store", store]);
        assert!(audited.status.success(), "{}", said(&audited));
        format!("{manifests} manifests of the job's verdicts; {}", said(&audited).trim())
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
