//! Which partitions a log has: those that it began with, and what layout records of partition 0
//! add. A record that does not follow the one before it changes nothing.

use crate::record::{Header, Layout};
use crate::types::{Millis, Partition};
use alloc::vec::Vec;
use core::ops::Range;

/// The partitions of a log, up to some record of partition 0.
#[derive(Clone, Debug)]
pub struct Layouts {
    log_id: [u8; 16],
    begun_with: u32,
    newest: Option<Layout>,
    /// Fold times of the layout records that counted.
    times: Vec<Millis>,
}

/// Why a layout record is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// It is not in partition 0.
    WrongPartition,
    /// It is of another log.
    OtherLog,
    /// Its number does not follow that of the layout in force.
    OtherNumber,
    /// It does not leave the parts before as they are, with one new part behind them.
    OtherParts,
}

impl core::fmt::Display for LayoutError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            LayoutError::WrongPartition => "it is not in partition 0",
            LayoutError::OtherLog => "it is of another log",
            LayoutError::OtherNumber => "its number does not follow the layout in force",
            LayoutError::OtherParts => "it is not the parts in force and one behind them",
        })
    }
}

impl Layouts {
    /// Of a log that has only begun.
    pub const fn new(header: &Header) -> Layouts {
        let (log_id, begun_with) = (header.log_id, header.partitions);
        Layouts { log_id, begun_with, newest: None, times: Vec::new() }
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> u32 {
        self.newest.as_ref().map_or(self.begun_with, Layout::partitions)
    }

    /// The layout in force; none while the log has the partitions that it began with.
    pub const fn newest(&self) -> Option<&Layout> {
        self.newest.as_ref()
    }

    /// Partitions that were added, each with the fold time at which it begins.
    pub fn added(&self) -> impl Iterator<Item = (Partition, Millis)> {
        let of = |(part, time): (usize, &Millis)| {
            let parts = self.newest.as_ref().map_or(&[][..], |newest| &newest.parts);
            let begin: u32 = parts.iter().take(part).map(|part| part.partitions).sum();
            let count = parts.get(part).map_or(0, |part| part.partitions);
            let time = *time;
            (begin..begin + count).map(move |number| (Partition(number), time))
        };
        (1..).zip(&self.times).flat_map(of)
    }

    /// Fold times of the layout records that counted.
    pub(crate) fn times(&self) -> &[Millis] {
        &self.times
    }

    /// Takes a layout record of this fold time; the partitions that it adds. The layout in force,
    /// said again, adds none.
    pub fn take(
        &mut self,
        partition: Partition,
        layout: &Layout,
        fold_time: Millis,
    ) -> Result<Range<u32>, LayoutError> {
        let now = self.partitions();
        if partition != Partition(0) {
            return Err(LayoutError::WrongPartition);
        }
        if layout.log_id != self.log_id {
            return Err(LayoutError::OtherLog);
        }
        if self.newest.as_ref() == Some(layout) {
            return Ok(now..now);
        }
        let (number, parts) = match &self.newest {
            Some(newest) => (newest.number, &newest.parts[..]),
            None => (0, &layout.parts[..1]),
        };
        if layout.number != number + 1 {
            return Err(LayoutError::OtherNumber);
        }
        let is_behind = layout.newest().start == now && layout.parts.len() == parts.len() + 1;
        if !is_behind || !layout.parts.starts_with(parts) {
            return Err(LayoutError::OtherParts);
        }
        self.newest = Some(layout.clone());
        self.times.push(fold_time);
        Ok(layout.newest())
    }

    /// As a snapshot has it; false if that is of another log.
    pub(crate) fn reinstate(&mut self, layout: Layout, times: Vec<Millis>) -> bool {
        let is_ours = layout.log_id == self.log_id
            && layout.begins(1).0 == self.begun_with
            && layout.parts.len() == times.len() + 1
            && layout.number as usize == times.len();
        (self.newest, self.times) = (Some(layout), times);
        is_ours
    }
}
