//! The payload of a log record and its Protocol Buffers form (`proto/click.proto`), read without
//! copying and written without a schema compiler. Never accepts what the limits forbid: such a
//! payload is undecodable and goes to the dead-letter log.

mod click;
mod control;
mod fields;
mod layout;
mod partition;
mod resend;
mod source;
mod source_key;
mod text;
mod wire;

pub use click::{Capture, Click, SourceCode};
pub use control::{Header, encode_policy};
pub(crate) use fields::Fields;
pub use layout::{Layout, Part};
pub use partition::partition_of;
pub use resend::{restamp, user_key};
pub use source::Source;
pub use source_key::{SOURCE_KEY_BYTES, SOURCE_SECRET_BYTES, SourceKeys};

use crate::limits::{MAX_PAYLOAD_BYTES, MAX_TIME_MS};
use crate::policy::Policy;
use crate::types::Millis;
use alloc::vec::Vec;
use text::{id_in, optional_id};
use wire::{Reader, bytes, put_bytes, put_bytes_nonempty, put_u64, put_u64_nonzero, varint};

/// Who sent a record, and as which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport<'a> {
    /// Contains 128 random bits drawn at each start of the tracker; never empty.
    pub tracker_id: &'a str,
    /// Epoch of the tracker.
    pub epoch: u64,
    /// Gapless from 0 per tracker, epoch and partition; a heartbeat's is its next one.
    pub seq: u64,
}

/// A tracker's previous instance, named on its first record to a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Previous<'a> {
    /// The previous instance's tracker id.
    pub tracker_id: &'a str,
    /// Its epoch.
    pub epoch: u64,
    /// The seq that it would have used next in this partition.
    pub next_seq: u64,
}

/// What a record is.
#[expect(clippy::large_enum_variant, reason = "nearly every record is a click; boxing would cost")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A click.
    Click(Click<'a>),
    /// Carries time only.
    Tick,
    /// The tracker's next seq in this partition.
    Heartbeat {
        /// Everything below it has been sent.
        next_seq: u64,
    },
    /// New thresholds.
    Policy(Policy),
    /// First record of partition 0.
    Header(Header),
    /// In partition 0: the log has more partitions from here on.
    Layout(Layout),
}

/// A decoded payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The sender's clock when it handed the record to the log.
    pub sent_at: Option<Millis>,
    /// Transport identity, absent on records that nobody re-sends.
    pub transport: Option<Transport<'a>>,
    /// The tracker's previous instance, on its first record to a partition.
    pub previous: Option<Previous<'a>>,
    /// What it is.
    pub kind: Kind<'a>,
}

/// Why a payload cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The message ends in the middle of a field.
    Truncated,
    /// Not a message of our schema.
    Malformed,
    /// Text that is not UTF-8.
    NotUtf8,
    /// A required id is empty, or an id is too long or has control characters.
    Id,
    /// A text or byte field is too long.
    TooLong,
    /// A time after the year 9999.
    Time,
    /// A price above 2^53.
    Price,
    /// An address that is neither 4 nor 16 bytes.
    Address,
    /// No kind, or more than one.
    Kind,
    /// A heartbeat or seq without a tracker id.
    Transport,
}

impl DecodeError {
    /// A stable word for metrics and the dead-letter log.
    pub const fn code(self) -> &'static str {
        match self {
            DecodeError::Truncated => "truncated",
            DecodeError::Malformed => "malformed",
            DecodeError::NotUtf8 => "not_utf8",
            DecodeError::Id => "bad_id",
            DecodeError::TooLong => "too_long",
            DecodeError::Time => "bad_time",
            DecodeError::Price => "bad_price",
            DecodeError::Address => "bad_address",
            DecodeError::Kind => "bad_kind",
            DecodeError::Transport => "bad_transport",
        }
    }
}

impl core::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "undecodable payload: {}", self.code())
    }
}

impl core::error::Error for DecodeError {}

/// A payload up to its kind.
#[derive(Default)]
pub(crate) struct Envelope<'a> {
    pub(crate) sent_at: Option<Millis>,
    tracker_id: &'a str,
    epoch: u64,
    seq: u64,
    previous_id: &'a str,
    previous_epoch: u64,
    previous_next: u64,
    /// Field number and body; 0 where there is none.
    pub(crate) kind: (u64, &'a [u8]),
}

/// Field number of a click.
pub(crate) const CLICK_NUMBER: u64 = 10;

impl<'a> Record<'a> {
    /// Reads a payload.
    pub fn decode(payload: &'a [u8]) -> Result<Record<'a>, DecodeError> {
        let envelope = Envelope::decode(payload)?;
        let (number, body) = envelope.kind;
        let transport = envelope.transport()?;
        let kind = match number {
            CLICK_NUMBER => {
                let mut fields = Fields::default();
                fields.read(body)?;
                Kind::Click(Click::of(&fields))
            }
            11 => Kind::Tick,
            12 => Kind::Heartbeat { next_seq: control::decode_heartbeat(body)? },
            13 => Kind::Policy(control::decode_policy(body)?),
            14 => Kind::Header(Header::decode(body)?),
            _ => Kind::Layout(Layout::decode(body)?),
        };
        if matches!(kind, Kind::Heartbeat { .. }) && transport.is_none() {
            return Err(DecodeError::Transport);
        }
        let previous = envelope.previous();
        Ok(Record { sent_at: envelope.sent_at, transport, previous, kind })
    }

    /// Appends the payload to `out`. `scratch` is working space, reused between calls.
    pub fn encode(&self, out: &mut Vec<u8>, scratch: &mut Vec<u8>) {
        if let Some(time) = self.sent_at {
            put_u64(out, 1, time.0);
        }
        if let Some(transport) = &self.transport {
            put_bytes_nonempty(out, 2, transport.tracker_id.as_bytes());
            put_u64_nonzero(out, 3, transport.epoch);
            put_u64_nonzero(out, 4, transport.seq);
        }
        if let Some(previous) = &self.previous {
            put_bytes_nonempty(out, 5, previous.tracker_id.as_bytes());
            put_u64_nonzero(out, 6, previous.epoch);
            put_u64_nonzero(out, 7, previous.next_seq);
        }
        scratch.clear();
        let number = match &self.kind {
            Kind::Click(click) => {
                click.encode(scratch);
                10
            }
            Kind::Tick => 11,
            Kind::Heartbeat { next_seq } => {
                put_u64_nonzero(scratch, 1, *next_seq);
                12
            }
            Kind::Policy(policy) => {
                encode_policy(policy, scratch);
                13
            }
            Kind::Header(header) => {
                header.encode(scratch);
                14
            }
            Kind::Layout(layout) => {
                layout.encode(scratch);
                15
            }
        };
        put_bytes(out, number, scratch);
    }

    /// The payload as a vector of its own.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out, &mut Vec::new());
        out
    }

    /// A tick sent at `sent_at`.
    pub const fn tick(sent_at: Millis) -> Record<'static> {
        Record { sent_at: Some(sent_at), transport: None, previous: None, kind: Kind::Tick }
    }
}

const SENT_AT: u64 = varint(1);
const TRACKER_ID: u64 = bytes(2);
const EPOCH: u64 = varint(3);
const SEQ: u64 = varint(4);
const PREVIOUS_ID: u64 = bytes(5);
const PREVIOUS_EPOCH: u64 = varint(6);
const PREVIOUS_NEXT: u64 = varint(7);
const CLICK: u64 = bytes(CLICK_NUMBER);
const TICK: u64 = bytes(11);
const HEARTBEAT: u64 = bytes(12);
const POLICY: u64 = bytes(13);
const HEADER: u64 = bytes(14);
const LAYOUT: u64 = bytes(15);

impl<'a> Envelope<'a> {
    /// Reads everything but the kind's body. As for clicks: in order of numbers, the rest one by
    /// one.
    #[inline]
    pub(crate) fn decode(payload: &'a [u8]) -> Result<Envelope<'a>, DecodeError> {
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(DecodeError::TooLong);
        }
        let mut envelope = Envelope::default();
        let mut reader = Reader::new(payload);
        if let Some(sent_at) = reader.number_if_next::<1>()? {
            envelope.sent_at = Some(millis(sent_at)?);
        }
        if let Some(tracker_id) = reader.bytes_if_next::<2>()? {
            // What is behind the id may be looked at with it.
            let behind = payload.len() - reader.rest().len() - tracker_id.len();
            envelope.tracker_id = id_in(tracker_id, &payload[behind..])?;
        }
        if let Some(epoch) = reader.number_if_next::<3>()? {
            envelope.epoch = epoch;
        }
        if let Some(seq) = reader.number_if_next::<4>()? {
            envelope.seq = seq;
        }
        if let Some(body) = reader.bytes_if_next::<CLICK_NUMBER>()? {
            envelope.kind = (CLICK_NUMBER, body);
        }
        while !reader.is_empty() {
            envelope.read_any(&mut reader)?;
        }
        if envelope.kind.0 == 0 { Err(DecodeError::Kind) } else { Ok(envelope) }
    }

    #[cold]
    fn read_any(&mut self, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
        match reader.tag()? {
            SENT_AT => self.sent_at = Some(millis(reader.varint()?)?),
            TRACKER_ID => self.tracker_id = optional_id(reader.bytes()?)?,
            EPOCH => self.epoch = reader.varint()?,
            SEQ => self.seq = reader.varint()?,
            PREVIOUS_ID => self.previous_id = optional_id(reader.bytes()?)?,
            PREVIOUS_EPOCH => self.previous_epoch = reader.varint()?,
            PREVIOUS_NEXT => self.previous_next = reader.varint()?,
            tag @ (CLICK | TICK | HEARTBEAT | POLICY | HEADER | LAYOUT) => {
                self.set_kind(tag, reader.bytes()?)?;
            }
            tag => reader.skip(tag, |number| matches!(number, 1..=7 | 10..=15))?,
        }
        Ok(())
    }

    fn set_kind(&mut self, tag: u64, body: &'a [u8]) -> Result<(), DecodeError> {
        if self.kind.0 != 0 {
            return Err(DecodeError::Kind);
        }
        self.kind = (tag >> 3, body);
        Ok(())
    }

    pub(crate) fn previous(&self) -> Option<Previous<'a>> {
        (!self.previous_id.is_empty()).then_some(Previous {
            tracker_id: self.previous_id,
            epoch: self.previous_epoch,
            next_seq: self.previous_next,
        })
    }

    pub(crate) fn transport(&self) -> Result<Option<Transport<'a>>, DecodeError> {
        if self.tracker_id.is_empty() {
            let named = self.epoch != 0 || self.seq != 0;
            return if named { Err(DecodeError::Transport) } else { Ok(None) };
        }
        if self.seq == u64::MAX {
            return Err(DecodeError::Transport);
        }
        Ok(Some(Transport { tracker_id: self.tracker_id, epoch: self.epoch, seq: self.seq }))
    }
}

/// Whether `bytes` could be an id: 1-128 bytes of UTF-8 without control characters.
pub fn valid_id(bytes: &[u8]) -> bool {
    !bytes.is_empty() && optional_id(bytes).is_ok()
}

fn bounded(bytes: &[u8], limit: usize) -> Result<&[u8], DecodeError> {
    if bytes.len() > limit { Err(DecodeError::TooLong) } else { Ok(bytes) }
}

const fn millis(value: u64) -> Result<Millis, DecodeError> {
    if value > MAX_TIME_MS { Err(DecodeError::Time) } else { Ok(Millis(value)) }
}

fn address(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    match bytes.len() {
        0 | 4 | 16 => Ok(bytes),
        _ => Err(DecodeError::Address),
    }
}
