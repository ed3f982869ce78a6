//! A stage of the dataflow for some key groups, as a host that knows only bytes sees it.
//!
//! Opened, given the snapshots of its key groups if there are any, started; from then on it takes
//! frames and watermarks, and what comes of them waits until the host takes it.

use crate::error::StageError;
use crate::frames::{Frame, FrameReader, Frames, Port, Taken};
use crate::journalled::JournalledUser;
use crate::keyed::Keyed;
use crate::sequence::Sequences;
use click_core::hosted::{SourceHost, UserHost, WindowHost};
use click_core::limits::KEY_GROUPS;
use click_core::record::{Header, Kind as RecordKind, Record};
use click_core::types::Millis;
use std::ops::Range;

/// The stages. The numbers are those of the Java bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sequence of partition 0, where the policies are: on one machine, before all others.
    Lead = 0,
    /// Sequence of the other partitions.
    Sequence = 1,
    /// Duplicates and double clicks.
    User = 2,
    /// Bursts, verdicts, and the counting.
    Source = 3,
    /// Rows.
    Window = 4,
    /// As `User`, for hosts that keep a journal of what it remembers: told in frames, and left
    /// out of snapshots.
    JournalledUser = 5,
}

const KINDS: [Kind; 6] =
    [Kind::Lead, Kind::Sequence, Kind::User, Kind::Source, Kind::Window, Kind::JournalledUser];

impl Kind {
    /// The one with this number.
    pub fn of(number: i32) -> Result<Kind, StageError> {
        let kind = usize::try_from(number).ok().and_then(|number| KINDS.get(number));
        kind.copied().ok_or(StageError::Kind(number))
    }
}

/// The key groups from `first` to before `end`.
pub fn groups(first: i32, end: i32) -> Result<Range<u8>, StageError> {
    let number = |group: i32| u8::try_from(group).ok().filter(|g| u16::from(*g) <= KEY_GROUPS);
    match (number(first), number(end)) {
        (Some(first), Some(end)) if first <= end => Ok(first..end),
        _ => Err(StageError::Groups(first, end)),
    }
}

/// What every kind of stage does.
pub(crate) trait Work: Send {
    /// Takes a frame.
    fn apply(&mut self, frame: Frame<'_>, out: &mut Frames) -> Result<(), StageError>;
    /// Goes to `w`, or as far as its records allow, and says how far.
    fn advance(&mut self, w: Millis, out: &mut Frames) -> Result<Millis, StageError>;
    /// State of a key group, behind what is there already.
    fn snapshot(&self, group: u8, out: &mut Vec<u8>) -> Result<(), StageError>;
    /// Hands out the whole journal of a key group, where there is one.
    fn journal(&self, _group: u8, _out: &mut Frames) -> Result<(), StageError> {
        Err(StageError::Frames)
    }
    /// Records known to be missing.
    fn gaps(&self) -> u64 {
        0
    }
}

/// See the module.
pub struct Stage {
    kind: Kind,
    header: Header,
    groups: Range<u8>,
    snapshots: Vec<(u8, Vec<u8>)>,
    work: Option<Box<dyn Work>>,
    out: Frames,
}

impl Stage {
    /// For the log whose first record is `header`.
    pub fn open(kind: Kind, groups: Range<u8>, header: &[u8]) -> Result<Stage, StageError> {
        let record = Record::decode(header).map_err(|_| StageError::Header)?;
        let RecordKind::Header(header) = record.kind else { return Err(StageError::Header) };
        let (snapshots, out) = (Vec::new(), Frames::default());
        Ok(Stage { kind, header, groups, snapshots, work: None, out })
    }

    /// Adds to the snapshot of a key group; groups may come in any order, pieces of one in turn.
    pub fn restore(&mut self, group: u8, piece: &[u8]) -> Result<(), StageError> {
        if self.work.is_some() {
            return Err(StageError::Order);
        }
        match self.snapshots.iter_mut().find(|(known, _)| *known == group) {
            Some((_, snapshot)) => snapshot.extend_from_slice(piece),
            None => self.snapshots.push((group, piece.to_vec())),
        }
        Ok(())
    }

    /// Begins where the snapshots were taken, or at the beginning.
    pub fn start(&mut self) -> Result<(), StageError> {
        if self.work.is_some() {
            return Err(StageError::Order);
        }
        let (header, groups) = (&self.header, self.groups.clone());
        let snapshots = std::mem::take(&mut self.snapshots);
        self.work = Some(match self.kind {
            Kind::Lead => Box::new(Sequences::open(header, groups, true, &snapshots)?),
            Kind::Sequence => Box::new(Sequences::open(header, groups, false, &snapshots)?),
            Kind::User => Box::new(Keyed::<UserHost>::open(header, groups, &snapshots)?),
            Kind::Source => Box::new(Keyed::<SourceHost>::open(header, groups, &snapshots)?),
            Kind::Window => Box::new(Keyed::<WindowHost>::open(header, groups, &snapshots)?),
            Kind::JournalledUser => {
                Box::new(Keyed::<JournalledUser>::open(header, groups, &snapshots)?)
            }
        });
        Ok(())
    }

    /// Takes frames.
    pub fn apply(&mut self, frames: &[u8]) -> Result<(), StageError> {
        let work = self.work.as_mut().ok_or(StageError::Order)?;
        FrameReader::new(frames).try_for_each(|frame| work.apply(frame?, &mut self.out))
    }

    /// All frames with clicks below `w` have come: hands out what that brings about. A sequence
    /// stage goes no further than its records allow. Says how far it went.
    pub fn advance(&mut self, w: Millis) -> Result<Millis, StageError> {
        self.work.as_mut().ok_or(StageError::Order)?.advance(w, &mut self.out)
    }

    /// State of a key group as of the watermark, in place of what is in `out`.
    pub fn snapshot(&self, group: u8, out: &mut Vec<u8>) -> Result<(), StageError> {
        out.clear();
        self.work.as_ref().ok_or(StageError::Order)?.snapshot(group, out)
    }

    /// Hands out, as one journal, what all journals so far have come to for a key group.
    pub fn journal(&mut self, group: u8) -> Result<(), StageError> {
        self.work.as_ref().ok_or(StageError::Order)?.journal(group, &mut self.out)
    }

    /// Records known to be missing below the watermark; 0 but in sequence stages.
    pub fn gaps(&self) -> Result<u64, StageError> {
        Ok(self.work.as_ref().ok_or(StageError::Order)?.gaps())
    }

    /// Moves frames that wait into `buffer`.
    pub fn drain(&mut self, buffer: &mut [u8]) -> Taken {
        self.out.take(buffer)
    }

    /// Bytes of frames that wait.
    #[must_use]
    pub const fn pending(&self) -> usize {
        self.out.pending()
    }
}

/// Tells every key group of the stages that follow of policies.
pub(crate) fn put_to_all(out: &mut Frames, policies: &[u8]) {
    let groups = (0..).take(usize::from(KEY_GROUPS));
    groups.for_each(|group| out.put(Port::Policies, group, &[policies]));
}

/// Appends a length in 8 bytes and what follows it.
pub(crate) fn put_piece(out: &mut Vec<u8>, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.extend_from_slice(&(length as u64).to_le_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// Reads all that [`put_piece`] wrote.
pub(crate) fn pieces(mut bytes: &[u8]) -> Result<Vec<&[u8]>, StageError> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<8>().ok_or(StageError::Frames)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok();
        let split = length.and_then(|length| rest.split_at_checked(length));
        let (piece, rest) = split.ok_or(StageError::Frames)?;
        pieces.push(piece);
        bytes = rest;
    }
    Ok(pieces)
}
