//! What the documentation points at exists: links, headings, and paths in backticks.

use super::File;
use std::path::{Component, Path, PathBuf};

/// Folders whose paths, when named in backticks, have to exist.
const FOLDERS: [&str; 7] =
    ["crates/", "docs/", "bench/", "xtask/", ".ci/", ".github/", "testdata/"];

/// Applies every rule of this file.
pub(crate) fn check(root: &Path, files: &[File], complaints: &mut Vec<String>) {
    for file in files.iter().filter(|file| file.extension() == "md") {
        for (number, line) in prose(&file.text) {
            let mut missing: Vec<&str> = Vec::new();
            missing.extend(targets(line).filter(|target| !resolves(root, file, target)));
            missing.extend(quoted(line).filter(|path| is_path(path) && !root.join(path).exists()));
            for target in missing {
                complaints.push(format!("{}:{number}: `{target}` does not exist", file.path));
            }
        }
    }
}

/// Numbered lines outside of fenced code.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// Targets of `[text](target)`, `src="target"` and `srcset="target"`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let links = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let sources = line.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let sets = line.split("srcset=\"").skip(1).filter_map(|rest| rest.split('"').next());
    links.chain(sources).chain(sets)
}

fn resolves(root: &Path, file: &File, target: &str) -> bool {
    if target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
    let full = if path.is_empty() { root.join(&file.path) } else { join(root, folder, path) };
    if anchor.is_empty() || full.extension().is_none_or(|extension| extension != "md") {
        return full.exists();
    }
    let text = std::fs::read_to_string(&full).unwrap_or_default();
    prose(&text).any(|(_, line)| line.starts_with('#') && slug(line) == anchor)
}

fn join(root: &Path, folder: &Path, path: &str) -> PathBuf {
    let mut full = root.join(folder);
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => _ = full.pop(),
            Component::Normal(name) => full.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    full
}

/// The anchor that Markdown hosts make of a heading.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// What stands between backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn is_path(text: &str) -> bool {
    FOLDERS.iter().any(|folder| text.starts_with(folder))
        && !text.contains(['*', '{', '<', ' ', '…'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(text: &str) -> usize {
        let root = crate::root();
        let file = File { path: "docs/a.md".to_owned(), text: text.to_owned() };
        let mut complaints = Vec::new();
        check(&root, &[file], &mut complaints);
        complaints.len()
    }

    #[test]
    fn what_exists_is_found() {
        assert_eq!(complaints("[a](../README.md) [b](https://x.example) `xtask/src/main.rs`"), 0);
        assert_eq!(complaints("```\n[a](nowhere.md)\n```\n"), 0);
        assert_eq!(complaints("`crates/*/Cargo.toml` and `cargo run`"), 0);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(complaints("[a](nowhere.md) and `xtask/src/nothing.rs`"), 2);
        assert_eq!(complaints("[a](../README.md#no-such-heading)"), 1);
        assert_eq!(complaints("<img src=\"img/none.svg\">"), 1);
    }

    #[test]
    fn headings_become_anchors() {
        assert_eq!(slug("## The life of one click"), "the-life-of-one-click");
    }
}
