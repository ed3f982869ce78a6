//! `clickledger replay --policy`: what another policy would have made of the same clicks.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result, bail};
use click_core::policy::Policy;
use click_core::row::{Counts, Row, RowId, RowKey};
use click_core::stage::source::Verdict;
use click_core::types::Millis;
use click_core::verdict::Class;
use click_engine::driver::{RefoldSink, RefoldSummary, refold, refold_under};
use click_engine::log::EventLog;
use click_engine::store::{LedgerStore, SqliteStore};

use super::progress;
use super::table::{Column, Format, Kind, Writer};
use crate::out;

/// Rows in one write to the shadow ledger.
const ROWS_AT_ONCE: usize = 10_000;

/// The newest rows of a fold.
#[derive(Default)]
struct Ledger(HashMap<RowId, Row>);

impl RefoldSink for Ledger {
    fn verdict(&mut self, _: &Verdict) {}

    fn row(&mut self, row: &Row) {
        self.0.insert(row.id(), row.clone());
    }
}

/// Counts by advertiser and currency.
type Totals = BTreeMap<(String, String), Counts>;

impl Ledger {
    fn totals(&self) -> Totals {
        let mut totals = Totals::new();
        for row in self.0.values() {
            let RowKey::Ad { advertiser_id, currency, .. } = &*row.key else { continue };
            let total = totals.entry((advertiser_id.clone(), currency.clone())).or_default();
            total.measured += row.counts.measured;
            total.pending += row.counts.pending;
            total.sum_micros += row.counts.sum_micros;
            for (sum, count) in total.by_class.iter_mut().zip(row.counts.by_class) {
                *sum += count;
            }
        }
        totals
    }
}

/// Folds the log as it was judged and as the policy would have judged it; prints the difference by
/// advertiser, and leaves the ledger of the policy in `shadow`.
pub fn run(
    log: &dyn EventLog,
    policy: &Policy,
    shadow: Option<&Path>,
    (format, threads): (Format, usize),
) -> Result<()> {
    if let Some(path) = shadow.filter(|path| path.exists()) {
        bail!("{} is there already: name another file", path.display());
    }
    let spinner = progress::spinner("folding twice");
    let (mut before, mut after) = (Ledger::default(), Ledger::default());
    refold(log, threads, &mut before)?;
    let summary = refold_under(log, policy.clone(), threads, &mut after)?;
    spinner.finish_and_clear();
    if let Some(path) = shadow {
        keep(path, log, &after, &summary).with_context(|| path.display().to_string())?;
    }
    let (before, after) = (before.totals(), after.totals());
    let whole = |totals: &Totals, class| totals.values().map(|counts| counts.of(class)).sum();
    let (was, is): (u64, u64) = (whole(&before, Class::V), whole(&after, Class::V));
    out::note(format_args!(
        "{} clicks: {was} valid as they were judged, {is} under policy '{}' from the beginning",
        summary.measured, policy.policy_id
    ));
    out::buffered(|out| {
        let mut table = Writer::new(format, columns(), out)?;
        for (key, old) in &before {
            table.row(&line(key, old, after.get(key).unwrap_or(&Counts::default())))?;
        }
        table.finish()
    })
}

fn columns() -> Vec<Column> {
    let column = |name, kind| Column { name, kind };
    vec![
        column("advertiser_id", Kind::Text),
        column("currency", Kind::Text),
        column("measured", Kind::Count),
        column("valid_before", Kind::Count),
        column("valid_after", Kind::Count),
        column("spend_before_micros", Kind::Text),
        column("spend_after_micros", Kind::Text),
        column("spend_change_micros", Kind::Text),
        column("class_changes", Kind::Text),
    ]
}

fn line((advertiser, currency): &(String, String), old: &Counts, new: &Counts) -> Vec<String> {
    vec![
        advertiser.clone(),
        currency.clone(),
        old.measured.to_string(),
        old.of(Class::V).to_string(),
        new.of(Class::V).to_string(),
        old.sum_micros.to_string(),
        new.sum_micros.to_string(),
        (new.sum_micros - old.sum_micros).to_string(),
        class_changes(old, new),
    ]
}

/// Such as `D2 +3 V -3`; empty if nothing changes.
fn class_changes(old: &Counts, new: &Counts) -> String {
    let change = |class: Class| {
        let difference = i128::from(new.of(class)) - i128::from(old.of(class));
        (difference != 0).then(|| format!("{} {difference:+}", class.code()))
    };
    Class::ALL.into_iter().filter_map(change).collect::<Vec<_>>().join(" ")
}

/// The ledger of the policy as a store of its own.
fn keep(path: &Path, log: &dyn EventLog, ledger: &Ledger, summary: &RefoldSummary) -> Result<()> {
    let mut store = SqliteStore::open(path, &log.log_id().to_string(), log.generation())?;
    let rows: Vec<Row> = ledger.0.values().cloned().collect();
    for rows in rows.chunks(ROWS_AT_ONCE) {
        store.upsert(rows)?;
    }
    let grid = click_core::limits::GRID_MS;
    Ok(store.set_mark(Millis(summary.watermark.0 / grid * grid))?)
}
