//! A ledger on Kafka: a topic, data directories that name it, and the look at the end.

#[cfg(feature = "redis")]
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

#[cfg(feature = "redis")]
use click_core::row::{Row, RowId};
#[cfg(feature = "redis")]
use click_engine::store::{Scan, StoreAddress, View, summary_id};
use click_sim::kafka::Kafka;

use crate::server::{BIN, Server, said};

/// Most time until something has happened that must.
const PATIENCE: Duration = Duration::from_secs(90);

pub struct Ledger {
    root: PathBuf,
    url: String,
    single: bool,
}

impl Ledger {
    /// Makes the topic of this name; data directories lie in `root`.
    pub fn new(root: &Path, kafka: &Kafka, topic: &str) -> Ledger {
        Ledger::with_partitions(root, kafka, topic, 4)
    }

    /// The same, of so many partitions.
    pub fn with_partitions(root: &Path, kafka: &Kafka, topic: &str, partitions: u32) -> Ledger {
        let single = kafka.pids().len() == 1;
        let url = format!("kafka://{}/{topic}", kafka.bootstrap());
        let (replicas, insync) = if single { ("1", "1") } else { ("3", "2") };
        let mut create = Command::new(BIN);
        create.args(["topics", "create", "--partitions", &partitions.to_string()]);
        create.args(["--replication", replicas, "--min-insync", insync, "--log", &url]);
        if single {
            create.arg("--single-replica");
        }
        let made = create.output().unwrap();
        assert!(made.status.success(), "{}", said(&made));
        Ledger { root: root.join(topic), url, single }
    }

    /// `clickledger log cutover` with these arguments.
    pub fn cutover(&self, args: &[&str]) -> Output {
        let mut args = [&["log", "cutover", "--log", &self.url][..], args].concat();
        if self.single {
            args.push("--single-replica");
        }
        run(&args)
    }

    /// What `clickledger topics check` says.
    pub fn check(&self) -> String {
        let single = self.single.then_some("--single-replica");
        let args = ["topics", "check", "--log", &self.url].into_iter().chain(single);
        said(&run(&args.collect::<Vec<_>>()))
    }

    /// Makes the topics of a job in Flink, of so many partitions.
    pub fn make_outputs(&self, partitions: u32) {
        let count = partitions.to_string();
        let single = self.single.then_some("--single-replica");
        let made = Command::new(BIN)
            .args(["topics", "create", "--partitions", "4", "--log", &self.url])
            .args(["--replication", "1", "--min-insync", "1", "--outputs", &count])
            .args(single)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", said(&made));
    }

    /// Where the log is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A data directory of this name, for these roles.
    pub fn data(&self, name: &str, roles: &[&str], more: &str) -> PathBuf {
        let data = self.root.join(name);
        std::fs::create_dir_all(&data).unwrap();
        let (url, single) = (&self.url, self.single);
        let text = format!(
            "roles = {roles:?}\n[log]\nurl = \"{url}\"\n[kafka]\nallow_single_replica = {single}\n\
             {more}"
        );
        std::fs::write(data.join("clickledger.toml"), text).unwrap();
        data
    }

    pub fn tracker(&self, more: &str) -> PathBuf {
        self.data("tracker", &["tracker"], more)
    }

    pub fn engine(&self) -> PathBuf {
        self.data("engine", &["engine"], "")
    }
}

/// Starts a server, whatever it is, that archives nothing by itself.
pub fn start(data: &Path) -> Server {
    start_by(Command::new(BIN), data)
}

/// The same, by a command that becomes it.
pub fn start_by(mut command: Command, data: &Path) -> Server {
    command.env("CLICKLEDGER_ARCHIVE__URL", "");
    Server::start_by(command, data)
}

/// A tracker's metric, or an engine's.
pub fn metric(server: &Server, name: &str) -> f64 {
    count(server, name).parse().unwrap_or(f64::NAN)
}

/// The same as text; empty if there is none.
pub fn count(server: &Server, name: &str) -> String {
    let answer = server.ask("GET", "/metrics");
    let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_default().trim().to_owned()
}

pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
    begun.elapsed()
}

/// Waits until the cluster has everything that a tracker has.
pub fn wait_drained(tracker: &Server) -> Duration {
    wait_until("the spool is drained", || {
        metric(tracker, "clickledger_spool_behind_records") == 0.0
    })
}

pub fn run(args: &[&str]) -> Output {
    Command::new(BIN).args(args).output().unwrap()
}

/// What a store shows, sums included.
#[cfg(feature = "redis")]
pub fn stored(url: &str) -> BTreeMap<(u8, RowId), Row> {
    let reader = url.parse::<StoreAddress>().unwrap().reader(Path::new("")).unwrap();
    let sums = summary_id("");
    let sums = Scan { only: Some(&sums), ..Scan::all(View::Ad) };
    let mut rows = BTreeMap::new();
    for (kind, scan) in [(0, Scan::all(View::Ad)), (1, Scan::all(View::Publisher)), (2, sums)] {
        let mut take = |row: Row| rows.insert((kind, row.id()), row).is_none();
        reader.scan(&scan, &mut take).unwrap();
    }
    rows
}
