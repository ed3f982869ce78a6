//! A bounded sample of refused requests, for the operator's eyes: one JSON line each.
//!
//! At most ten a second, written by a thread of its own, in two files of bounded size: what an
//! attacker sends costs neither the request path nor the disk.

use super::limits::{DEAD_LETTERS_PER_SECOND, MAX_DEAD_LETTER_FILE, MAX_DEAD_LETTER_TEXT};
use crate::keys::now_ms;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

#[derive(Serialize)]
struct Letter {
    at: u64,
    reason: &'static str,
    peer: IpAddr,
    request: String,
}

/// Where refused requests are sampled.
pub struct DeadLetters {
    sender: SyncSender<Letter>,
    second: AtomicU64,
    in_second: AtomicU32,
}

impl DeadLetters {
    /// Writes to `path` (`None` keeps nothing) from a thread that ends with this value.
    ///
    /// # Errors
    /// If the file cannot be opened or the thread not started.
    pub fn open(path: Option<&Path>) -> io::Result<DeadLetters> {
        let (sender, receiver) = sync_channel(2 * DEAD_LETTERS_PER_SECOND as usize);
        if let Some(path) = path {
            let mut file = Rotating::open(path)?;
            let work = move || file.write_all(&receiver);
            std::thread::Builder::new().name("dead-letters".into()).spawn(work)?;
        }
        Ok(DeadLetters { sender, second: AtomicU64::new(0), in_second: AtomicU32::new(0) })
    }

    /// Offers a refused request; `false` if the sample has enough of this second.
    pub fn offer(&self, reason: &'static str, peer: IpAddr, request: &[u8]) -> bool {
        let at = now_ms();
        if self.second.swap(at / 1000, Ordering::Relaxed) != at / 1000 {
            self.in_second.store(0, Ordering::Relaxed);
        }
        if self.in_second.fetch_add(1, Ordering::Relaxed) >= DEAD_LETTERS_PER_SECOND {
            return false;
        }
        let kept = &request[..request.len().min(MAX_DEAD_LETTER_TEXT)];
        let request = String::from_utf8_lossy(kept).into_owned();
        self.sender.try_send(Letter { at, reason, peer, request }).is_ok()
    }
}

struct Rotating {
    path: PathBuf,
    file: File,
    size: u64,
}

impl Rotating {
    fn open(path: &Path) -> io::Result<Rotating> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let size = file.metadata()?.len();
        Ok(Rotating { path: path.to_owned(), file, size })
    }

    /// Writes until the senders are gone. A failing disk costs the sample, nothing else.
    fn write_all(&mut self, letters: &Receiver<Letter>) {
        for letter in letters {
            let Ok(mut line) = serde_json::to_vec(&letter) else { continue };
            line.push(b'\n');
            if let Err(error) = self.write(&line) {
                tracing::warn!("{}: {error}; the entry is lost", self.path.display());
            }
        }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.size >= MAX_DEAD_LETTER_FILE {
            std::fs::rename(&self.path, self.path.with_extension("old"))?;
            *self = Rotating::open(&self.path)?;
        }
        self.file.write_all(line)?;
        self.size += line.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let letters = DeadLetters::open(Some(&dir.path().join("dead.log"))).unwrap();
        let peer = IpAddr::from([8, 8, 8, 8]);
        let big = vec![b'x'; 100_000];
        let taken = (0..1000).filter(|_| letters.offer("link_bad_byte", peer, &big)).count();
        assert!((1..=100).contains(&taken), "{taken}");
    }
}
