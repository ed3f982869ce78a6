//! The figures of `docs/reliability.md`, from the saved results alone.

use std::fmt::Write as _;

use crate::results::{self, Kind, Saved};

const FILE: &str = "docs/reliability.md";

const BEGIN: &str = "<!-- begin: cargo xtask reliability -->\n";
const END: &str = "<!-- end -->\n";

const HEAD: &str = "\
Generated from [reliability-results.jsonl](reliability-results.jsonl), a line per run, keyed by
commit. If N trials did not fail, then with 95 % confidence fewer than 3/N of such trials do.

### Stories of a simulated machine

A story is a whole machine in one thread and virtual time, on one seed: trackers that re-send, lose
answers and start anew; the real log and two real engines on a disk that tears, forgets, fills,
fails and rots; kills and power failures at any step; a store whose answers get lost and that comes
back from an old copy; a wall clock that is set. At its end the log, the store, every row that was
ever written and the engines' counts are compared with the plain reference. Every fiftieth story is
played twice and has to end in the same bytes.

";

/// Writes the report; whether nothing failed.
pub(crate) fn write() -> Result<bool, String> {
    let results = results::all()?;
    let path = results::path(FILE);
    let say = |error: std::io::Error| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(&path).map_err(say)?;
    std::fs::write(&path, insert(&text, &render(&results))?).map_err(say)?;
    println!("{FILE} is written");
    Ok(true)
}

/// `text` with `figures` between its marks.
fn insert(text: &str, figures: &str) -> Result<String, String> {
    let marks = || format!("{FILE} has no lines {BEGIN:?} and {END:?}");
    let (before, rest) = text.split_once(BEGIN).ok_or_else(marks)?;
    let (_, after) = rest.split_once(END).ok_or_else(marks)?;
    Ok([before, BEGIN, figures, END, after].concat())
}

fn render(results: &[Saved]) -> String {
    let mut out = String::from(HEAD);
    simulation(&mut out, results);
    planted(&mut out, results);
    out
}

fn simulation(out: &mut String, results: &[Saved]) {
    out.push_str(
        "| stories | commit | failed | acknowledged clicks | restarts | seeds a second |\n",
    );
    out.push_str("|---|---|---|---|---|---|\n");
    let runs: Vec<&Saved> = results.iter().filter(|r| r.kind == Kind::Simulation).collect();
    for run in &runs {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = run.trials as f64 / run.seconds.max(0.001);
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {rate:.0} |",
            run.trials,
            run.commit,
            run.failed,
            detail(run, "acknowledged clicks"),
            detail(run, "restarts"),
        );
    }
    // What failed was a defect and is mended: its run says nothing of the code since.
    let since = runs.iter().rposition(|run| run.failed > 0).map_or(0, |last| last + 1);
    let (trials, failed): (u64, u64) = runs[since..]
        .iter()
        .fold((0, 0), |(trials, failed), run| (trials + run.trials, failed + run.failed));
    if trials > 0 && failed == 0 {
        #[expect(clippy::cast_precision_loss, reason = "a bound for people")]
        let bound = 3.0 / trials as f64;
        let _ = writeln!(
            out,
            "\nSince then {trials} stories, none failed: the bound 3/N is {bound:.1e}."
        );
    } else {
        let _ = writeln!(out, "\nIn all {trials} stories, {failed} failed.");
    }
}

fn detail(run: &Saved, name: &str) -> u64 {
    run.details.iter().find(|(known, _)| known == name).map_or(0, |(_, value)| *value)
}

/// The newest run.
fn planted(out: &mut String, results: &[Saved]) {
    let Some(run) = results.iter().rfind(|run| run.kind == Kind::Planted) else { return };
    let _ = writeln!(
        out,
        "\n### Planted bugs\n\n{} of {} killed at {}, each by a story or by a fold of a\n\
         generated log that differed from the reference.\n\n| bug | killed after, ms |\n|---|---|",
        run.trials - run.failed,
        run.trials,
        run.commit
    );
    for (bug, millis) in &run.details {
        let _ = writeln!(out, "| {bug} | {millis} |");
    }
}

#[cfg(test)]
mod tests {
    use super::{FILE, insert, render};
    use crate::results;

    #[test]
    fn the_report_is_that_of_the_saved_results() {
        let results = results::all().expect("a whole results file");
        let report = std::fs::read_to_string(results::path(FILE)).expect("a report");
        assert_eq!(
            Ok(&report),
            insert(&report, &render(&results)).as_ref(),
            "run cargo xtask reliability"
        );
    }
}
