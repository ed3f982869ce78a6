//! What tests of the core in other engines have in common.

use std::path::{Path, PathBuf};

use super::background::Background;
use super::ledger::{Ledger, run};
use crate::server::said;

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
