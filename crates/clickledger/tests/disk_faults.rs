//! Real faults of a real file system: a small one that fills up, and one whose device fails under
//! it. What was acknowledged is there afterwards, exactly once.
//!
//! Needs root and loop devices; where there are none, the tests say so and pass.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const BIN: &str = env!("CARGO_BIN_EXE_clickledger");
const PATIENCE: Duration = Duration::from_secs(20);
const MIB: u64 = 1 << 20;

/// A file system in a file, in a file system in memory. Unmounted when dropped.
struct Small {
    dir: tempfile::TempDir,
}

impl Small {
    /// `size` bytes, of which the device has only `real`.
    fn mount(size: u64, real: u64) -> Option<Small> {
        let small = Small { dir: tempfile::tempdir().unwrap() };
        let (memory, image) = (small.memory(), small.image());
        std::fs::create_dir(&memory).unwrap();
        std::fs::create_dir(small.root()).unwrap();
        let made =
            run("mount", &["-t", "tmpfs", "-o", &format!("size={real}"), "none", &text(&memory)])
                && std::fs::File::create(&image).and_then(|file| file.set_len(size)).is_ok()
                && run("mkfs.ext4", &["-q", "-F", "-m", "0", &text(&image)])
                && small.mount_image();
        if !made {
            println!("skipped: no loop device can be mounted here (needs root and mkfs.ext4)");
        }
        made.then_some(small)
    }

    fn mount_image(&self) -> bool {
        run("mount", &["-o", "loop,errors=remount-ro", &text(&self.image()), &text(&self.root())])
    }

    /// The device is whole again, as after an exchange: the file system is checked and mounted.
    fn repair(&self, real: u64) {
        assert!(run("umount", &[&text(&self.root())]));
        assert!(run("mount", &["-o", &format!("remount,size={real}"), &text(&self.memory())]));
        // 1 is: errors were corrected.
        let code = Command::new("e2fsck").args(["-fy", &text(&self.image())]).output().unwrap();
        assert!(matches!(code.status.code(), Some(0 | 1)), "{code:?}");
        assert!(self.mount_image());
    }

    fn memory(&self) -> PathBuf {
        self.dir.path().join("memory")
    }

    fn image(&self) -> PathBuf {
        self.memory().join("image")
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        run("umount", &[&text(&self.root())]);
        run("umount", &[&text(&self.memory())]);
    }
}

fn run(program: &str, args: &[&str]) -> bool {
    let done =
        Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(data: &Path) -> Server {
        let mut child = Command::new(BIN)
            .args(["serve", "--listen", "127.0.0.1:0", "--set"])
            .arg("engine.checkpoint_interval_ms=300")
            .arg("--data")
            .arg(data)
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().expect("a server that starts says where it is").unwrap();
        let url = line.split_whitespace().nth(1).unwrap();
        let address = url.strip_prefix("http://").unwrap().strip_suffix("/c?...").unwrap();
        let address = address.to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        Server { child, address }
    }

    fn is_ready(&self) -> bool {
        self.readiness().starts_with("HTTP/1.1 200")
    }

    /// The answer of `/readyz`; empty if there is none.
    fn readiness(&self) -> String {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(&self.address)?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().unwrap_or_default()
    }

    fn becomes(&self, ready: bool) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.is_ready() == ready {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    fn kill(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

/// Links, loads and what they were answered, beside the small file system.
struct Visitors {
    dir: tempfile::TempDir,
    acknowledged: u64,
}

impl Visitors {
    fn new() -> Visitors {
        Visitors { dir: tempfile::tempdir().unwrap(), acknowledged: 0 }
    }

    /// Clicks at 2,000 a second, each on a link of its own; returns how many were acknowledged.
    fn click(&mut self, server: &Server, data: &Path, seconds: u32) -> u64 {
        let (links, journal) = (self.dir.path().join("links"), self.dir.path().join("journal"));
        let count = (2_200 * seconds).to_string();
        let long = format!("https://e.example/{}", "x".repeat(1500));
        let minted = Command::new(BIN)
            .args(["link", "--base", "http://t", "--ad", "ad", "--to", &long, "--count", &count])
            .arg("--data")
            .arg(data)
            .output()
            .unwrap();
        assert!(minted.status.success(), "{}", said(&minted));
        std::fs::write(&links, minted.stdout).unwrap();
        let loaded = Command::new(BIN)
            .args(["load", "--rate", "2000", "--connections", "32", "--seconds"])
            .arg(seconds.to_string())
            .arg("--links")
            .arg(&links)
            .arg("--journal")
            .arg(&journal)
            .arg(format!("http://{}", server.address))
            .output()
            .unwrap();
        let lines = std::fs::read(&journal).unwrap_or_default();
        let mut all = std::fs::File::options().create(true).append(true).open(self.all()).unwrap();
        all.write_all(&lines).unwrap();
        let added = lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        println!("{added} acknowledged; load ended with {}", loaded.status);
        self.acknowledged += added;
        added
    }

    fn all(&self) -> PathBuf {
        self.dir.path().join("all")
    }

    /// Everything that was ever acknowledged is in the ledger once.
    fn verify(&self, data: &Path) {
        let verified = Command::new(BIN)
            .arg("verify")
            .arg("--data")
            .arg(data)
            .arg(self.all())
            .output()
            .unwrap();
        assert!(verified.status.success(), "{}", said(&verified));
        println!("{} acknowledged: {}", self.acknowledged, said(&verified).trim());
    }
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// Takes what space is left.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    let block = vec![1; 1 << 16];
    while file.write_all(&block).is_ok() {}
    let _ = file.sync_all();
}

#[test]
fn a_full_disk_loses_nothing_and_is_taken_up_again() {
    let Some(small) = Small::mount(48 * MIB, 96 * MIB) else { return };
    let (data, ballast) = (small.root().join("data"), small.root().join("ballast"));
    let mut visitors = Visitors::new();
    // The first start makes the keys that links are signed with.
    Server::start(&data).kill();
    let server = Server::start(&data);
    assert!(visitors.click(&server, &data, 2) > 3_000);
    fill(&ballast);
    for _ in 0..8 {
        if visitors.click(&server, &data, 2) < 3_000 {
            break;
        }
    }
    assert!(server.becomes(false), "ready though nothing can be kept");
    std::fs::remove_file(&ballast).unwrap();
    assert!(server.becomes(true), "not ready though there is room again: {}", server.readiness());
    assert!(visitors.click(&server, &data, 1) > 1_000);
    server.kill();
    Server::start(&data).kill();
    visitors.verify(&data);
}

#[test]
fn a_failing_device_loses_nothing_that_was_acknowledged() {
    let Some(small) = Small::mount(256 * MIB, 16 * MIB) else { return };
    let data = small.root().join("data");
    let mut visitors = Visitors::new();
    Server::start(&data).kill();
    let server = Server::start(&data);
    let mut failed = false;
    for _ in 0..16 {
        failed = visitors.click(&server, &data, 2) < 3_000;
        if failed {
            break;
        }
    }
    assert!(failed, "the device never failed");
    assert!(server.becomes(false), "ready on a device that fails");
    server.kill();
    small.repair(512 * MIB);
    let server = Server::start(&data);
    assert!(server.becomes(true), "not ready on a device that is whole: {}", server.readiness());
    assert!(visitors.click(&server, &data, 1) > 1_000);
    server.kill();
    Server::start(&data).kill();
    visitors.verify(&data);
}
