//! The secret of source keys: `source.key` of the data directory, made at the first need.
//! Whoever deletes it makes the keys that were made with it hashes of nothing anybody knows.

use super::file::{private_file, replace};
use super::{hex, parse_hash, random};
use click_core::record::{SOURCE_SECRET_BYTES, SourceKeys};
use rustix::fs::{FlockOperation, flock};
use std::io::{self, ErrorKind};
use std::path::Path;

const FILE: &str = "source.key";

/// Source keys by the secret of a data directory.
///
/// # Errors
/// If the file cannot be read or written, or is no secret.
pub(crate) fn source_keys(dir: &Path) -> io::Result<SourceKeys> {
    let lock = private_file(&dir.join("keys.lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    let path = dir.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let spoilt = || {
                let text = format!("{} is not 64 hex digits: restore it", path.display());
                io::Error::new(ErrorKind::InvalidData, text)
            };
            Ok(SourceKeys::new(&parse_hash(text.trim_end()).ok_or_else(spoilt)?))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let secret = random::<SOURCE_SECRET_BYTES>();
            replace(dir, &path, format!("{}\n", hex(&secret)).as_bytes())?;
            Ok(SourceKeys::new(&secret))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let of = || source_keys(dir.path()).unwrap().of(&[192, 0, 2, 1]);
        let first = of();
        assert!(first.is_some());
        assert_eq!(first, of());
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        assert_ne!(first, of());
    }

    #[test]
    fn a_spoilt_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "abc\n").unwrap();
        let error = source_keys(dir.path()).unwrap_err().to_string();
        assert!(error.contains("source.key is not 64 hex digits"), "{error}");
    }
}
