//! The narrow synchronous seam to the file system, so that a simulator and crash tests can stand in
//! for it. Owns the two traits and their twins [`RealDisk`] and [`MemDisk`].
//!
//! Must never retry, buffer or interpret: every call is one operation and every error is handed up.
//! Nothing is durable before `sync_data` (contents) or `sync_dir` (names) has returned `Ok`.

use click_core::planted::{Bug, planted};
use std::io;
use std::path::Path;
use std::sync::Arc;

mod mem;
mod mem_file;
mod mem_lies;
mod real;

pub use mem::{DiskOp, MemDisk};
pub use mem_lies::Lie;
pub use real::RealDisk;

/// What [`Disk::open`] may do with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// The file must exist; writes are refused by the system.
    Read,
    /// The file must exist; reads and writes.
    Write,
    /// The file must not exist; it is created empty.
    CreateNew,
    /// Created if missing, else opened with its contents as they are.
    CreateOrOpen,
    /// The file must exist; whole pages from aligned memory are written past the system's cache,
    /// where the file system can.
    WritePages,
}

/// Size of a page of the system's cache.
pub const PAGE: usize = 4096;

/// Whole pages of aligned memory, for [`OpenMode::WritePages`].
#[derive(Debug, Default)]
pub struct PageBuffer {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl PageBuffer {
    /// Holds so many zeros, rounded up to whole pages.
    pub fn zeros(bytes: usize) -> PageBuffer {
        let mut buffer = PageBuffer::default();
        buffer.resize(bytes);
        buffer
    }

    /// Makes room for `bytes`, with anything in it but in new memory, which is zeros.
    fn resize(&mut self, bytes: usize) {
        self.len = bytes.next_multiple_of(PAGE);
        if self.memory.len() < self.len + PAGE {
            self.memory = vec![0; self.len + PAGE];
            self.start = self.memory.as_ptr().align_offset(PAGE);
        }
    }

    /// Holds `parts` one behind the other, and zeros up to a whole page.
    pub fn fill(&mut self, parts: &[&[u8]]) {
        self.resize(parts.iter().map(|part| part.len()).sum());
        let mut rest = &mut self.memory[self.start..self.start + self.len];
        for part in parts {
            let (place, tail) = rest.split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = tail;
        }
        rest.fill(0);
    }

    /// What it holds.
    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

/// Writes a file from its beginning to its end in pieces of some pages; for
/// [`OpenMode::WritePages`].
pub struct PageWriter<'f> {
    file: &'f dyn DiskFile,
    buffer: PageBuffer,
    filled: usize,
    written: u64,
}

impl PageWriter<'_> {
    /// Into an empty file, so many bytes at a time, rounded up to whole pages.
    pub fn new(file: &dyn DiskFile, piece: usize) -> PageWriter<'_> {
        PageWriter { file, buffer: PageBuffer::zeros(piece), filled: 0, written: 0 }
    }

    /// Goes on with these bytes.
    pub fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = &mut self.buffer.bytes_mut()[self.filled..];
            let (now, later) = bytes.split_at(bytes.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            self.filled += now.len();
            bytes = later;
            if self.filled == self.buffer.bytes().len() {
                self.write()?;
            }
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        let pages = self.filled.next_multiple_of(PAGE);
        self.buffer.bytes_mut()[self.filled..pages].fill(0);
        self.file.write_at(self.written, &self.buffer.bytes()[..pages])?;
        self.written += self.filled as u64;
        self.filled = 0;
        Ok(())
    }

    /// Writes what is left, and lets the file end there.
    pub fn finish(mut self) -> io::Result<()> {
        self.write()?;
        self.file.set_len(self.written)
    }
}

/// Kind of advisory lock on a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    Shared,
    Exclusive,
}

/// A held lock; released when dropped, or when the process dies.
pub trait DiskLock: Send + Sync {}

/// A file system. Errors are those of the system (`raw_os_error` set where there is one).
pub trait Disk: Send + Sync {
    /// Creates the directory and its missing parents. The new names are durable after `sync_dir`
    /// of each parent; see [`create_dir_durable`].
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Names (not paths) in a directory, sorted bytewise.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Atomically replaces `to`. Both must lie in the same directory.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in `dir` durable. Empty: the current directory.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Bytes an unprivileged writer may still allocate.
    fn free_space(&self, dir: &Path) -> io::Result<u64>;
    /// Takes the lock without blocking; `WouldBlock` if somebody else holds it. Creates the file.
    fn lock(&self, path: &Path, mode: LockMode) -> io::Result<Box<dyn DiskLock>>;
}

/// An open file. Safe to share; concurrent calls act on disjoint ranges.
pub trait DiskFile: Send + Sync {
    /// Fills `buf` from `offset`; returns fewer bytes only at the end of the file.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
    /// Writes all of `buf` at `offset`, growing the file if needed.
    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()>;
    /// fdatasync: contents and length are durable when this returns `Ok`.
    fn sync_data(&self) -> io::Result<()>;
    /// Length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Cuts or extends (with zeros) to `len` bytes.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Reserves space for `len` bytes and makes the file at least that long; new bytes read as
    /// zero. `StorageFull` if the space is not there.
    fn preallocate(&self, len: u64) -> io::Result<()>;
}

/// Creates `dir` and makes its name and those of all its parents durable. A name that is there may
/// be of one who died, or failed, before it was flushed; that cannot be seen.
pub fn create_dir_durable(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    disk.create_dir_all(dir)?;
    dir.ancestors().skip(1).try_for_each(|parent| match disk.sync_dir(parent) {
        // Nothing of ours was made in it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        flushed => flushed,
    })
}

/// Replaces a small file whole: temporary name, sync, rename, sync of the directory.
pub fn write_file_durable(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_durable(disk, path, OpenMode::Write, |file| file.write_at(0, bytes))
}

/// The same for a file of any size: `write` gets it empty, opened in this mode.
pub fn replace_durable(
    disk: &dyn Disk,
    path: &Path,
    mode: OpenMode,
    write: impl FnOnce(&dyn DiskFile) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let done = write_and_rename(disk, &temporary, path, mode, write);
    done.inspect_err(|_| {
        // Half a file takes space; the error that led here is the one to report.
        let _ = disk.remove(&temporary);
    })?;
    disk.sync_dir(path.parent().unwrap_or(Path::new("")))
}

fn write_and_rename(
    disk: &dyn Disk,
    temporary: &Path,
    path: &Path,
    mode: OpenMode,
    write: impl FnOnce(&dyn DiskFile) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = disk.open(temporary, OpenMode::CreateOrOpen)?;
    file.set_len(0)?;
    if mode == OpenMode::WritePages {
        file = disk.open(temporary, mode)?;
    }
    write(&*file)?;
    if !planted(Bug::StateNotFlushed) {
        file.sync_data()?;
    }
    disk.rename(temporary, path)
}

/// `None` where there is no room: not the caller's failure, and tried again.
pub fn unless_full<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(None),
        result => result.map(Some),
    }
}

/// Reads a small file whole; refuses one above `limit` bytes with `InvalidData`.
pub fn read_file(disk: &dyn Disk, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let size = file.size()?;
    if size > limit {
        let message = format!("{} has {size} bytes, limit {limit}", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
    let got = file.read_at(0, &mut bytes)?;
    bytes.truncate(got);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{
        Disk, DiskOp, MemDisk, OpenMode, PAGE, PageBuffer, PageWriter, RealDisk,
        create_dir_durable, read_file, replace_durable, write_file_durable,
    };
    use std::path::Path;

    /// Each flush of a parent fails once: what the second attempt says is durable survives.
    #[test]
    fn a_folder_whose_flush_failed_is_not_trusted_by_the_next_who_needs_it() {
        for nth in 1..=4 {
            let disk = MemDisk::new(nth);
            let dir = Path::new("/data/archive/day");
            disk.fail_from(DiskOp::SyncDir, nth);
            let first = create_dir_durable(&disk, dir);
            disk.heal();
            assert_eq!(first.is_err(), nth < 4, "{nth}");
            create_dir_durable(&disk, dir).unwrap();
            write_file_durable(&disk, &dir.join("file"), b"kept").unwrap();
            disk.crash();
            assert_eq!(disk.list(dir).unwrap(), ["file"], "{nth}");
        }
    }

    #[test]
    fn a_file_of_pieces_ends_where_its_bytes_do() {
        let dir = tempfile::tempdir().unwrap();
        let disks: [(&dyn Disk, &Path); 2] =
            [(&MemDisk::new(1), Path::new("/data")), (&RealDisk, dir.path())];
        for (disk, dir) in disks {
            create_dir_durable(disk, dir).unwrap();
            let path = dir.join("file");
            for len in [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE - 1, 2 * PAGE, 5 * PAGE + 3, 7] {
                let bytes: Vec<u8> = (0..len).map(|at| at.to_le_bytes()[0] | 1).collect();
                let (some, rest) = bytes.split_at(len / 3);
                replace_durable(disk, &path, OpenMode::WritePages, |file| {
                    let mut file = PageWriter::new(file, 2 * PAGE);
                    file.put(some)?;
                    file.put(rest)?;
                    file.finish()
                })
                .unwrap();
                assert!(read_file(disk, &path, 1 << 20).unwrap() == bytes, "{len}");
            }
            assert_eq!(disk.list(dir).unwrap(), ["file"]);
        }
    }

    #[test]
    fn a_page_buffer_is_aligned_and_ends_in_zeros() {
        let mut buffer = PageBuffer::default();
        for len in [1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE, 5, 0] {
            let part = vec![7; len];
            buffer.fill(&[&part[..len / 2], &part[len / 2..]]);
            let bytes = buffer.bytes();
            assert_eq!(bytes.len(), len.next_multiple_of(PAGE), "{len}");
            assert_eq!(bytes.as_ptr().align_offset(PAGE), 0, "{len}");
            assert!(bytes[..len].iter().all(|byte| *byte == 7), "{len}");
            assert!(bytes[len..].iter().all(|byte| *byte == 0), "{len}");
        }
    }
}
