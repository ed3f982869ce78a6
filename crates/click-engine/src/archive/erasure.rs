//! The name that stands for an erased user: the same in all spans, though the erasure may be cut
//! short and run again, and nobody's who does not know the salt, which is forgotten at its end.

use sha2::{Digest, Sha256};

use super::ArchiveError;
use super::objects::Objects;
use crate::hex::hex;

/// Bytes of a salt.
pub const SALT_BYTES: usize = 32;
/// Random bytes, of which a name is made.
pub type Salt = [u8; SALT_BYTES];

/// Folder of the erasures that are under way.
const FOLDER: &str = "erasing";

/// An erasure that is under way; its object holds the salt.
pub(super) struct Erasure(String);

impl Erasure {
    /// Goes on with the user's erasure that was cut short, or begins one.
    pub(super) fn begin(
        objects: &dyn Objects,
        user: &str,
        fresh: &Salt,
    ) -> Result<Erasure, ArchiveError> {
        for object in objects.list(FOLDER)? {
            let salt = objects.get(&object)?.and_then(|bytes| Salt::try_from(bytes).ok());
            let name = salt.map(|salt| name(user, &salt));
            if let Some(name) = name.filter(|name| object == format!("{FOLDER}/{name}")) {
                return Ok(Erasure(name));
            }
        }
        let erasure = Erasure(name(user, fresh));
        objects.put(&erasure.object(), fresh)?;
        Ok(erasure)
    }

    /// The salt is forgotten.
    pub(super) fn end(self, objects: &dyn Objects) -> Result<(), ArchiveError> {
        objects.remove(&self.object())
    }

    /// What stands for the user.
    pub(super) fn name(&self) -> &str {
        &self.0
    }

    fn object(&self) -> String {
        format!("{FOLDER}/{}", self.0)
    }
}

/// How many erasures were begun and not ended.
pub(super) fn unfinished(objects: &dyn Objects) -> Result<u64, ArchiveError> {
    Ok(objects.list(FOLDER)?.len() as u64)
}

fn name(user: &str, salt: &Salt) -> String {
    let digest = Sha256::new().chain_update(salt).chain_update(user).finalize();
    format!("erased-{}", hex(&digest[..16]))
}
