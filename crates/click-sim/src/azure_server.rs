//! Azure Blob Storage as Microsoft's own emulator (Azurite) serves it, on a free port of this
//! machine, in memory. Must never install anything: `cargo xtask setup` does.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const CONTAINER: &str = "clicks";
/// Those of its manual, the same everywhere.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Killed when dropped.
pub struct AzureServer {
    port: u16,
    child: Child,
}

impl AzureServer {
    /// Starts one with an empty container; `None`, said once, where none is installed.
    ///
    /// # Panics
    /// If it is installed and does not start; if it is not and `CLICKTEST_CI` is set.
    pub fn start() -> Option<AzureServer> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("azurite");
        if !folder.join("node_modules/azurite").is_dir() {
            skipped();
            return None;
        }
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|port| port.local_addr());
        let port = free.expect("a free port").port();
        let child = Command::new("node")
            .arg(folder.join("start.mjs"))
            .args([&port.to_string(), CONTAINER])
            .stdout(Stdio::piped())
            .spawn();
        let mut server = AzureServer { port, child: child.expect("node starts") };
        let said = BufReader::new(server.child.stdout.take().expect("a pipe"));
        let mut lines = said.lines().map_while(Result::ok);
        assert!(lines.any(|line| line == "ready"), "Azurite does not come to be ready");
        // It must not wait for somebody who reads what it says.
        std::thread::spawn(move || lines.for_each(drop));
        Some(server)
    }

    /// Ends it at once, and with it all that it holds.
    ///
    /// # Panics
    /// If the system does not let it.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child ends");
    }

    /// The URL of a folder in the container.
    pub fn url(&self, folder: &str) -> String {
        format!("az://{CONTAINER}/{folder}")
    }

    /// What its clients have in their environment.
    pub fn settings(&self) -> [(String, String); 4] {
        let endpoint = format!("http://127.0.0.1:{}/{ACCOUNT}", self.port);
        [
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT),
            ("AZURE_STORAGE_ACCOUNT_KEY", KEY),
            ("AZURE_STORAGE_ENDPOINT", &endpoint),
            ("AZURE_ALLOW_HTTP", "true"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    }
}

impl Drop for AzureServer {
    fn drop(&mut self) {
        self.kill();
    }
}

#[expect(clippy::print_stdout, reason = "a test says what it skips")]
fn skipped() {
    let missing = "Azurite, a server of Azure's, is not installed (`cargo xtask setup` does)";
    assert!(std::env::var_os("CLICKTEST_CI").is_none(), "{missing}");
    println!("skipped: {missing}");
}
