//! The dataset `verdicts/`: the final verdict of every measured click, a row each, in the order of
//! positions.

use click_core::stage::source::Verdict;
use click_core::types::{Millis, Offset, Partition};
use click_core::verdict::{Class, Reasons};

use super::table::{Columns, Kind, RowReader, Table};

pub(super) const NAME: &str = "verdicts";

pub(super) const COLUMNS: Columns = &[
    ("partition", Kind::Int),
    ("offset", Kind::Int),
    ("fold_time", Kind::Int),
    ("class", Kind::Text),
    ("reasons", Kind::Text),
    ("policy_id", Kind::Text),
    ("policy_index", Kind::Int),
    ("model_score", Kind::Int),
];

pub(super) fn put(table: &mut Table, verdict: &Verdict, policy_id: &str) {
    table.int(Some(u64::from(verdict.partition.0)));
    table.int(Some(verdict.offset.0));
    table.int(Some(verdict.fold_time.0));
    table.text(Some(verdict.reasons.class().code()));
    table.text(Some(&verdict.reasons.to_string()));
    table.text(Some(policy_id));
    table.int(Some(u64::from(verdict.policy)));
    table.int(None);
    table.end_row();
}

/// A verdict as it was archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Archived {
    pub(super) partition: Partition,
    pub(super) offset: Offset,
    pub(super) fold_time: Millis,
    pub(super) reasons: Reasons,
    pub(super) policy: u32,
}

/// # Errors
/// What is wrong with the row.
pub(super) fn get(row: &mut RowReader<'_>) -> Result<Archived, String> {
    let missing = || "a position is missing".to_owned();
    let mut number = || row.int().ok_or_else(missing);
    let partition = u32::try_from(number()?).map_err(|e| e.to_string())?;
    let offset = number()?;
    let fold_time = Millis(number()?);
    let class = row.text().ok_or("class is missing")?;
    let reasons = reasons(row.text().ok_or("reasons are missing")?)?;
    if reasons.class().code() != class {
        return Err(format!("class {class} is not that of its reasons"));
    }
    row.text();
    let policy = row.int().and_then(|index| u32::try_from(index).ok());
    let policy = policy.ok_or("policy_index is missing")?;
    let (partition, offset) = (Partition(partition), Offset(offset));
    Ok(Archived { partition, offset, fold_time, reasons, policy })
}

/// # Errors
/// If a code is of no class.
pub(super) fn reasons(codes: &str) -> Result<Reasons, String> {
    let mut reasons = Reasons::NONE;
    for code in codes.split('+').filter(|code| !code.is_empty()) {
        let class = Class::ALL.into_iter().find(|class| class.code() == code);
        reasons = reasons.with(class.ok_or_else(|| format!("{code:?} is no class"))?);
    }
    Ok(reasons)
}
