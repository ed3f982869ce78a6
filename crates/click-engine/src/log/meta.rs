//! The two small files beside the segments: `log.meta` says what the log is and never changes;
//! `mark` says up to where every partition is known to be durable.
//!
//! The mark has two slots. Unsynced updates always go to the slot that is not the last synced one,
//! so that one slot survives any torn write. Must never name an end that is not durable.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::format::{u32_at, u64_at};
use super::{LogError, LogId, MAX_PARTITIONS};
use crate::disk::{Disk, DiskFile, OpenMode, read_file, write_file_durable};

const META: &str = "log.meta";
const MARK: &str = "mark";
const META_LIMIT: u64 = 4096;
const SLOT: usize = 4096;
const MARK_MAGIC: &[u8; 8] = b"CLKMARK1";
/// Magic, log id, sequence, count.
const MARK_HEADER: usize = 8 + 16 + 8 + 4;

/// What the log is; fixed when it was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meta {
    pub id: LogId,
    pub generation: u16,
    pub partitions: u32,
}

impl Meta {
    /// Errors: `Io` if the system cannot tell.
    pub fn exists(disk: &dyn Disk, dir: &Path) -> Result<bool, LogError> {
        let path = dir.join(META);
        match disk.open(&path, OpenMode::Read) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            Err(e) => Err(LogError::io("cannot open", &path, &e)),
        }
    }

    pub fn write(&self, disk: &dyn Disk, dir: &Path) -> Result<(), LogError> {
        let path = dir.join(META);
        let body = self.body();
        let text = format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes()));
        let done = write_file_durable(disk, &path, text.as_bytes());
        done.map_err(|e| LogError::io("cannot write", &path, &e))
    }

    /// Errors: `NoLog` if there is none, `Corrupt` if it cannot be read.
    pub fn read(disk: &dyn Disk, dir: &Path) -> Result<Self, LogError> {
        let path = dir.join(META);
        let bytes = read_file(disk, &path, META_LIMIT).map_err(|e| {
            if e.kind() == ErrorKind::NotFound {
                return LogError::NoLog { path: dir.display().to_string().into() };
            }
            LogError::io("cannot read", &path, &e)
        })?;
        let text = String::from_utf8_lossy(&bytes);
        Self::parse(&text).map_err(|reason| LogError::corrupt(&path, 0, 0, reason))
    }

    fn body(&self) -> String {
        let Meta { id, generation, partitions } = self;
        format!(
            "clickledger-log 1\nlog_id {id}\ngeneration {generation}\npartitions {partitions}\n"
        )
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let (body, crc) = text.split_once("crc32c ").ok_or("checksum line missing")?;
        if crc.trim_end() != format!("{:08x}", crc32c::crc32c(body.as_bytes())) {
            return Err("checksum does not match");
        }
        let value = |key: &str| body.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(' '));
        if value("clickledger-log") != Some("1") {
            return Err("unknown format version");
        }
        let id = value("log_id").and_then(parse_id).ok_or("bad log_id")?;
        let generation =
            value("generation").and_then(|v| v.parse().ok()).ok_or("bad generation")?;
        let partitions =
            value("partitions").and_then(|v| v.parse().ok()).ok_or("bad partitions")?;
        if partitions == 0 || partitions > MAX_PARTITIONS {
            return Err("bad partitions");
        }
        Ok(Meta { id, generation, partitions })
    }
}

fn parse_id(hex: &str) -> Option<LogId> {
    let value = u128::from_str_radix(hex, 16).ok()?;
    (hex.len() == 32).then(|| LogId(value.to_be_bytes()))
}

/// The durable high-water mark, open for updating.
pub(crate) struct Mark {
    file: Arc<dyn DiskFile>,
    id: LogId,
    sequence: u64,
    /// Slot holding the last synced state; the other one takes updates.
    synced_slot: usize,
    dirty: bool,
    buffer: Vec<u8>,
}

impl Mark {
    /// Writes a fresh mark with all ends 0, durably.
    pub fn create(disk: &dyn Disk, dir: &Path, meta: &Meta) -> Result<(), LogError> {
        let path = dir.join(MARK);
        let mut bytes = vec![0; 2 * SLOT];
        let ends = vec![0; meta.partitions as usize];
        let slot = encode(meta.id, 1, &ends);
        bytes[..slot.len()].copy_from_slice(&slot);
        let done = write_file_durable(disk, &path, &bytes);
        done.map_err(|e| LogError::io("cannot write", &path, &e))
    }

    /// Opens the mark; also returns the ends it names, one per partition.
    pub fn open(
        disk: &dyn Disk,
        dir: &Path,
        meta: &Meta,
        mode: OpenMode,
    ) -> Result<(Self, Vec<u64>), LogError> {
        let path = dir.join(MARK);
        let file = disk.open(&path, mode).map_err(|e| LogError::io("cannot open", &path, &e))?;
        let mut bytes = vec![0; 2 * SLOT];
        file.read_at(0, &mut bytes).map_err(|e| LogError::io("cannot read", &path, &e))?;
        let slots = [decode(&bytes[..SLOT], meta), decode(&bytes[SLOT..], meta)];
        let newest = slots.into_iter().enumerate().filter_map(|(i, s)| Some((i, s?)));
        let newest = newest.max_by_key(|(_, (sequence, _))| *sequence);
        let Some((synced_slot, (sequence, ends))) = newest else {
            return Err(LogError::corrupt(&path, 0, 0, "no valid slot of this log"));
        };
        if mode == OpenMode::Write {
            // The newest slot may be one a killed process left unsynced: make it the synced one.
            file.sync_data().map_err(|e| LogError::io("cannot sync", &path, &e))?;
        }
        let (id, buffer) = (meta.id, Vec::new());
        Ok((Mark { file, id, sequence, synced_slot, dirty: false, buffer }, ends))
    }

    /// Notes durable ends. Survives the process; survives the machine after [`sync`](Self::sync).
    pub fn update(&mut self, ends: impl Iterator<Item = u64>) -> std::io::Result<()> {
        self.sequence += 1;
        self.buffer.clear();
        encode_into(&mut self.buffer, self.id, self.sequence, ends);
        self.dirty = true;
        self.file.write_at(((1 - self.synced_slot) * SLOT) as u64, &self.buffer)
    }

    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    pub fn sync(&mut self) -> std::io::Result<()> {
        if self.dirty {
            self.file.sync_data()?;
            self.synced_slot = 1 - self.synced_slot;
            self.dirty = false;
        }
        Ok(())
    }
}

fn encode(id: LogId, sequence: u64, ends: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_into(&mut bytes, id, sequence, ends.iter().copied());
    bytes
}

/// `magic 8, log id 16, sequence u64, count u32, ends u64 each, crc32c of all before`.
fn encode_into(out: &mut Vec<u8>, id: LogId, sequence: u64, ends: impl Iterator<Item = u64>) {
    out.extend_from_slice(MARK_MAGIC);
    out.extend_from_slice(&id.0);
    out.extend_from_slice(&sequence.to_le_bytes());
    let count_at = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut count = 0_u32;
    for end in ends {
        out.extend_from_slice(&end.to_le_bytes());
        count += 1;
    }
    out[count_at..count_at + 4].copy_from_slice(&count.to_le_bytes());
    let crc = crc32c::crc32c(out);
    out.extend_from_slice(&crc.to_le_bytes());
    assert!(out.len() <= SLOT, "mark slot overflow");
}

/// `(sequence, ends)` of a slot, if it is whole and of this log.
fn decode(slot: &[u8], meta: &Meta) -> Option<(u64, Vec<u64>)> {
    let count = u32_at(slot, MARK_HEADER - 4);
    if &slot[..8] != MARK_MAGIC || slot[8..24] != meta.id.0 || count != meta.partitions {
        return None;
    }
    let end = MARK_HEADER + 8 * count as usize;
    if crc32c::crc32c(&slot[..end]) != u32_at(slot, end) {
        return None;
    }
    let ends = (0..count as usize).map(|i| u64_at(slot, MARK_HEADER + 8 * i)).collect();
    Some((u64_at(slot, 24), ends))
}
