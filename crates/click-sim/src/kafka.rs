//! Real Apache Kafka, one broker or three, on free ports of this machine: so that tests can kill,
//! stop and freeze brokers, bring them back, and see who leads.
//!
//! Each broker is its cluster's controller too (KRaft). Three are three sites, the racks `dc1` to
//! `dc3`, and keep what at least two of them have. Brokers count from 0. Must never end a process
//! that it did not start.

mod node;
mod secure;
mod settings;
mod wire;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::servers::jars;
use node::Node;
use settings::Site;
pub use wire::Partition;

/// Most time that a start, a clean stop or a new leader may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster; its processes are killed when it is dropped.
pub struct Kafka {
    nodes: Vec<Node>,
}

impl Kafka {
    /// Starts 1 broker or 3 that keep their data and logs below `dir`; `None`, said once, where
    /// Kafka is not installed.
    ///
    /// # Panics
    /// If it is installed and does not start, or is not and `CLICKTEST_CI` is set.
    #[must_use]
    pub fn start(dir: &Path, brokers: usize) -> Option<Kafka> {
        Kafka::start_on(dir, &vec!["127.0.0.1"; brokers])
    }

    /// Starts one broker on each of 1 or 3 loopback addresses, on which it listens alone. What it
    /// asks of others comes from 127.0.0.1 all the same, since the system picks that.
    ///
    /// # Panics
    /// As [`Kafka::start`] does.
    #[must_use]
    pub fn start_on(dir: &Path, hosts: &[&str]) -> Option<Kafka> {
        Some(Kafka::start_at(&jars("kafka", "Kafka")?, dir, settings::sites(hosts)))
    }

    /// Starts one broker in each of 1 or 3 network namespaces, at its address there; pairs of both.
    ///
    /// # Panics
    /// As [`Kafka::start`] does.
    #[must_use]
    pub fn start_in(dir: &Path, networks: &[(String, String)]) -> Option<Kafka> {
        Some(Kafka::start_at(&jars("kafka", "Kafka")?, dir, settings::sites_in(networks)))
    }

    /// Starts one broker that lets `user` in over TLS, too, by PLAIN and SCRAM-SHA-512.
    ///
    /// # Panics
    /// As [`Kafka::start`] does, and without `openssl`.
    #[must_use]
    pub fn start_secure(dir: &Path, user: &str, password: &str) -> Option<Kafka> {
        let libs = jars("kafka", "Kafka")?;
        Some(Kafka::start_at(&libs, dir, vec![settings::secure_site(dir, user, password)]))
    }

    /// What clients begin with that speak TLS.
    #[must_use]
    pub fn secure_bootstrap(&self) -> String {
        let secure = self.sites().filter_map(|site| site.secure.as_ref());
        secure.map(secure::Secure::address).collect()
    }

    /// The certificate of the authority by which a broker's is signed, or of another one.
    #[must_use]
    pub fn authority(&self, is_ours: bool) -> Option<PathBuf> {
        let secure = self.nodes[0].site().secure.as_ref()?;
        Some(secure.certificate(if is_ours { "authority" } else { "stranger" }))
    }

    fn start_at(libs: &Path, dir: &Path, sites: Vec<Site>) -> Kafka {
        assert!(matches!(sites.len(), 1 | 3), "a cluster of 1 or 3, not of {}", sites.len());
        let node = |index| Node::new(libs, dir, &sites, index);
        let mut kafka = Kafka { nodes: (0..sites.len()).map(node).collect() };
        node::format(&kafka.nodes);
        let all: Vec<usize> = (0..sites.len()).collect();
        kafka.bring_back_all(&all);
        kafka
    }

    /// What clients begin with: `127.0.0.1:9092,127.0.0.1:9192`.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        let addresses: Vec<String> = self.sites().map(Site::broker).collect();
        addresses.join(",")
    }

    /// Where one broker listens, for clients and for the other controllers: `127.0.0.1:9092`.
    #[must_use]
    pub fn addresses(&self, broker: usize) -> [String; 2] {
        let site = self.nodes[broker].site();
        [site.broker(), site.controller()]
    }

    /// The settings file of one broker.
    ///
    /// # Panics
    /// If it is gone.
    #[must_use]
    pub fn config_properties(&self, broker: usize) -> String {
        std::fs::read_to_string(self.nodes[broker].settings()).expect("a broker's settings")
    }

    /// One of Kafka's own programs, by its class.
    #[must_use]
    pub fn tool(&self, class: &str) -> std::process::Command {
        self.nodes[0].java(class)
    }

    /// Ends one at once, in the midst of whatever it does.
    pub fn kill(&mut self, broker: usize) {
        self.nodes[broker].kill();
    }

    /// Asks one to end, so that it hands over what it leads, and waits for that.
    ///
    /// # Panics
    /// If it does not end in time.
    pub fn stop(&mut self, broker: usize) {
        self.nodes[broker].stop();
    }

    /// Starts one again, on the same port with the same data, and waits until it serves. Other
    /// brokers have to run: a majority with this one.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn bring_back(&mut self, broker: usize) {
        self.bring_back_all(&[broker]);
    }

    /// Starts several again, as after a blackout in which none could serve without another.
    ///
    /// # Panics
    /// If one does not come up.
    pub fn bring_back_all(&mut self, brokers: &[usize]) {
        for &broker in brokers {
            self.nodes[broker].launch();
        }
        for &broker in brokers {
            self.nodes[broker].wait_until_it_serves();
        }
    }

    /// Stops one in its tracks (SIGSTOP): its connections stay open and nothing answers.
    pub fn freeze(&mut self, broker: usize) {
        self.nodes[broker].freeze();
    }

    /// Lets a frozen one go on, which knows of nothing that happened since.
    pub fn thaw(&mut self, broker: usize) {
        self.nodes[broker].thaw();
    }

    /// Process ids of those that run or are frozen.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.nodes.iter().filter_map(Node::pid).collect()
    }

    /// Makes a topic with a copy on each broker, whose settings are those of Kafka, and waits until
    /// each partition has a leader.
    ///
    /// # Panics
    /// If there is one already, or the cluster does not answer.
    pub fn create_topic(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        let copies = i16::try_from(self.nodes.len()).expect("few brokers");
        let site = self.nodes.iter().find(|node| node.answers()).expect("a broker runs").site();
        let made = wire::create_topic(&site.broker(), topic, partitions, copies, settings);
        made.unwrap_or_else(|error| panic!("topic {topic} cannot be made: {error}"));
        for partition in 0..partitions {
            self.leader(topic, partition);
        }
    }

    /// Lets a topic grow to so many partitions, and waits until each has a leader.
    ///
    /// # Panics
    /// If the cluster does not do it.
    pub fn grow_topic(&self, topic: &str, partitions: i32) {
        let site = self.nodes.iter().find(|node| node.answers()).expect("a broker runs").site();
        let grown = wire::grow_topic(&site.broker(), topic, partitions);
        grown.unwrap_or_else(|error| panic!("topic {topic} does not grow: {error}"));
        for partition in 0..partitions {
            self.leader(topic, partition);
        }
    }

    /// The broker that leads a partition, once there is one. For a second or two after the end of
    /// a leader it is still that one.
    ///
    /// # Panics
    /// If there is none in time.
    pub fn leader(&self, topic: &str, partition: i32) -> usize {
        wait_for("a leader", || self.partition(topic, partition)?.leader)
    }

    /// The broker that leads a partition, once it is another one than `before`.
    ///
    /// # Panics
    /// If there is none in time.
    #[must_use]
    pub fn new_leader(&self, topic: &str, partition: i32, before: usize) -> usize {
        let leader = || self.partition(topic, partition)?.leader;
        wait_for("a new leader", || leader().filter(|leader| *leader != before))
    }

    /// Waits until each broker has all of a partition.
    ///
    /// # Panics
    /// If they do not have it in time.
    pub fn wait_in_sync(&self, topic: &str, partition: i32) {
        let all = |found: &Partition| found.in_sync.len() == self.nodes.len();
        wait_for("all in sync", || self.partition(topic, partition).filter(all));
    }

    /// What the brokers that answer know of a partition: the newest of their views.
    #[must_use]
    pub fn partition(&self, topic: &str, partition: i32) -> Option<Partition> {
        let asked = self.nodes.iter().filter(|node| node.answers());
        let views = asked.filter_map(|node| {
            wire::partition(&node.site().broker(), topic, partition).ok().flatten()
        });
        views.max_by_key(|view| view.epoch)
    }

    fn sites(&self) -> impl Iterator<Item = &Site> {
        self.nodes.iter().map(Node::site)
    }
}

fn wait_for<T>(wanted: &str, look: impl Fn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{wanted}: not in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
