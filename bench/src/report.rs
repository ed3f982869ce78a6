//! The table and its JSON lines. Owns how figures are shown; computes nothing but ratios.

use crate::process::commit;
use crate::stats::Samples;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// What was measured of one contender.
#[derive(Clone, Debug, Default)]
pub struct Figure {
    /// Who it is; empty for us.
    pub name: String,
    /// The figure, once per run.
    pub value: Samples,
    /// CPU-seconds of the measured process, once per run; empty where that says nothing.
    pub cpu: Samples,
}

impl Figure {
    /// A figure without CPU time.
    pub fn new(name: &str, value: Samples) -> Figure {
        Figure { name: name.into(), value, cpu: Samples::default() }
    }

    /// A figure with CPU time.
    pub fn with_cpu(name: &str, value: Samples, cpu: Samples) -> Figure {
        Figure { name: name.into(), value, cpu }
    }
}

/// One line of the table.
pub struct Line {
    /// Part of the program.
    pub part: &'static str,
    /// What the figure is.
    pub what: String,
    /// Its unit.
    pub unit: &'static str,
    /// Ours.
    pub ours: Figure,
    /// A peer, or a limit of the machine.
    pub other: Option<Figure>,
}

/// Lines and what had to be left out.
#[derive(Default)]
pub struct Report {
    lines: Vec<Line>,
    notes: Vec<String>,
    skipped: Vec<String>,
}

impl Report {
    /// Adds a line and says so at once, for those who wait.
    pub fn line(&mut self, line: Line) {
        progress(&format!("{}: {} {}", line.part, line.what, shown(&line.ours.value)));
        self.lines.push(line);
    }

    /// Adds a line without a peer.
    pub fn alone(&mut self, part: &'static str, what: &str, unit: &'static str, value: Samples) {
        let ours = Figure::new("", value);
        self.line(Line { part, what: what.into(), unit, ours, other: None });
    }

    /// Something the reader of the table must know.
    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// Something that was not measured, and why.
    pub fn skip(&mut self, text: String) {
        progress(&format!("skipped: {text}"));
        self.skipped.push(text);
    }

    /// The table as Markdown.
    #[expect(clippy::print_stdout, reason = "the program's output")]
    pub fn print(&self) {
        println!("| part | what | unit | ours | against | theirs | ratio | CPU s |");
        println!("|---|---|---|---|---|---|---|---|");
        self.lines.iter().for_each(|line| println!("{}", row(line)));
        self.notes.iter().for_each(|note| println!("note: {note}"));
        self.skipped.iter().for_each(|skipped| println!("skipped: {skipped}"));
    }

    /// Appends the lines to `bench/results/DATE-COMMIT.jsonl`.
    pub fn save(&self, quick: bool) -> Result<()> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
        std::fs::create_dir_all(&dir).context("bench/results")?;
        let (date, commit) = (today(), commit());
        let path = dir.join(format!("{date}-{commit}.jsonl"));
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
        for line in &self.lines {
            let mut value = as_json(line);
            value["date"] = json!(date);
            value["commit"] = json!(commit);
            value["quick"] = json!(quick);
            writeln!(file, "{value}")?;
        }
        progress(&format!("saved {date}-{commit}.jsonl in bench/results"));
        Ok(())
    }
}

fn row(line: &Line) -> String {
    let mut out = format!("| {} | {} | {} | ", line.part, line.what, line.unit);
    out.push_str(&shown(&line.ours.value));
    let (name, value, ratio) = match &line.other {
        Some(other) => {
            let ratio = shown(&line.ours.value.ratio(&other.value));
            (other.name.as_str(), shown(&other.value), ratio)
        }
        None => ("", String::new(), String::new()),
    };
    let cpu = |figure: &Figure| {
        if figure.cpu.0.is_empty() { String::new() } else { number(figure.cpu.median()) }
    };
    let theirs = line.other.as_ref().map(cpu).unwrap_or_default();
    let slash = if theirs.is_empty() { "" } else { " / " };
    // Writing to a string cannot fail.
    let _ = write!(out, " | {name} | {value} | {ratio} | {}{slash}{theirs} |", cpu(&line.ours));
    out
}

fn as_json(line: &Line) -> Value {
    let figure = |figure: &Figure| {
        json!({
            "name": figure.name,
            "median": figure.value.median(),
            "values": figure.value.0,
            "cpu_seconds": figure.cpu.0,
        })
    };
    let ratio = line.other.as_ref().map(|other| line.ours.value.ratio(&other.value).median());
    json!({
        "part": line.part,
        "what": line.what,
        "unit": line.unit,
        "ours": figure(&line.ours),
        "other": line.other.as_ref().map(figure),
        "ratio": ratio,
    })
}

/// Median, and least to greatest if there is more than one.
fn shown(samples: &Samples) -> String {
    let (least, greatest) = samples.spread();
    let median = number(samples.median());
    if samples.0.len() < 2 {
        return median;
    }
    format!("{median} [{} – {}]", number(least), number(greatest))
}

/// Three significant digits and a unit prefix.
pub fn number(value: f64) -> String {
    let (scaled, prefix) = match value.abs() {
        v if v >= 1e9 => (value / 1e9, " G"),
        v if v >= 1e6 => (value / 1e6, " M"),
        v if v >= 1e4 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = match scaled.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    format!("{scaled:.digits$}{prefix}")
}

/// Tells those who wait what is going on.
#[expect(clippy::print_stderr, reason = "progress of a program")]
pub fn progress(text: &str) {
    eprintln!("{text}");
}

/// Today in UTC as YYYY-MM-DD (Hinnant, "chrono-compatible low-level date algorithms").
fn today() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let days = now.as_secs() / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let date = of_year - (153 * shifted + 2) / 5 + 1;
    format!("{:04}-{month:02}-{date:02}", era * 400 + year + u64::from(month <= 2))
}
