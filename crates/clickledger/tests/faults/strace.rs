//! System calls of the real server that are slow or fail, by `strace --inject`.
//!
//! Calls are counted thread by thread, so `when=40+` leaves a start alone (which makes a few of
//! each) and strikes the threads that write under load.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::server::BIN;

/// What is done to which calls.
pub struct Inject<'a> {
    /// Names, with commas.
    pub calls: &'a str,
    /// As after `inject=CALLS:`.
    pub what: &'a str,
    /// Files and directories whose calls are meant; all if there are none.
    pub paths: &'a [PathBuf],
}

/// The flushes of the log, of checkpoints and of `SQLite`.
pub const FLUSHES: &str = "fdatasync,fsync";

/// The command of a server whose calls are tampered with; what was done is told in `story`.
/// `None`, said once, where that cannot be done.
pub fn server(inject: &Inject<'_>, story: &std::path::Path) -> Option<Command> {
    if !is_able() {
        return None;
    }
    let Inject { calls, what, paths } = inject;
    let mut command = Command::new("strace");
    // -D: the server is our child, and strace is not between us and it.
    command.args(["-D", "-f", "--seccomp-bpf", "-qq", "-o"]).arg(story);
    command.args(["-e", &format!("trace={calls}")]);
    command.args(["-e", &format!("inject={calls}:{what}")]);
    for path in *paths {
        command.arg("-P").arg(path);
    }
    command.arg(BIN);
    Some(command)
}

fn is_able() -> bool {
    let succeeds = |args: &[&str]| {
        let mut run = Command::new("strace");
        run.args(args).stdout(Stdio::null()).stderr(Stdio::null());
        run.status().is_ok_and(|status| status.success())
    };
    if !succeeds(&["-V"]) {
        assert!(std::env::var_os("CLICKTEST_CI").is_none(), "strace is not installed");
        println!("skipped: strace is not installed");
        return false;
    }
    let able = succeeds(&["-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "true"]);
    if !able {
        println!("skipped: this system lets no process trace another");
    }
    able
}

/// How many calls were struck.
pub fn struck(story: &std::path::Path) -> usize {
    let story = std::fs::read_to_string(story).unwrap_or_default();
    story.lines().filter(|line| line.contains("(INJECTED)") || line.contains("(DELAYED)")).count()
}
