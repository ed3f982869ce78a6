//! Keys: who may sign links (signing), speak for visitors (edge) and administer (admin).
//!
//! They live in `keys.json` of the data directory, mode 0600, replaced atomically. Signing secrets
//! must be kept (they verify and mint); edge and admin secrets are kept as SHA-256 hashes only,
//! which is enough for 256 random bits. A secret is shown when made, never again, and never logged.

pub(crate) mod file;
pub(crate) mod source;

use click_core::link::{KeyRights, SigningKey, base64url};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use subtle::ConstantTimeEq;
use thiserror::Error;

const FILE: &str = "keys.json";
/// Most keys in one file.
const MAX_KEYS: usize = 10_000;

/// Why keys cannot be read or changed.
#[derive(Debug, Error)]
pub enum KeyError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path} is not a key file: {reason}; restore it from a copy")]
    Malformed { path: PathBuf, reason: String },
    #[error("{path} can be read by others (mode {mode:03o}): run chmod 600 on it")]
    Permissions { path: PathBuf, mode: u32 },
    #[error("there is no key {0}: list the keys to see their ids")]
    Unknown(String),
    #[error("{0} is already revoked")]
    AlreadyRevoked(String),
    #[error("{0} is no issuer: 1 to 128 bytes of UTF-8 without control characters")]
    BadIssuer(String),
    #[error("{MAX_KEYS} keys are enough: revoke some")]
    TooMany,
}

/// What a key may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "right", rename_all = "lowercase", deny_unknown_fields)]
pub enum Right {
    /// Signs links. `hosts`, if given, narrows the destinations (`host` or `host:port`).
    Sign {
        link: bool,
        placement: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hosts: Option<Vec<String>>,
    },
    /// Speaks for visitors in batches; `ip_optional` allows clicks without the visitor's address.
    Edge { ip_optional: bool },
    /// Reads the API and the page from other machines, and administers.
    Admin,
}

impl Right {
    /// A signing key for both kinds of links and all hosts.
    pub const fn sign_all() -> Right {
        Right::Sign { link: true, placement: true, hosts: None }
    }
}

/// One key as it is kept. `proof` is the secret (signing) or its hash in hexadecimal.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    id: String,
    issuer: String,
    grant: Right,
    proof: String,
    created_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_at: Option<u64>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    version: u32,
    keys: Vec<StoredKey>,
}

/// What may be told of a key after it was made. Times are ms since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    pub id: String,
    pub issuer: String,
    pub grant: Right,
    pub created_at: u64,
    pub revoked_at: Option<u64>,
}

/// A key just made: the only time its secret is told. For edge and admin keys `secret` is the whole
/// bearer token, for signing keys the text that is the MAC key.
#[derive(Clone, PartialEq, Eq)]
pub struct NewKey {
    pub id: String,
    pub secret: String,
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The two keys that the first start makes.
#[derive(Debug)]
pub struct FirstKeys {
    pub admin: NewKey,
    pub signing: NewKey,
}

/// The key file of one data directory. Every change locks the file, reads, changes, replaces.
#[derive(Debug, Clone)]
pub struct KeyStore {
    dir: PathBuf,
}

impl KeyStore {
    /// The store of `dir`; makes one admin and one signing key if there is no file yet.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn open(dir: &Path) -> Result<(KeyStore, Option<FirstKeys>), KeyError> {
        let store = KeyStore { dir: dir.to_owned() };
        let first = store.change(|file| {
            if !file.keys.is_empty() {
                return Ok(None);
            }
            let admin = add(file, "default", Right::Admin)?;
            let signing = add(file, "default", Right::sign_all())?;
            Ok(Some(FirstKeys { admin, signing }))
        })?;
        Ok((store, first))
    }

    /// Makes a key for `issuer`.
    ///
    /// # Errors
    /// `BadIssuer`, `TooMany`, and those of reading and writing.
    pub fn create(&self, issuer: &str, grant: Right) -> Result<NewKey, KeyError> {
        if !click_core::record::valid_id(issuer.as_bytes()) {
            return Err(KeyError::BadIssuer(issuer.escape_debug().to_string()));
        }
        self.change(|file| add(file, issuer, grant))
    }

    /// All keys, revoked ones too, oldest first; no secrets.
    ///
    /// # Errors
    /// Those of reading.
    pub fn list(&self) -> Result<Vec<KeyInfo>, KeyError> {
        Ok(self.read()?.keys.iter().map(StoredKey::info).collect())
    }

    /// Revokes `id` for good.
    ///
    /// # Errors
    /// `Unknown`, `AlreadyRevoked`, and those of reading and writing.
    pub fn revoke(&self, id: &str) -> Result<(), KeyError> {
        self.change(|file| {
            let key = file.keys.iter_mut().find(|key| key.id == id);
            let key = key.ok_or_else(|| KeyError::Unknown(id.escape_debug().to_string()))?;
            if key.revoked_at.is_some() {
                return Err(KeyError::AlreadyRevoked(id.to_owned()));
            }
            key.revoked_at = Some(now_ms());
            Ok(())
        })
    }

    /// The newest signing key that is in force, for minting on this machine, with its issuer.
    ///
    /// # Errors
    /// Those of reading.
    pub fn minting_key(&self) -> Result<Option<(SigningKey, String)>, KeyError> {
        let file = self.read()?;
        let mut usable = file.keys.iter().rev().filter(|key| {
            key.revoked_at.is_none() && matches!(key.grant, Right::Sign { link: true, .. })
        });
        Ok(usable.find_map(|key| {
            let signing = SigningKey::new(&key.id, key.proof.as_bytes()).ok()?;
            Some((signing, key.issuer.clone()))
        }))
    }

    /// The keys in force, for the request path.
    ///
    /// # Errors
    /// Those of reading.
    pub fn ring(&self) -> Result<KeyRing, KeyError> {
        let file = self.read()?;
        let mut ring = KeyRing::default();
        for key in file.keys.iter().filter(|key| key.revoked_at.is_none()) {
            ring.insert(key).map_err(|reason| self.malformed(reason))?;
        }
        Ok(ring)
    }

    /// When the file was last replaced; `None` if that cannot be told.
    pub fn modified(&self) -> Option<SystemTime> {
        std::fs::metadata(self.dir.join(FILE)).and_then(|meta| meta.modified()).ok()
    }

    fn malformed(&self, reason: impl ToString) -> KeyError {
        KeyError::Malformed { path: self.dir.join(FILE), reason: reason.to_string() }
    }
}

impl StoredKey {
    fn info(&self) -> KeyInfo {
        KeyInfo {
            id: self.id.clone(),
            issuer: self.issuer.clone(),
            grant: self.grant.clone(),
            created_at: self.created_at,
            revoked_at: self.revoked_at,
        }
    }
}

fn add(file: &mut KeyFile, issuer: &str, grant: Right) -> Result<NewKey, KeyError> {
    if file.keys.len() >= MAX_KEYS {
        return Err(KeyError::TooMany);
    }
    let prefix = match grant {
        Right::Sign { .. } => 'k',
        Right::Edge { .. } => 'e',
        Right::Admin => 'a',
    };
    let id = format!("{prefix}{}", file.keys.len() + 1);
    let secret = base64url::encode(&random::<32>());
    let (proof, shown) = match grant {
        Right::Sign { .. } => (secret.clone(), secret),
        Right::Edge { .. } | Right::Admin => (hash_hex(&secret), format!("{id}.{secret}")),
    };
    let issuer = issuer.to_owned();
    let stored =
        StoredKey { id: id.clone(), issuer, grant, proof, created_at: now_ms(), revoked_at: None };
    file.keys.push(stored);
    Ok(NewKey { id, secret: shown })
}

/// A signing key in force.
#[derive(Debug, Clone)]
pub struct Signer {
    pub key: SigningKey,
    pub issuer: Box<str>,
    pub rights: KeyRights,
    /// If set, the only hosts that its links may lead to.
    pub hosts: Option<Vec<String>>,
}

/// An edge or admin key in force.
#[derive(Debug, Clone)]
pub struct Bearer {
    pub id: Box<str>,
    pub issuer: Box<str>,
    pub right: BearerRight,
    hash: [u8; 32],
}

/// What a bearer token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BearerRight {
    Edge { ip_optional: bool },
    Admin,
}

/// All keys in force: immutable, looked up by id on every request.
#[derive(Debug, Clone, Default)]
pub struct KeyRing {
    signers: HashMap<Box<str>, Signer>,
    bearers: HashMap<Box<str>, Bearer>,
}

impl KeyRing {
    /// The signing key named by a link's `k`.
    #[must_use]
    pub fn signer(&self, id: &str) -> Option<&Signer> {
        self.signers.get(id)
    }

    /// Who the token `id.secret` belongs to; the secret is compared in constant time.
    #[must_use]
    pub fn authenticate(&self, token: &str) -> Option<&Bearer> {
        let (id, secret) = token.split_once('.')?;
        let bearer = self.bearers.get(id)?;
        let hash: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        bool::from(hash.ct_eq(&bearer.hash)).then_some(bearer)
    }

    fn insert(&mut self, stored: &StoredKey) -> Result<(), String> {
        let id: Box<str> = stored.id.as_str().into();
        let issuer: Box<str> = stored.issuer.as_str().into();
        let right = match &stored.grant {
            Right::Sign { link, placement, hosts } => {
                let key = SigningKey::new(&id, stored.proof.as_bytes());
                let key = key.map_err(|error| format!("key {id}: {error}"))?;
                let rights = KeyRights { link: *link, placement: *placement };
                let signer = Signer { key, issuer, rights, hosts: hosts.clone() };
                self.signers.insert(id, signer);
                return Ok(());
            }
            Right::Edge { ip_optional } => BearerRight::Edge { ip_optional: *ip_optional },
            Right::Admin => BearerRight::Admin,
        };
        let hash = parse_hash(&stored.proof).ok_or_else(|| format!("key {id}: bad hash"))?;
        self.bearers.insert(id.clone(), Bearer { id, issuer, right, hash });
        Ok(())
    }
}

fn hash_hex(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn parse_hash(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(hash)
}

/// Bytes of the system's generator. Without one no secret may be made: the process stops.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has a random number generator");
    bytes
}

/// The wall clock, ms since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
