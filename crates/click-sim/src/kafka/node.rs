//! One broker's process, its directory and its log.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

use super::PATIENCE;
use super::settings::{self, JVM, LOGGING, Site};

/// What a broker logs when it serves.
const SERVES: &str = "Kafka Server started";
/// The classes of a broker, ready to be mapped; `cargo xtask setup` saves them.
const CLASSES: &str = "classes.jsa";
/// Lines of a log that a panic shows.
const TAIL: usize = 25;
/// Files that make a directory a node's of a new cluster.
const IDENTITY: &str = "meta.properties";
const BEGINNING: &str = "bootstrap.checkpoint";

/// Killed when dropped.
pub(super) struct Node {
    libs: PathBuf,
    dir: PathBuf,
    site: Site,
    id: usize,
    starts: u32,
    child: Option<Child>,
    frozen: bool,
}

impl Node {
    /// Writes its settings; nothing runs yet.
    pub(super) fn new(libs: &Path, dir: &Path, sites: &[Site], index: usize) -> Node {
        let dir = dir.join(format!("kafka-{index}"));
        fs::create_dir_all(dir.join("data")).expect("a directory for a broker");
        let properties = settings::properties(sites, index, &dir.join("data"));
        let site = sites[index].clone();
        let libs = libs.to_path_buf();
        let node = Node { libs, dir, site, id: index + 1, starts: 0, child: None, frozen: false };
        fs::write(node.settings(), properties).expect("a broker's settings can be written");
        fs::write(node.dir.join("log4j2.properties"), LOGGING).expect("a file can be written");
        node
    }

    pub(super) fn site(&self) -> &Site {
        &self.site
    }

    pub(super) fn settings(&self) -> PathBuf {
        self.dir.join("server.properties")
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether it is worth to ask it anything.
    pub(super) fn answers(&self) -> bool {
        self.child.is_some() && !self.frozen
    }

    /// Starts the process; it serves later.
    pub(super) fn launch(&mut self) {
        assert!(self.child.is_none(), "broker {} runs already", self.id - 1);
        self.starts += 1;
        let log = File::create(self.log()).expect("a log can be written");
        let errors = log.try_clone().expect("a log can be shared");
        let mut java = self.java("kafka.Kafka");
        java.arg(self.settings()).stdout(log).stderr(errors);
        self.child = Some(java.spawn().expect("java starts"));
    }

    pub(super) fn wait_until_it_serves(&mut self) {
        let begun = Instant::now();
        while !fs::read_to_string(self.log()).is_ok_and(|log| log.contains(SERVES)) {
            if let Some(status) = self.ended() {
                panic!("broker {} ended with {status}:\n{}", self.id - 1, self.tail());
            }
            let late = begun.elapsed() > PATIENCE;
            assert!(!late, "broker {} does not serve:\n{}", self.id - 1, self.tail());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(super) fn kill(&mut self) {
        self.frozen = false;
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a killed child ends");
        }
    }

    pub(super) fn stop(&mut self) {
        if self.frozen {
            self.thaw();
        }
        self.signal(Signal::TERM);
        let begun = Instant::now();
        while self.ended().is_none() {
            let late = begun.elapsed() > PATIENCE;
            assert!(!late, "broker {} does not stop:\n{}", self.id - 1, self.tail());
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child = None;
    }

    pub(super) fn freeze(&mut self) {
        self.signal(Signal::STOP);
        self.frozen = true;
    }

    pub(super) fn thaw(&mut self) {
        self.signal(Signal::CONT);
        self.frozen = false;
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("the broker runs");
        kill_process(Pid::from_child(child), signal).expect("a child can be signalled");
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().expect("a child can be asked"))
    }

    pub(super) fn java(&self, class: &str) -> Command {
        let mut java = match &self.site.network {
            None => Command::new("java"),
            Some(network) => {
                // `ip` becomes the process that it starts.
                let mut ip = Command::new("ip");
                ip.args(["netns", "exec", network, "java"]);
                ip
            }
        };
        // Without that file, or with another Java's, it starts all the same.
        java.args(JVM)
            .arg(format!("-XX:SharedArchiveFile={}", self.libs.with_file_name(CLASSES).display()))
            .arg(format!("-Dlog4j2.configurationFile={}/log4j2.properties", self.dir.display()))
            .arg("-cp")
            .arg(self.libs.join("*"))
            .arg(class)
            .current_dir(&self.dir)
            .stdin(Stdio::null());
        java
    }

    /// One log for each start.
    fn log(&self) -> PathBuf {
        self.dir.join(format!("start-{}.log", self.starts))
    }

    fn tail(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }

    fn identity(&self, cluster: &str) -> String {
        let (id, directory) = (self.id, fresh_id(self.id));
        format!("version=1\nnode.id={id}\ncluster.id={cluster}\ndirectory.id={directory}\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Makes their directories those of a new cluster, unless they hold one. Kafka's own tool does it
/// for the first; others begin as that one does, under ids of their own.
pub(super) fn format(nodes: &[Node]) {
    let data = |node: &Node| node.dir.join("data");
    let first = &nodes[0];
    if data(first).join(IDENTITY).exists() {
        return;
    }
    let cluster = fresh_id(0);
    let mut tool = first.java("kafka.tools.StorageTool");
    tool.args(["format", "-t", &cluster, "-c"]).arg(first.settings());
    if let Some(secure) = &first.site.secure {
        tool.args(["--add-scram", &secure.scram()]);
    }
    let out = tool.output().expect("java starts");
    let (said, errors) =
        (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "Kafka's directories cannot be made:\n{said}{errors}");
    for node in &nodes[1..] {
        fs::copy(data(first).join(BEGINNING), data(node).join(BEGINNING)).expect("a copy");
        fs::write(data(node).join(IDENTITY), node.identity(&cluster)).expect("an identity");
    }
}

/// 22 characters that Kafka reads as the 16 bytes of an id.
fn fresh_id(number: usize) -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let nanos = since.expect("a clock after 1970").as_nanos() & 0xffff_ffff_ffff;
    format!("{number:02x}{:08x}{nanos:012x}", std::process::id())
}
