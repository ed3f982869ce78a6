//! The figures of `docs/reliability.md`, from the saved results alone.

use std::fmt::Write as _;

use crate::results::{self, Fault, Kind, Saved};

const FILE: &str = "docs/reliability.md";

const BEGIN: &str = "<!-- begin: cargo xtask reliability -->\n";
const END: &str = "<!-- end -->\n";

const HEAD: &str = "\
Generated from [reliability-results.jsonl](reliability-results.jsonl), a line per run, keyed by
commit. If N trials did not fail, then with 95 % confidence fewer than 3/N of such trials do.

### Stories of a simulated machine

A story is a whole machine in one thread and virtual time, on one seed: trackers that re-send and
start anew; a network between them and the log that loses, delays and repeats what both say, and is
cut at times; the real log and two real engines on a disk that tears, forgets, fills, fails, rots,
and vouches for writes that it loses or puts elsewhere; kills and power failures at any step; a
store whose answers get lost and that comes back from an old copy; a wall clock that is set. At its
end the log, the store, every row that was ever written and the engines' counts are compared with
the plain reference.

Every fourth seed's story is of a cluster instead: one to three trackers, each with a machine, disk
and clock of its own, write to their own logs, and the real forwarder hands on to a log of other
machines, which two real engines fold. Leaders stamp time by clocks that are set by minutes and
hours, and change; deliveries fail though they arrived, arrive though they failed, come twice, and
are confirmed late; senders refuse everything, cannot be replaced, and confirm behind a failure what
never arrived; the cluster is away for seconds to hours, and loses what it confirmed where the plan
says so. Trackers are killed, lose power, find their disks full or failing, have clocks that are
wrong by hours, and drop old segments. At its end every click that was acknowledged is in the
cluster's log, in its partition and unchanged but for the time of sending; the ledger is the
reference's; and no gap is open but of clicks that nobody was told of. On the way, no position and
no retention passes a record that was not confirmed.

Every 51st story is played twice and has to end in the same bytes.

";

const KILLS: &str = "
### Kills of the real binary

A kill is a SIGKILL of the real server at a random instant of a load over real sockets. The next
start recovers. Every ten kills, and at the end of a round, every click that was ever acknowledged
is looked for in the ledger: it has to be there once. A round that fails counts as one failure.

| kills | commit | failed | acknowledged clicks |
|---|---|---|---|
";

const FAULTS: &str = "
### Real faults

The real server under a load over real sockets, while something real fails under it: a file system
that fills up or whose device fails, flushes that are slow, system calls that fail on the log, on
checkpoints or on the ledger, memory that runs out, a clock that is set by an hour. Then it is
started without the fault, and every click that was ever acknowledged has to be there once.

| fault | trials | commit | failed | acknowledged clicks | bound 3/N |
|---|---|---|---|---|---|
";

const MUTATIONS: &str = "
### Mutations of what is parsed

Whole inputs with one to six kinds of damage each: what decodes is what was encoded, a link that
verifies has been signed byte for byte, a damaged checkpoint is refused, a damaged log gives only
records that were written, an imported row decodes, what a hosted stage takes the next one can take,
nothing panics. Guided by chance, not by coverage.

| mutations | commit | failed | by target |
|---|---|---|---|
";

const GUIDED: &str = "
### Mutations guided by coverage

The same promises, with libFuzzer choosing what to damage by the branches that it reaches. An edge
is a branch that some input took.

| executions | commit | broken promises | seconds | edges by target |
|---|---|---|---|---|
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
    kills(&mut out, results);
    faults(&mut out, results);
    mutations(&mut out, results);
    guided(&mut out, results);
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
    bound(out, &runs, "stories");
}

fn bound(out: &mut String, runs: &[&Saved], trials_are: &str) {
    let trials = trials_since(runs);
    let _ = if trials > 0 {
        let bound = bound_of(trials);
        writeln!(out, "\nSince the last failure {trials} {trials_are}: the bound 3/N is {bound}.")
    } else {
        writeln!(out, "\nThe last of them failed: no bound.")
    };
}

/// What failed was a defect and is mended: its run says nothing of the code since.
fn trials_since(runs: &[&Saved]) -> u64 {
    let since = runs.iter().rposition(|run| run.failed > 0).map_or(0, |last| last + 1);
    runs[since..].iter().map(|run| run.trials).sum()
}

fn bound_of(trials: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a bound for people")]
    let bound = 3.0 / trials as f64;
    if trials > 0 { format!("{bound:.1e}") } else { "none".into() }
}

/// A line per commit: rounds are saved one by one.
fn kills(out: &mut String, results: &[Saved]) {
    let runs: Vec<&Saved> = results.iter().filter(|run| run.kind == Kind::Kills).collect();
    if runs.is_empty() {
        return;
    }
    out.push_str(KILLS);
    for rounds in runs.chunk_by(|one, next| one.commit == next.commit) {
        let sum = |of: fn(&Saved) -> u64| rounds.iter().map(|run| of(run)).sum::<u64>();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            sum(|run| run.trials),
            rounds[0].commit,
            sum(|run| run.failed),
            sum(|run| detail(run, "acknowledged clicks")),
        );
    }
    bound(out, &runs, "kills");
}

/// A line per kind and commit; the bound is that of all trials of the kind since one failed.
fn faults(out: &mut String, results: &[Saved]) {
    let is_fault = |run: &&Saved| matches!(run.kind, Kind::Fault(_));
    let all: Vec<&Saved> = results.iter().filter(is_fault).collect();
    if all.is_empty() {
        return;
    }
    out.push_str(FAULTS);
    for (fault, name) in Fault::ALL {
        let of_kind = |run: &&&Saved| run.kind == Kind::Fault(fault);
        let runs: Vec<&Saved> = all.iter().filter(of_kind).copied().collect();
        let commits: Vec<&[&Saved]> =
            runs.chunk_by(|one, next| one.commit == next.commit).collect();
        for (at, rounds) in commits.iter().enumerate() {
            let sum = |of: fn(&Saved) -> u64| rounds.iter().map(|run| of(run)).sum::<u64>();
            let (trials, failed) = (sum(|run| run.trials), sum(|run| run.failed));
            let clicks = sum(|run| detail(run, "acknowledged clicks"));
            let last = at + 1 == commits.len();
            let bound = if last { bound_of(trials_since(&runs)) } else { String::new() };
            let (name, commit) = (name.replace('-', " "), &rounds[0].commit);
            let _ =
                writeln!(out, "| {name} | {trials} | {commit} | {failed} | {clicks} | {bound} |");
        }
    }
    bound(out, &all, "trials");
}

fn mutations(out: &mut String, results: &[Saved]) {
    let runs: Vec<&Saved> = results.iter().filter(|run| run.kind == Kind::Mutations).collect();
    if runs.is_empty() {
        return;
    }
    out.push_str(MUTATIONS);
    for run in &runs {
        let targets: Vec<String> =
            run.details.iter().map(|(target, trials)| format!("{target} {trials}")).collect();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            run.trials,
            run.commit,
            run.failed,
            targets.join(", ")
        );
    }
    bound(out, &runs, "mutations");
}

fn guided(out: &mut String, results: &[Saved]) {
    let runs: Vec<&Saved> = results.iter().filter(|run| run.kind == Kind::Guided).collect();
    if runs.is_empty() {
        return;
    }
    out.push_str(GUIDED);
    for run in &runs {
        let edges = |(name, edges): &(String, u64)| {
            Some(format!("{} {edges}", name.strip_suffix(" edges")?))
        };
        let targets: Vec<String> = run.details.iter().filter_map(edges).collect();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.0} | {} |",
            run.trials,
            run.commit,
            run.failed,
            run.seconds,
            targets.join(", ")
        );
    }
    bound(out, &runs, "executions");
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
