//! The simulator's command: many seeds, one seed's story, planted bugs, and the report of it all.
//! Called by `cargo xtask sim`, `planted` and `reliability`.
#![expect(clippy::print_stdout, reason = "a tool's output is what its caller asked for")]
#![expect(clippy::print_stderr, reason = "progress, and why it failed")]

mod campaign;
mod faults;
mod guided;
mod hunt;
mod kills;
mod mutations;
mod played;
mod report;
mod results;

use std::process::ExitCode;

const USAGE: &str = "\
usage: click-sim TASK

  seeds N [--from S] [--save]   play the stories of N seeds, on all cores; without --from, behind
                                the last seed that was saved
  story S                       play one seed, tell what happens, and shorten it if it fails
  planted [--seconds N] [--save]  switch on each planted bug and see whether it is found
  kills N [--save]              kill the real binary N times under load; a stopped run keeps the
                                rounds that were saved
  faults N [--save]             play every real fault of the real binary N times under load
  fuzz SECONDS [--save]         damage the corpora's inputs and hold what parses to its promises
  guided SECONDS [--target T] [--save]  the same, guided by coverage, so long for each of them
  corpora                       write the inputs that the corpora begin with
  report                        write the figures of docs/reliability.md from the saved results
";

fn main() -> ExitCode {
    // A broken promise is a panic, caught and told of once.
    std::panic::set_hook(Box::new(|_| {}));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[String]) -> Result<bool, String> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (task, rest) = words.split_first().ok_or(USAGE)?;
    let save = rest.contains(&"--save");
    match *task {
        "seeds" => {
            let count = number(rest.first().copied())?;
            let from = match option(rest, "--from")? {
                Some(from) => from,
                None => results::next_seed()?,
            };
            campaign::run(from, count, save)
        }
        "story" => Ok(campaign::story(number(rest.first().copied())?)),
        "planted" => hunt::run(option(rest, "--seconds")?.unwrap_or(60), save),
        "kills" => kills::run(number(rest.first().copied())?, save),
        "faults" => faults::run(number(rest.first().copied())?, save),
        "fuzz" => mutations::run(number(rest.first().copied())?, save),
        "guided" => guided::run(number(rest.first().copied())?, word(rest, "--target"), save),
        "corpora" => mutations::seeds(),
        "report" => report::write(),
        _ => Err(USAGE.into()),
    }
}

fn number(word: Option<&str>) -> Result<u64, String> {
    let word = word.ok_or(USAGE)?;
    word.parse().map_err(|_| format!("{word} is no whole number"))
}

fn option(words: &[&str], name: &str) -> Result<Option<u64>, String> {
    word(words, name).map(|word| number(Some(word))).transpose()
}

/// The word behind `name`.
fn word<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    let place = words.iter().position(|word| *word == name)?;
    words.get(place + 1).copied()
}
