//! The log's own time. [`AppendClock`] turns a wall clock that may step into an `append_time` that
//! is monotone and slewed, never stepped (SPEC §1): after the start it runs with the monotonic
//! clock, up to 10 % faster while the wall clock is ahead and at half speed while it is behind.
//!
//! Must never go backwards, and never read a clock other than the one it was given.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use rustix::time::{ClockId, clock_gettime};

use super::MAX_TIME;

/// Two clocks in microseconds: wall (since 1970, may step) and monotonic (any origin).
pub trait Clock: Send + Sync {
    /// `(wall, monotonic)`, read together.
    fn now(&self) -> (u64, u64);
}

/// The system's clocks. The monotonic one counts from boot and goes on while the machine sleeps.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> (u64, u64) {
        // The C library's, as the tracker's clock is: what sets one of them sets both.
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let boot = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(boot.tv_sec).unwrap_or(0);
        let boot = seconds * 1_000_000 + u64::try_from(boot.tv_nsec).unwrap_or(0) / 1_000;
        (u64::try_from(wall.as_micros()).unwrap_or(u64::MAX), boot)
    }
}

/// A clock moved by hand, for tests and the simulator.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<(u64, u64)>,
}

impl ManualClock {
    /// Starts at `wall_ms` with the monotonic clock at 0.
    pub fn new(wall_ms: u64) -> Self {
        ManualClock { now: Mutex::new((wall_ms * 1000, 0)) }
    }

    /// Lets both clocks run for `ms`.
    pub fn advance(&self, ms: u64) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = (now.0 + ms * 1000, now.1 + ms * 1000);
    }

    /// Steps the wall clock alone.
    pub fn set_wall(&self, wall_ms: u64) {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).0 = wall_ms * 1000;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> (u64, u64) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Slewed time. One tick of state; all arithmetic in microseconds.
#[derive(Debug, Clone)]
pub struct AppendClock {
    time: u64,
    monotonic: u64,
}

impl AppendClock {
    /// Starts at the wall clock, but not below `floor_ms`, the newest time already in the log.
    pub fn start(now: (u64, u64), floor_ms: u64) -> Self {
        AppendClock { time: now.0.max(floor_ms * 1000).min(MAX_TIME * 1000), monotonic: now.1 }
    }

    /// The time to stamp now, ms since 1970.
    pub fn stamp(&mut self, now: (u64, u64)) -> u64 {
        let (wall, monotonic) = now;
        let elapsed = monotonic.saturating_sub(self.monotonic);
        self.monotonic = self.monotonic.max(monotonic);
        let slowest = self.time.saturating_add(elapsed / 2);
        let fastest = self.time.saturating_add(elapsed.saturating_add(elapsed / 10));
        self.time = wall.clamp(slowest, fastest).min(MAX_TIME * 1000);
        self.time / 1000
    }

    /// Takes over a time given from outside, if it is ahead (imports), ms since 1970.
    pub fn raise(&mut self, time_ms: u64) {
        self.time = self.time.max(time_ms.min(MAX_TIME) * 1000);
    }
}
