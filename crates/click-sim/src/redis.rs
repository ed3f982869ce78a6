//! Real Redis servers on free ports of this machine, one or a cluster of three masters: so that
//! tests can kill, freeze and bring them back, or give one an older copy of its data.
//!
//! Must never end a process that it did not start.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::servers::free_ports;
use rustix::process::{Pid, Signal, kill_process};

/// Most time that a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const SLOTS: u32 = 16_384;

/// One server or three; their processes are killed when it is dropped.
pub struct Redis {
    nodes: Vec<Node>,
}

struct Node {
    dir: PathBuf,
    port: u16,
    bus: Option<u16>,
    child: Option<Child>,
}

impl Redis {
    /// Starts one that writes each change to its log below `dir`; `None`, said once, where there is
    /// no `redis-server`.
    ///
    /// # Panics
    /// If it is installed and does not start, or is not and `CLICKTEST_CI` is set.
    #[must_use]
    pub fn start(dir: &Path) -> Option<Redis> {
        Redis::launch(dir, 1)
    }

    /// Starts three masters of one cluster.
    ///
    /// # Panics
    /// As [`start`](Self::start) does.
    #[must_use]
    pub fn start_cluster(dir: &Path) -> Option<Redis> {
        let redis = Redis::launch(dir, 3)?;
        let masters = u32::try_from(redis.nodes.len()).expect("few nodes");
        for (number, node) in (0u32..).zip(&redis.nodes) {
            let (first, end) = (number * SLOTS / masters, (number + 1) * SLOTS / masters);
            node.ask(&format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1));
            node.ask(&format!("CLUSTER ADDSLOTSRANGE {first} {}", end - 1));
        }
        let first = &redis.nodes[0];
        for node in &redis.nodes[1..] {
            let bus = node.bus.expect("a cluster's node");
            first.ask(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", node.port));
        }
        for number in 0..redis.nodes.len() {
            redis.wait_until_it_serves(number);
        }
        Some(redis)
    }

    fn launch(dir: &Path, many: usize) -> Option<Redis> {
        if !is_installed() {
            return None;
        }
        let node = |number: usize| {
            let dir = dir.join(format!("redis-{number}"));
            std::fs::create_dir_all(&dir).expect("a directory for a server");
            let [port, bus] = free_ports();
            Node { dir, port, bus: (many > 1).then_some(bus), child: None }
        };
        let mut redis = Redis { nodes: (0..many).map(node).collect() };
        for node in &mut redis.nodes {
            node.launch();
        }
        Some(redis)
    }

    /// `redis://127.0.0.1:PORT/0` or `redis-cluster://127.0.0.1:PORT,...`.
    #[must_use]
    pub fn url(&self) -> String {
        let addresses: Vec<_> = self.nodes.iter().map(Node::address).collect();
        match addresses.as_slice() {
            [one] => format!("redis://{one}/0"),
            many => format!("redis-cluster://{}", many.join(",")),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Process ids of those that run.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.nodes.iter().filter_map(|node| node.child.as_ref().map(Child::id)).collect()
    }

    /// Ends one at once.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    /// Starts one again on the same port with the same data, and waits until it serves.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn bring_back(&mut self, node: usize) {
        self.nodes[node].launch();
        self.wait_until_it_serves(node);
    }

    /// Stops one in its tracks: its connections stay open and nothing answers.
    pub fn freeze(&mut self, node: usize) {
        self.nodes[node].signal(Signal::STOP);
    }

    /// Lets a frozen one go on.
    pub fn thaw(&mut self, node: usize) {
        self.nodes[node].signal(Signal::CONT);
    }

    /// Keeps a copy of what one holds at this moment.
    ///
    /// # Panics
    /// If that fails.
    pub fn keep_copy(&mut self, node: usize) {
        self.kill(node);
        let node = &mut self.nodes[node];
        let copy = node.dir.join("copy");
        _ = std::fs::remove_dir_all(&copy);
        copy_dir(&node.dir.join("appendonlydir"), &copy);
        node.launch();
    }

    /// Kills one and starts it with the copy, as a replica would that lagged behind.
    ///
    /// # Panics
    /// If there is none, or it does not come up.
    pub fn fall_back_to_copy(&mut self, number: usize) {
        self.kill(number);
        let node = &self.nodes[number];
        let data = node.dir.join("appendonlydir");
        std::fs::remove_dir_all(&data).expect("data to remove");
        copy_dir(&node.dir.join("copy"), &data);
        self.bring_back(number);
    }

    /// The first line of the answer to a command.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn ask(&self, node: usize, command: &str) -> String {
        self.nodes[node].ask(command)
    }

    fn wait_until_it_serves(&self, number: usize) {
        let node = &self.nodes[number];
        let begun = Instant::now();
        let serves = || match node.bus {
            None => node.try_ask("PING").is_some_and(|said| said.contains("PONG")),
            Some(_) => node.try_ask("CLUSTER INFO").is_some_and(|said| {
                said.contains("cluster_state:ok") && said.contains("cluster_known_nodes:3")
            }),
        };
        while !serves() {
            assert!(begun.elapsed() < PATIENCE, "redis {number} does not serve");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Node {
    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn launch(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = File::create(self.dir.join("log")).expect("a log can be written");
        let mut server = Command::new("redis-server");
        server
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "everysec", "--dir"])
            .arg(&self.dir);
        if let Some(bus) = self.bus {
            server.args(["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]);
            server.args(["--cluster-port", &bus.to_string()]);
        }
        server.stdin(Stdio::null()).stdout(log).stderr(Stdio::null());
        self.child = Some(server.spawn().expect("redis-server starts"));
        let begun = Instant::now();
        while self.try_ask("PING").is_none_or(|said| !said.contains("PONG")) {
            assert!(begun.elapsed() < PATIENCE, "redis does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a killed child ends");
        }
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).expect("a child can be signalled");
    }

    fn ask(&self, command: &str) -> String {
        let said = self.try_ask(command).unwrap_or_default();
        assert!(!said.is_empty() && !said.starts_with('-'), "{command}: {said}");
        said
    }

    fn try_ask(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        let mut answer = BufReader::new(stream);
        let mut line = String::new();
        answer.read_line(&mut line).ok()?;
        if let Some(length) = line.strip_prefix('$').and_then(|text| text.trim().parse().ok()) {
            let mut bulk = vec![0; length];
            answer.read_exact(&mut bulk).ok()?;
            line = String::from_utf8_lossy(&bulk).into_owned();
        }
        Some(line)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory to copy") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

#[expect(clippy::print_stdout, reason = "a test says what it skips")]
fn is_installed() -> bool {
    let said = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
    if said.is_ok_and(|status| status.success()) {
        return true;
    }
    let missing = "redis-server is not installed (`cargo xtask setup` does)";
    assert!(std::env::var_os("CLICKTEST_CI").is_none(), "{missing}");
    println!("skipped: {missing}");
    false
}
