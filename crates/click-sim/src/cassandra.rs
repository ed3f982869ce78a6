//! A real Apache Cassandra node on free ports of this machine: so that tests can kill it, freeze it
//! and bring it back. Must never end a process that it did not start.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::servers::{free_ports, jars};
use rustix::process::{Pid, Signal, kill_process};

/// Most time that a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const HEAP: &str = "768M";
/// What Cassandra 5.0 needs of Java 17: packages that it uses though they are not for everybody.
const EXPORTS: [&str; 11] = [
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.rmi/sun.rmi.transport.tcp",
    "java.sql/java.sql",
    "jdk.unsupported/sun.misc",
    "jdk.attach/sun.tools.attach",
    "jdk.compiler/com.sun.tools.javac.file",
];
const OPENS: [&str; 17] = [
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.lang.ref",
    "java.base/java.math",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.util.jar",
    "jdk.management/com.sun.management.internal",
];

/// Killed when dropped.
pub struct Cassandra {
    libs: PathBuf,
    dir: PathBuf,
    port: u16,
    jmx: u16,
    child: Option<Child>,
}

impl Cassandra {
    /// Starts a node that keeps its data below `dir`; `None`, said once, where it is not installed.
    ///
    /// # Panics
    /// If it is installed and does not start, or is not and `CLICKTEST_CI` is set.
    #[must_use]
    pub fn start(dir: &Path) -> Option<Cassandra> {
        let libs = jars("cassandra", "Cassandra")?;
        let dir = dir.join("cassandra");
        for part in ["conf", "data", "logs"] {
            fs::create_dir_all(dir.join(part)).expect("a directory for a node");
        }
        let [port, storage, jmx] = free_ports();
        let settings = settings(&dir, port, storage);
        fs::write(dir.join("conf/cassandra.yaml"), settings).expect("settings can be written");
        fs::write(dir.join("conf/logback.xml"), LOGGING).expect("settings can be written");
        let mut node = Cassandra { libs, dir, port, jmx, child: None };
        node.bring_back();
        Some(node)
    }

    /// `cassandra://127.0.0.1:PORT/KEYSPACE`, of which one copy is made.
    #[must_use]
    pub fn url(&self, keyspace: &str) -> String {
        format!("cassandra://127.0.0.1:{}/{keyspace}?replication=datacenter1:1", self.port)
    }

    /// Process id, if it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Ends it at once.
    ///
    /// # Panics
    /// If the system does not let it.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a killed child ends");
        }
    }

    /// Starts it, again, on the same port with the same data.
    ///
    /// # Panics
    /// If it does not answer in time.
    pub fn bring_back(&mut self) {
        let log = File::create(self.dir.join("logs/out")).expect("a log can be written");
        let errors = log.try_clone().expect("a log can be shared");
        let mut java = self.java();
        java.stdin(Stdio::null()).stdout(log).stderr(errors);
        self.child = Some(java.spawn().expect("java starts"));
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let child = self.child.as_mut().expect("it was started");
            let ended = child.try_wait().expect("a child can be asked");
            assert!(ended.is_none(), "cassandra ended: {}", self.tail());
            assert!(begun.elapsed() < PATIENCE, "cassandra does not answer: {}", self.tail());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops it in its tracks: its connections stay open and nothing answers.
    pub fn freeze(&mut self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&mut self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).expect("a child can be signalled");
    }

    fn java(&self) -> Command {
        let dir = self.dir.display();
        let mut java = Command::new("java");
        java.args([&format!("-Xms{HEAP}"), &format!("-Xmx{HEAP}"), "-Xss512k"])
            .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+PerfDisableSharedMem"])
            .arg("-Djdk.attach.allowAttachSelf=true")
            .arg(format!("-javaagent:{}", self.jamm().display()));
        for package in EXPORTS {
            java.args(["--add-exports", &format!("{package}=ALL-UNNAMED")]);
        }
        for package in OPENS.iter().chain(&EXPORTS[1..3]) {
            java.args(["--add-opens", &format!("{package}=ALL-UNNAMED")]);
        }
        java.arg(format!("-Dcassandra.config=file://{dir}/conf/cassandra.yaml"))
            .arg(format!("-Dlogback.configurationFile={dir}/conf/logback.xml"))
            .arg(format!("-Dcassandra.logdir={dir}/logs"))
            .arg(format!("-Dcassandra.storagedir={dir}/data"))
            .arg(format!("-Dcassandra.jmx.local.port={}", self.jmx))
            .arg("-Dcassandra.superuser_setup_delay_ms=0")
            .arg("-Dcassandra.skip_wait_for_gossip_to_settle=0")
            .arg("-Dcassandra.ring_delay_ms=1000")
            .arg("-Djava.net.preferIPv4Stack=true")
            .arg(format!("-Djava.io.tmpdir={dir}/data"))
            .arg(format!("-Dio.netty.native.workdir={dir}/data"))
            .arg("-Dcassandra-foreground=yes")
            .arg("-cp")
            .arg(format!("{dir}/conf:{}/*", self.libs.display()))
            .arg("org.apache.cassandra.service.CassandraDaemon");
        java
    }

    /// Measures objects for it; Cassandra does not start without.
    fn jamm(&self) -> PathBuf {
        let jars = fs::read_dir(&self.libs).expect("Cassandra's jars");
        let mut jars = jars.filter_map(|jar| Some(jar.ok()?.path()));
        let is_jamm = |jar: &PathBuf| {
            jar.file_name().is_some_and(|name| name.to_string_lossy().starts_with("jamm-"))
        };
        jars.find(is_jamm).expect("jamm among the jars")
    }

    fn tail(&self) -> String {
        let mut said = String::new();
        for log in ["out", "system.log"] {
            let text = fs::read_to_string(self.dir.join("logs").join(log)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            said += &lines[lines.len().saturating_sub(15)..].join("\n");
        }
        said
    }
}

impl Drop for Cassandra {
    fn drop(&mut self) {
        self.kill();
    }
}

fn settings(dir: &Path, port: u16, storage: u16) -> String {
    let data = dir.join("data");
    let data = data.display();
    format!(
        "cluster_name: tests
num_tokens: 4
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: \"127.0.0.1:{storage}\"
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
storage_port: {storage}
native_transport_port: {port}
endpoint_snitch: SimpleSnitch
data_file_directories: [ {data}/data ]
commitlog_directory: {data}/commitlog
saved_caches_directory: {data}/saved_caches
hints_directory: {data}/hints
cdc_raw_directory: {data}/cdc_raw
{SETTINGS}"
    )
}

/// What is confirmed survives a power cut; the rest is small, since a test shares the machine.
const SETTINGS: &str = "\
commitlog_sync: group
commitlog_sync_group_window: 5ms
commitlog_segment_size: 16MiB
memtable_heap_space: 128MiB
memtable_offheap_space: 128MiB
memtable_allocation_type: heap_buffers
memtable_flush_writers: 1
read_request_timeout: 20000ms
range_request_timeout: 20000ms
write_request_timeout: 20000ms
truncate_request_timeout: 60000ms
request_timeout: 20000ms
concurrent_reads: 8
concurrent_writes: 16
concurrent_compactors: 1
file_cache_enabled: false
auto_snapshot: false
authenticator: AllowAllAuthenticator
authorizer: AllowAllAuthorizer
disk_failure_policy: stop
commit_failure_policy: stop
storage_compatibility_mode: NONE
";

const LOGGING: &str = r#"<configuration>
  <appender name="FILE" class="ch.qos.logback.core.FileAppender">
    <file>${cassandra.logdir}/system.log</file>
    <encoder><pattern>%-5level %date{ISO8601} %F:%L - %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="FILE"/></root>
</configuration>
"#;
