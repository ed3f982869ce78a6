//! Project tasks: `cargo xtask ci`, `tidy`, `setup`, and the proofs: `sim`, `planted`,
//! `kills`, `faults`, `fuzz`, `sanitize`, `reliability`.
//!
//! `ci` is the whole truth about a change and what `.ci/run` calls. Nothing here ships, and
//! nothing here decides what a check means: it runs the tools in order and stops at the first
//! that fails.
#![expect(clippy::print_stdout, reason = "a task's output is what its caller asked for")]
#![expect(clippy::print_stderr, reason = "a failed task says why")]

mod ci;
mod proof;
mod sanitize;
mod setup;
mod shell;
mod tidy;

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK

  ci [--no-setup]   everything that decides whether a change is good, cheapest first
  tidy              the rules of CONTRIBUTING.md that no compiler checks
  sim ARGUMENTS     play stories of the simulated machine: --seeds N [--from S] [--save], or
                    --story S
  planted [--seconds N] [--save]
                    switch on each planted bug and see whether it is found
  kills --cycles N [--save]
                    kill the real binary N times under load and look for every click
  faults --rounds N [--save]
                    play every real fault of the real binary N times under load
  fuzz --seconds N [--save]
                    damage the inputs of all that parses and hold it to its promises
  fuzz --guided --seconds N [--target T] [--save]
                    the same, guided by coverage, N seconds for each target; a build of its own
  sanitize          run unsafe code and parsers under AddressSanitizer, in a build of its own;
                    not a part of ci
  reliability       write the figures of docs/reliability.md
  setup             install what the tests need (idempotent; packages need root or sudo)
";

fn main() -> ExitCode {
    match task() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn task() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = root();
    match words.as_slice() {
        ["ci"] => ci::run(&root, true),
        ["ci", "--no-setup"] => ci::run(&root, false),
        ["tidy"] => tidy::run(&root),
        ["setup"] => setup::run(&root),
        ["sim", "--seeds", rest @ ..] => proof::sim(&root, "seeds", rest),
        ["sim", "--story", rest @ ..] => proof::sim(&root, "story", rest),
        ["planted", rest @ ..] => proof::planted(&root, rest),
        ["kills", "--cycles", rest @ ..] => proof::sim(&root, "kills", rest),
        ["faults", "--rounds", rest @ ..] => proof::sim(&root, "faults", rest),
        ["fuzz", "--guided", rest @ ..] => proof::guided(&root, rest),
        ["fuzz", "--seconds", rest @ ..] => proof::sim(&root, "fuzz", rest),
        ["sanitize"] => sanitize::run(&root),
        ["reliability"] => proof::sim(&root, "report", &[]),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => bail!("unknown task {words:?}\n{USAGE}"),
    }
}

/// The root of the workspace: this package's folder is one below it.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.to_owned(), Path::to_owned)
}
