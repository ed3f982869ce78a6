//! A tracker's own log, copied to a second site while the cluster is late, so that what is
//! acknowledged meanwhile is on two disks: the [`Copier`] here hands records to a [`Peer`], behind
//! which a tracker at another site keeps them in its [`Copies`] and hands them on to the cluster,
//! too. Whichever of the two comes first, transport identities make one record of both (SPEC §2).
//!
//! Both sides name a record by its place in the own log. That this is still the log that the peer
//! has the beginning of (and not an older state of it that was put back, or a clone's) is proven by
//! the last record that the peer has: it holds a transport identity that was given once. The proof
//! holds for one session, and the peer takes records from the session that asked last alone. Must
//! never take for copied what the peer has not said to be durable. Format: `docs/formats/copy.md`.

mod copier;
mod copies;
mod kept;
mod message;
mod origin;
mod peer;
#[cfg(test)]
mod tests;

pub use copier::Copier;
pub use copies::{Copies, CopiesConfig, CopiesStatus};
pub use message::{Given, MAX_MESSAGE, Message, Section};
pub use peer::{CopyRefusal, Held, Peer};

/// 128 random bits: of an own log, or of a copier's session.
pub type Name = [u8; 16];

fn draw() -> Result<Name, crate::log::LogError> {
    let mut name = [0; 16];
    getrandom::fill(&mut name).map_err(crate::log::LogError::copy)?;
    Ok(name)
}

/// By which a record is known: SHA-256 of its payload, in hexadecimal.
fn mark_of(payload: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    crate::hex::hex(&Sha256::digest(payload))
}
