//! The user stage of some key groups.

use super::packed::{ClickRouter, Unpacker};
use super::pieces::Pieces;
use super::route::Routed;
use super::{Common, GroupSnapshot, HostError, make_room, own, take_below};
use crate::codec::{put_users, take_journal};
use crate::fold::decode_journal;
use crate::record::Header;
use crate::snapshot::{Reader, Writer};
use crate::stage::event::Event;
use crate::stage::user::{Journal, UserStage};
use crate::types::Millis;
use alloc::vec::Vec;
use core::ops::Range;

/// The user stage of some key groups.
pub struct UserHost {
    groups: Range<u8>,
    common: Common,
    stage: UserStage,
    /// Clicks not below the watermark.
    waiting: Vec<Event>,
    pieces: Pieces,
    unpacker: Unpacker,
    router: ClickRouter,
}

/// What comes of the user stage.
#[derive(Debug, Default)]
pub struct Users {
    /// Clicks for the source stage.
    pub clicks: Routed,
    /// What the dedup set remembered: encoded, the next piece of a snapshot without claims.
    pub journal: Journal,
}

impl UserHost {
    /// For these key groups, with the policies so far, empty or where snapshots were taken.
    pub fn open(
        header: &Header,
        groups: Range<u8>,
        policies: Option<&[u8]>,
        snapshots: &[GroupSnapshot<'_>],
    ) -> Result<UserHost, HostError> {
        let mut common = Common::with(header, policies)?;
        let mut stage = UserStage::new(groups.clone());
        let (mut waiting, mut unpacker) = (Vec::new(), Unpacker::default());
        for (group, mut input) in common.open_snapshots(&groups, snapshots)? {
            let journal = take_journal(&mut input, group)?;
            stage.restore(&journal, common.watermark, &common.timeline);
            unpacker.begin();
            while !input.is_empty() {
                let event = unpacker.take_event(&mut input, &mut common.keys)?;
                own(&(group..group + 1), event.facts.user_group)?;
                common.in_time(event.facts.fold_time)?;
                waiting.push(event);
            }
        }
        let (pieces, router) = (Pieces::default(), ClickRouter::new());
        Ok(UserHost { groups, common, stage, waiting, pieces, unpacker, router })
    }

    /// Adds claims of a journal written before the snapshots were taken, oldest first; those of
    /// other stages' key groups are left out.
    pub fn restore_journal(&mut self, journal: &[u8]) -> Result<(), HostError> {
        let mut journal = decode_journal(journal)?;
        journal.claims.retain(|claim| self.groups.contains(&claim.group));
        journal.pairs.retain(|pair| self.groups.contains(&pair.group));
        self.stage.restore(&journal, self.common.watermark, &self.common.timeline);
        Ok(())
    }

    /// Takes clicks of the sequence stages.
    pub fn apply(&mut self, clicks: &[u8]) -> Result<(), HostError> {
        self.pieces.forget();
        self.unpacker.begin();
        let mut input = Reader::new(clicks);
        while !input.is_empty() {
            let event = self.unpacker.take_event(&mut input, &mut self.common.keys)?;
            own(&self.groups, event.facts.user_group)?;
            self.common.in_time(event.facts.fold_time)?;
            self.waiting.push(event);
        }
        Ok(())
    }

    /// Takes announced policies.
    pub fn learn(&mut self, policies: &[u8]) -> Result<(), HostError> {
        self.common.learn(policies)
    }

    /// Decides D1 and D2 of everything below `w`.
    pub fn advance(&mut self, w: Millis) -> Users {
        self.pieces.forget();
        if !self.common.reach(w) {
            return Users::default();
        }
        let mut events = take_below(&mut self.waiting, w, |event| &event.facts);
        let mut journal = Journal::default();
        self.stage.apply(&mut events, &self.common.timeline, &mut journal);
        self.stage.advance(w, &self.common.timeline);
        for Event { facts, .. } in &events {
            self.router.put_click(facts, &self.common.keys);
        }
        make_room(&mut self.waiting, events);
        Users { clicks: self.router.finish(), journal }
    }

    /// What all journals so far have come to for a key group, as of the watermark.
    pub fn remembered(&self, group: u8) -> Result<Journal, HostError> {
        own(&self.groups, group)?;
        let Common { watermark, timeline, .. } = &self.common;
        let mut journal = Journal::default();
        self.stage.for_each_claim(group, *watermark, timeline, |it| journal.claims.push(it));
        self.stage.for_each_pair(group, *watermark, |it| journal.pairs.push(it));
        Ok(journal)
    }

    /// State of a key group as of the watermark, with or without what the journals say.
    pub fn snapshot(&self, group: u8, with_claims: bool) -> Result<Vec<u8>, HostError> {
        let mut snapshot = Vec::new();
        self.snapshot_to(group, with_claims, &mut snapshot)?;
        Ok(snapshot)
    }

    /// As [`snapshot`](Self::snapshot), behind what is there already.
    pub fn snapshot_to(
        &self,
        group: u8,
        with_claims: bool,
        snapshot: &mut Vec<u8>,
    ) -> Result<(), HostError> {
        own(&self.groups, group)?;
        let mut out = Writer::behind(core::mem::take(snapshot));
        let Common { watermark, timeline, keys, .. } = &self.common;
        out.u64(watermark.0);
        put_users(&mut out, with_claims.then_some(&self.stage), group, *watermark, timeline);
        out.part(self.pieces.of(group, || {
            let mut router = ClickRouter::new();
            self.waiting.iter().for_each(|event| router.put_event(event, keys));
            router.pieces()
        }));
        *snapshot = out.into_bytes();
        Ok(())
    }
}
