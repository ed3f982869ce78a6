//! The operator's list of ads that do not run: one ad id a line, `#` begins a comment.
//!
//! A click on a listed ad is recorded and gets the verdict T3; the visitor is redirected
//! all the same.

use std::collections::HashSet;
use std::io;
use std::path::Path;

/// Most listed ads.
const MAX_ADS: usize = 5_000_000;

/// Ads that are paused, ended or withdrawn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    paused: HashSet<Box<str>>,
}

impl Catalogue {
    /// Reads the list.
    ///
    /// # Errors
    /// Those of the file system, and `InvalidData` naming the line that is no id.
    pub fn load(path: &Path) -> io::Result<Catalogue> {
        Catalogue::parse(&std::fs::read_to_string(path)?).map_err(|(line, reason)| {
            let message = format!("{} line {line}: {reason}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, message)
        })
    }

    fn parse(text: &str) -> Result<Catalogue, (usize, &'static str)> {
        let mut paused = HashSet::new();
        for (number, line) in text.lines().enumerate() {
            let id = line.trim();
            if id.is_empty() || id.starts_with('#') {
                continue;
            }
            if !click_core::record::valid_id(id.as_bytes()) {
                return Err((number + 1, "not an ad id of 1 to 128 bytes"));
            }
            paused.insert(id.into());
            if paused.len() > MAX_ADS {
                return Err((number + 1, "too many ads"));
            }
        }
        Ok(Catalogue { paused })
    }

    /// Whether the ad runs.
    pub fn is_active(&self, ad: &str) -> bool {
        !self.paused.contains(ad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_line_by_line() {
        let list = Catalogue::parse("# paused\nad1\n\n  ad 2 \r\n").unwrap();
        assert!(!list.is_active("ad1") && !list.is_active("ad 2") && list.is_active("ad3"));
        assert_eq!(Catalogue::parse("a\n\u{1}\n"), Err((2, "not an ad id of 1 to 128 bytes")));
    }
}
