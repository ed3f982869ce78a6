//! Real faults of a real file system: a small one that fills up, and one whose device fails under
//! it. What was acknowledged is there afterwards, exactly once.
//!
//! Needs root and loop devices; where there are none, the tests say so and pass.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::server::Server;
use super::visitors::{Visitors, begin_trial};

const MIB: u64 = 1 << 20;
const FULL: &str = "full-disk";
const FAILING: &str = "failing-device";

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

/// Clicks for so long; returns how many were acknowledged.
fn click(visitors: &mut Visitors, server: &Server, data: &Path, seconds: f64) -> usize {
    visitors.mint(data, seconds);
    let loading = visitors.begin(server, seconds);
    let added = visitors.end(loading);
    println!("{added} acknowledged");
    added
}

/// Takes what space is left.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    let block = vec![1; 1 << 16];
    while file.write_all(&block).is_ok() {}
    let _ = file.sync_all();
}

/// Clicks until the server says that it can keep no more.
fn click_until_it_fails(visitors: &mut Visitors, server: &Server, data: &Path) {
    for _ in 0..20 {
        click(visitors, server, data, 2.0);
        if !server.is_ready() {
            return;
        }
    }
    panic!("ready though nothing can be kept");
}

#[test]
fn a_full_disk_loses_nothing_and_is_taken_up_again() {
    let Some(small) = Small::mount(48 * MIB, 96 * MIB) else { return };
    let (data, ballast) = (small.root().join("data"), small.root().join("ballast"));
    begin_trial(FULL);
    let mut visitors = Visitors::new();
    // The first start makes the keys that links are signed with.
    Server::start(&data).kill();
    let server = Server::start(&data);
    assert!(click(&mut visitors, &server, &data, 2.0) > 0);
    fill(&ballast);
    click_until_it_fails(&mut visitors, &server, &data);
    std::fs::remove_file(&ballast).unwrap();
    assert!(server.becomes_ready(), "not ready though there is room: {}", server.readiness());
    assert!(click(&mut visitors, &server, &data, 1.0) > 0);
    server.kill();
    visitors.end_trial(FULL, &data);
}

#[test]
fn a_failing_device_loses_nothing_that_was_acknowledged() {
    let Some(small) = Small::mount(256 * MIB, 16 * MIB) else { return };
    let data = small.root().join("data");
    begin_trial(FAILING);
    let mut visitors = Visitors::new();
    Server::start(&data).kill();
    let server = Server::start(&data);
    click_until_it_fails(&mut visitors, &server, &data);
    server.kill();
    small.repair(512 * MIB);
    let server = Server::start(&data);
    assert!(server.becomes_ready(), "not ready on a whole device: {}", server.readiness());
    assert!(click(&mut visitors, &server, &data, 1.0) > 0);
    server.kill();
    visitors.end_trial(FAILING, &data);
}
