//! Coverage-guided mutations: libFuzzer on every target's corpus. The binary is that of `fuzz/`,
//! which `cargo xtask fuzz --guided` builds with counters before it calls this.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use click_sim::fuzz::{TARGETS, Target, adopt, folder};

use crate::results::{self, Kind, Saved};

const BINARY: &str = "target/fuzz/x86_64-unknown-linux-gnu/release/click-fuzz";
/// Inputs that the fuzzer finds worth keeping, and those that broke a promise.
const WORK: &str = "target/fuzz/work";

/// What libFuzzer says of a run.
#[derive(Debug, Default, PartialEq)]
struct Said {
    executions: u64,
    edges: u64,
}

/// Runs each target, or the one that is named, for some seconds; whether all promises held.
pub(crate) fn run(seconds: u64, only: Option<&str>, save: bool) -> Result<bool, String> {
    let targets: Vec<&Target> =
        TARGETS.iter().filter(|target| only.is_none_or(|only| only == target.name)).collect();
    if targets.is_empty() {
        return Err(format!("no target is called {}", only.unwrap_or_default()));
    }
    let (mut trials, mut failed, mut details) = (0, 0, Vec::new());
    let begun = Instant::now();
    for target in targets {
        let (said, held) = attack(target, seconds).map_err(|e| format!("{}: {e}", target.name))?;
        let Said { executions, edges } = said;
        let outcome = if held { "held" } else { "broke its promise" };
        println!("{}: {executions} executions, {edges} edges, {outcome}", target.name);
        (trials, failed) = (trials + executions, failed + u64::from(!held));
        details.push((target.name.to_owned(), executions));
        details.push((format!("{} edges", target.name), edges));
    }
    if save {
        let (commit, seconds) = (results::commit()?, begun.elapsed().as_secs_f64());
        let (kind, from) = (Kind::Guided, 0);
        results::save(&Saved { kind, commit, from, trials, failed, seconds, details })?;
    }
    Ok(failed == 0)
}

fn attack(target: &Target, seconds: u64) -> Result<(Said, bool), String> {
    let work = results::path(WORK).join(target.name);
    let broken = work.join("broken");
    let found = work.join("found");
    for folder in [&broken, &found] {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    }
    let ran = Command::new(results::path(BINARY))
        .env("CLICKTEST_TARGET", target.name)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", broken.display()))
        .args(["-max_len=65536", "-timeout=20", "-rss_limit_mb=4096"])
        .args([&found, &folder(target)])
        .output()
        .map_err(|error| format!("{BINARY}: {error}"))?;
    let text = String::from_utf8_lossy(&ran.stderr);
    let said = said(&text);
    if said.executions == 0 {
        return Err(format!("nothing was executed:\n{text}"));
    }
    adopt_all(target, &broken)?;
    Ok((said, ran.status.success()))
}

/// Moves what broke the promise into the committed corpus.
fn adopt_all(target: &Target, broken: &Path) -> Result<(), String> {
    let say = |error: std::io::Error| format!("{}: {error}", broken.display());
    for entry in std::fs::read_dir(broken).map_err(say)? {
        let path: PathBuf = entry.map_err(say)?.path();
        let kept = adopt(target, &path).map_err(say)?;
        println!("{}: kept as {}", target.name, kept.display());
    }
    Ok(())
}

/// The last line of the form `#123 DONE cov: 45 ft: ...`, whatever it tells of.
fn said(text: &str) -> Said {
    let line = |line: &str| {
        let words: Vec<&str> = line.strip_prefix('#')?.split_whitespace().collect();
        let edges = words.iter().position(|word| *word == "cov:")?;
        Some(Said {
            executions: words[0].parse().ok()?,
            edges: words.get(edges + 1)?.parse().ok()?,
        })
    };
    text.lines().filter_map(line).next_back().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Said, said};

    #[test]
    fn the_last_line_counts() {
        let text = "INFO: seed corpus\n#2\tINITED cov: 70 ft: 71\n#99\tDONE   cov: 80 ft: 90\nDone";
        assert_eq!(said(text), Said { executions: 99, edges: 80 });
        assert_eq!(said("nothing"), Said::default());
    }
}
