//! What a run cost: wall time, CPU time of the process, resident memory.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// A running measurement.
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

/// Resident memory of this process, bytes.
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}
