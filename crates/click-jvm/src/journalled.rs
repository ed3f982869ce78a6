//! The user stage for hosts that keep a journal: what the stage remembers leaves it once, when it
//! is new, and its snapshots leave that out. A stage is opened from the newest snapshots of its
//! key groups, and then given the journals, oldest first.

use crate::frames::{Frames, Port};
use crate::keyed::Host;
use crate::sequence::put_next;
use click_core::fold::encode_journal;
use click_core::hosted::{GroupSnapshot, HostError, UserHost};
use click_core::record::Header;
use click_core::stage::user::Journal;
use click_core::types::Millis;
use std::ops::Range;

/// Most entries of a frame: about half a megabyte.
const ENTRIES: usize = 20_000;

/// See the module.
pub(crate) struct JournalledUser(UserHost);

impl Host for JournalledUser {
    fn open(
        header: &Header,
        groups: Range<u8>,
        policies: Option<&[u8]>,
        snapshots: &[GroupSnapshot<'_>],
    ) -> Result<Self, HostError> {
        UserHost::open(header, groups, policies, snapshots).map(JournalledUser)
    }

    fn apply(&mut self, batch: &[u8]) -> Result<(), HostError> {
        self.0.apply(batch)
    }

    fn learn(&mut self, policies: &[u8]) -> Result<(), HostError> {
        self.0.learn(policies)
    }

    fn advance(&mut self, w: Millis, out: &mut Frames) -> Result<(), HostError> {
        let users = self.0.advance(w);
        put_next(out, &users.clicks);
        put_journal(out, &users.journal);
        Ok(())
    }

    fn snapshot(&self, group: u8, out: &mut Vec<u8>) -> Result<(), HostError> {
        self.0.snapshot_to(group, false, out)
    }

    fn remember(&mut self, journal: &[u8]) -> Result<(), HostError> {
        self.0.restore_journal(journal)
    }

    fn journal(&self, group: u8, out: &mut Frames) -> Result<(), HostError> {
        put_journal(out, &self.0.remembered(group)?);
        Ok(())
    }
}

/// Entries say themselves which key group they are of.
fn put_journal(out: &mut Frames, journal: &Journal) {
    for part in journal.parts(ENTRIES) {
        out.put(Port::Journal, 0, &[&encode_journal(&part)]);
    }
}
