//! Four stores at once under load, while the engine, a store, or both are killed or frozen at
//! random: in the end every store holds, row for row and version for version, what the first does.
//!
//! `CLICKTEST_STORE_SECONDS` says how long it takes (20).

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use click_engine::store::{Scan, StoreAddress, View, summary_id};
use click_sim::cassandra::Cassandra;
use click_sim::redis::Redis;

use super::server::{BIN, Server, said};
use super::visitors::{Visitors, begin_trial};

const TRIAL: &str = "stores-killed";
/// Seconds of load between two kills of the engine.
const SECONDS: f64 = 2.0;

struct Stores {
    single: Redis,
    cluster: Redis,
    cassandra: Cassandra,
}

impl Stores {
    fn start(dir: &Path) -> Option<Stores> {
        let (one, three) = (dir.join("single"), dir.join("cluster"));
        Some(Stores {
            single: Redis::start(&one)?,
            cluster: Redis::start_cluster(&three)?,
            cassandra: Cassandra::start(dir)?,
        })
    }

    fn urls(&self) -> [String; 3] {
        [self.single.url(), self.cluster.url(), self.cassandra.url("ads")]
    }

    /// Trouble for one of them, which is over when this returns.
    fn trouble(&mut self, kind: u32) -> &'static str {
        let pause = Duration::from_millis(u64::from(random() % 1_500));
        let node = random() as usize % 3;
        match kind % 6 {
            0 => {
                self.single.kill(0);
                std::thread::sleep(pause);
                self.single.bring_back(0);
                "redis killed"
            }
            1 => {
                self.cluster.kill(node);
                std::thread::sleep(pause);
                self.cluster.bring_back(node);
                "a master of the cluster killed"
            }
            2 => {
                self.cluster.freeze(node);
                std::thread::sleep(pause);
                self.cluster.thaw(node);
                "a master of the cluster frozen"
            }
            3 => {
                self.cassandra.freeze();
                std::thread::sleep(pause);
                self.cassandra.thaw();
                "cassandra frozen"
            }
            4 => {
                self.cassandra.kill();
                std::thread::sleep(pause);
                self.cassandra.bring_back();
                "cassandra killed"
            }
            _ => {
                self.single.freeze(0);
                std::thread::sleep(pause);
                self.single.thaw(0);
                "redis frozen"
            }
        }
    }
}

#[test]
fn every_store_ends_equal_whatever_is_killed() {
    let seconds = std::env::var("CLICKTEST_STORE_SECONDS").ok();
    let seconds = seconds.map_or(20, |text| text.parse().expect("a number of seconds"));
    let dir = tempfile::tempdir().unwrap();
    let Some(mut stores) = Stores::start(dir.path()) else { return };
    begin_trial(TRIAL);
    let data = dir.path().join("data");
    configure(&data, &stores.urls());
    run(&["store", "init", "--data", &data.display().to_string()]);
    let (mut visitors, begun, mut turn) = (Visitors::new(), Instant::now(), 0);
    visitors.ads = 20;
    while begun.elapsed() < Duration::from_secs(seconds) {
        visitors.mint(&data, SECONDS);
        let server = Server::start(&data);
        let loading = visitors.begin(&server, SECONDS);
        std::thread::sleep(Duration::from_millis(200 + u64::from(random() % 1_000)));
        let what = stores.trouble(turn);
        if turn % 2 == 0 {
            server.kill();
        } else {
            server.stop();
        }
        let added = visitors.end(loading);
        println!("{what}, engine {}, {added} more", ["killed", "stopped"][turn as usize % 2]);
        turn += 1;
    }
    visitors.end_trial(TRIAL, &data);
    compare(&data, &stores.urls());
    compare_sums(&stores.urls());
    // One loses everything, and is filled again.
    stores.single.ask(0, "FLUSHALL");
    let url = stores.single.url();
    let data = data.display().to_string();
    println!("{}", run(&["store", "rebuild", "--data", &data, "--store", &url]).trim());
    compare(Path::new(&data), &stores.urls());
    compare_sums(&stores.urls());
    println!("{turn} turns, {} clicks acknowledged, 4 stores equal", visitors.acknowledged);
}

/// What each store shows is what the first one shows, which the log has been compared with.
fn compare(data: &Path, urls: &[String]) {
    for view in ["ad", "publisher"] {
        let show = |url: Option<&String>| {
            let data = data.display().to_string();
            let mut args = vec!["show", "--format", "csv", "--with-version", "--by", view];
            args.extend(["--data", &data]);
            args.extend(url.iter().flat_map(|url| ["--store", url.as_str()]));
            run(&args)
        };
        let truth = show(None);
        assert!(truth.lines().count() > 1, "no rows:\n{truth}");
        for url in urls {
            assert_eq!(show(Some(url)), truth, "{url}, by {view}");
        }
    }
}

/// What lies ready by advertiser is what its rows come to.
fn compare_sums(urls: &[String]) {
    for url in urls {
        let store: StoreAddress = url.parse().unwrap();
        let reader = store.reader(Path::new("")).unwrap();
        let counted = |only: Option<&str>| {
            let mut counts: BTreeMap<u32, (u64, u64, i128)> = BTreeMap::new();
            let scan = Scan { only, ..Scan::all(View::Ad) };
            reader
                .scan(&scan, &mut |row| {
                    let sum = counts.entry(row.minute.0).or_default();
                    sum.0 += row.counts.measured;
                    sum.1 += row.counts.pending;
                    sum.2 += row.counts.sum_micros;
                    true
                })
                .unwrap();
            counts
        };
        // Links of this test name no advertiser, which is one, too.
        assert_eq!(counted(Some(&summary_id(""))), counted(None), "{url}");
    }
}

fn configure(data: &Path, urls: &[String]) {
    std::fs::create_dir_all(data).unwrap();
    let all = format!("[store]\nurl = \"sqlite:ledger.db {}\"\n", urls.join(" "));
    std::fs::write(data.join("clickledger.toml"), all).unwrap();
}

fn run(args: &[&str]) -> String {
    let done = Command::new(BIN).args(args).output().unwrap();
    assert!(done.status.success(), "{args:?}: {}", said(&done));
    String::from_utf8(done.stdout).unwrap()
}

fn random() -> u32 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).unwrap();
    u32::from_le_bytes(bytes)
}
