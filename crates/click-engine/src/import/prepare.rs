//! A file read whole: its rows checked, encoded compactly (one payload and 24 bytes a row) and put
//! in the order in which they go into the log; its bad lines in the reject file.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use click_core::record::{Record, SourceKeys};
use sha2::{Digest, Sha256};

use super::columns::{Cells, Column, Names};
use super::read::{self, RowSink};
use super::row::{self, Reading};
use super::{Format, ImportError, Progress, Stage};
use crate::hex::hex;

/// Size of one block of payloads.
const BLOCK: usize = 8 * 1024 * 1024;
/// Rows between two calls of the progress function.
const TELL_EVERY: u64 = 16_384;
/// Longest excerpt of a bad line in the reject file, in characters.
const EXCERPT: usize = 1024;

/// How a file is read.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// `None`: by the file's name or beginning.
    pub format: Option<Format>,
    /// Foreign column names.
    pub names: Names,
    /// Times without a zone are UTC.
    pub assume_utc: bool,
    /// Clicks with an address get the key of their source.
    pub source_keys: Option<SourceKeys>,
    /// Where bad lines go; written only if there are any.
    pub rejects: PathBuf,
}

/// A file ready to be appended.
#[derive(Debug, Default)]
pub struct Prepared {
    pub(super) file_id: String,
    pub(super) entries: Vec<Entry>,
    blocks: Vec<Vec<u8>>,
    rejected: u64,
    first_reject: Option<String>,
    ignored: Vec<String>,
}

/// A row: where it goes, and where its payload lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub append_time: u64,
    pub partition: u32,
    block: u32,
    start: u32,
    len: u32,
}

impl Prepared {
    /// Rows that can be appended.
    pub fn rows(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Lines that cannot.
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// The first bad line, for a message: `line N: reason`.
    pub fn first_reject(&self) -> Option<&str> {
        self.first_reject.as_deref()
    }

    /// Columns of the file that are not used.
    pub fn ignored_columns(&self) -> &[String] {
        &self.ignored
    }

    /// Partitions of a ledger made for this file: the greatest named + 1.
    pub fn partitions(&self) -> u32 {
        self.entries.last().map_or(1, |entry| entry.partition + 1)
    }

    pub(super) fn payload(&self, entry: &Entry) -> &[u8] {
        let start = entry.start as usize;
        &self.blocks[entry.block as usize][start..start + entry.len as usize]
    }

    /// Order of the log: by partition, then as the file says (SPEC §11). Times never go back within
    /// a partition; raising one to the row's before changes no fold time.
    fn put_in_order(&mut self, by_time: bool) {
        match by_time {
            true => self.entries.sort_by_key(|entry| (entry.partition, entry.append_time)),
            false => self.entries.sort_by_key(|entry| entry.partition),
        }
        let mut before = (0, 0);
        for entry in &mut self.entries {
            if entry.partition == before.0 {
                entry.append_time = entry.append_time.max(before.1);
            }
            before = (entry.partition, entry.append_time);
        }
    }

    fn push(&mut self, payload: &[u8], partition: u32, append_time: u64) {
        if self.blocks.last().is_none_or(|block| block.len() + payload.len() > BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        let block = index(self.blocks.len() - 1);
        let Some(bytes) = self.blocks.last_mut() else { return };
        let (start, len) = (index(bytes.len()), index(payload.len()));
        bytes.extend_from_slice(payload);
        self.entries.push(Entry { append_time, partition, block, start, len });
    }
}

#[expect(clippy::cast_possible_truncation, reason = "blocks are 8 MiB, and their number is small")]
fn index(value: usize) -> u32 {
    value as u32
}

/// Reads `path` whole.
///
/// # Errors
/// What makes the file as a whole unreadable: its header, its map, the disk.
pub fn prepare(
    path: &Path,
    options: &ReadOptions,
    progress: Progress<'_>,
) -> Result<Prepared, ImportError> {
    let (hash, size) = hash(path, progress)?;
    let format = options.format.map_or_else(|| read::detect(path), Ok)?;
    let mut builder = Builder {
        prepared: Prepared { file_id: format!("import:{hash}"), ..Prepared::default() },
        reading: Reading {
            assume_utc: options.assume_utc,
            source_keys: options.source_keys.clone(),
        },
        rejects: Rejects { path: &options.rejects, writer: None },
        has_append_time: false,
        payload: Vec::new(),
        ignored: BTreeSet::new(),
        progress,
        size,
    };
    read::rows(path, format, &options.names, &mut builder)?;
    (builder.progress)(Stage::Read, size, size);
    builder.rejects.finish()?;
    let mut prepared = builder.prepared;
    prepared.ignored = builder.ignored.into_iter().collect();
    prepared.put_in_order(!builder.has_append_time);
    Ok(prepared)
}

fn hash(path: &Path, progress: Progress<'_>) -> Result<(String, u64), ImportError> {
    let mut file = read::open(path)?;
    let size = file.metadata().map_err(|error| ImportError::io(path, &error))?.len();
    let mut buffer = vec![0; 1024 * 1024];
    let (mut hash, mut done) = (Sha256::new(), 0);
    loop {
        let got = file.read(&mut buffer).map_err(|error| ImportError::io(path, &error))?;
        if got == 0 {
            break;
        }
        hash.update(&buffer[..got]);
        done += got as u64;
        progress(Stage::Hash, done, size);
    }
    let hash = hex(&hash.finalize());
    Ok((hash, size))
}

struct Builder<'a> {
    prepared: Prepared,
    reading: Reading,
    rejects: Rejects<'a>,
    has_append_time: bool,
    payload: Vec<u8>,
    ignored: BTreeSet<String>,
    progress: Progress<'a>,
    size: u64,
}

impl RowSink for Builder<'_> {
    fn row(
        &mut self,
        line: u64,
        cells: Result<&Cells, String>,
        text: &str,
        read: u64,
    ) -> Result<(), ImportError> {
        if line.is_multiple_of(TELL_EVERY) {
            (self.progress)(Stage::Read, read, self.size);
        }
        self.payload.clear();
        let place = cells.and_then(|cells| {
            self.has_append_time |= cells.is_set(Column::AppendTime);
            row::encode(cells, &self.reading, &mut self.payload)
        });
        let place = place.and_then(|place| {
            let checked = Record::decode(&self.payload).map_err(|error| error.to_string());
            checked.map(|_| place)
        });
        match place {
            Ok(place) => {
                let append_time = place.append_time.unwrap_or(place.received_at);
                self.prepared.push(&self.payload, place.partition, append_time);
                Ok(())
            }
            Err(reason) => {
                self.prepared.rejected += 1;
                let first = || format!("line {line}: {reason}");
                self.prepared.first_reject.get_or_insert_with(first);
                self.rejects.write(line, &reason, text)
            }
        }
    }

    fn ignored(&mut self, column: &str) {
        self.ignored.insert(column.to_owned());
    }
}

struct Rejects<'a> {
    path: &'a Path,
    writer: Option<BufWriter<File>>,
}

impl Rejects<'_> {
    fn write(&mut self, line: u64, reason: &str, text: &str) -> Result<(), ImportError> {
        let wrap = |error| ImportError::io(self.path, &error);
        if self.writer.is_none() {
            if let Some(parent) = self.path.parent() {
                std::fs::create_dir_all(parent).map_err(wrap)?;
            }
            let mut writer = BufWriter::new(File::create(self.path).map_err(wrap)?);
            writer.write_all(b"line,reason,text\n").map_err(wrap)?;
            self.writer = Some(writer);
        }
        let excerpt: String = text.chars().take(EXCERPT).collect();
        let row = format!("{line},{},{}\n", quote(reason), quote(&excerpt));
        self.writer.as_mut().map_or(Ok(()), |w| w.write_all(row.as_bytes())).map_err(wrap)
    }

    fn finish(&mut self) -> Result<(), ImportError> {
        let flushed = self.writer.as_mut().map_or(Ok(()), Write::flush);
        flushed.map_err(|error| ImportError::io(self.path, &error))
    }
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}
