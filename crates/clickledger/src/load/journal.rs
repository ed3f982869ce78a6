//! The journal of acknowledged click ids: written at once, so that the death of the generator
//! loses no line, and synced at the end.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

pub struct Journal {
    file: Option<File>,
}

impl Journal {
    /// Creates the file, or keeps no journal without one.
    pub fn open(path: Option<&Path>) -> Result<Journal> {
        let create =
            |path: &Path| File::create(path).with_context(|| format!("journal {}", path.display()));
        Ok(Journal { file: path.map(create).transpose()? })
    }

    /// Adds a line for each id, in one write.
    pub fn acknowledged(&mut self, ids: &[&str]) -> Result<()> {
        let Some(file) = self.file.as_mut().filter(|_| !ids.is_empty()) else { return Ok(()) };
        let mut lines = String::with_capacity(ids.iter().map(|id| id.len() + 1).sum());
        for id in ids {
            lines.push_str(id);
            lines.push('\n');
        }
        file.write_all(lines.as_bytes()).context("journal")
    }

    /// Makes it durable.
    pub fn finish(&mut self) -> Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_all).context("journal")
    }
}
