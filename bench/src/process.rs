//! Processes: workers of this program and peers, pinned to a core, ended by their process id.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The core that servers run on.
pub const SERVER_CORE: &str = "0";
/// The core that load generators run on.
pub const CLIENT_CORE: &str = "1";
/// How long a process may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process that ends when this is dropped.
pub struct Running {
    child: Child,
    line: String,
}

impl Running {
    /// Starts it with its standard input open: what we start ends when that closes.
    pub fn start(command: &mut Command) -> Result<Running> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::piped()).spawn().with_context(|| name)?;
        Ok(Running { child, line: String::new() })
    }

    /// As [`start`](Self::start), and waits for the first line that it prints.
    pub fn start_and_listen(command: &mut Command) -> Result<Running> {
        let mut running = Running::start(command.stdout(Stdio::piped()))?;
        let out = running.child.stdout.take().context("no output")?;
        BufReader::new(out).read_line(&mut running.line)?;
        ensure!(!running.line.is_empty(), "a worker ended before it was ready");
        Ok(running)
    }

    /// The line it printed first.
    pub fn first_line(&self) -> &str {
        self.line.trim()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && self.listens_to_input() {
            match self.child.try_wait() {
                Ok(Some(_)) => return,
                Ok(None) => std::thread::sleep(Duration::from_millis(20)),
                Err(_) => break,
            }
        }
        // It may have ended by itself meanwhile.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Workers of this program print a line and end with their input; peers know neither.
    fn listens_to_input(&self) -> bool {
        !self.line.is_empty()
    }
}

/// A command on one core, if the machine has more than one and the tool to say so.
pub fn pinned(core: &str, program: &Path) -> Command {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let Some(taskset) = find("taskset").filter(|_| cores > 1) else {
        return Command::new(program);
    };
    let mut command = Command::new(taskset);
    command.args(["-c", core]).arg(program);
    command
}

/// A worker of this program, on one core if given.
pub fn worker(core: Option<&str>, args: &[&str]) -> Result<Command> {
    let program = std::env::current_exe()?;
    let mut command = match core {
        Some(core) => pinned(core, &program),
        None => Command::new(program),
    };
    command.arg(crate::worker::WORD).args(args);
    Ok(command)
}

/// Runs a command to its end; its last line is a JSON object.
pub fn output(command: &mut Command) -> Result<Value> {
    let name = format!("{:?}", command.get_program());
    let out = command.stderr(Stdio::piped()).output().with_context(|| name.clone())?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{name}: {}: {}", out.status, said.trim());
    let text = String::from_utf8_lossy(&out.stdout);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("{name} printed {line:?}"))
}

/// A program of that name on the search path or where administrators' programs are.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    dirs.map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// A directory under the build directory, for data and tools that live from run to run.
pub fn data_dir() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).context("the program is not in a build directory")?;
    let dir = target.join("bench-data");
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// A port that is free now.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Waits until somebody listens on the port.
pub fn wait_for_port(port: u16) -> Result<()> {
    let begun = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(begun.elapsed() < Duration::from_secs(10), "nobody listens on port {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The commit that was built, with a mark if the tree differs from it.
pub fn commit() -> String {
    let git = |args: &[&str]| {
        let dir = env!("CARGO_MANIFEST_DIR");
        let out = Command::new("git").args(["-C", dir]).args(args).output().ok()?;
        let text = String::from_utf8_lossy(&out.stdout).trim().to_owned();
        out.status.success().then_some(text)
    };
    let commit = git(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".into());
    let changed = ["status", "--porcelain", "--untracked-files=no"];
    let dirty = git(&changed).is_some_and(|changes| !changes.is_empty());
    if dirty { format!("{commit}-dirty") } else { commit }
}

/// A number of a worker's or peer's answer.
pub fn field(value: &Value, name: &str) -> Result<f64> {
    value[name].as_f64().with_context(|| format!("no {name} in {value}"))
}
