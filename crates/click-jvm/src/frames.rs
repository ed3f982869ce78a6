//! What travels between a stage and its host: frames of a length in 4 bytes (little endian, of what
//! follows it), a port, a key group, and a payload that the port tells the meaning of.

use crate::error::StageError;
use click_core::limits::KEY_GROUPS;

/// What a frame holds, and where it goes. The numbers are those of the Java bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// A partition in 4 bytes and records of it, for a sequence stage.
    Records = 0,
    /// A batch for the stage that follows.
    Next = 1,
    /// All policies so far, for every stage that follows.
    Policies = 2,
    /// A length in 4 bytes and a row, of which so many bytes are its key.
    Row = 3,
    /// Verdicts.
    Verdicts = 4,
    /// Dead letters.
    DeadLetters = 5,
    /// An instant in 8 bytes as of which every row is in front of this frame, and in 4 the first
    /// minute whose ordinary rows can still change.
    Mark = 6,
    /// What a user stage remembers since the last such frame, for hosts that keep it.
    Journal = 7,
}

const PORTS: [Port; 8] = [
    Port::Records,
    Port::Next,
    Port::Policies,
    Port::Row,
    Port::Verdicts,
    Port::DeadLetters,
    Port::Mark,
    Port::Journal,
];
/// Bytes of the length of a frame.
const LENGTH: usize = 4;

/// A frame without its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub port: Port,
    /// Whose it is, of the stage that reads it; 0 if it leaves the dataflow.
    pub group: u8,
    /// Its content.
    pub payload: &'a [u8],
}

/// Reads frames.
pub struct FrameReader<'a>(&'a [u8]);

impl<'a> FrameReader<'a> {
    /// From the beginning of a buffer.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> FrameReader<'a> {
        FrameReader(bytes)
    }
}

impl<'a> Iterator for FrameReader<'a> {
    type Item = Result<Frame<'a>, StageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let Some((bytes, rest)) = split(self.0) else {
            self.0 = &[];
            return Some(Err(StageError::Frames));
        };
        self.0 = rest;
        Some(frame(bytes).ok_or(StageError::Frames))
    }
}

/// The first frame without its length, and what follows it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

fn frame(bytes: &[u8]) -> Option<Frame<'_>> {
    let ([port, group], payload) = bytes.split_first_chunk::<2>()?;
    let port = *PORTS.get(usize::from(*port))?;
    (u16::from(*group) < KEY_GROUPS).then_some(Frame { port, group: *group, payload })
}

/// Frames on their way to the host, who takes as many at once as its buffer holds.
#[derive(Default)]
pub struct Frames {
    bytes: Vec<u8>,
    taken: usize,
}

impl Frames {
    /// Adds a frame of several pieces.
    ///
    /// # Panics
    /// If it is of 4 GiB or more.
    pub fn put(&mut self, port: Port, group: u8, pieces: &[&[u8]]) {
        let length: usize = 2 + pieces.iter().map(|piece| piece.len()).sum::<usize>();
        let length = u32::try_from(length).expect("a frame below 4 GiB");
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(&[port as u8, group]);
        pieces.iter().for_each(|piece| self.bytes.extend_from_slice(piece));
    }

    /// Bytes that have not been taken.
    #[must_use]
    pub const fn pending(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// Moves as many whole frames as fit into `buffer`.
    pub fn take(&mut self, buffer: &mut [u8]) -> Taken {
        let waiting = &self.bytes[self.taken..];
        let mut whole = 0;
        while let Some((frame, _)) = split(&waiting[whole..]) {
            let end = whole + LENGTH + frame.len();
            if end > buffer.len() {
                break;
            }
            whole = end;
        }
        if whole == 0 {
            let next = split(waiting).map_or(0, |(frame, _)| LENGTH + frame.len());
            return if next == 0 { Taken::Bytes(0) } else { Taken::TooSmall(next) };
        }
        buffer[..whole].copy_from_slice(&waiting[..whole]);
        self.taken += whole;
        if self.pending() == 0 {
            self.bytes.clear();
            self.taken = 0;
        }
        Taken::Bytes(whole)
    }
}

/// What came of taking frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// So many bytes of whole frames; 0 if there are none.
    Bytes(usize),
    /// The next frame alone takes so many.
    TooSmall(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_whole_and_read_as_they_were_put() {
        let mut frames = Frames::default();
        frames.put(Port::Next, 7, &[b"ab", b"c"]);
        frames.put(Port::Row, 0, &[b"longer"]);
        let mut buffer = [0; 16];
        assert_eq!(frames.take(&mut buffer[..3]), Taken::TooSmall(9));
        assert_eq!(frames.take(&mut buffer), Taken::Bytes(9));
        let read: Vec<_> = FrameReader::new(&buffer[..9]).collect();
        assert_eq!(read, [Ok(Frame { port: Port::Next, group: 7, payload: b"abc" })]);
        assert_eq!(frames.pending(), 12);
        assert_eq!(frames.take(&mut buffer), Taken::Bytes(12));
        assert_eq!(frames.take(&mut buffer), Taken::Bytes(0));
    }

    #[test]
    fn other_bytes_are_refused() {
        for bytes in [&[1][..], &[9, 0, 0, 0, 1, 2], &[2, 0, 0, 0, 8, 0], &[2, 0, 0, 0, 1, 128]] {
            assert_eq!(FrameReader::new(bytes).last(), Some(Err(StageError::Frames)), "{bytes:?}");
        }
    }
}
