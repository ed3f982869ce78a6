//! What real servers of tests have in common: where `cargo xtask setup` has put their jars, and
//! ports that nobody else takes.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// The jars of a tool by its directory; `None`, said once, where they are not installed.
///
/// # Panics
/// If they are not and `CLICKTEST_CI` is set.
#[expect(clippy::print_stdout, reason = "a test says what it skips")]
pub(crate) fn jars(directory: &str, name: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    // Below the build directory that this program is in, however deep.
    let below = |dir: &Path| dir.join("bench-data").join(directory).join("libs");
    let libs = own.ancestors().map(below).find(|libs| libs.join("pom.xml").is_file());
    if libs.is_some() {
        return libs;
    }
    let missing = format!("{name} is not installed (`cargo xtask setup` does)");
    assert!(std::env::var_os("CLICKTEST_CI").is_none(), "{missing}");
    println!("skipped: {missing}");
    None
}

/// A port of a host, held until it is dropped. Below those that the system gives to connections:
/// while a server is dead nobody else gets its port, and no client that tries again and again
/// connects to itself.
pub(crate) fn free_port(host: &str) -> TcpListener {
    loop {
        let random = TcpListener::bind((host, 0)).and_then(|port| port.local_addr());
        let port = 10_000 + random.expect("a free port").port() % 22_000;
        if let Ok(listener) = TcpListener::bind((host, port)) {
            return listener;
        }
    }
}

/// Several ports of this machine, free a moment ago.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| free_port("127.0.0.1"));
    held.map(|listener| listener.local_addr().expect("a bound port").port())
}
