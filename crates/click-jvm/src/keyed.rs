//! The stages that are cut by key group: user, source, window.

use crate::error::StageError;
use crate::frames::{Frame, Frames, Port};
use crate::sequence::put_next;
use crate::stage::{Work, pieces, put_piece, put_to_all};
use click_core::hosted::{
    GroupSnapshot, HostError, SourceHost, UserHost, VERDICT_BYTES, WindowHost, split_published,
};
use click_core::limits::MAX_TIME_MS;
use click_core::record::Header;
use click_core::types::Millis;
use std::ops::Range;

/// Most verdicts of a frame: one has to fit into a message of any topic.
const VERDICTS: usize = 2_000;

/// What the three have in common.
pub(crate) trait Host: Sized + Send {
    /// Whether a stage follows.
    const IS_LAST: bool = false;

    /// As of these snapshots.
    fn open(
        header: &Header,
        groups: Range<u8>,
        policies: Option<&[u8]>,
        snapshots: &[GroupSnapshot<'_>],
    ) -> Result<Self, HostError>;
    /// Takes a batch.
    fn apply(&mut self, batch: &[u8]) -> Result<(), HostError>;
    /// Takes policies.
    fn learn(&mut self, policies: &[u8]) -> Result<(), HostError>;
    /// Hands out what is known below `w`.
    fn advance(&mut self, w: Millis, out: &mut Frames) -> Result<(), HostError>;
    /// State of a key group, behind what is there already.
    fn snapshot(&self, group: u8, out: &mut Vec<u8>) -> Result<(), HostError>;
    /// Takes a frame of its own journal.
    fn remember(&mut self, _journal: &[u8]) -> Result<(), HostError> {
        Err(HostError::Malformed)
    }
    /// Hands out a key group's journal, as short as it can be.
    fn journal(&self, _group: u8, _out: &mut Frames) -> Result<(), HostError> {
        Err(HostError::Malformed)
    }
}

/// A stage of some key groups, with the policies that it has been told of.
pub(crate) struct Keyed<H> {
    host: H,
    policies: Vec<u8>,
}

impl<H: Host> Keyed<H> {
    /// For these key groups, as of their snapshots.
    pub(crate) fn open(
        header: &Header,
        groups: Range<u8>,
        snapshots: &[(u8, Vec<u8>)],
    ) -> Result<Keyed<H>, StageError> {
        let (mut policies, mut states): (&[u8], _) = (&[], Vec::new());
        for (group, snapshot) in snapshots {
            let [known, state] = pieces(snapshot)?[..] else { return Err(StageError::Frames) };
            policies = longer(policies, known);
            states.push((*group, state));
        }
        let told = Some(policies).filter(|policies| !policies.is_empty());
        let host = H::open(header, groups, told, &states)?;
        Ok(Keyed { host, policies: policies.to_vec() })
    }

    /// Takes policies, and hands them on if they are new: every stage before this one tells them.
    fn learn(&mut self, policies: &[u8], out: &mut Frames) -> Result<(), StageError> {
        if policies.len() <= self.policies.len() {
            return Ok(());
        }
        self.host.learn(policies)?;
        self.policies = policies.to_vec();
        if !H::IS_LAST {
            put_to_all(out, policies);
        }
        Ok(())
    }
}

/// Policies are only ever added: the longer of two lists is the newer.
const fn longer<'a>(one: &'a [u8], other: &'a [u8]) -> &'a [u8] {
    if other.len() > one.len() { other } else { one }
}

impl<H: Host> Work for Keyed<H> {
    fn apply(&mut self, frame: Frame<'_>, out: &mut Frames) -> Result<(), StageError> {
        match frame.port {
            Port::Next => Ok(self.host.apply(frame.payload)?),
            Port::Policies => self.learn(frame.payload, out),
            Port::Journal => Ok(self.host.remember(frame.payload)?),
            Port::Records | Port::Row | Port::Verdicts | Port::DeadLetters | Port::Mark => {
                Err(StageError::Frames)
            }
        }
    }

    fn advance(&mut self, w: Millis, out: &mut Frames) -> Result<Millis, StageError> {
        if w.0 > MAX_TIME_MS {
            return Err(StageError::Watermark(w.0));
        }
        self.host.advance(w, out)?;
        Ok(w)
    }

    fn snapshot(&self, group: u8, out: &mut Vec<u8>) -> Result<(), StageError> {
        put_piece(out, &[&self.policies]);
        let at = out.len();
        put_piece(out, &[]);
        self.host.snapshot(group, out)?;
        let length = out.len() - at - size_of::<u64>();
        out[at..at + size_of::<u64>()].copy_from_slice(&(length as u64).to_le_bytes());
        Ok(())
    }

    fn journal(&self, group: u8, out: &mut Frames) -> Result<(), StageError> {
        Ok(self.host.journal(group, out)?)
    }
}

impl Host for UserHost {
    fn open(
        header: &Header,
        groups: Range<u8>,
        policies: Option<&[u8]>,
        snapshots: &[GroupSnapshot<'_>],
    ) -> Result<Self, HostError> {
        UserHost::open(header, groups, policies, snapshots)
    }

    fn apply(&mut self, batch: &[u8]) -> Result<(), HostError> {
        UserHost::apply(self, batch)
    }

    fn learn(&mut self, policies: &[u8]) -> Result<(), HostError> {
        UserHost::learn(self, policies)
    }

    fn advance(&mut self, w: Millis, out: &mut Frames) -> Result<(), HostError> {
        put_next(out, &UserHost::advance(self, w).clicks);
        Ok(())
    }

    fn snapshot(&self, group: u8, out: &mut Vec<u8>) -> Result<(), HostError> {
        self.snapshot_to(group, true, out)
    }
}

impl Host for SourceHost {
    fn open(
        header: &Header,
        groups: Range<u8>,
        policies: Option<&[u8]>,
        snapshots: &[GroupSnapshot<'_>],
    ) -> Result<Self, HostError> {
        SourceHost::open(header, groups, policies, snapshots)
    }

    fn apply(&mut self, batch: &[u8]) -> Result<(), HostError> {
        SourceHost::apply(self, batch)
    }

    fn learn(&mut self, policies: &[u8]) -> Result<(), HostError> {
        SourceHost::learn(self, policies)
    }

    fn advance(&mut self, w: Millis, out: &mut Frames) -> Result<(), HostError> {
        let sourced = SourceHost::advance(self, w);
        put_next(out, &sourced.counts);
        for batch in sourced.verdicts.chunks(VERDICTS * VERDICT_BYTES) {
            out.put(Port::Verdicts, 0, &[batch]);
        }
        Ok(())
    }

    fn snapshot(&self, group: u8, out: &mut Vec<u8>) -> Result<(), HostError> {
        out.append(&mut SourceHost::snapshot(self, group)?);
        Ok(())
    }
}

impl Host for WindowHost {
    const IS_LAST: bool = true;

    fn open(
        header: &Header,
        groups: Range<u8>,
        policies: Option<&[u8]>,
        snapshots: &[GroupSnapshot<'_>],
    ) -> Result<Self, HostError> {
        WindowHost::open(header, groups, policies, snapshots)
    }

    fn apply(&mut self, batch: &[u8]) -> Result<(), HostError> {
        WindowHost::apply(self, batch)
    }

    fn learn(&mut self, policies: &[u8]) -> Result<(), HostError> {
        WindowHost::learn(self, policies)
    }

    fn advance(&mut self, w: Millis, out: &mut Frames) -> Result<(), HostError> {
        for row in split_published(&WindowHost::advance(self, w)?)? {
            let key_len = u32::try_from(row.key_len).map_err(|_| HostError::Malformed)?;
            out.put(Port::Row, 0, &[&key_len.to_le_bytes(), row.item]);
        }
        if let Some(whole) = self.take_whole() {
            let (at, open_from) = (whole.at.0.to_le_bytes(), whole.open_from.0.to_le_bytes());
            out.put(Port::Mark, 0, &[&at, &open_from]);
        }
        Ok(())
    }

    fn snapshot(&self, group: u8, out: &mut Vec<u8>) -> Result<(), HostError> {
        out.append(&mut WindowHost::snapshot(self, group)?);
        Ok(())
    }
}
