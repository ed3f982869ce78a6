//! Memory that runs out: at a start, and in the midst of a load. The server may die of it or stop
//! working; what it acknowledged is there after a start with memory enough.
//!
//! The limit is on data (heap, stacks, private maps), which is what programs are refused first
//! where a system does not promise more memory than it has.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::server::{BIN, Server};
use super::visitors::{Visitors, begin_trial};

const FAULT: &str = "memory-limit";
const SECONDS: f64 = 1.0;

/// The allocator takes memory in advance in pieces of so many KiB, instead of a gibibyte that no
/// limit below that would be felt in.
const PIECES: (&str, &str) = ("MIMALLOC_ARENA_RESERVE", "4096");

fn limited(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env(PIECES.0, PIECES.1);
    command
}

/// Bytes of data that a process has.
fn data_of(id: Pid) -> u64 {
    let status = format!("/proc/{}/status", id.as_raw_nonzero());
    let status = std::fs::read_to_string(status).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map_or(0, |kib| kib * 1024)
}

/// Half way through a load the server may have `more` bytes than it has, and no more; then more
/// clients come, who need more.
#[test]
fn memory_that_runs_out_under_load_loses_nothing() {
    for more in [0, 256 << 10, 2 << 20, 8 << 20, 16 << 20] {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        begin_trial(FAULT);
        let mut visitors = Visitors::new();
        Server::start(&data).kill();
        visitors.mint(&data, SECONDS);
        let mut server = Server::start_by(limited(BIN), &data);
        let loading = visitors.begin(&server, SECONDS);
        std::thread::sleep(Duration::from_secs_f64(SECONDS / 2.0));
        let limit = Some(data_of(server.id()) + more);
        let limits = Rlimit { current: limit, maximum: limit };
        prlimit(Some(server.id()), Resource::Data, limits).unwrap();
        visitors.end(loading);
        assert!(visitors.acknowledged > 0, "there was memory before the limit");
        visitors.connections = 512;
        visitors.mint(&data, SECONDS);
        let loading = visitors.begin(&server, SECONDS);
        visitors.end(loading);
        let died = server.has_ended();
        println!("{more} bytes more: {} acknowledged, died: {died}", visitors.acknowledged);
        server.kill();
        visitors.end_trial(FAULT, &data);
    }
}

/// Starts with eighths of the memory that a server has: some refuse to start, some die later.
#[test]
fn starts_with_too_little_memory_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut visitors = Visitors::new();
    Server::start(&data).kill();
    let server = Server::start_by(limited(BIN), &data);
    click(&mut visitors, &server, &data);
    let whole = data_of(server.id());
    server.kill();
    for eighths in [1, 3, 5, 6, 7, 8, 9] {
        begin_trial(FAULT);
        let kib = whole / 1024 * eighths / 8;
        let mut command = limited("sh");
        command.args(["-c", &format!("ulimit -d {kib} && exec \"$0\" \"$@\""), BIN]);
        let before = visitors.acknowledged;
        let Some(mut server) = Server::try_start(command, &data) else {
            println!("{kib} KiB: does not start");
            visitors.end_trial(FAULT, &data);
            continue;
        };
        click(&mut visitors, &server, &data);
        let (added, died) = (visitors.acknowledged - before, server.has_ended());
        println!("{kib} KiB: starts, {added} more acknowledged, died: {died}");
        server.kill();
        visitors.end_trial(FAULT, &data);
    }
}

fn click(visitors: &mut Visitors, server: &Server, data: &Path) {
    visitors.mint(data, SECONDS / 2.0);
    let loading = visitors.begin(server, SECONDS / 2.0);
    visitors.end(loading);
}
