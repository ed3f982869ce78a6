//! The state file: magic, length, body, CRC32C. The body is written field by field, little-endian.

use click_core::fold::SnapshotPart;
use click_core::planted::{Bug, planted};
use click_core::types::{Millis, Offset};

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
        let mut out = Vec::with_capacity(4096);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[0; 8]);
        self.put_body(&mut out);
        let len = (out.len() - 16) as u64;
        out[8..16].copy_from_slice(&len.to_le_bytes());
        let sum = crc32c::crc32c(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    fn put_body(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.log_id);
        put_u64(out, u64::from(self.generation));
        put_u64(out, self.watermark.0);
        put_u64(out, self.store_mark.0);
        put_u64(out, self.positions.len() as u64);
        self.positions.iter().for_each(|position| put_u64(out, position.0));
        put_u64(out, self.runs.len() as u64);
        for run in &self.runs {
            [run.number, run.len, run.newest.0].into_iter().for_each(|value| put_u64(out, value));
        }
        put_bytes(out, &self.waiting_rows);
        put_u64(out, self.parts.len() as u64);
        for part in &self.parts {
            let (tag, bytes) = match part {
                SnapshotPart::Common(bytes) => (COMMON, bytes),
                SnapshotPart::Group(group, bytes) => (u16::from(*group), bytes),
            };
            put_u64(out, u64::from(tag));
            put_bytes(out, bytes);
        }
    }

    /// Reads a file; says what is wrong with one that is not whole.
    pub fn decode(bytes: &[u8]) -> Result<Checkpoint, String> {
        let (content, sum) = bytes.split_last_chunk::<4>().ok_or("shorter than a checksum")?;
        let whole = crc32c::crc32c(content) == u32::from_le_bytes(*sum);
        if !whole && !planted(Bug::StateChecksumIgnored) {
            return Err("its checksum does not match".into());
        }
        let body = content.strip_prefix(MAGIC).ok_or("not a state file of this version")?;
        let mut input = Input { bytes: body };
        if input.u64()? != input.bytes.len() as u64 {
            return Err("its length does not match".into());
        }
        input.checkpoint()
    }
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
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

    fn checkpoint(&mut self) -> Result<Checkpoint, String> {
        let log_id = self.take(16)?.try_into().map_err(|_| "cut short")?;
        let generation = u16::try_from(self.u64()?).map_err(|_| "bad generation")?;
        let (watermark, store_mark) = (Millis(self.u64()?), Millis(self.u64()?));
        let positions =
            (0..self.len()?).map(|_| self.u64().map(Offset)).collect::<Result<_, _>>()?;
        let runs = (0..self.len()?).map(|_| self.run()).collect::<Result<_, _>>()?;
        let waiting_rows = self.bytes()?;
        let parts = (0..self.len()?).map(|_| self.part()).collect::<Result<_, _>>()?;
        Ok(Checkpoint {
            log_id,
            generation,
            watermark,
            store_mark,
            positions,
            runs,
            waiting_rows,
            parts,
        })
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
