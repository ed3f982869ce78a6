//! A real S3 server (versitygw) on a free port of this machine, whose buckets are directories: so
//! that tests can take it away, bring it back, and look at what it holds.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Most time that a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const BUCKET: &str = "clicks";
const KEY: (&str, &str) = ("test", "testtest");

/// Killed when dropped.
pub struct S3Server {
    program: PathBuf,
    root: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl S3Server {
    /// Starts one that keeps its bucket below `root`; `None`, said once, where none is installed.
    ///
    /// # Panics
    /// If it is installed and does not start.
    pub fn start(root: &Path) -> Option<S3Server> {
        let program = program()?;
        std::fs::create_dir_all(root.join(BUCKET)).expect("a directory for the bucket");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|port| port.local_addr());
        let port = free.expect("a free port").port();
        let mut server = S3Server { program, root: root.to_path_buf(), port, child: None };
        server.bring_back();
        Some(server)
    }

    /// Ends it at once, in the midst of whatever it does.
    ///
    /// # Panics
    /// If the system does not let it.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a killed child ends");
        }
    }

    /// Starts it again, on the same port with the same bucket.
    ///
    /// # Panics
    /// If it does not answer in time.
    pub fn bring_back(&mut self) {
        let child = Command::new(&self.program)
            .args(["--quiet", "--iam-dir", "", "--port", &format!("127.0.0.1:{}", self.port)])
            .arg("posix")
            .arg(&self.root)
            .env("ROOT_ACCESS_KEY", KEY.0)
            .env("ROOT_SECRET_KEY", KEY.1)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.expect("versitygw starts"));
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "the S3 server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The URL of a folder in the bucket.
    pub fn url(&self, folder: &str) -> String {
        format!("s3://{BUCKET}/{folder}")
    }

    /// Where the files of a folder in the bucket are.
    pub fn folder(&self, folder: &str) -> PathBuf {
        self.root.join(BUCKET).join(folder)
    }

    /// What its clients have in their environment.
    pub fn settings(&self) -> [(String, String); 5] {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        [
            ("AWS_ACCESS_KEY_ID", KEY.0),
            ("AWS_SECRET_ACCESS_KEY", KEY.1),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ENDPOINT", &endpoint),
            ("AWS_ALLOW_HTTP", "true"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What `cargo xtask setup` installs.
fn program() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let found = own.ancestors().nth(3)?.join("bench-data/versitygw/bin/versitygw");
    if found.is_file() {
        return Some(found);
    }
    skipped();
    None
}

#[expect(clippy::print_stdout, reason = "a test says what it skips")]
fn skipped() {
    println!("skipped: versitygw, an S3 server, is not installed (`cargo xtask setup` does)");
}
