//! Mutated bytes for everything that parses: what decodes is what was encoded, what verifies is
//! what was signed, what is damaged is refused, and nothing panics.
//!
//! A corpus of whole inputs lies in `corpus/`, a folder per target. A run takes one of them,
//! damages it by a seed, and holds the target to its promise. An input that breaks one is kept in
//! the corpus, so that every later run, and the ordinary tests, begin with it.

mod mutate;
mod seeds;
mod segments;
mod stages;
mod targets;

pub use targets::{TARGETS, Target};

use crate::check::Dice;
use std::io;
use std::path::{Path, PathBuf};

/// The inputs of a target, in the order of their names.
///
/// # Errors
/// If the folder is not there.
pub fn corpus(target: &Target) -> io::Result<Vec<Vec<u8>>> {
    let entries: io::Result<Vec<PathBuf>> =
        std::fs::read_dir(folder(target))?.map(|entry| Ok(entry?.path())).collect();
    let mut paths = entries?;
    paths.sort();
    paths.into_iter().map(std::fs::read).collect()
}

/// Writes the inputs that a target begins with.
///
/// # Errors
/// If they cannot be written.
pub fn write_seeds(target: &Target) -> io::Result<()> {
    std::fs::create_dir_all(folder(target))?;
    for (number, seed) in (target.seeds)().iter().enumerate() {
        std::fs::write(folder(target).join(format!("seed-{number:02}")), seed)?;
    }
    Ok(())
}

/// Keeps an input that broke the target's promise.
///
/// # Errors
/// If it cannot be written.
pub fn keep(target: &Target, input: &[u8], seed: u64) -> io::Result<PathBuf> {
    let path = folder(target).join(format!("found-{seed:016x}"));
    std::fs::write(&path, input)?;
    Ok(path)
}

/// Moves an input that broke the target's promise into its corpus.
///
/// # Errors
/// If it cannot be moved.
pub fn adopt(target: &Target, input: &Path) -> io::Result<PathBuf> {
    let path = folder(target).join(input.file_name().unwrap_or_default());
    std::fs::copy(input, &path)?;
    std::fs::remove_file(input)?;
    Ok(path)
}

/// Where the corpus of a target is.
#[must_use]
pub fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

/// The input of a trial: one of the corpus, damaged.
#[must_use]
pub fn input(corpus: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut bytes = corpus[dice.below(corpus.len())].clone();
    let other = &corpus[dice.below(corpus.len())];
    mutate::damage(&mut dice, &mut bytes, other);
    bytes
}
