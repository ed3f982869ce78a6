//! Reading and replacing `keys.json`: locked, private, atomic and durable. Knows nothing of keys.

use super::{FILE, KeyError, KeyFile, KeyStore};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

const VERSION: u32 = 1;

impl KeyStore {
    /// Runs `change` on the file under an exclusive lock and replaces it if that succeeds.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut KeyFile) -> Result<T, KeyError>,
    ) -> Result<T, KeyError> {
        fs::create_dir_all(&self.dir).map_err(|source| io_error(&self.dir, source))?;
        let lock_path = self.dir.join("keys.lock");
        let lock = private_file(&lock_path).map_err(|source| io_error(&lock_path, source))?;
        let locked = flock(&lock, FlockOperation::LockExclusive);
        locked.map_err(|errno| io_error(&lock_path, errno.into()))?;
        let mut file = match self.read() {
            Err(KeyError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                KeyFile { version: VERSION, keys: Vec::new() }
            }
            other => other?,
        };
        let before = serde_json::to_vec_pretty(&file).map_err(|e| self.malformed(e))?;
        let result = change(&mut file)?;
        let after = serde_json::to_vec_pretty(&file).map_err(|e| self.malformed(e))?;
        if after != before {
            let path = self.dir.join(FILE);
            replace(&self.dir, &path, &after).map_err(|source| io_error(&path, source))?;
        }
        Ok(result)
    }

    pub(super) fn read(&self) -> Result<KeyFile, KeyError> {
        let path = self.dir.join(FILE);
        let meta = fs::metadata(&path).map_err(|source| io_error(&path, source))?;
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Permissions { path, mode });
        }
        let bytes = fs::read(&path).map_err(|source| io_error(&path, source))?;
        let file: KeyFile = serde_json::from_slice(&bytes).map_err(|e| self.malformed(e))?;
        if file.version != VERSION {
            let reason = format!("version {} instead of {VERSION}", file.version);
            return Err(self.malformed(reason));
        }
        Ok(file)
    }
}

fn io_error(path: &Path, source: io::Error) -> KeyError {
    KeyError::Io { path: path.to_owned(), source }
}

pub(super) fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

/// Writes beside, syncs, renames, syncs the directory: after a crash the old or the new file.
pub(crate) fn replace(dir: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = private_file(&temporary)?;
    file.set_len(0)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(dir)?.sync_all()
}
