//! Who may depend on whom, and that the core cannot reach the outside world.

use super::File;

/// A crate of the workspace and those of ours that it may build on when shipped.
const MAY_USE: [(&str, &[&str]); 5] = [
    ("click-core", &[]),
    ("click-engine", &["click-core"]),
    ("click-jvm", &["click-core"]),
    ("clickledger", &["click-core", "click-engine"]),
    ("click-sim", &["click-core", "click-engine"]),
];

/// Applies every rule of this file.
pub(crate) fn check(files: &[File], complaints: &mut Vec<String>) {
    for file in files {
        if let Some(name) = crate_of(&file.path, "/Cargo.toml") {
            direction(name, file, complaints);
        }
        if file.path.starts_with("crates/click-core/src/") {
            no_std(file, complaints);
        }
    }
}

fn crate_of<'a>(path: &'a str, end: &str) -> Option<&'a str> {
    path.strip_prefix("crates/")?.strip_suffix(end)
}

fn direction(name: &str, file: &File, complaints: &mut Vec<String>) {
    let Some((_, allowed)) = MAY_USE.iter().find(|(known, _)| *known == name) else {
        complaints.push(format!("{}: an unknown crate: give it a place in tidy", file.path));
        return;
    };
    for used in shipped_dependencies(&file.text) {
        let ours = MAY_USE.iter().any(|(known, _)| *known == used);
        if ours && !allowed.contains(&used) {
            complaints.push(format!("{}: {name} must not depend on {used}", file.path));
        }
    }
}

/// Names in `[dependencies]`; tests may use what they like.
fn shipped_dependencies(manifest: &str) -> Vec<&str> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.starts_with("[dependencies]");
        } else if inside {
            names.extend(line.split(['.', ' ', '=']).next().filter(|name| !name.is_empty()));
        }
    }
    names
}

/// The core has no clock, disk, network or random map because it cannot name `std`.
fn no_std(file: &File, complaints: &mut Vec<String>) {
    if file.path.ends_with("/lib.rs") && !file.text.contains("#![no_std]") {
        complaints.push(format!("{}: has to say #![no_std]", file.path));
    }
    for (number, line) in (1..).zip(file.text.lines()) {
        let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        if line.contains("std") && words.clone().any(|word| word == "std") {
            complaints.push(format!("{}:{number}: the core names `std`", file.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<String> {
        let mut complaints = Vec::new();
        check(&[File { path: path.to_owned(), text: text.to_owned() }], &mut complaints);
        complaints
    }

    #[test]
    fn dependencies_point_one_way() {
        let up = "[dependencies]\nclickledger.workspace = true\n";
        assert_eq!(complaints("crates/click-core/Cargo.toml", up).len(), 1);
        let sim = "[dependencies]\nclick-sim.workspace = true\n";
        assert_eq!(complaints("crates/clickledger/Cargo.toml", sim).len(), 1);
        let tests = "[dev-dependencies]\nclick-sim.workspace = true\n";
        assert!(complaints("crates/clickledger/Cargo.toml", tests).is_empty());
    }

    #[test]
    fn the_core_may_not_name_std() {
        let used = "use std::time::Instant;\n";
        assert_eq!(complaints("crates/click-core/src/a.rs", used).len(), 1);
        assert!(
            complaints("crates/click-core/src/a.rs", "use core::fmt; // standard\n").is_empty()
        );
        assert!(complaints("crates/click-engine/src/a.rs", used).is_empty());
    }
}
