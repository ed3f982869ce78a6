//! Checkpoints: state as of a watermark, kept so that a restart need not read the whole log
//! (SPEC §6).
//!
//! Two kinds of file in one directory: `claims-N.run`, the journal of the dedup set, appended to
//! and never rewritten; and `state-W.ckpt`, everything else with the lengths of the runs that go
//! with it. A checkpoint is current once its rename is durable. Nothing is trusted unsummed.

mod format;
mod runs;

pub use format::{Checkpoint, RunRef};
pub use runs::{Cut, Runs};

use crate::disk::{Disk, OpenMode, PageWriter, read_file, replace_durable};
use click_core::planted::{Bug, planted};
use click_core::types::Millis;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest state file that is read, bytes.
const MAX_STATE_BYTES: u64 = 64 << 30;
/// A state file is written so much at a time: past the system's cache, as nobody reads it soon.
const PIECE_BYTES: usize = 1 << 20;
/// The first bytes of a state file that are read for the runs it names.
const HEAD_BYTES: usize = 64 << 10;
/// Checkpoints that are kept.
const KEEP: usize = 2;

/// Why checkpoints could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system failed.
    #[error("checkpoint directory {dir}: {source}")]
    Io {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl CheckpointError {
    /// Whether there was no room.
    pub fn is_full(&self) -> bool {
        let CheckpointError::Io { source, .. } = self;
        source.kind() == io::ErrorKind::StorageFull && !planted(Bug::FullDiskEndsEngine)
    }
}

/// The checkpoint directory.
pub struct CheckpointDir {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

/// A checkpoint that was passed over, and why.
#[derive(Debug)]
pub struct Skipped {
    /// Its file.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
}

impl CheckpointDir {
    /// Opens or makes the directory.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<CheckpointDir, CheckpointError> {
        let this = CheckpointDir { disk, dir: dir.to_path_buf() };
        this.io(crate::disk::create_dir_durable(&*this.disk, dir))?;
        Ok(this)
    }

    /// The newest whole checkpoint, with the journal it needs already checked, and those newer
    /// ones that are torn or corrupt.
    pub fn newest(&self) -> Result<(Option<Checkpoint>, Vec<Skipped>), CheckpointError> {
        let mut skipped = Vec::new();
        for file in self.states()?.into_iter().rev() {
            match self.load(&file) {
                Ok(checkpoint) => return Ok((Some(checkpoint), skipped)),
                Err(reason) => skipped.push(Skipped { file, reason }),
            }
        }
        Ok((None, skipped))
    }

    fn load(&self, file: &str) -> Result<Checkpoint, String> {
        let path = self.dir.join(file);
        let bytes = read_file(&*self.disk, &path, MAX_STATE_BYTES).map_err(|e| e.to_string())?;
        let checkpoint = Checkpoint::decode(&bytes)?;
        for run in &checkpoint.runs {
            runs::check(&*self.disk, &self.dir, run)?;
        }
        Ok(checkpoint)
    }

    /// Hands out the journal that goes with `checkpoint`, oldest first.
    pub fn read_runs(
        &self,
        checkpoint: &Checkpoint,
        mut f: impl FnMut(click_core::stage::user::Journal),
    ) -> Result<(), CheckpointError> {
        for run in &checkpoint.runs {
            self.io(runs::read(&*self.disk, &self.dir, run, &mut f).map_err(io::Error::other))?;
        }
        Ok(())
    }

    /// Begins journalling after `checkpoint`.
    pub fn journal(&self, checkpoint: Option<&Checkpoint>) -> Result<Runs, CheckpointError> {
        let kept = checkpoint.map(|checkpoint| checkpoint.runs.clone()).unwrap_or_default();
        self.io(Runs::begin(self.disk.clone(), &self.dir, kept))
    }

    /// Makes `checkpoint` current. All that it names must be durable.
    pub fn write(&self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let path = self.dir.join(state_name(checkpoint.watermark));
        self.io(replace_durable(&*self.disk, &path, OpenMode::WritePages, |file| {
            let mut file = PageWriter::new(file, PIECE_BYTES);
            checkpoint.encode_to(|piece| file.put(piece))?;
            file.finish()
        }))
    }

    /// Removes checkpoints beyond the newest two, and runs that neither of these needs. Returns
    /// the log positions that the older of the two needs.
    pub fn prune(&self, current: &Checkpoint) -> Result<(), CheckpointError> {
        let states = self.states()?;
        let keep_from = states.len().saturating_sub(KEEP);
        for file in &states[..keep_from] {
            self.io(self.disk.remove(&self.dir.join(file)))?;
        }
        let mut needed: Vec<u64> = current.runs.iter().map(|run| run.number).collect();
        for file in &states[keep_from..] {
            needed.extend(self.runs_of(file).iter().map(|run| run.number));
        }
        let newest = needed.iter().copied().max().unwrap_or_default();
        for number in self.io(runs::numbers(&*self.disk, &self.dir))? {
            if number < newest && !needed.contains(&number) {
                self.io(self.disk.remove(&self.dir.join(runs::name(number))))?;
            }
        }
        self.io(self.disk.sync_dir(&self.dir))
    }

    /// What a state file names, read no further than that; nothing if it cannot be read.
    fn runs_of(&self, file: &str) -> Vec<RunRef> {
        let Ok(file) = self.disk.open(&self.dir.join(file), OpenMode::Read) else {
            return Vec::new();
        };
        let mut head = vec![0; HEAD_BYTES];
        loop {
            let Ok(got) = file.read_at(0, &mut head) else { return Vec::new() };
            match Checkpoint::runs_in(&head[..got]) {
                Ok(runs) => return runs,
                Err(_) if got < head.len() => return Vec::new(),
                Err(_) => head.resize(2 * head.len(), 0),
            }
        }
    }

    /// Names of state files, oldest watermark first.
    fn states(&self) -> Result<Vec<String>, CheckpointError> {
        let names = self.io(self.disk.list(&self.dir))?;
        let whole = |name: &String| name.starts_with("state-") && name.ends_with(".ckpt");
        Ok(names.into_iter().filter(whole).collect())
    }

    fn io<T>(&self, result: io::Result<T>) -> Result<T, CheckpointError> {
        result.map_err(|source| CheckpointError::Io { dir: self.dir.clone(), source })
    }
}

/// Sorts by watermark, as names are compared bytewise.
fn state_name(watermark: Millis) -> String {
    format!("state-{:016}.ckpt", watermark.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemDisk;

    fn checkpoint(watermark: u64, runs: std::ops::Range<u64>) -> Checkpoint {
        let run = |number| RunRef { number, len: number * 3, newest: Millis(number) };
        Checkpoint {
            log_id: [7; 16],
            generation: 1,
            watermark: Millis(watermark),
            store_mark: Millis(0),
            positions: Vec::new(),
            runs: runs.map(run).collect(),
            waiting_rows: vec![1; 300],
            parts: Vec::new(),
        }
    }

    /// What the older of two checkpoints names stays, however long its list is; what only older
    /// ones name goes.
    #[test]
    fn runs_of_both_checkpoints_are_kept() {
        let (disk, path) = (Arc::new(MemDisk::new(1)), Path::new("/data"));
        let dir = CheckpointDir::open(disk.clone(), path).unwrap();
        for number in [2, 3, 9_000, 9_001] {
            disk.open(&path.join(runs::name(number)), OpenMode::CreateNew).unwrap();
        }
        let old = [checkpoint(1, 2..9_000), checkpoint(2, 3..9_000), checkpoint(3, 9_000..9_002)];
        assert!(old[1].encode().len() > 2 * HEAD_BYTES, "more than is read at first");
        for checkpoint in &old {
            dir.write(checkpoint).unwrap();
        }
        dir.prune(&old[2]).unwrap();
        let kept = [3, 9_000, 9_001].map(runs::name);
        let states = [2, 3].map(|watermark| state_name(Millis(watermark)));
        assert_eq!(disk.list(path).unwrap(), [&kept[..], &states].concat());
    }

    #[test]
    fn a_head_that_ends_too_soon_names_nothing() {
        let whole = checkpoint(5, 1..4);
        let bytes = whole.encode();
        let end = bytes.len() - 4 - 8 - 300 - 8;
        for len in 0..bytes.len() {
            let found = Checkpoint::runs_in(&bytes[..len]).ok();
            assert_eq!(found, (len >= end).then(|| whole.runs.clone()), "{len} bytes");
        }
    }
}
