//! Instants at which rows of a log may change, and what a sink has of rows as of them.

use super::sink::Sink;
use click_sim::bridge::plain_row;
use click_sim::check::World;
use std::collections::BTreeSet;

/// Multiples of a second as of which a row of the log may have changed, and all is known.
pub fn of(world: &World) -> Vec<u64> {
    let changes = world.history.fold_times.values().flat_map(|at| [at + 1, at + 1_000]);
    let grid: BTreeSet<u64> = changes.map(|at| at.div_ceil(1_000) * 1_000).collect();
    let end = world.history.reference.watermark();
    grid.into_iter().filter(|at| *at <= end).collect()
}

/// How many of the log's rows as of these instants, of those that changed there, have been
/// handed out, and how many have not.
pub fn handed_out(sink: &Sink, world: &World, instants: &[u64]) -> (usize, usize) {
    let plain = sink.rows.values().map(plain_row);
    let mine: BTreeSet<_> = plain.map(|(key, row)| (key, row.version_ms)).collect();
    let all = instants.iter().flat_map(|at| {
        let rows = world.history.rows_at(*at).map(|(key, row)| (key.clone(), row.version_ms));
        rows.filter(move |(_, version)| version == at)
    });
    let (out, skipped): (Vec<_>, Vec<_>) = all.partition(|row| mine.contains(row));
    (out.len(), skipped.len())
}
