//! Records that are no clicks: header, policy, heartbeat.

use super::wire::{Reader, Value, put_bytes, put_u64, put_u64_nonzero};
use super::{DecodeError, millis, optional_id};
use crate::policy::Policy;
use alloc::string::String;
use alloc::vec::Vec;

/// The first record of partition 0: which log this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// 128 random bits that name the log; they also key its identity hashes.
    pub log_id: [u8; 16],
    /// Raised for a new log or a change of the rules.
    pub generation: u16,
    /// How many partitions the log has, for ever.
    pub partitions: u32,
}

impl Header {
    pub(super) fn decode(bytes: &[u8]) -> Result<Header, DecodeError> {
        let mut header = Header { log_id: [0; 16], generation: 0, partitions: 0 };
        let mut reader = Reader::new(bytes);
        while let Some((number, value)) = reader.field()? {
            match (number, value) {
                (1, Value::Bytes(bytes)) => {
                    header.log_id = bytes.try_into().map_err(|_| DecodeError::Malformed)?;
                }
                (2, Value::Varint(value)) => {
                    header.generation = value.try_into().map_err(|_| DecodeError::Malformed)?;
                }
                (3, Value::Varint(value)) => {
                    header.partitions = value.try_into().map_err(|_| DecodeError::Malformed)?;
                }
                (1..=3, _) => return Err(DecodeError::Malformed),
                _ => {}
            }
        }
        Ok(header)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, 1, &self.log_id);
        put_u64_nonzero(out, 2, u64::from(self.generation));
        put_u64_nonzero(out, 3, u64::from(self.partitions));
    }
}

pub(super) fn decode_heartbeat(bytes: &[u8]) -> Result<u64, DecodeError> {
    let mut next_seq = 0;
    let mut reader = Reader::new(bytes);
    while let Some((number, value)) = reader.field()? {
        match (number, value) {
            (1, Value::Varint(value)) => next_seq = value,
            (1, _) => return Err(DecodeError::Malformed),
            _ => {}
        }
    }
    Ok(next_seq)
}

pub(super) fn decode_policy(bytes: &[u8]) -> Result<Policy, DecodeError> {
    let mut policy = Policy { policy_id: String::new(), ..Policy::default() };
    let mut reader = Reader::new(bytes);
    while let Some((number, value)) = reader.field()? {
        match (number, value) {
            (1, Value::Bytes(bytes)) => policy.policy_id = String::from(optional_id(bytes)?),
            (2, Value::Varint(value)) => policy.effective_from = millis(value)?,
            (3, Value::Varint(value)) => policy.link_lifetime_ms = value,
            (4, Value::Varint(value)) => policy.spool_limit_ms = value,
            (5, Value::Varint(value)) => policy.horizon_ms = value,
            (6, Value::Varint(value)) => policy.seal_after_ms = value,
            (7, Value::Varint(value)) => policy.double_click_ms = value,
            (8, Value::Varint(value)) => policy.burst_clicks = value,
            (1..=8, _) => return Err(DecodeError::Malformed),
            _ => {}
        }
    }
    if policy.policy_id.is_empty() { Err(DecodeError::Id) } else { Ok(policy) }
}

/// Appends a policy message.
pub fn encode_policy(policy: &Policy, out: &mut Vec<u8>) {
    put_bytes(out, 1, policy.policy_id.as_bytes());
    put_u64(out, 2, policy.effective_from.0);
    put_u64(out, 3, policy.link_lifetime_ms);
    put_u64(out, 4, policy.spool_limit_ms);
    put_u64(out, 5, policy.horizon_ms);
    put_u64(out, 6, policy.seal_after_ms);
    put_u64(out, 7, policy.double_click_ms);
    put_u64(out, 8, policy.burst_clicks);
}
