//! Visitors who click on links of their own, and remember what was acknowledged.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::server::{BIN, Server, said};

const RATE: u32 = 2000;

pub struct Visitors {
    dir: tempfile::TempDir,
    pub acknowledged: usize,
    /// Those of trials that have ended.
    told: usize,
    /// Clicks a second.
    pub rate: u32,
    /// How many of them wait for an answer at most.
    pub connections: u32,
    /// Ads that they click on, one after the other.
    pub ads: u32,
}

impl Visitors {
    pub fn new() -> Visitors {
        Visitors {
            dir: tempfile::tempdir().unwrap(),
            acknowledged: 0,
            told: 0,
            rate: RATE,
            connections: 32,
            ads: 1,
        }
    }

    /// Clicks of a load that nothing cuts short.
    pub fn all_of(seconds: f64) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
        let all = (f64::from(RATE) * seconds) as usize;
        all
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes links enough for so long.
    pub fn mint(&self, data: &Path, seconds: f64) {
        let all = f64::from(self.rate) * seconds * 1.1 / f64::from(self.ads);
        let mut links = Vec::new();
        for ad in 0..self.ads {
            let (count, ad) = (all.ceil().to_string(), format!("ad{ad}"));
            let minted = Command::new(BIN)
                .args(["link", "--base", "http://t", "--ad", &ad, "--to", "https://e.example/"])
                .args(["--count", &count, "--data"])
                .arg(data)
                .output()
                .unwrap();
            assert!(minted.status.success(), "{}", said(&minted));
            links.extend(minted.stdout);
        }
        std::fs::write(self.at("links"), links).unwrap();
    }

    /// Begins to click.
    pub fn begin(&self, server: &Server, seconds: f64) -> Child {
        self.begin_by(Command::new(BIN), &server.url, seconds, Stdio::null())
    }

    /// The same, by a command that becomes the load, which says at its end how it was.
    pub fn begin_by(&self, mut load: Command, url: &str, seconds: f64, said: Stdio) -> Child {
        load.args(["load", "--connections", &self.connections.to_string()])
            .args(["--rate", &self.rate.to_string()])
            .args(["--seconds", &seconds.to_string(), "--links"])
            .arg(self.at("links"))
            .arg("--journal")
            .arg(self.at("journal"))
            .arg(url)
            .stdout(said)
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// A link that no load comes to: more are made than are clicked.
    pub fn spare_link(&self) -> String {
        let links = std::fs::read_to_string(self.at("links")).unwrap();
        let (_, target) = links.lines().next_back().unwrap().split_once("http://t").unwrap();
        target.to_owned()
    }

    /// Waits for their end; returns how many clicks were acknowledged.
    pub fn end(&mut self, mut loading: Child) -> usize {
        loading.wait().unwrap();
        let lines = std::fs::read(self.at("journal")).unwrap_or_default();
        // A load that never came to write one must not leave the journal of the one before it.
        let _ = std::fs::remove_file(self.at("journal"));
        let all = std::fs::File::options().create(true).append(true).open(self.at("all"));
        std::io::Write::write_all(&mut all.unwrap(), &lines).unwrap();
        let added = lines.iter().filter(|byte| **byte == b'\n').count();
        self.acknowledged += added;
        added
    }

    /// Takes over what was acknowledged to others.
    #[cfg(feature = "kafka")]
    pub fn add(&mut self, others: &Visitors) {
        let lines = std::fs::read(others.at("all")).unwrap_or_default();
        let all = std::fs::File::options().create(true).append(true).open(self.at("all"));
        std::io::Write::write_all(&mut all.unwrap(), &lines).unwrap();
        self.acknowledged += others.acknowledged;
    }

    /// Everything that was ever acknowledged is in the ledger once; what was found.
    pub fn verify(&self, data: &Path) -> String {
        let all = self.at("all");
        let verified =
            Command::new(BIN).arg("verify").arg("--data").arg(data).arg(all).output().unwrap();
        assert!(verified.status.success(), "{}", said(&verified));
        said(&verified).trim().to_owned()
    }

    /// The archive comes to the ledger, and is the log.
    pub fn audit(&self, data: &Path) -> String {
        let audited = Command::new(BIN).arg("audit").arg("--data").arg(data).output().unwrap();
        assert!(audited.status.success(), "{}", said(&audited));
        let said = said(&audited);
        said.lines().next_back().unwrap_or_default().to_owned()
    }

    /// A trial ends: the server starts again without the fault, and all is there.
    pub fn end_trial(&mut self, fault: &str, data: &Path) {
        let server = Server::start(data);
        assert!(server.becomes_ready(), "not ready without the fault: {}", server.readiness());
        server.stop();
        self.verify_trial(fault, data);
    }

    /// A trial ends: all is there. `cargo xtask faults` reads the line.
    pub fn verify_trial(&mut self, fault: &str, data: &Path) {
        let mut report = self.verify(data);
        // An audit moves log time on, and a clock that was set is about just that.
        if fault != "clock-step" {
            report = format!("{report}; {}", self.audit(data));
        }
        let of_trial = self.acknowledged - std::mem::replace(&mut self.told, self.acknowledged);
        println!("trial of {fault} held, {of_trial} acknowledged: {report}");
    }
}

/// Says that a trial begins; one that does not hold has failed.
pub fn begin_trial(fault: &str) {
    println!("trial of {fault} begins");
}
