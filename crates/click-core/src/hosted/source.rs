//! The source stage of some key groups, with the counting that follows it.

use super::effects::put_verdict;
use super::packed::{ClickRouter, Unpacker};
use super::pieces::Pieces;
use super::route::{Routed, Router};
use super::{Common, GroupSnapshot, HostError, make_room, own, take_below};
use crate::codec::{Delta, put_delta};
use crate::limits::LOOK_AHEAD_MS;
use crate::record::Header;
use crate::snapshot::{Reader, Writer};
use crate::stage::event::Facts;
use crate::stage::partial::Partials;
use crate::stage::source::SourceStage;
use crate::types::Millis;
use alloc::vec::Vec;
use core::ops::Range;

/// The source stage of some key groups.
pub struct SourceHost {
    groups: Range<u8>,
    common: Common,
    stage: SourceStage,
    /// Clicks not below the watermark.
    waiting: Vec<Facts>,
    pieces: Pieces,
    unpacker: Unpacker,
}

/// What comes of the source stage.
#[derive(Debug, Default)]
pub struct Sourced {
    /// Partial counts for the window stage.
    pub counts: Routed,
    /// Verdicts that became final.
    pub verdicts: Vec<u8>,
}

impl SourceHost {
    /// For these key groups, with the policies so far, empty or where snapshots were taken.
    pub fn open(
        header: &Header,
        groups: Range<u8>,
        policies: Option<&[u8]>,
        snapshots: &[GroupSnapshot<'_>],
    ) -> Result<SourceHost, HostError> {
        let mut common = Common::with(header, policies)?;
        let (mut waiting, mut unpacker) = (Vec::new(), Unpacker::default());
        for (group, mut input) in common.open_snapshots(&groups, snapshots)? {
            unpacker.begin();
            while !input.is_empty() {
                let click = unpacker.take_click(&mut input, &mut common.keys)?;
                own(&(group..group + 1), click.source_stage_group())?;
                // Whoever waits below the watermark is not final at it.
                common.in_time(click.fold_time.plus(LOOK_AHEAD_MS - 1))?;
                waiting.push(click);
            }
        }
        let clicks = take_below(&mut waiting, common.watermark, |click| click);
        let mut stage = SourceStage::default();
        stage.restore(&clicks, &common.timeline);
        Ok(SourceHost { groups, common, stage, waiting, pieces: Pieces::default(), unpacker })
    }

    /// Takes clicks of the user stages.
    pub fn apply(&mut self, clicks: &[u8]) -> Result<(), HostError> {
        self.pieces.forget();
        self.unpacker.begin();
        let mut input = Reader::new(clicks);
        while !input.is_empty() {
            let click = self.unpacker.take_click(&mut input, &mut self.common.keys)?;
            own(&self.groups, click.source_stage_group())?;
            self.common.in_time(click.fold_time)?;
            self.waiting.push(click);
        }
        Ok(())
    }

    /// Takes announced policies.
    pub fn learn(&mut self, policies: &[u8]) -> Result<(), HostError> {
        self.common.learn(policies)
    }

    /// Counts everything below `w` and decides what is final then.
    pub fn advance(&mut self, w: Millis) -> Sourced {
        self.pieces.forget();
        let before = self.common.watermark;
        if !self.common.reach(w) {
            return Sourced::default();
        }
        let clicks = take_below(&mut self.waiting, w, |click| click);
        self.stage.apply(clicks.iter(), &self.common.timeline);
        make_room(&mut self.waiting, clicks);
        let (mut verdicts, mut router) = (Vec::new(), Router::new());
        let grid = w.grid_floor();
        // Apart, so that rows can be published as of the grid.
        for (from, to) in [(before, grid), (before.max(grid), w)] {
            let since = from.plus(1).grid_ceil();
            let mut partials = Partials::default();
            self.stage.advance(to, &mut partials, &mut verdicts);
            let keys = &self.common.keys;
            for (slot, partial) in partials.iter() {
                let delta = Delta { slot: *slot, partial: *partial, since };
                put_delta(router.to(keys.group(slot.key)), &delta, keys);
            }
        }
        let mut out = Writer::default();
        verdicts.iter().for_each(|verdict| put_verdict(&mut out, verdict));
        Sourced { counts: router.finish(), verdicts: out.into_bytes() }
    }

    /// State of a key group as of the watermark.
    pub fn snapshot(&self, group: u8) -> Result<Vec<u8>, HostError> {
        own(&self.groups, group)?;
        let mut out = self.common.begin_snapshot();
        out.part(self.pieces.of(group, || {
            let mut router = ClickRouter::new();
            let clicks = self.stage.waiting().chain(&self.waiting);
            clicks.for_each(|click| router.put_click(click, &self.common.keys));
            router.pieces()
        }));
        Ok(out.into_bytes())
    }
}
