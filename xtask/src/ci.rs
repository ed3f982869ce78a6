//! The whole truth about a change: every check in order of cost, each with its time.
//!
//! One build profile (release) for all of it, so that nothing is compiled twice. Tests see
//! `CLICKTEST_CI=1` and then fail where they would otherwise skip for want of a tool.

use crate::{proof, setup, shell, tidy};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::time::{Duration, Instant};

const CI: (&str, &str) = ("CLICKTEST_CI", "1");
/// Links into private items hold, since these are documented too; help texts hold bare URLs.
const RUSTDOC: (&str, &str) =
    ("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links -A rustdoc::bare_urls");

/// Runs everything; the first failure ends the run.
pub(crate) fn run(root: &Path, with_setup: bool) -> Result<()> {
    let start = Instant::now();
    let mut report = Report::default();
    let before = tree(root)?;
    if with_setup {
        report.section("set-up", || setup::run(root))?;
    }
    report.section("tools", || setup::check(root))?;
    report.section("format", || shell::run(root, "cargo fmt --all --check", &[]))?;
    report.section("tidy", || tidy::run(root))?;
    report.section("licences and sources", || deny(root))?;
    report.section("clippy", || shell::run(root, CLIPPY, &[]))?;
    report.section("documentation", || shell::run(root, DOC, &[RUSTDOC]))?;
    report.section("build", || shell::run(root, BUILD, &[]))?;
    report.section("tests", || shell::run(root, TEST, &[CI]))?;
    report.section("simulation", || proof::sim(root, "seeds", &["3000", "--from", "0"]))?;
    report.section("planted bugs", || proof::planted(root, &["--seconds", "240"]))?;
    report.section("generated files", || unchanged(root, &before))?;
    report.print(start.elapsed());
    Ok(())
}

/// One set of features for all of it, too: everything.
const CLIPPY: &str = "cargo clippy --release --workspace --features full --all-targets --locked \
    -- -D warnings";
const DOC: &str = "cargo doc --release --workspace --features full --no-deps --locked \
    --document-private-items";
const BUILD: &str = "cargo build --release --workspace --features full --all-targets --locked";
const TEST: &str = "cargo test --release --workspace --features full --locked";

/// `cargo deny` judges the dependencies where it is installed; it takes minutes to build.
fn deny(root: &Path) -> Result<()> {
    if shell::succeeds(root, "cargo deny --version") {
        return shell::run(root, "cargo deny check bans licenses sources", &[]);
    }
    println!("cargo-deny is not installed: not checked");
    Ok(())
}

/// What git sees as changed, with the content of the changes.
fn tree(root: &Path) -> Result<String> {
    let status = shell::read(root, "git status --porcelain").context("not a git clone?")?;
    Ok(status + &shell::read(root, "git diff")?)
}

/// Committed files that tests regenerate have to come out as they are.
fn unchanged(root: &Path, before: &str) -> Result<()> {
    let after = tree(root)?;
    ensure!(after == before, "the run changed files of the repository:\n{after}");
    println!("no file of the repository changed");
    Ok(())
}

#[derive(Default)]
struct Report {
    times: Vec<(&'static str, Duration)>,
}

impl Report {
    fn section(&mut self, name: &'static str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        println!("\n== {name} ==");
        let start = Instant::now();
        work().with_context(|| format!("ci: {name}"))?;
        self.times.push((name, start.elapsed()));
        Ok(())
    }

    fn print(&self, total: Duration) {
        println!("\n== times ==");
        for (name, time) in &self.times {
            println!("{:>7.1} s  {name}", time.as_secs_f64());
        }
        println!("{:>7.1} s  in all: every check passed", total.as_secs_f64());
    }
}
