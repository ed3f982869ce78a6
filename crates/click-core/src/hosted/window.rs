//! The window stage of some key groups.

use super::effects::put_published;
use super::{Common, GroupSnapshot, HostError, own};
use crate::codec::{Delta, put_delta, put_rows, take_delta, take_rows};
use crate::record::Header;
use crate::snapshot::{Reader, Writer};
use crate::stage::event::Slot;
use crate::stage::partial::Partial;
use crate::stage::window::{OpenRow, Publish, WindowStage};
use crate::types::Millis;
use alloc::vec::Vec;
use core::ops::Range;

/// The window stage of some key groups.
pub struct WindowHost {
    groups: Range<u8>,
    common: Common,
    stage: WindowStage,
    /// Counts of which nothing is to be published yet.
    waiting: Vec<Delta>,
}

impl WindowHost {
    /// For these key groups, with the policies so far, empty or where snapshots were taken.
    pub fn open(
        header: &Header,
        groups: Range<u8>,
        policies: Option<&[u8]>,
        snapshots: &[GroupSnapshot<'_>],
    ) -> Result<WindowHost, HostError> {
        let mut common = Common::with(header, policies)?;
        let (mut stage, mut waiting) = (WindowStage::default(), Vec::new());
        for (_, mut input) in common.open_snapshots(&groups, snapshots)? {
            for row in take_rows(&mut input, &mut common.keys)? {
                stage.restore(&row, common.watermark);
            }
            while !input.is_empty() {
                waiting.push(take_delta(&mut input, &mut common.keys)?);
            }
        }
        Ok(WindowHost { groups, common, stage, waiting })
    }

    /// Takes counts of the source stages.
    pub fn apply(&mut self, counts: &[u8]) -> Result<(), HostError> {
        let mut input = Reader::new(counts);
        while !input.is_empty() {
            let delta = take_delta(&mut input, &mut self.common.keys)?;
            own(&self.groups, self.common.keys.group(delta.slot.key))?;
            self.common.in_time(delta.since)?;
            self.waiting.push(delta);
        }
        Ok(())
    }

    /// Takes announced policies.
    pub fn learn(&mut self, policies: &[u8]) -> Result<(), HostError> {
        self.common.learn(policies)
    }

    /// Hands out the rows that changed up to the last grid instant at or before `w`, true as of it.
    /// A row whose source stages ran ahead without a stop at that instant waits for the next one.
    pub fn advance(&mut self, w: Millis) -> Vec<u8> {
        let mut out = Writer::default();
        if !self.common.reach(w) {
            return out.into_bytes();
        }
        let grid = w.grid_floor();
        let due: Vec<(Slot, Partial)> = self
            .waiting
            .extract_if(.., |delta| delta.since <= grid)
            .map(|delta| (delta.slot, delta.partial))
            .collect();
        self.stage.apply(&due);
        let Common { generation, keys, timeline, .. } = &self.common;
        let mut rows = Vec::new();
        let generation = *generation;
        self.stage.publish(grid, &mut Publish { generation, keys, timeline, rows: &mut rows });
        rows.iter().for_each(|row| put_published(&mut out, row));
        out.into_bytes()
    }

    /// State of a key group as of the watermark.
    pub fn snapshot(&self, group: u8) -> Result<Vec<u8>, HostError> {
        own(&self.groups, group)?;
        let keys = &self.common.keys;
        let is_here = |slot: &Slot| keys.group(slot.key) == group;
        let rows: Vec<OpenRow> = self.stage.rows().filter(|row| is_here(&row.slot)).collect();
        let mut out = self.common.begin_snapshot();
        put_rows(&mut out, &rows, keys);
        let waiting = self.waiting.iter().filter(|delta| is_here(&delta.slot));
        waiting.for_each(|delta| put_delta(&mut out, delta, keys));
        Ok(out.into_bytes())
    }
}
