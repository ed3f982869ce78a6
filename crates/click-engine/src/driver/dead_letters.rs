//! The dead-letter log: records that no click came of, as NDJSON with position, reason and bytes.
//! Bounded; what does not fit is counted all the same and stays in the click log.

use crate::disk::{Disk, DiskFile, OpenMode, create_dir_durable};
use crate::hex::hex;
use crate::log::{EventLog, RecordBatch};
use click_core::stage::sequence::DeadLetter;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest dead-letter file, bytes.
const MAX_FILE_BYTES: u64 = 64 << 20;
const FILE: &str = "undecodable.ndjson";

pub(super) struct DeadLetters {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    file: Option<(Arc<dyn DiskFile>, u64)>,
}

impl DeadLetters {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: &Path) -> DeadLetters {
        DeadLetters { disk, dir: dir.to_path_buf(), file: None }
    }

    /// Appends `letters`, their bytes read from the log again.
    pub(super) fn write(&mut self, log: &dyn EventLog, letters: &[DeadLetter]) -> io::Result<()> {
        if letters.is_empty() {
            return Ok(());
        }
        let mut lines = String::new();
        for letter in letters {
            let payload = payload(log, letter).unwrap_or_default();
            let at = (letter.partition.0, letter.offset.0);
            log.show_dead_letter(at, &letter.reason.to_string(), &payload);
            put_line(&mut lines, letter, &payload);
        }
        let (file, len) = self.open()?;
        if *len + lines.len() as u64 <= MAX_FILE_BYTES {
            file.write_at(*len, lines.as_bytes())?;
            *len += lines.len() as u64;
        }
        Ok(())
    }

    fn open(&mut self) -> io::Result<&mut (Arc<dyn DiskFile>, u64)> {
        if self.file.is_none() {
            create_dir_durable(&*self.disk, &self.dir)?;
            let file = self.disk.open(&self.dir.join(FILE), OpenMode::CreateOrOpen)?;
            let len = file.size()?;
            self.file = Some((file, len));
        }
        self.file.as_mut().ok_or_else(|| io::Error::other("dead-letter file not open"))
    }
}

fn payload(log: &dyn EventLog, letter: &DeadLetter) -> Option<Vec<u8>> {
    let mut batch = RecordBatch::default();
    log.read(letter.partition.0, letter.offset.0, 1, &mut batch).ok()?;
    batch.iter().next().map(|(_, _, payload)| payload.to_vec())
}

fn put_line(out: &mut String, letter: &DeadLetter, payload: &[u8]) {
    let hex = hex(payload);
    let (partition, offset, reason) = (letter.partition.0, letter.offset.0, letter.reason);
    let _ = writeln!(
        out,
        r#"{{"partition":{partition},"offset":{offset},"reason":"{reason}","payload_hex":"{hex}"}}"#
    );
}
