//! Three data centres, each with a broker, a tracker and an engine. One is killed as a whole, then
//! one is cut off. The others go on, and in the end every ledger has every click.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use click_sim::kafka::Kafka;

use super::ledger::{Ledger, metric, start_by, wait_until};
use super::networks::Networks;
use super::{alone, is_long};
use crate::server::{BIN, Server};
use crate::visitors::{Visitors, begin_trial};

const TRIALS: [&str; 2] = ["kafka-site-killed", "kafka-site-cut"];
const SITES: [usize; 3] = [0, 1, 2];
/// Clicks a second at each site.
const RATE: u32 = 200;

#[test]
fn a_data_centre_may_go() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let Some(networks) = Networks::new() else { return };
    networks.enter();
    let places = SITES.map(|site| networks.site(site));
    let Some(mut kafka) = Kafka::start_in(dir.path(), &places) else { return };
    let ledger = Ledger::new(dir.path(), &kafka, "clicks");
    let mut sites: Vec<Site> = SITES.map(|site| Site::new(&networks, &ledger, site)).into();
    killed(&networks, &mut kafka, &mut sites);
    cut_off(&networks, &mut sites);
}

/// A tracker, an engine and their visitors.
struct Site {
    number: usize,
    tracker: PathBuf,
    engine: PathBuf,
    taking: Option<Server>,
    counting: Option<Server>,
    visitors: Visitors,
}

impl Site {
    fn new(networks: &Networks, ledger: &Ledger, number: usize) -> Site {
        let mut visitors = Visitors::new();
        visitors.rate = RATE;
        let mut site = Site {
            number,
            tracker: ledger.data(&format!("tracker-{number}"), &["tracker"], ""),
            engine: ledger.data(&format!("engine-{number}"), &["engine"], ""),
            taking: None,
            counting: None,
            visitors,
        };
        site.start(networks);
        site
    }

    fn start(&mut self, networks: &Networks) {
        let server = |data: &Path| start_by(networks.command(self.number, BIN), data);
        self.taking = Some(server(&self.tracker));
        self.counting = Some(server(&self.engine));
    }

    /// Both processes die at once.
    fn die(&mut self) {
        self.taking.take().unwrap().kill();
        self.counting.take().unwrap().kill();
    }

    fn stop(&mut self) {
        self.taking.take().unwrap().stop();
        self.counting.take().unwrap().stop();
    }

    fn begin(&self, networks: &Networks, seconds: f64) -> Child {
        self.visitors.mint(&self.tracker, seconds);
        let load = networks.command(self.number, BIN);
        let said = std::fs::File::create(self.report()).unwrap();
        self.visitors.begin_by(load, &self.taking.as_ref().unwrap().url, seconds, said.into())
    }

    fn report(&self) -> PathBuf {
        self.tracker.join("load.txt")
    }

    /// The longest time that a visitor waited, as the load tells, ms.
    fn longest_wait(&self) -> f64 {
        let said = std::fs::read_to_string(self.report()).unwrap();
        let max = said.split_once(" max ").map(|(_, rest)| rest.trim());
        max.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(f64::NAN)
    }

    fn metric(&self, networks: &Networks, of: &Option<Server>, name: &str) -> f64 {
        networks.within(self.number, || metric(of.as_ref().unwrap(), name))
    }

    fn at_risk(&self, networks: &Networks) -> f64 {
        self.metric(networks, &self.taking, "clickledger_spool_at_risk_records")
    }

    /// How long ago the ledger's newest instant was, s.
    fn behind(&self, networks: &Networks) -> f64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let w = self.metric(networks, &self.counting, "clickledger_watermark_seconds");
        now.as_secs_f64() - w
    }
}

/// Loads at all sites, and in their midst `harm` to one of them; then how the others fared.
fn under_load(
    networks: &Networks,
    sites: &mut [Site],
    lost: usize,
    seconds: f64,
    harm: impl FnOnce(&mut [Site]),
) {
    let loads: Vec<Child> = sites.iter().map(|site| site.begin(networks, seconds)).collect();
    std::thread::sleep(Duration::from_secs(3));
    harm(sites);
    let harmed = Instant::now();
    let others: Vec<usize> = SITES.into_iter().filter(|site| *site != lost).collect();
    // The harm is noticed first.
    std::thread::sleep(Duration::from_millis(1500));
    for site in &others {
        wait_until("the ledger is fresh again", || sites[*site].behind(networks) < 1.0);
        let seconds = harmed.elapsed().as_secs_f64();
        println!("site {site}: the live ledger is fresh again after {seconds:.1} s");
    }
    for (site, load) in sites.iter_mut().zip(loads) {
        site.visitors.end(load);
    }
    for site in others {
        println!("site {site}: the longest wait was {} ms", sites[site].longest_wait());
    }
}

fn killed(networks: &Networks, kafka: &mut Kafka, sites: &mut [Site]) {
    begin_trial(TRIALS[0]);
    let seconds = if is_long() { 60.0 } else { 12.0 };
    let mut at_risk = 0.0;
    under_load(networks, sites, 0, seconds, |sites| {
        at_risk = sites[0].at_risk(networks);
        kafka.kill(0);
        sites[0].die();
    });
    println!("when the site died, {at_risk} records were on its disk alone");
    // What it acknowledged is there already, but for what waited for the cluster at that moment.
    wait_until("the others are drained", || {
        sites[1..].iter().all(|site| site.at_risk(networks) == 0.0)
    });
    kafka.bring_back(0);
    sites[0].start(networks);
    judge(TRIALS[0], networks, sites);
}

fn cut_off(networks: &Networks, sites: &mut [Site]) {
    begin_trial(TRIALS[1]);
    let seconds = if is_long() { 60.0 } else { 12.0 };
    under_load(networks, sites, 2, seconds, |_| networks.cut(2, true));
    let alone = sites[2].at_risk(networks);
    assert!(alone > 0.0, "a site that is cut off acknowledges from its spool");
    println!("the cut site kept {alone} records in its spool");
    networks.cut(2, false);
    judge(TRIALS[1], networks, sites);
}

/// Every engine has all clicks of all sites, once.
fn judge(trial: &str, networks: &Networks, sites: &mut [Site]) {
    wait_until("all are drained", || sites.iter().all(|site| site.at_risk(networks) == 0.0));
    sites.iter_mut().for_each(Site::stop);
    let mut all = Visitors::new();
    for site in sites.iter() {
        all.add(&site.visitors);
    }
    for site in &sites[1..] {
        println!("site {}: {}", site.number, all.verify(&site.engine));
    }
    all.verify_trial(trial, &sites[0].engine);
    sites.iter_mut().for_each(|site| site.start(networks));
}
