//! Contenders that do the same work in turns, each in processes of its own, and are believed only
//! if all come to the same answer.

use crate::process::field;
use crate::report::{Figure, progress};
use crate::stats::{Samples, in_turns};
use anyhow::{Result, ensure};
use serde_json::Value;

/// One contender: how it is run, and what its runs took.
pub struct Contender<'a> {
    name: &'static str,
    run: Box<dyn Fn() -> Result<Value> + 'a>,
    cpu: Samples,
    wall: Samples,
    first_cpu: Samples,
    answer: Value,
}

impl<'a> Contender<'a> {
    /// `run` gives an object with CPU and wall seconds as `cpu` and `wall`, and its answer.
    pub fn new(name: &'static str, run: impl Fn() -> Result<Value> + 'a) -> Contender<'a> {
        let [cpu, wall, first_cpu] = [const { Samples(Vec::new()) }; 3];
        Contender { name, run: Box::new(run), cpu, wall, first_cpu, answer: Value::Null }
    }

    /// Who it is.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// `count` things per CPU-second.
    pub fn per_cpu(&self, count: f64) -> Figure {
        let rate = self.cpu.0.iter().map(|seconds| count / seconds).collect();
        Figure::with_cpu(self.name, rate, self.cpu.clone())
    }

    /// `count` things per second of the clock.
    pub fn by_the_clock(&self, count: f64) -> Figure {
        let rate = self.wall.0.iter().map(|seconds| count / seconds).collect();
        Figure::with_cpu(self.name, rate, self.cpu.clone())
    }

    /// CPU-seconds of the first of several times in a process, where it says so as `first_cpu`.
    pub const fn first_cpu(&self) -> &Samples {
        &self.first_cpu
    }

    /// What it said last.
    pub const fn answer(&self) -> &Value {
        &self.answer
    }
}

/// Runs all in turns; what each says under `same` has to be equal.
pub fn compete(
    part: &str,
    rounds: usize,
    contenders: &mut [Contender<'_>],
    same: &str,
) -> Result<()> {
    let mut expected: Option<Value> = None;
    for index in in_turns(contenders.len(), rounds) {
        let contender = &mut contenders[index];
        let answer = (contender.run)()?;
        let (cpu, wall) = (field(&answer, "cpu")?, field(&answer, "wall")?);
        progress(&format!("{part}: {}: {cpu:.2} CPU-seconds", contender.name));
        let found = &answer[same];
        let first = expected.get_or_insert_with(|| found.clone());
        ensure!(first == found, "{} came to {found}, not {first}", contender.name);
        contender.cpu.push(cpu);
        contender.wall.push(wall);
        if let Some(first) = answer["first_cpu"].as_f64() {
            contender.first_cpu.push(first);
        }
        contender.answer = answer;
    }
    Ok(())
}
