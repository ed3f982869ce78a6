//! What a run cost: wall time, CPU time of a process, resident memory.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// Ticks a second of `/proc/PID/stat`; fixed by the kernel's interface to programs.
const USER_HZ: f64 = 100.0;

/// A running measurement of this process.
pub struct Measure {
    wall: Instant,
    cpu: Duration,
}

impl Measure {
    /// Begins now.
    pub fn begin() -> Measure {
        Measure { wall: Instant::now(), cpu: cpu_time() }
    }

    /// Wall time and CPU time since the beginning.
    pub fn end(&self) -> (Duration, Duration) {
        (self.wall.elapsed(), cpu_time().saturating_sub(self.cpu))
    }
}

/// CPU time of this process, user and system.
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(time.tv_sec.unsigned_abs(), nanos)
}

/// CPU-seconds of another process and its threads, user and system, in steps of 10 ms.
pub fn cpu_of(pid: u32) -> f64 {
    two_ticks(&pid.to_string(), 11)
}

/// CPU-seconds of all processes that this one has started and seen end.
pub fn cpu_of_children() -> f64 {
    two_ticks("self", 13)
}

/// Two fields behind the name, which stands in parentheses and may hold spaces; utime and stime
/// are fields 14 and 15, those of children the next two.
fn two_ticks(process: &str, skip: usize) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks = fields.split_whitespace().skip(skip).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / USER_HZ
}

/// Resident memory of this process, bytes.
pub fn resident() -> u64 {
    status("VmRSS:")
}

/// The most that was ever resident, bytes.
pub fn peak_resident() -> u64 {
    status("VmHWM:")
}

fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    kib_after(&status, name) * 1024
}

/// Memory that can still be had, bytes.
pub fn available_memory() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    kib_after(&info, "MemAvailable:") * 1024
}

fn kib_after(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
