//! A server process that is started, asked, stopped and killed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

pub const BIN: &str = env!("CARGO_BIN_EXE_clickledger");
/// Most time that a start, a clean stop or a recovery may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most time that an answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// Where a server archives and how often, unless the command's environment says something else.
const ARCHIVE: [(&str, &str); 2] =
    [("CLICKLEDGER_ARCHIVE__URL", "archive"), ("CLICKLEDGER_ARCHIVE__INTERVAL_MS", "1000")];

/// Killed when dropped.
pub struct Server {
    child: Child,
    pub url: String,
}

impl Server {
    pub fn start(data: &Path) -> Server {
        Server::start_by(Command::new(BIN), data)
    }

    /// Started by a command that has become the server, or is it: the process id is the server's.
    pub fn start_by(command: Command, data: &Path) -> Server {
        Server::try_start(command, data).expect("a server that starts says where it is")
    }

    /// `None` if it ended before it took requests.
    pub fn try_start(mut command: Command, data: &Path) -> Option<Server> {
        for (name, value) in ARCHIVE {
            if !command.get_envs().any(|(set, _)| set == name) {
                command.env(name, value);
            }
        }
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--set"])
            .arg("engine.checkpoint_interval_ms=150")
            .arg("--data")
            .arg(data)
            .env("RUST_LOG", "off")
            .env("RUST_BACKTRACE", "0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut server = Server { child, url: String::new() };
        let (sender, first) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            // Nobody waits for it any more if it came too late.
            let _ = sender.send(lines.next());
            lines.for_each(drop);
        });
        let line = first.recv_timeout(PATIENCE).expect("a server starts or ends in time")?;
        let url = line.split_whitespace().nth(1).unwrap();
        // Of the tracker, or, without one, of the page.
        let base = url.strip_suffix("/c?...").or_else(|| url.strip_suffix('/'));
        base.unwrap().clone_into(&mut server.url);
        Some(server)
    }

    pub fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Whether it ends by itself, in time.
    pub fn ends(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.has_ended() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    pub fn kill(self) {
        drop(self);
    }

    pub fn stop(mut self) {
        kill_process(self.id(), Signal::TERM).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "a clean stop ends with {status}");
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the server did not stop");
    }

    /// The answer of `/readyz`; empty if there is none.
    pub fn readiness(&self) -> String {
        self.ask("GET", "/readyz")
    }

    /// The whole answer; empty if there is none.
    pub fn ask(&self, method: &str, target: &str) -> String {
        self.ask_with(method, target, "", &[])
    }

    /// The same with more header lines, each ended, and a body.
    pub fn ask_with(&self, method: &str, target: &str, more: &str, body: &[u8]) -> String {
        let ask = || -> std::io::Result<String> {
            let host = self.url.trim_start_matches("http://");
            let mut stream = TcpStream::connect(host)?;
            stream.set_read_timeout(Some(ANSWER))?;
            let head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: test");
            let end = format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(format!("{head}\r\n{more}{end}").as_bytes())?;
            stream.write_all(body)?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().unwrap_or_default()
    }

    pub fn is_ready(&self) -> bool {
        self.readiness().starts_with("HTTP/1.1 200")
    }

    /// Whether it comes to be ready in time.
    pub fn becomes_ready(&self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && !self.is_ready() {
            std::thread::sleep(Duration::from_millis(50));
        }
        self.is_ready()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

/// All that a program has said.
pub fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}
