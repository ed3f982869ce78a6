//! Records that are no clicks: header, policy, heartbeat.

use super::text::optional_id;
use super::wire::{Reader, bytes, put_bytes, put_u64, put_u64_nonzero, varint};
use super::{DecodeError, millis};
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

const LOG_ID: u64 = bytes(1);
const GENERATION: u64 = varint(2);
const PARTITIONS: u64 = varint(3);

const NEXT_SEQ: u64 = varint(1);

const POLICY_ID: u64 = bytes(1);
const EFFECTIVE_FROM: u64 = varint(2);
const LINK_LIFETIME: u64 = varint(3);
const SPOOL_LIMIT: u64 = varint(4);
const HORIZON: u64 = varint(5);
const SEAL_AFTER: u64 = varint(6);
const DOUBLE_CLICK: u64 = varint(7);
const BURST_CLICKS: u64 = varint(8);

impl Header {
    pub(super) fn decode(message: &[u8]) -> Result<Header, DecodeError> {
        let mut header = Header { log_id: [0; 16], generation: 0, partitions: 0 };
        let mut reader = Reader::new(message);
        loop {
            match reader.tag()? {
                0 => break,
                LOG_ID => {
                    let log_id = reader.bytes()?.try_into();
                    header.log_id = log_id.map_err(|_| DecodeError::Malformed)?;
                }
                GENERATION => {
                    let generation = reader.varint()?.try_into();
                    header.generation = generation.map_err(|_| DecodeError::Malformed)?;
                }
                PARTITIONS => {
                    let partitions = reader.varint()?.try_into();
                    header.partitions = partitions.map_err(|_| DecodeError::Malformed)?;
                }
                tag => reader.skip(tag, |number| (1..=3).contains(&number))?,
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

pub(super) fn decode_heartbeat(message: &[u8]) -> Result<u64, DecodeError> {
    let mut next_seq = 0;
    let mut reader = Reader::new(message);
    loop {
        match reader.tag()? {
            0 => break,
            NEXT_SEQ => next_seq = reader.varint()?,
            tag => reader.skip(tag, |number| number == 1)?,
        }
    }
    Ok(next_seq)
}

pub(super) fn decode_policy(message: &[u8]) -> Result<Policy, DecodeError> {
    let mut policy = Policy { policy_id: String::new(), ..Policy::default() };
    let mut reader = Reader::new(message);
    loop {
        match reader.tag()? {
            0 => break,
            POLICY_ID => policy.policy_id = String::from(optional_id(reader.bytes()?)?),
            EFFECTIVE_FROM => policy.effective_from = millis(reader.varint()?)?,
            LINK_LIFETIME => policy.link_lifetime_ms = reader.varint()?,
            SPOOL_LIMIT => policy.spool_limit_ms = reader.varint()?,
            HORIZON => policy.horizon_ms = reader.varint()?,
            SEAL_AFTER => policy.seal_after_ms = reader.varint()?,
            DOUBLE_CLICK => policy.double_click_ms = reader.varint()?,
            BURST_CLICKS => policy.burst_clicks = reader.varint()?,
            tag => reader.skip(tag, |number| (1..=8).contains(&number))?,
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
