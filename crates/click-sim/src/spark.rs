//! Real Apache Spark drivers on this machine, started by `spark-submit`, with executors in the same
//! process (`local[2]`) or in processes of their own (`local-cluster[2,1,1024]`): so that tests can
//! kill either and start again from what was left. Must never end a process that it did not start.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::python::python_with;
use crate::servers::jars;

/// Lines of a log that a panic shows.
const TAIL: usize = 40;
/// What an executor's command line has in it.
const EXECUTOR: &str = "CoarseGrainedExecutorBackend";
/// What every driver is started with.
const SETTINGS: [&str; 3] =
    ["spark.ui.enabled=false", "spark.driver.host=127.0.0.1", "spark.driver.bindAddress=127.0.0.1"];

/// What a driver is started with.
#[derive(Clone, Debug)]
pub struct SparkJob {
    /// Where its tasks run, such as `local[2]`.
    pub master: String,
    /// Settings of Spark, each as `NAME=VALUE`.
    pub settings: Vec<String>,
    /// Heap of the driver, such as `2g`.
    pub memory: String,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// The jar of the job.
    pub jar: PathBuf,
    /// The class in it.
    pub class: String,
    /// Arguments of that class.
    pub arguments: Vec<String>,
}

/// An installed Spark, with a directory for logs and temporary files.
pub struct Spark {
    home: PathBuf,
    libs: PathBuf,
    dir: PathBuf,
}

impl Spark {
    /// The one that is installed, with its logs below `dir`; `None`, said once, if there is none.
    ///
    /// # Panics
    /// If there is none and `CLICKTEST_CI` is set.
    #[must_use]
    pub fn find(dir: &Path) -> Option<Spark> {
        let python = python_with("pyspark")?;
        let libs = jars("spark", "Spark's Kafka connector")?;
        let line = "import pyspark; print(pyspark.__path__[0])";
        let told = Command::new(python).args(["-c", line]).output().ok()?;
        let home = PathBuf::from(String::from_utf8_lossy(&told.stdout).trim());
        let dir = dir.join("spark");
        for part in ["conf", "logs", "tmp"] {
            fs::create_dir_all(dir.join(part)).expect("a directory for Spark");
        }
        fs::write(dir.join("conf/log4j2.properties"), LOGGING).expect("settings");
        Some(Spark { home, libs, dir })
    }

    /// Starts a driver, whose log has this name; drivers of one name share it.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn submit(&self, name: &str, job: &SparkJob) -> Driver {
        let path = self.dir.join("logs").join(name);
        let log = File::options().create(true).append(true).open(&path).expect("a log");
        let errors = log.try_clone().expect("a log can be shared");
        let connector: Vec<String> =
            self.connector().map(|jar| jar.display().to_string()).collect();
        let mut submit = Command::new(self.home.join("bin/spark-submit"));
        submit.args(["--master", &job.master, "--driver-memory", &job.memory]);
        let settings = SETTINGS.into_iter().chain(job.settings.iter().map(String::as_str));
        submit.args(settings.flat_map(|setting| ["--conf", setting]));
        submit.args(["--jars", &connector.join(","), "--class", &job.class]);
        submit.arg(&job.jar).args(&job.arguments);
        submit.env("SPARK_HOME", &self.home).env("SPARK_LOCAL_IP", "127.0.0.1");
        submit.env("SPARK_CONF_DIR", self.dir.join("conf"));
        submit.env("SPARK_LOCAL_DIRS", self.dir.join("tmp"));
        submit.envs(job.environment.iter().map(|(name, value)| (name, value)));
        submit.stdin(Stdio::null()).stdout(log).stderr(errors).current_dir(&self.dir);
        // Its script becomes the driver, by `exec`: the child's id is the driver's.
        Driver { child: submit.spawn().expect("spark-submit starts"), log: path }
    }

    /// A program in a jar, by its class, with Kafka's client beside it.
    #[must_use]
    pub fn tool(&self, jar: &Path, class: &str) -> Command {
        let (libs, own) = (self.libs.display(), self.home.join("jars"));
        let class_path = format!("{}:{libs}/*:{}/*", jar.display(), own.display());
        let mut java = Command::new("java");
        java.arg(format!("-Dlog4j2.configurationFile={}/conf/log4j2.properties", self.dir()));
        java.args(["-Xmx4g", "-cp", &class_path, class]).stdin(Stdio::null());
        java
    }

    fn dir(&self) -> std::path::Display<'_> {
        self.dir.display()
    }

    fn connector(&self) -> impl Iterator<Item = PathBuf> {
        let files = fs::read_dir(&self.libs).expect("the connector's jars").filter_map(Result::ok);
        files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "jar"))
    }
}

/// A driver that was started; it and what it has started are killed when it is dropped.
pub struct Driver {
    child: Child,
    log: PathBuf,
}

impl Driver {
    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Process ids of its executors, where they are processes of their own.
    #[must_use]
    pub fn executors(&self) -> Vec<u32> {
        let is_one = |id: &u32| {
            let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(EXECUTOR)
        };
        descendants(self.id()).into_iter().filter(is_one).collect()
    }

    /// Kills one of [`executors`](Self::executors), as by `kill -9`.
    ///
    /// # Panics
    /// If it is none.
    pub fn kill_executor(&self, id: u32) {
        assert!(self.executors().contains(&id), "{id} is no executor of this driver");
        kill(id);
    }

    /// Kills it as by `kill -9`, and what it has started.
    pub fn kill(&mut self) {
        let started = descendants(self.id());
        if self.has_ended() {
            return;
        }
        // It may end by itself meanwhile.
        let _ = self.child.kill();
        let _ = self.child.wait();
        started.into_iter().for_each(kill);
    }

    /// Whether it has ended, by itself or killed.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_some())
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// If that takes longer than `patience`.
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(begun.elapsed() < patience, "a driver takes too long:\n{}", self.tail());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// All that its log says.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Last lines of its log.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = self.log();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.kill();
    }
}

fn kill(id: u32) {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw);
    // It may have ended by itself.
    let _ = id.map(|id| kill_process(id, Signal::KILL));
}

/// Process ids of what a process has started, and of what those have.
fn descendants(of: u32) -> Vec<u32> {
    let parents: BTreeMap<u32, u32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|id| Some((id, parent(id)?)))
        .collect();
    let mut found = vec![of];
    let mut at = 0;
    while let Some(&process) = found.get(at) {
        found.extend(parents.iter().filter(|(_, parent)| **parent == process).map(|(id, _)| *id));
        at += 1;
    }
    found.split_off(1)
}

/// The second field behind the name, which stands in parentheses and may hold spaces.
fn parent(id: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Tasks that begin and end are told, so that a test can see which ran twice.
const LOGGING: &str = "\
rootLogger.level = WARN
logger.tasks.name = org.apache.spark.scheduler.TaskSetManager
logger.tasks.level = INFO
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c{1} %m%n%ex
";
