//! Every bound of the core in one place. Nothing here is a tunable: a value that decides a verdict
//! belongs to the policy.

/// Longest id, in bytes (SPEC: ids are 1-128 bytes).
pub const MAX_ID_BYTES: usize = 128;
/// Longest free text of a click (user agent, referrer, consent), in bytes.
pub const MAX_TEXT_BYTES: usize = 4096;
/// Longest `extras`, in bytes.
pub const MAX_EXTRAS_BYTES: usize = 1024;
/// Longest `source_key`, in bytes.
pub const MAX_SOURCE_KEY_BYTES: usize = 32;
/// Largest payload of a log record, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024;
/// Latest time that is not bad input: 9999-12-31T23:59:59.999Z.
pub const MAX_TIME_MS: u64 = 253_402_300_799_999;
/// Largest price or payout of one click, in micro-units.
pub const MAX_PRICE_MICROS: u64 = 1 << 53;
/// Key groups that a keyed stage is cut into.
pub const KEY_GROUPS: u16 = 128;

/// How far a sender's clock may move time ahead of itself; fixed per generation.
pub const SKEW_ALLOWANCE_MS: u64 = 5 * 60 * 1000;
/// Look-ahead L: a click's verdict is final this long after its fold time; fixed per generation.
pub const LOOK_AHEAD_MS: u64 = 1000;
/// Span of the activity rule: eleven clicks within less than this; at most L.
pub const BURST_SPAN_MS: u64 = 1000;
/// How long D2 remembers a click, in fold time (inclusive); fixed per generation.
pub const DOUBLE_CLICK_MEMORY_MS: u64 = 10 * 60 * 1000;
/// Rows are published on this grid of log time.
pub const GRID_MS: u64 = 1000;
/// A policy takes effect at the earliest this long after its own fold time.
pub const POLICY_NOTICE_MS: u64 = 60 * 1000;
/// Longest dedup horizon and seal delay that a policy may name (claim times are kept in 32 bits).
pub const MAX_HORIZON_MS: u64 = 30 * 24 * 3600 * 1000;
/// Largest `burst_clicks` that a policy may name.
pub const MAX_BURST_CLICKS: u64 = 100;
/// Partitions of a log, through all parts.
pub const MAX_LOG_PARTITIONS: u32 = 4096;
/// Parts of a log.
pub const MAX_PARTS: usize = 64;
/// Longest name of a topic, in bytes.
pub const MAX_TOPIC_BYTES: usize = 249;
/// Milliseconds of a minute.
pub const MINUTE_MS: u64 = 60_000;
