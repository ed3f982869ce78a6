//! Where the archive lives: named objects that are written whole, and one kind of write that only
//! the first writer of a name succeeds with. [`DiskObjects`] keeps them as durable files.
//! Must never show half an object under its name.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ArchiveError;
use crate::disk::{
    Disk, DiskLock, LockMode, OpenMode, create_dir_durable, read_file, write_file_durable,
};

/// Largest object that is read, bytes.
pub(super) const MAX_OBJECT_BYTES: u64 = 4 << 30;
/// Longest wait for another writer.
const LOCKED: Duration = Duration::from_secs(10);
/// Time between two looks whether it is done.
const PAUSE: Duration = Duration::from_millis(2);

/// A store of objects. Names are paths with `/`.
pub trait Objects: Send + Sync {
    /// Writes an object, or writes it anew; durable when this returns.
    ///
    /// # Errors
    /// If the store does not answer or refuses.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), ArchiveError>;

    /// Writes an object unless there is one of this name; whether it was written. False may tell
    /// of this very write, where its answer was lost and it was asked for again.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<bool, ArchiveError>;

    /// The object, or `None` if there is none.
    ///
    /// # Errors
    /// If the store does not answer.
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, ArchiveError>;

    /// Length of an object, or `None` if there is none.
    ///
    /// # Errors
    /// If the store does not answer.
    fn length(&self, name: &str) -> Result<Option<u64>, ArchiveError>;

    /// Names that begin with `folder` and a `/`, sorted bytewise.
    ///
    /// # Errors
    /// If the store does not answer.
    fn list(&self, folder: &str) -> Result<Vec<String>, ArchiveError>;

    /// Removes an object; one that is not there is no error.
    ///
    /// # Errors
    /// If the store does not answer.
    fn remove(&self, name: &str) -> Result<(), ArchiveError>;
}

/// Objects as files below a directory.
pub struct DiskObjects {
    disk: Arc<dyn Disk>,
    root: PathBuf,
}

impl DiskObjects {
    /// Below `root`, which is created when something is written.
    pub fn new(disk: Arc<dyn Disk>, root: &Path) -> DiskObjects {
        DiskObjects { disk, root: root.to_path_buf() }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        let path = self.root.join(name);
        create_dir_durable(&*self.disk, path.parent().unwrap_or(&self.root))?;
        write_file_durable(&*self.disk, &path, bytes)
    }

    /// Waits for other writers, who hold it while they write one object.
    fn lock(&self) -> std::io::Result<Box<dyn DiskLock>> {
        let (path, begun) = (self.root.join("LOCK"), Instant::now());
        loop {
            match self.disk.lock(&path, LockMode::Exclusive) {
                Err(error) if error.kind() == ErrorKind::WouldBlock && begun.elapsed() < LOCKED => {
                    std::thread::sleep(PAUSE);
                }
                done => return done,
            }
        }
    }

    /// Files below a directory; what cannot be listed is a file.
    fn collect(&self, name: &str, into: &mut Vec<String>) {
        match self.disk.list(&self.root.join(name)) {
            Ok(names) => names.iter().for_each(|n| self.collect(&format!("{name}/{n}"), into)),
            Err(_) => into.push(name.to_owned()),
        }
    }
}

fn failed(name: &str) -> impl Fn(std::io::Error) -> ArchiveError {
    move |error| ArchiveError::Objects { name: name.to_owned(), reason: error.to_string() }
}

impl Objects for DiskObjects {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.write(name, bytes).map_err(failed(name))
    }

    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<bool, ArchiveError> {
        create_dir_durable(&*self.disk, &self.root).map_err(failed(name))?;
        let _held = self.lock().map_err(failed("LOCK"))?;
        if self.get(name)?.is_some() {
            return Ok(false);
        }
        self.put(name, bytes)?;
        Ok(true)
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        match read_file(&*self.disk, &self.root.join(name), MAX_OBJECT_BYTES) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(name)(error)),
        }
    }

    fn length(&self, name: &str) -> Result<Option<u64>, ArchiveError> {
        match self.disk.open(&self.root.join(name), OpenMode::Read).and_then(|file| file.size()) {
            Ok(length) => Ok(Some(length)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(name)(error)),
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        let mut names = Vec::new();
        match self.disk.list(&self.root.join(folder)) {
            Ok(inside) => {
                inside.iter().for_each(|n| self.collect(&format!("{folder}/{n}"), &mut names));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(folder)(error)),
        }
        // Writes that a crash has cut short.
        names.retain(|name| Path::new(name).extension().is_none_or(|end| end != "tmp"));
        names.sort();
        Ok(names)
    }

    fn remove(&self, name: &str) -> Result<(), ArchiveError> {
        match self.disk.remove(&self.root.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(name)(error)),
            _ => Ok(()),
        }
    }
}
