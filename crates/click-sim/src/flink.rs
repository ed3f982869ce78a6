//! A real Apache Flink cluster on free ports of this machine, one JobManager and some
//! TaskManagers, each a process: so that tests can kill them, take savepoints, and go on with
//! another parallelism. Must never end a process that it did not start.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::hosted::{Jars, package};
use crate::servers::{free_ports, jars};

/// Most time that a start, a job or a savepoint may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of a log that a panic shows.
const TAIL: usize = 30;
/// The jar that begins so is a plug-in: it has a folder and a class loader of its own.
const PLUGIN: &str = "flink-s3-fs-";
/// What Flink uses of Java though it is not for everybody.
const OPENS: [&str; 8] = ["lang", "net", "io", "nio", "time", "util", "util.concurrent", "text"];

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct FlinkSetup {
    /// TaskManagers.
    pub workers: usize,
    /// Slots of each.
    pub slots: usize,
    /// Heap of a TaskManager for tasks, MiB.
    pub heap_mib: usize,
    /// Memory of a TaskManager for state backends outside the heap, MiB.
    pub managed_mib: usize,
    /// Time between checkpoints, ms.
    pub checkpoint_ms: u64,
    /// URL of the folder for checkpoints, elsewhere than with the rest; `s3://` needs lines for
    /// `config.yaml`.
    pub checkpoints: Option<String>,
    /// How long a process may be silent before it counts as dead, s.
    pub heartbeat_s: u32,
    /// Further options of a TaskManager's Java, such as its garbage collector.
    pub java: Vec<String>,
    /// Lines for `config.yaml`.
    pub more: String,
}

impl Default for FlinkSetup {
    fn default() -> FlinkSetup {
        FlinkSetup {
            workers: 2,
            slots: 2,
            heap_mib: 384,
            managed_mib: 0,
            checkpoint_ms: 1000,
            checkpoints: None,
            heartbeat_s: 5,
            java: vec!["-XX:+UseG1GC".to_owned()],
            more: String::new(),
        }
    }
}

/// Its processes are killed when it is dropped.
pub struct Flink {
    libs: PathBuf,
    jars: Jars,
    dir: PathBuf,
    port: u16,
    master: Child,
    workers: Vec<Worker>,
    java: Vec<String>,
    starts: usize,
}

/// A TaskManager, by the name that Flink knows it by.
struct Worker {
    name: String,
    child: Child,
}

impl Flink {
    /// Starts one that keeps checkpoints and logs below `dir`, with the bridge and the native
    /// library at `library` among its own jars; `None`, said once, where it is not installed.
    ///
    /// # Panics
    /// If it is installed and does not start, or is not and `CLICKTEST_CI` is set.
    #[must_use]
    pub fn start(dir: &Path, library: &Path, setup: &FlinkSetup) -> Option<Flink> {
        let libs = jars("flink", "Flink")?;
        let dir = dir.join("flink");
        for part in ["conf", "logs", "tmp", "checkpoints", "savepoints", "plugins/s3"] {
            fs::create_dir_all(dir.join(part)).expect("a directory for a cluster");
        }
        for (name, jar) in named(&libs).filter(|(name, _)| name.starts_with(PLUGIN)) {
            symlink(jar, dir.join("plugins/s3").join(name)).expect("a link to a plug-in");
        }
        let jars = package(library, "flink");
        let [port, rpc] = free_ports();
        fs::write(dir.join("conf/config.yaml"), config(&dir, port, rpc, setup)).expect("settings");
        fs::write(dir.join("conf/log4j.properties"), LOGGING).expect("settings");
        let class = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint";
        let master = java(&libs, &jars, &dir, "master", &["-Xmx384m"])
            .args([class, "--configDir", &dir.join("conf").display().to_string()])
            .args(["--executionMode", "cluster"])
            .spawn()
            .expect("java starts");
        // What tasks get and what Flink takes for itself.
        let heap = format!("-Xmx{}m", setup.heap_mib + 128);
        let java = [vec![heap], setup.java.clone()].concat();
        let workers = Vec::new();
        let mut flink = Flink { libs, jars, dir, port, master, workers, java, starts: 0 };
        for _ in 0..setup.workers {
            flink.add_worker();
        }
        flink.wait("the cluster is up", |flink| {
            let up = format!("\"taskmanagers\":{}", flink.workers.len());
            flink.ask("GET", "/overview", "").contains(&up)
        });
        Some(flink)
    }

    /// Starts another TaskManager.
    fn add_worker(&mut self) {
        let name = format!("worker-{}", self.starts);
        self.starts += 1;
        let class = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner";
        let options: Vec<&str> = self.java.iter().map(String::as_str).collect();
        let child = java(&self.libs, &self.jars, &self.dir, &name, &options)
            .args([class, "--configDir", &self.dir.join("conf").display().to_string()])
            .args(["-D", &format!("taskmanager.resource-id={name}")])
            .spawn()
            .expect("java starts");
        self.workers.push(Worker { name, child });
    }

    /// Process ids of the TaskManagers that run.
    #[must_use]
    pub fn workers(&self) -> Vec<u32> {
        self.workers.iter().map(|worker| worker.child.id()).collect()
    }

    /// Runs the job of `jvm/flink` and returns its id once all of it runs; `from` is a savepoint or
    /// a checkpoint.
    ///
    /// # Panics
    /// If it does not come to run.
    #[must_use]
    pub fn run(&self, parallelism: usize, from: Option<&str>, arguments: &[&str]) -> String {
        let id = self.submit(&self.jars.job, parallelism, from, arguments);
        self.wait_running(&id);
        id
    }

    /// A program in a jar, by its class, with Flink's jars beside it.
    #[must_use]
    pub fn tool(&self, jar: &Path, class: &str) -> Command {
        let class_path = format!("{}:{}/*", jar.display(), self.libs.display());
        let mut java = Command::new("java");
        java.args(["-Xmx4g", "-cp", &class_path, class]).stdin(Stdio::null());
        java
    }

    /// The job of `jvm/flink`.
    #[must_use]
    pub fn job(&self) -> &Path {
        &self.jars.job
    }

    /// Hands a job to the cluster; its id.
    ///
    /// # Panics
    /// If the cluster does not take it.
    #[must_use]
    pub fn submit(
        &self,
        jar: &Path,
        parallelism: usize,
        from: Option<&str>,
        arguments: &[&str],
    ) -> String {
        let mut client = java(&self.libs, &self.jars, &self.dir, "client", &["-Xmx256m"]);
        client.args(["org.apache.flink.client.cli.CliFrontend", "run", "--detached"]);
        client.args(["--parallelism", &parallelism.to_string()]);
        client.args(from.iter().flat_map(|from| ["--fromSavepoint", *from]));
        client.arg(jar).args(arguments).env("FLINK_CONF_DIR", self.dir.join("conf"));
        let done = client.stdout(Stdio::piped()).output().expect("java starts");
        let said = String::from_utf8_lossy(&done.stdout);
        let id = said.lines().find_map(|line| line.split("with JobID ").nth(1));
        id.unwrap_or_else(|| panic!("no job: {said}\n{}", self.tail())).trim().to_owned()
    }

    /// Whether a job has ended by itself.
    ///
    /// # Panics
    /// If it has failed.
    #[must_use]
    pub fn has_finished(&self, job: &str) -> bool {
        let told = self.ask("GET", &format!("/jobs/{job}"), "");
        assert!(!told.contains("\"state\":\"FAILED\""), "{job} failed:\n{}", self.tail());
        told.contains("\"state\":\"FINISHED\"")
    }

    /// Waits until every task of a job runs.
    ///
    /// # Panics
    /// If that takes too long.
    pub fn wait_running(&self, job: &str) {
        self.wait("all tasks run", |flink| {
            let told = flink.told(&format!("/jobs/{job}")).unwrap_or_default();
            // A vertex is said to run as soon as one of its tasks does.
            let runs = |vertex: &Value| vertex["tasks"]["RUNNING"] == vertex["parallelism"];
            let vertices = told["vertices"].as_array();
            told["state"] == "RUNNING"
                && vertices.is_some_and(|all| !all.is_empty() && all.iter().all(runs))
        });
    }

    /// Names of the TaskManagers that run the tasks of this job, each once a task; `None` if that
    /// is not told just now.
    fn at_work(&self, job: &str) -> Option<Vec<String>> {
        let told = self.told(&format!("/jobs/{job}"))?;
        let mut names = Vec::new();
        for vertex in told["vertices"].as_array()? {
            let id = vertex["id"].as_str()?;
            let told = self.told(&format!("/jobs/{job}/vertices/{id}"))?;
            let runs = told["subtasks"].as_array()?.iter().filter(|it| it["status"] == "RUNNING");
            names.extend(runs.filter_map(|it| it["taskmanager-id"].as_str().map(String::from)));
        }
        Some(names)
    }

    /// Kills a TaskManager that has tasks of this job, starts another one in its place, and waits
    /// until the job runs again.
    ///
    /// # Panics
    /// If it does not come to that.
    pub fn kill_under(&mut self, job: &str) {
        let names = self.at_work(job).unwrap_or_default();
        let busy = self.workers.iter().position(|worker| names.contains(&worker.name));
        let nobody = || panic!("nobody of ours works, but {names:?}:\n{}", self.tail());
        let busy = busy.unwrap_or_else(nobody);
        let mut killed = self.workers.remove(busy);
        killed.child.kill().expect("a child can be killed");
        killed.child.wait().expect("a killed child ends");
        self.add_worker();
        self.wait("the death is noticed", |flink| {
            flink.at_work(job).is_some_and(|names| !names.contains(&killed.name))
        });
        self.wait_running(job);
    }

    /// Stops a job with a savepoint; where that is.
    ///
    /// # Panics
    /// If it does not come about.
    #[must_use]
    pub fn stop(&self, job: &str) -> String {
        let body = format!(
            "{{\"drain\":false,\"targetDirectory\":\"file://{}\"}}",
            self.dir.join("savepoints").display()
        );
        let asked = self.ask("POST", &format!("/jobs/{job}/stop"), &body);
        let request = text(&asked, "request-id").unwrap_or_else(|| panic!("not stopped: {asked}"));
        let mut place = String::new();
        self.wait("there is a savepoint", |flink| {
            let told = flink.ask("GET", &format!("/jobs/{job}/savepoints/{request}"), "");
            assert!(!told.contains("failure-cause"), "no savepoint: {told}\n{}", flink.tail());
            text(&told, "location").is_some_and(|location| {
                place = location;
                true
            })
        });
        place
    }

    /// Ends a job without a savepoint.
    ///
    /// # Panics
    /// If it does not end.
    pub fn cancel(&self, job: &str) {
        let _ = self.ask("PATCH", &format!("/jobs/{job}"), "");
        self.wait("the job is cancelled", |flink| {
            flink.ask("GET", &format!("/jobs/{job}"), "").contains("\"state\":\"CANCELED\"")
        });
    }

    /// What the JobManager answers to a request of its REST interface; empty if it does not.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            write!(
                stream,
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().unwrap_or_default()
    }

    /// What it says of something, as JSON; nothing if it does not answer so.
    #[must_use]
    pub fn told(&self, path: &str) -> Option<Value> {
        let answer = self.ask("GET", path, "");
        let (_, body) = answer.split_once("\r\n\r\n")?;
        serde_json::from_str(body).ok()
    }

    fn wait(&self, what: &str, mut is_so: impl FnMut(&Flink) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < PATIENCE, "waited too long until {what}:\n{}", self.tail());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Last lines of each log.
    #[must_use]
    pub fn tail(&self) -> String {
        let logs = fs::read_dir(self.dir.join("logs")).expect("logs");
        let mut said = String::new();
        for log in logs.filter_map(|log| Some(log.ok()?.path())) {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = lines[lines.len().saturating_sub(TAIL)..].join("\n");
            said += &format!("{}:\n{last}\n", log.display());
        }
        said
    }
}

impl Drop for Flink {
    fn drop(&mut self) {
        let workers = self.workers.iter_mut().map(|worker| &mut worker.child);
        for child in workers.chain([&mut self.master]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The value of the first field of this name that is a text.
fn text(json: &str, field: &str) -> Option<String> {
    let value = json.split(&format!("\"{field}\":\"")).nth(1)?;
    Some(value.split('"').next()?.to_owned())
}

/// Flink's jars by their names.
fn named(libs: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    let jars = fs::read_dir(libs).expect("Flink's jars").filter_map(Result::ok);
    jars.map(|jar| (jar.file_name().to_string_lossy().into_owned(), jar.path()))
}

/// One of Flink's programs; the job's own jar and its Kafka client are not among the cluster's.
fn java(libs: &Path, jars: &Jars, dir: &Path, name: &str, options: &[&str]) -> Command {
    let log = dir.join("logs").join(name);
    let log = File::options().create(true).append(true).open(log).expect("a log can be written");
    let errors = log.try_clone().expect("a log can be shared");
    let mut class_path = vec![jars.bridge.display().to_string()];
    for (name, jar) in named(libs) {
        let others = ["flink-connector-kafka-", "kafka-clients-", PLUGIN];
        if !others.iter().any(|other| name.starts_with(other)) {
            class_path.push(jar.display().to_string());
        }
    }
    let mut java = Command::new("java");
    java.env("FLINK_PLUGINS_DIR", dir.join("plugins"));
    java.args(options)
        .args(OPENS.map(|part| format!("--add-opens=java.base/java.{part}=ALL-UNNAMED")));
    java.arg(format!("-Dlog4j.configurationFile={}/conf/log4j.properties", dir.display()));
    java.args(["-XX:+PerfDisableSharedMem", "-cp", &class_path.join(":")]);
    java.stdin(Stdio::null()).stdout(log).stderr(errors);
    java
}

fn config(dir: &Path, port: u16, rpc: u16, setup: &FlinkSetup) -> String {
    let FlinkSetup { slots, heap_mib, managed_mib, checkpoint_ms, heartbeat_s, more, .. } = setup;
    let dir = dir.display();
    let own = || format!("file://{dir}/checkpoints");
    let checkpoints = setup.checkpoints.clone().unwrap_or_else(own);
    format!(
        "jobmanager.rpc.address: 127.0.0.1
jobmanager.rpc.port: {rpc}
jobmanager.bind-host: 127.0.0.1
taskmanager.host: 127.0.0.1
taskmanager.bind-host: 127.0.0.1
taskmanager.numberOfTaskSlots: {slots}
taskmanager.cpu.cores: {slots}
taskmanager.memory.framework.heap.size: 128m
taskmanager.memory.task.heap.size: {heap_mib}m
taskmanager.memory.framework.off-heap.size: 128m
taskmanager.memory.task.off-heap.size: 512m
taskmanager.memory.managed.size: {managed_mib}m
taskmanager.memory.jvm-metaspace.size: 192m
taskmanager.memory.jvm-overhead.min: 192m
taskmanager.memory.jvm-overhead.max: 192m
taskmanager.memory.network.min: 64m
taskmanager.memory.network.max: 64m
rest.address: 127.0.0.1
rest.bind-address: 127.0.0.1
rest.port: {port}
rest.bind-port: \"{port}\"
io.tmp.dirs: {dir}/tmp
heartbeat.interval: 1s
heartbeat.timeout: {heartbeat_s}s
execution.checkpointing.dir: {checkpoints}
execution.checkpointing.interval: {checkpoint_ms} ms
execution.checkpointing.externalized-checkpoint-retention: RETAIN_ON_CANCELLATION
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 1000
restart-strategy.fixed-delay.delay: 500 ms
{more}
"
    )
}

const LOGGING: &str = "\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c{1} %m%n
logger.kafka.name = org.apache.kafka
logger.kafka.level = WARN
";
