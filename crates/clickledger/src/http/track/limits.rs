//! Every bound of the tracker, in one place.

use std::time::Duration;

/// Request head: line and headers (100 at most, hyper's own limit), bytes.
pub const MAX_HEAD: usize = 8 * 1024;
/// Read buffer of a connection, bytes.
pub const READ_BUFFER: usize = 64 * 1024;
/// Body of a beacon, bytes; it is read and thrown away.
pub const MAX_BEACON_BODY: usize = 64 * 1024;
/// Body of a batch, bytes.
pub const MAX_BATCH_BODY: usize = 4 * 1024 * 1024;
/// Clicks in a batch.
pub const MAX_BATCH_ITEMS: usize = 20_000;
/// User agent kept with a click, bytes.
pub const MAX_USER_AGENT: usize = 1024;
/// Referrer kept with a click, bytes.
pub const MAX_REFERRER: usize = 1024;
/// Purpose headers kept with a click, bytes.
pub const MAX_PURPOSE: usize = 256;
/// Other short texts of a click (method, country), bytes.
pub const MAX_WORD: usize = 64;
/// Hops of a forwarding header that are looked at.
pub const MAX_HOPS: usize = 32;
/// Ads whose throttled records are told apart; the rest is counted together.
pub const MAX_THROTTLED_ADS: usize = 1000;
/// Time for an idle connection and for a request's head.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a TLS handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a whole body.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Time that open requests have to finish at shutdown.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Time between heartbeats to a written partition.
pub const HEARTBEAT: Duration = Duration::from_secs(10);
/// Time between looks at the key file and writes of the state file.
pub const HOUSEKEEPING: Duration = Duration::from_secs(2);
/// Dead-letter entries a second; more are counted only.
pub const DEAD_LETTERS_PER_SECOND: u32 = 10;
/// Size at which the dead-letter file is put aside (one older file is kept), bytes.
pub const MAX_DEAD_LETTER_FILE: u64 = 8 * 1024 * 1024;
/// Bytes of a refused request that a dead-letter entry keeps.
pub const MAX_DEAD_LETTER_TEXT: usize = 1024;
/// Clock difference that is warned of, ms.
pub const CLOCK_WARN_MS: u64 = 1_000;
/// Clock difference at which the tracker is not ready, ms.
pub const CLOCK_LIMIT_MS: u64 = 60_000;
/// How far ahead a stated `received_at` may be, ms (SPEC, constants).
pub const AHEAD_MS: u64 = click_core::limits::SKEW_ALLOWANCE_MS;
