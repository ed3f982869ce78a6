//! The stages one by one, bytes in and bytes out, for hosts that spread them over machines. The
//! same stages as in [`crate::fold::Fold`], which is simpler and faster where one process does.
//!
//! A host routes each batch to whoever owns its key group, hands every stage the policies, and
//! calls `advance(w)` once everything below `w` has arrived. Whatever is not below `w` waits in the
//! stage and is part of its snapshot. Batches of the same key group may be joined end to end.
//!
//! ```text
//! records -> SequenceHost -clicks-> UserHost -clicks-> SourceHost -counts-> WindowHost -> rows
//!            a partition  by user            by source            by row key
//! ```
//!
//! `docs/formats/stages.md` describes the bytes.

mod effects;
mod packed;
mod pieces;
mod route;
mod sequence;
mod source;
mod user;
mod window;

pub use effects::{
    HostedDeadLetter, RowBytes, VERDICT_BYTES, decode_dead_letters, decode_published,
    decode_verdicts, split_published,
};
pub use route::Routed;
pub use sequence::{Announced, SequenceHost, Sequenced, put_record};
pub use source::{SourceHost, Sourced};
pub use user::{UserHost, Users};
pub use window::{Whole, WindowHost};

use crate::codec::{put_timeline, take_timeline};
use crate::hash::Identity;
use crate::keys::KeyTable;
use crate::policy::Timeline;
use crate::record::Header;
use crate::snapshot::{Reader, SnapshotError, Writer};
use crate::stage::event::Facts;
use crate::types::Millis;
use alloc::vec::Vec;
use core::ops::Range;

/// Why a stage refuses what a host hands it; the stage is then unchanged or to be thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    /// No bytes of this kind, or cut short.
    Malformed,
    /// A click or count of a key group that the stage does not own.
    OtherGroup,
    /// A click or count below the watermark that the stage has reached.
    TooLate,
    /// A watermark beyond what the partition's records allow, or not announced before.
    OutOfTurn,
    /// Snapshots of different watermarks.
    OtherWatermark,
    /// The first record of a partition that was never read is not the log's first.
    NoBeginning,
    /// More offsets in a row without a record than any log has.
    Hole,
    /// Counts that cannot follow those before them: more decided than known, or beyond all bounds.
    Contradiction,
    /// The log has more partitions from here on, which hosts do not follow.
    Layout,
}

impl core::fmt::Display for HostError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            HostError::Malformed => "not a batch or snapshot of this kind, or cut short",
            HostError::OtherGroup => "a key group that this stage was not opened for",
            HostError::TooLate => "input below the watermark that the stage has reached",
            HostError::OutOfTurn => "announce each watermark once before advancing to it",
            HostError::OtherWatermark => {
                "snapshots of one stage were taken at different watermarks"
            }
            HostError::NoBeginning => {
                "the log's beginning is gone: open from a snapshot, or with a log that has it"
            }
            HostError::Hole => "too many offsets without a record: was the log read on elsewhere?",
            HostError::Contradiction => "counts that cannot follow those taken before",
            HostError::Layout => {
                "the log has moved to more partitions, which this host does not follow: fold it \
                 by `clickledger serve`"
            }
        })
    }
}

impl core::error::Error for HostError {}

impl From<SnapshotError> for HostError {
    fn from(_: SnapshotError) -> HostError {
        HostError::Malformed
    }
}

/// What a stage snapshot is of, and its bytes.
pub type GroupSnapshot<'a> = (u8, &'a [u8]);

/// What every hosted stage has.
struct Common {
    generation: u16,
    timeline: Timeline,
    keys: KeyTable,
    watermark: Millis,
}

impl Common {
    fn new(header: &Header) -> Common {
        Common {
            keys: KeyTable::new(Identity::new(&header.log_id)),
            generation: header.generation,
            timeline: Timeline::default(),
            watermark: Millis(0),
        }
    }

    fn with(header: &Header, policies: Option<&[u8]>) -> Result<Common, HostError> {
        let mut common = Common::new(header);
        policies.map_or(Ok(()), |policies| common.learn(policies))?;
        Ok(common)
    }

    fn policies(&self) -> Vec<u8> {
        let mut out = Writer::default();
        put_timeline(&mut out, &self.timeline);
        out.into_bytes()
    }

    /// Policies are only ever added: the longer of two lists is the newer.
    fn learn(&mut self, policies: &[u8]) -> Result<(), HostError> {
        let mut input = Reader::new(policies);
        let timeline = take_timeline(&mut input)?;
        input.end()?;
        if timeline.entries().count() > self.timeline.entries().count() {
            self.timeline = timeline;
        }
        Ok(())
    }

    /// Moves the watermark on; false if it is there already.
    fn reach(&mut self, w: Millis) -> bool {
        let later = w > self.watermark;
        self.watermark = self.watermark.max(w);
        later
    }

    /// Begins a key group's snapshot.
    fn begin_snapshot(&self) -> Writer {
        let mut out = Writer::default();
        out.u64(self.watermark.0);
        out
    }

    /// Begins to read the snapshots of some key groups, all taken at one watermark.
    fn open_snapshots<'a>(
        &mut self,
        groups: &Range<u8>,
        snapshots: &[GroupSnapshot<'a>],
    ) -> Result<Vec<(u8, Reader<'a>)>, HostError> {
        let mut inputs = Vec::new();
        for (group, bytes) in snapshots {
            own(groups, *group)?;
            let mut input = Reader::new(bytes);
            let watermark = input.time()?;
            if !inputs.is_empty() && watermark != self.watermark {
                return Err(HostError::OtherWatermark);
            }
            self.watermark = watermark;
            inputs.push((*group, input));
        }
        Ok(inputs)
    }

    const fn in_time(&self, time: Millis) -> Result<(), HostError> {
        if time.0 < self.watermark.0 { Err(HostError::TooLate) } else { Ok(()) }
    }
}

/// Takes what is below `w` out of waiting clicks, in fold order.
fn take_below<T>(waiting: &mut Vec<T>, w: Millis, facts: impl Fn(&T) -> &Facts) -> Vec<T> {
    waiting.sort_by_key(|click| facts(click).fold_order());
    let below = waiting.partition_point(|click| facts(click).fold_time < w);
    let later = waiting.split_off(below);
    core::mem::replace(waiting, later)
}

/// Clicks that are done with make room for those that come: the memory for a batch of many is not
/// to be had from the system each time.
fn make_room<T>(waiting: &mut Vec<T>, mut done: Vec<T>) {
    done.clear();
    if done.capacity() > waiting.capacity() {
        done.append(waiting);
        *waiting = done;
    }
}

fn own(groups: &Range<u8>, group: u8) -> Result<(), HostError> {
    if groups.contains(&group) { Ok(()) } else { Err(HostError::OtherGroup) }
}
