//! The plain records that the reference takes: every field of SPEC §1 that decides anything.
//!
//! Owns the types and the check that a payload is good input. Must never hold a rule of counting.

/// Where a record stands: partition, offset.
pub type Position = (u32, u64);

/// The greatest time that is good input (SPEC, opening).
pub const MAX_TIME_MS: u64 = 253_402_300_799_999;
/// The greatest price or payout that is good input (SPEC, opening).
pub const MAX_MICROS: u64 = 1 << 53;
/// The longest id that is good input, in bytes (SPEC, opening).
const MAX_ID_BYTES: usize = 128;

/// One record of the log. Times are UTC milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainRecord {
    pub partition: u32,
    pub offset: u64,
    pub append_time: u64,
    pub payload: PlainPayload,
}

impl PlainRecord {
    #[must_use]
    pub fn position(&self) -> Position {
        (self.partition, self.offset)
    }
}

/// What a record says (SPEC §1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlainPayload {
    Undecodable(Vec<u8>),
    Click(Box<PlainClick>),
    Tick { sent_at: Option<u64> },
    Heartbeat(PlainHeartbeat),
    Policy(PlainPolicy),
    Header(PlainHeader),
    Layout(PlainLayout),
}

impl PlainPayload {
    /// The sender's clock; unknown for an undecodable record and in imports.
    #[must_use]
    pub fn sent_at(&self) -> Option<u64> {
        if self.is_undecodable() {
            return None;
        }
        match self {
            Self::Undecodable(_) => None,
            Self::Click(click) => click.sent_at,
            Self::Tick { sent_at } => *sent_at,
            Self::Heartbeat(heartbeat) => heartbeat.sent_at,
            Self::Policy(policy) => policy.sent_at,
            Self::Header(header) => header.sent_at,
            Self::Layout(layout) => layout.sent_at,
        }
    }

    /// Bytes that are no payload, or one with bad input in it (SPEC, opening, and §10).
    #[must_use]
    pub fn is_undecodable(&self) -> bool {
        match self {
            Self::Undecodable(_) => true,
            Self::Click(click) => !click.is_good(),
            Self::Tick { sent_at } => sent_at.is_some_and(|t| t > MAX_TIME_MS),
            Self::Heartbeat(h) => h.sent_at.is_some_and(|t| t > MAX_TIME_MS),
            Self::Policy(p) => p.sent_at.max(Some(p.effective_from)) > Some(MAX_TIME_MS),
            Self::Header(h) => h.sent_at.is_some_and(|t| t > MAX_TIME_MS),
            Self::Layout(l) => l.sent_at.is_some_and(|t| t > MAX_TIME_MS),
        }
    }
}

/// A click. An unknown optional id is the empty string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlainClick {
    pub sent_at: Option<u64>,
    /// `None`: never a transport repeat.
    pub identity: Option<PlainIdentity>,
    /// Named by a tracker's first record to a partition.
    pub previous: Option<PlainPrevious>,
    pub click_id: String,
    pub issuer: String,
    pub user_id: String,
    pub ad_id: String,
    pub campaign_id: String,
    pub advertiser_id: String,
    pub publisher_id: String,
    pub placement_id: String,
    pub currency: String,
    pub price_micros: u64,
    pub payout_micros: u64,
    pub received_at: u64,
    pub expires_at: Option<u64>,
    pub ad_active: Option<bool>,
    pub ip: Option<PlainIp>,
    /// Keyed hash of the source; empty: none kept.
    pub source_key: Vec<u8>,
    /// The one field that tells empty from unknown.
    pub user_agent: Option<String>,
    pub method: Option<String>,
    pub purpose: Option<String>,
}

impl PlainClick {
    fn is_good(&self) -> bool {
        let times = [Some(self.received_at), self.sent_at, self.expires_at];
        let micros = [self.price_micros, self.payout_micros];
        let optional = [
            &self.issuer,
            &self.user_id,
            &self.campaign_id,
            &self.advertiser_id,
            &self.publisher_id,
            &self.placement_id,
        ];
        let required = [&self.click_id, &self.ad_id];
        times.iter().flatten().all(|t| *t <= MAX_TIME_MS)
            && micros.iter().all(|m| *m <= MAX_MICROS)
            && optional.iter().all(|id| is_good_id(id))
            && required.iter().all(|id| !id.is_empty() && is_good_id(id))
    }
}

fn is_good_id(id: &str) -> bool {
    id.len() <= MAX_ID_BYTES && !id.chars().any(char::is_control)
}

/// The transport identity of a click (SPEC §1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainIdentity {
    pub tracker_id: String,
    pub epoch: u64,
    pub seq: u64,
}

/// A tracker's previous instance and its next `seq` on this partition (SPEC §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainPrevious {
    pub tracker_id: String,
    pub epoch: u64,
    pub next_seq: u64,
}

/// A person's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainIp {
    V4([u8; 4]),
    V6([u8; 16]),
}

/// A tracker's next `seq` on the partition where this stands; uses up none itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainHeartbeat {
    pub sent_at: Option<u64>,
    pub tracker_id: String,
    pub epoch: u64,
    pub next_seq: u64,
}

/// The thresholds of SPEC §8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainPolicy {
    pub sent_at: Option<u64>,
    pub id: String,
    pub effective_from: u64,
    pub link_lifetime_ms: u64,
    /// S.
    pub spool_limit_ms: u64,
    /// H.
    pub horizon_ms: u64,
    pub seal_after_ms: u64,
    pub double_click_ms: u64,
    /// More clicks than this within a second are a burst.
    pub burst_clicks: u32,
}

impl Default for PlainPolicy {
    /// SPEC, constants: in force before any policy record.
    fn default() -> Self {
        Self {
            sent_at: None,
            id: "default".to_owned(),
            effective_from: 0,
            link_lifetime_ms: 24 * 3_600_000,
            spool_limit_ms: 72 * 3_600_000,
            horizon_ms: 96 * 3_600_000 + 5 * 60_000,
            seal_after_ms: 15 * 60_000,
            double_click_ms: 30_000,
            burst_clicks: 10,
        }
    }
}

/// The first record of partition 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainHeader {
    pub sent_at: Option<u64>,
    pub log_id: [u8; 16],
    pub generation: u16,
}

/// The parts of a log from a record of partition 0 on (decision 18).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainLayout {
    pub sent_at: Option<u64>,
    pub log_id: [u8; 16],
    pub number: u32,
    /// Topic and number of partitions; at least two parts.
    pub parts: Vec<(String, u32)>,
}
