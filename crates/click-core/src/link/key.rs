//! Signing keys as the link code sees them: a keyed MAC state and what the key may sign.
//!
//! The MAC key is the secret's text as it is shown to the operator, byte by byte, so that no
//! language needs to decode anything. Comparison is constant-time. Secrets are never printed.

use super::{LinkError, base64url, limits};
use alloc::boxed::Box;
use core::fmt;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What is signed stands after this, whatever path the request came by (`/c`, `/b`, a batch).
const SIGNED_PREFIX: &[u8] = b"/c?";

/// What a key may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRights {
    /// Links with a click id (`c`).
    pub link: bool,
    /// Placement links (no `c`): the tracker mints a click id per request.
    pub placement: bool,
}

impl KeyRights {
    /// Both kinds of links.
    pub const ALL: Self = Self { link: true, placement: true };
}

/// A key that signs and verifies links. The MAC's padded-key state is computed once, here.
#[derive(Clone)]
pub struct SigningKey {
    id: Box<str>,
    mac: Hmac<Sha256>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Key `id` (goes into `k`, 1-64 of `A-Za-z0-9._-`) with the secret's text as shown.
    ///
    /// # Errors
    /// `BadId('k')` for another id or an empty secret.
    pub fn new(id: &str, secret: &[u8]) -> Result<Self, LinkError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let id_fits = (1..=limits::MAX_KEY_ID).contains(&id.len()) && id.bytes().all(plain);
        if !id_fits || secret.is_empty() {
            return Err(LinkError::BadId('k'));
        }
        let keyed = Hmac::<Sha256>::new_from_slice(secret);
        let mut mac = keyed.map_err(|_| LinkError::BadId('k'))?;
        mac.update(SIGNED_PREFIX);
        Ok(Self { id: id.into(), mac })
    }

    /// The value of `k`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The signature of the signed part (without `/c?` and without `&s=`).
    pub(super) fn sign(&self, signed: &[u8]) -> [u8; 32] {
        let mut mac = self.mac.clone();
        mac.update(signed);
        mac.finalize().into_bytes().into()
    }

    /// Constant-time check of the 43 characters `signature` over `signed`.
    pub(super) fn check(&self, signed: &[u8], signature: &[u8]) -> Result<(), LinkError> {
        let mut expected = [0u8; 32];
        base64url::decode_into(signature, &mut expected).ok_or(LinkError::NotCanonical('s'))?;
        let mut mac = self.mac.clone();
        mac.update(signed);
        mac.verify_slice(&expected).map_err(|_| LinkError::BadSignature)
    }
}
