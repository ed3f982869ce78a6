//! Source keys: what stands for a click's source once its address has been truncated (SPEC §1).
//!
//! A keyed hash, so that whoever has the archive but not the secret cannot try all addresses.

use super::Source;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of a secret.
pub const SOURCE_SECRET_BYTES: usize = 32;
/// Bytes of a key.
pub const SOURCE_KEY_BYTES: usize = 16;

/// Makes source keys with one secret.
#[derive(Clone)]
pub struct SourceKeys(Hmac<Sha256>);

impl core::fmt::Debug for SourceKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SourceKeys")
    }
}

impl SourceKeys {
    /// With the secret of a deployment: all that write its clicks have the same one.
    ///
    /// # Panics
    /// Never: a key of HMAC may have any length.
    pub fn new(secret: &[u8; SOURCE_SECRET_BYTES]) -> SourceKeys {
        SourceKeys(Hmac::new_from_slice(secret).expect("any length is fine"))
    }

    /// The key of an address of 0, 4 or 16 bytes: half of HMAC-SHA-256 of `4:` and an IPv4 address
    /// (also a mapped one), or of `6:` and an IPv6 /64. `None` of an unknown one.
    pub fn of(&self, ip: &[u8]) -> Option<[u8; SOURCE_KEY_BYTES]> {
        let mut mac = self.0.clone();
        match Source::of(ip, &[]) {
            Source::Unknown | Source::Key(_) => return None,
            Source::V4(address) => {
                mac.update(b"4:");
                mac.update(&address);
            }
            Source::Subnet(subnet) => {
                mac.update(b"6:");
                mac.update(&subnet);
            }
        }
        mac.finalize().into_bytes().first_chunk().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPPED: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1];
    const SUBNET: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

    #[test]
    fn one_source_has_one_key() {
        let keys = SourceKeys::new(&[7; 32]);
        let mut neighbour = SUBNET;
        neighbour[15] = 2;
        assert_eq!(keys.of(&[192, 0, 2, 1]), keys.of(&MAPPED));
        assert_eq!(keys.of(&SUBNET), keys.of(&neighbour));
        assert_eq!(keys.of(&[]), None);
    }

    #[test]
    fn other_sources_and_secrets_have_others() {
        let keys = SourceKeys::new(&[7; 32]);
        let mut other = SUBNET;
        other[7] = 1;
        assert_ne!(keys.of(&[192, 0, 2, 1]), keys.of(&[192, 0, 2, 2]));
        assert_ne!(keys.of(&SUBNET), keys.of(&other));
        assert_ne!(keys.of(&SUBNET), SourceKeys::new(&[8; 32]).of(&SUBNET));
    }

    /// By `printf '4:\300\0\2\1' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0707...`.
    #[test]
    fn is_half_of_hmac_sha_256() {
        let key = SourceKeys::new(&[7; 32]).of(&[192, 0, 2, 1]);
        let hex: alloc::string::String =
            key.iter().flatten().map(|byte| alloc::format!("{byte:02x}")).collect();
        assert_eq!(hex, "451159afb755b41a2c5e29b1639f4950");
    }
}
