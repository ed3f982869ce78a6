//! The state file: magic, length, body, CRC32C. The body is written field by field, little-endian.

use click_core::fold::SnapshotPart;
use click_core::planted::{Bug, planted};
use click_core::types::{Millis, Offset};
use std::convert::Infallible;

const MAGIC: &[u8; 8] = b"CLKSTAT3";
const COMMON: u16 = u16::MAX;

/// A run file and how much of it belongs to a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRef {
    /// Number in the file name.
    pub number: u64,
    /// Bytes from the beginning.
    pub len: u64,
    /// Fold time of the newest claim in them.
    pub newest: Millis,
}

/// State as of a watermark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log it belongs to.
    pub log_id: [u8; 16],
    /// That log's generation.
    pub generation: u16,
    /// W.
    pub watermark: Millis,
    /// The store had confirmed everything changed before this.
    pub store_mark: Millis,
    /// First offset with `fold_time >= W`, per partition.
    pub positions: Vec<Offset>,
    /// The journal of the dedup set.
    pub runs: Vec<RunRef>,
    /// Rows that the store had not confirmed, encoded.
    pub waiting_rows: Vec<u8>,
    /// Everything else.
    pub parts: Vec<SnapshotPart>,
}

impl Checkpoint {
    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let Ok(()) = self.encode_to(|piece| {
            out.extend_from_slice(piece);
            Ok::<_, Infallible>(())
        });
        out
    }

    /// Hands out the same, piece by piece.
    pub fn encode_to<E>(&self, mut put: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let head = self.head();
        let heads = self.parts.iter().map(part_head);
        let parts = self.parts.iter().map(SnapshotPart::bytes);
        let parts: Vec<_> = heads.zip(parts).collect();
        let pieces = parts.iter().flat_map(|(head, bytes)| [head.as_slice(), bytes]);
        let count = (self.parts.len() as u64).to_le_bytes();
        let body = [&head, &*self.waiting_rows, &count];
        let len: usize = body.into_iter().chain(pieces.clone()).map(<[u8]>::len).sum();
        let mut sum = 0;
        let begin = [*MAGIC, (len as u64).to_le_bytes()];
        for piece in std::iter::once(begin.as_flattened()).chain(body).chain(pieces) {
            sum = crc32c::crc32c_append(sum, piece);
            put(piece)?;
        }
        put(&sum.to_le_bytes())
    }

    /// What is before the rows, and their length.
    fn head(&self) -> Vec<u8> {
        let mut out = Vec::from(self.log_id);
        put_u64(&mut out, u64::from(self.generation));
        put_u64(&mut out, self.watermark.0);
        put_u64(&mut out, self.store_mark.0);
        put_u64(&mut out, self.positions.len() as u64);
        self.positions.iter().for_each(|position| put_u64(&mut out, position.0));
        put_u64(&mut out, self.runs.len() as u64);
        for run in &self.runs {
            [run.number, run.len, run.newest.0]
                .into_iter()
                .for_each(|value| put_u64(&mut out, value));
        }
        put_u64(&mut out, self.waiting_rows.len() as u64);
        out
    }

    /// Reads a file; says what is wrong with one that is not whole.
    pub fn decode(bytes: &[u8]) -> Result<Checkpoint, String> {
        let (content, sum) = bytes.split_last_chunk::<4>().ok_or("shorter than a checksum")?;
        let whole = crc32c::crc32c(content) == u32::from_le_bytes(*sum);
        if !whole && !planted(Bug::StateChecksumIgnored) {
            return Err("its checksum does not match".into());
        }
        let mut input = Input { bytes: content };
        if input.body_len()? != input.bytes.len() as u64 {
            return Err("its length does not match".into());
        }
        input.checkpoint()
    }

    /// The runs that a file names, which begins with these bytes: all that must be known of a
    /// checkpoint to keep what it needs. Not verified, as one that is damaged needs nothing.
    pub fn runs_in(head: &[u8]) -> Result<Vec<RunRef>, String> {
        let mut input = Input { bytes: head };
        input.body_len()?;
        Ok(input.head()?.runs)
    }
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Tag and length of a part.
fn part_head(part: &SnapshotPart) -> [u8; 16] {
    let tag = match part {
        SnapshotPart::Common(_) => COMMON,
        SnapshotPart::Group(group, _) => u16::from(*group),
    };
    let mut head = [0; 16];
    head[..8].copy_from_slice(&u64::from(tag).to_le_bytes());
    head[8..].copy_from_slice(&(part.bytes().len() as u64).to_le_bytes());
    head
}

struct Input<'a> {
    bytes: &'a [u8],
}

impl Input<'_> {
    fn u64(&mut self) -> Result<u64, String> {
        let (head, rest) = self.bytes.split_first_chunk().ok_or("cut short")?;
        self.bytes = rest;
        Ok(u64::from_le_bytes(*head))
    }

    fn len(&mut self) -> Result<usize, String> {
        let len = usize::try_from(self.u64()?).map_err(|_| "a length is too large")?;
        if len > self.bytes.len() { Err("a length is too large".into()) } else { Ok(len) }
    }

    fn take(&mut self, len: usize) -> Result<Vec<u8>, String> {
        let (head, rest) = self.bytes.split_at_checked(len).ok_or("cut short")?;
        self.bytes = rest;
        Ok(head.to_vec())
    }

    fn bytes(&mut self) -> Result<Vec<u8>, String> {
        let len = self.len()?;
        self.take(len)
    }

    /// The length of the body, which follows.
    fn body_len(&mut self) -> Result<u64, String> {
        self.bytes = self.bytes.strip_prefix(MAGIC).ok_or("not a state file of this version")?;
        self.u64()
    }

    /// Everything but rows and parts.
    fn head(&mut self) -> Result<Checkpoint, String> {
        let log_id = self.take(16)?.try_into().map_err(|_| "cut short")?;
        let generation = u16::try_from(self.u64()?).map_err(|_| "bad generation")?;
        let (watermark, store_mark) = (Millis(self.u64()?), Millis(self.u64()?));
        let positions =
            (0..self.u64()?).map(|_| self.u64().map(Offset)).collect::<Result<_, _>>()?;
        let runs = (0..self.u64()?).map(|_| self.run()).collect::<Result<_, _>>()?;
        Ok(Checkpoint {
            log_id,
            generation,
            watermark,
            store_mark,
            positions,
            runs,
            waiting_rows: Vec::new(),
            parts: Vec::new(),
        })
    }

    fn checkpoint(&mut self) -> Result<Checkpoint, String> {
        let head = self.head()?;
        let waiting_rows = self.bytes()?;
        let parts = (0..self.len()?).map(|_| self.part()).collect::<Result<_, _>>()?;
        Ok(Checkpoint { waiting_rows, parts, ..head })
    }

    fn run(&mut self) -> Result<RunRef, String> {
        Ok(RunRef { number: self.u64()?, len: self.u64()?, newest: Millis(self.u64()?) })
    }

    fn part(&mut self) -> Result<SnapshotPart, String> {
        let tag = u16::try_from(self.u64()?).map_err(|_| "bad part")?;
        let bytes = self.bytes()?;
        match u8::try_from(tag) {
            _ if tag == COMMON => Ok(SnapshotPart::Common(bytes)),
            Ok(group) => Ok(SnapshotPart::Group(group, bytes)),
            Err(_) => Err("bad part".into()),
        }
    }
}
