//! Run files: the journal of the dedup set, in blocks of (length, CRC32C over number, place and
//! body, body, zeros up to a whole page). Only appended to, and only the newest one; a checkpoint
//! names a length, so a torn end is never looked at. Written past the system's cache: nobody reads
//! them before a restart.

use super::format::RunRef;
use crate::disk::{Disk, DiskFile, OpenMode, PAGE, PageBuffer, unless_full};
use click_core::fold::{JournalBytes, decode_journal};
use click_core::planted::{Bug, planted};
use click_core::stage::user::Journal;
use click_core::types::Millis;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A run is closed and the next one begun at this size.
const RUN_BYTES: u64 = 64 << 20;
/// Claims are gathered up to this size before they are written as a block.
const BLOCK_BYTES: usize = 1 << 20;
const HEADER: usize = 8;

/// The journal being written.
pub struct Runs {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Closed runs, then the open one.
    runs: Vec<RunRef>,
    file: Option<Arc<dyn DiskFile>>,
    /// Written since the last checkpoint, to be made durable with the next one.
    unsynced: Vec<Arc<dyn DiskFile>>,
    waiting: JournalBytes,
    /// Fold time of the newest that waits.
    newest: Millis,
    block: PageBuffer,
    next: u64,
}

/// The journal up to a checkpoint.
pub struct Cut {
    /// Files that must be made durable first.
    pub unsynced: Vec<Arc<dyn DiskFile>>,
    /// What the checkpoint names.
    pub runs: Vec<RunRef>,
}

pub(super) fn name(number: u64) -> String {
    format!("claims-{number:012}.run")
}

pub(super) fn numbers(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u64>> {
    let number =
        |name: String| name.strip_prefix("claims-")?.strip_suffix(".run")?.parse::<u64>().ok();
    Ok(disk.list(dir)?.into_iter().filter_map(number).collect())
}

impl Runs {
    /// Goes on after `kept`, in a new file: what a crash left behind the kept lengths stays unread.
    pub(super) fn begin(disk: Arc<dyn Disk>, dir: &Path, kept: Vec<RunRef>) -> io::Result<Runs> {
        let next = numbers(&*disk, dir)?.into_iter().max().map_or(0, |number| number + 1);
        let next = if planted(Bug::RunNumberReused) { kept.len() as u64 } else { next };
        Ok(Runs {
            disk,
            dir: dir.to_path_buf(),
            runs: kept,
            file: None,
            unsynced: Vec::new(),
            waiting: JournalBytes::default(),
            newest: Millis(0),
            block: PageBuffer::default(),
            next,
        })
    }

    /// Takes what a step remembered. What cannot be written for want of space waits.
    pub fn append(&mut self, journal: &Journal) -> io::Result<()> {
        if planted(Bug::PairsNotJournalled) {
            let claims = journal.claims.clone();
            self.waiting.append(&Journal { claims, pairs: Vec::new() });
        } else {
            self.waiting.append(journal);
        }
        // In fold order: the last of each is its newest.
        let newest = [
            journal.claims.last().map(|claim| claim.fold_time),
            journal.pairs.last().map(|pair| pair.fold_time),
        ];
        self.newest = newest.into_iter().flatten().fold(self.newest, Millis::max);
        if self.waiting.len() < BLOCK_BYTES {
            return Ok(());
        }
        unless_full(self.write_block()).map(|_| ())
    }

    /// Writes what is gathered and cuts there; runs whose claims all end before `horizon_start`
    /// are left out.
    pub fn cut(&mut self, horizon_start: Millis) -> io::Result<Cut> {
        self.write_block()?;
        self.runs.retain(|run| run.newest >= horizon_start);
        let mut files = std::mem::take(&mut self.unsynced);
        files.extend(self.file.clone());
        Ok(Cut { unsynced: files, runs: self.runs.clone() })
    }

    fn write_block(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let file = self.open_run()?;
        let run = self.runs.last_mut().ok_or_else(|| io::Error::other("no open run"))?;
        fill_block(&mut self.block, run.number, run.len, self.waiting.pieces());
        let block = self.block.bytes();
        file.write_at(run.len, block)?;
        run.len += block.len() as u64;
        run.newest = run.newest.max(self.newest);
        self.newest = Millis(0);
        self.waiting.clear();
        Ok(())
    }

    fn open_run(&mut self) -> io::Result<Arc<dyn DiskFile>> {
        let full = self.runs.last().is_some_and(|run| run.len >= RUN_BYTES);
        if let Some(file) = &self.file
            && !full
            && self.runs.last().is_some_and(|run| run.number + 1 == self.next)
        {
            return Ok(file.clone());
        }
        self.unsynced.extend(self.file.take());
        let (number, path) = (self.next, self.dir.join(name(self.next)));
        // Whatever becomes of this one, its number is taken.
        self.next += 1;
        self.disk.open(&path, OpenMode::CreateNew)?;
        let file = self.disk.open(&path, OpenMode::WritePages)?;
        self.disk.sync_dir(&self.dir)?;
        self.runs.push(RunRef { number, len: 0, newest: Millis(0) });
        self.file = Some(file.clone());
        Ok(file)
    }
}

fn fill_block(block: &mut PageBuffer, number: u64, at: u64, body: [&[u8]; 4]) {
    let len: usize = body.iter().map(|piece| piece.len()).sum();
    #[expect(clippy::cast_possible_truncation, reason = "a block holds a step's claims")]
    let len = (len as u32).to_le_bytes();
    let sum = checksum(number, at, &body).to_le_bytes();
    let [claims, held, pairs, others] = body;
    block.fill(&[&len, &sum, claims, held, pairs, others]);
}

fn checksum(number: u64, at: u64, body: &[&[u8]]) -> u32 {
    let place = crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), &at.to_le_bytes());
    body.iter().fold(place, |sum, piece| crc32c::crc32c_append(sum, piece))
}

/// Checks a run up to its length without keeping it.
pub(super) fn check(disk: &dyn Disk, dir: &Path, run: &RunRef) -> Result<(), String> {
    read(disk, dir, run, &mut |_| {})
}

/// Reads a run up to its length, block by block.
pub(super) fn read(
    disk: &dyn Disk,
    dir: &Path,
    run: &RunRef,
    f: &mut impl FnMut(Journal),
) -> Result<(), String> {
    let file_name = name(run.number);
    let say = |what: &str| format!("{file_name}: {what}");
    let file = disk.open(&dir.join(&file_name), OpenMode::Read).map_err(|e| say(&e.to_string()))?;
    let mut at = 0;
    let mut body = Vec::new();
    while at < run.len {
        let mut header = [0; HEADER];
        read_exact(&*file, at, &mut header).map_err(|e| say(&e.to_string()))?;
        let [a, b, c, d, e, f_, g, h] = header;
        let len = u64::from(u32::from_le_bytes([a, b, c, d]));
        if at + HEADER as u64 + len > run.len {
            return Err(say("a block reaches beyond the end"));
        }
        body.resize(usize::try_from(len).map_err(|e| say(&e.to_string()))?, 0);
        read_exact(&*file, at + HEADER as u64, &mut body).map_err(|e| say(&e.to_string()))?;
        let whole = checksum(run.number, at, &[&body]) == u32::from_le_bytes([e, f_, g, h]);
        if !whole && !planted(Bug::JournalChecksumIgnored) {
            return Err(say("a block's checksum does not match"));
        }
        f(decode_journal(&body).map_err(|e| say(&e.to_string()))?);
        at += (HEADER as u64 + len).next_multiple_of(PAGE as u64);
    }
    Ok(())
}

fn read_exact(file: &dyn DiskFile, at: u64, buffer: &mut [u8]) -> io::Result<()> {
    if file.read_at(at, buffer)? == buffer.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
