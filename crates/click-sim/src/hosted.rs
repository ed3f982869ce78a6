//! The jars of `jvm/`: the bridge with the native library in it, and the job of a host. Must never
//! get anything from a network: `cargo xtask setup` has made them once before.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The bridge with the native library in it, and a host's job.
#[derive(Clone, Debug)]
pub struct Jars {
    /// Holds the native library.
    pub bridge: PathBuf,
    /// The job.
    pub job: PathBuf,
}

/// Makes both, with this library in the bridge; `host` is a folder of `jvm/`.
///
/// # Panics
/// If Maven does not make them.
#[must_use]
pub fn package(library: &Path, host: &str) -> Jars {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../jvm");
    let native = library.parent().expect("a file").display().to_string();
    let done = Command::new("mvn")
        .args(["--quiet", "--batch-mode", "--offline", "package"])
        .arg(format!("-Dclickledger.native={native}"))
        .current_dir(&root)
        .stdin(Stdio::null())
        .output()
        .expect("mvn starts");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "mvn package (`cargo xtask setup` gets what it needs): {said}");
    let version = env!("CARGO_PKG_VERSION");
    let jar = |name: &str| root.join(format!("{name}/target/clickledger-{name}-{version}.jar"));
    Jars { bridge: jar("bridge"), job: jar(host) }
}
