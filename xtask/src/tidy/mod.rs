//! The rules that no compiler checks, over every file git knows. No exception list.
//!
//! Each rule is a function from a file (or the whole tree) to complaints; all complaints are
//! printed before the run fails, so that one run shows all there is to mend.

mod crates;
mod links;
mod text;

use crate::shell;
use anyhow::{Result, bail};
use std::path::Path;

/// A file of the repository, read as text.
pub(crate) struct File {
    /// Relative to the root, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn extension(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(_, extension)| extension)
    }
}

/// Runs every rule; an error if any complains.
pub(crate) fn run(root: &Path) -> Result<()> {
    let files = files(root)?;
    let mut complaints = Vec::new();
    for file in &files {
        text::check(file, &mut complaints);
    }
    crates::check(&files, &mut complaints);
    links::check(root, &files, &mut complaints);
    if complaints.is_empty() {
        println!("tidy: {} files follow the rules", files.len());
        return Ok(());
    }
    complaints.sort();
    bail!("tidy:\n{}\n{} complaints", complaints.join("\n"), complaints.len());
}

/// Every text file that git tracks, or would if it were added.
fn files(root: &Path) -> Result<Vec<File>> {
    let list = shell::read(root, "git ls-files --cached --others --exclude-standard")?;
    let mut files = Vec::new();
    for path in list.lines() {
        let full = root.join(path);
        // A file deleted but not yet committed is still in git's list.
        if !full.is_file() {
            continue;
        }
        if let Ok(text) = String::from_utf8(std::fs::read(&full)?) {
            files.push(File { path: path.to_owned(), text });
        }
    }
    Ok(files)
}
