//! The audit: everything is computed again from the archive alone, and compared with what was
//! archived, what the store serves, and what the log still holds. Tolerance zero.
//! Must never take a number from what it checks.

use std::collections::HashMap;

use click_core::fold::encode_rows;
use click_core::limits::LOOK_AHEAD_MS;
use click_core::record::{Kind, Record};
use click_core::row::{Row, RowId, RowKey};
use click_core::stage::source::Verdict;
use click_core::types::{Offset, Partition};
use click_core::verdict::{CLASSES, Class, Reasons};

use super::reader::{Archive, ArchiveLog};
use super::verdicts;
use super::{ArchiveError, erasure, personal, sha256_hex};
use crate::driver::{RefoldSink, RefoldSummary, refold};
use crate::log::{EventLog, RecordBatch};
use crate::store::{LedgerReader, Scan, View};

const READ_BYTES: usize = 4 << 20;
/// Differences that are named; more are counted.
const NAMED: usize = 100;

/// Something that is not as it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it concerns: a file, a click's position, or a row.
    pub what: String,
    /// What is there, and what has to be.
    pub how: String,
}

/// What an audit found.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// Manifests that were held to their hashes.
    pub manifests: u64,
    /// Files that were held to their hashes.
    pub files: u64,
    /// Files among them that were rewritten without what tells of persons: source keys and
    /// stateless reasons are taken from them as they were recorded.
    pub rewritten: u64,
    /// Clicks whose user was erased.
    pub erased: u64,
    /// Erasures that were cut short: until they are run again, some clicks of a user have another
    /// name than the others, and may differ by that.
    pub unfinished_erasures: u64,
    /// What the fold of the archive counted.
    pub summary: RefoldSummary,
    /// Final clicks by class, in table order.
    pub by_class: [u64; CLASSES],
    /// Archived verdicts that were compared.
    pub verdicts: u64,
    /// Archived verdicts that the archive's records do not decide yet: of the last second, and of
    /// clicks that another partition is behind.
    pub undecided: u64,
    /// Rows that were compared with the store.
    pub rows: u64,
    /// Rows of the store that are newer than the archive.
    pub newer_rows: u64,
    /// Records that were compared with the log.
    pub log_records: u64,
    /// SHA-256 over all rows with their versions, sorted by key.
    pub result: String,
    /// Those that are named.
    pub differences: Vec<Difference>,
    /// How many there are.
    pub differ: u64,
}

impl Audit {
    fn of(archive: &Archive) -> Result<Audit, ArchiveError> {
        Ok(Audit {
            unfinished_erasures: erasure::unfinished(archive.objects())?,
            manifests: archive.manifests().len() as u64,
            files: archive.all_files().count() as u64,
            rewritten: archive.all_files().filter(|file| file.is_rewritten).count() as u64,
            erased: archive.revisions().map(|revision| revision.erased).sum(),
            ..Audit::default()
        })
    }

    fn differs(&mut self, what: impl Into<String>, how: impl Into<String>) {
        self.differ += 1;
        if self.differences.len() < NAMED {
            self.differences.push(Difference { what: what.into(), how: how.into() });
        }
    }
}

/// What the archive comes to.
#[derive(Default)]
struct Folded {
    verdicts: Vec<Verdict>,
    rows: HashMap<RowId, Row>,
}

impl RefoldSink for Folded {
    fn verdict(&mut self, verdict: &Verdict) {
        self.verdicts.push(*verdict);
    }

    fn row(&mut self, row: &Row) {
        self.rows.insert(row.id(), row.clone());
    }
}

/// Audits an archive; against a store and a log where there are any. `wanted` says which rows are
/// compared.
///
/// # Errors
/// If there is no archive, its manifests contradict each other, or a store or log cannot be read.
/// What is damaged or differs is no error but a difference.
pub fn audit(
    archive: Archive,
    store: Option<&dyn LedgerReader>,
    log: Option<&dyn EventLog>,
    threads: usize,
    wanted: &dyn Fn(&Row) -> bool,
) -> Result<Audit, ArchiveError> {
    let archive = archive.into_log();
    let compared = compare(&archive, store, log, threads, wanted);
    // Files are held to their hashes as they are read: only where that fails are all looked at.
    compared.or_else(|error| damage(archive.archive(), error))
}

fn compare(
    archive: &ArchiveLog,
    store: Option<&dyn LedgerReader>,
    log: Option<&dyn EventLog>,
    threads: usize,
    wanted: &dyn Fn(&Row) -> bool,
) -> Result<Audit, ArchiveError> {
    let (mut audit, mut folded) = (Audit::of(archive.archive())?, Folded::default());
    audit.summary = refold(archive, threads, &mut folded)?;
    folded.verdicts.sort_unstable();
    for verdict in &folded.verdicts {
        audit.by_class[verdict.reasons.class() as usize] += 1;
    }
    compare_verdicts(archive, &folded.verdicts, &mut audit)?;
    if let Some(log) = log {
        compare_log(archive, log, &mut audit)?;
    }
    audit.result = result(&folded.rows);
    if let Some(store) = store {
        compare_rows(archive, &folded, store, wanted, &mut audit)?;
    }
    Ok(audit)
}

/// Every file that is not what its manifest says; if there is none, it is the error that stands.
fn damage(archive: &Archive, error: ArchiveError) -> Result<Audit, ArchiveError> {
    let mut audit = Audit::of(archive)?;
    for file in archive.all_files() {
        match archive.check(file) {
            Ok(()) => {}
            Err(ArchiveError::Damaged { name, reason }) => audit.differs(name, reason),
            Err(error) => return Err(error),
        }
    }
    if audit.differ > 0 { Ok(audit) } else { Err(error) }
}

/// The archived verdicts are those that the records come to.
fn compare_verdicts(
    archive: &ArchiveLog,
    folded: &[Verdict],
    audit: &mut Audit,
) -> Result<(), ArchiveError> {
    let mut files: Vec<_> = archive.archive().files(verdicts::NAME).collect();
    files.sort_by_key(|file| (file.partition, file.from));
    let mut rest = folded.iter().peekable();
    let (mut before, mut undecided) = (None, Vec::new());
    for file in files {
        for archived in archive.archive().verdicts(file)? {
            let at = (archived.partition, archived.offset);
            if before.replace(at) == Some(at) {
                audit.differs(position(at.0, at.1), "has more than one archived verdict");
                continue;
            }
            while let Some(missed) = rest.next_if(|v| (v.partition, v.offset) < at) {
                let how = format!("is {}, but no verdict is archived", told(missed.reasons));
                audit.differs(position(missed.partition, missed.offset), how);
            }
            let Some(own) = rest.next_if(|v| (v.partition, v.offset) == at) else {
                match archived.fold_time.plus(LOOK_AHEAD_MS) > audit.summary.watermark {
                    true => undecided.push(at),
                    false => audit.differs(position(at.0, at.1), NO_CLICK),
                }
                continue;
            };
            audit.verdicts += 1;
            if own.reasons != archived.reasons || own.policy != archived.policy {
                let how = format!(
                    "is {} by policy {}, archived as {} by policy {}",
                    told(own.reasons),
                    own.policy,
                    told(archived.reasons),
                    archived.policy
                );
                audit.differs(position(at.0, at.1), how);
            }
        }
    }
    for missed in rest {
        let how = format!("is {}, but no verdict is archived", told(missed.reasons));
        audit.differs(position(missed.partition, missed.offset), how);
    }
    check_undecided(archive, &undecided, audit)
}

const NO_CLICK: &str = "has an archived verdict, but is no measured click";

/// What the archive's records do not decide yet are clicks, and no more than there are.
fn check_undecided(
    archive: &ArchiveLog,
    undecided: &[(Partition, Offset)],
    audit: &mut Audit,
) -> Result<(), ArchiveError> {
    let summary = &audit.summary;
    let most = summary.pending + summary.arriving + summary.unread;
    let (mut batch, mut next, mut read_of) = (RecordBatch::default(), 0, None);
    for (partition, offset) in undecided {
        let last = batch.len().checked_sub(1).and_then(|last| batch.get(last));
        if read_of != Some(partition) || last.is_none_or(|last| last.0 < offset.0) {
            batch.clear();
            archive.read(partition.0, offset.0, READ_BYTES, &mut batch)?;
            (next, read_of) = (0, Some(partition));
        }
        while batch.get(next).is_some_and(|record| record.0 < offset.0) {
            next += 1;
        }
        let is_click = batch.get(next).is_some_and(|(at, _, payload)| {
            at == offset.0
                && Record::decode(payload).is_ok_and(|it| matches!(it.kind, Kind::Click(_)))
        });
        if is_click && audit.undecided < most {
            audit.undecided += 1;
        } else {
            audit.differs(position(*partition, *offset), NO_CLICK);
        }
    }
    Ok(())
}

fn position(partition: Partition, offset: Offset) -> String {
    format!("partition {} offset {}", partition.0, offset.0)
}

fn told(reasons: Reasons) -> String {
    if reasons == Reasons::NONE { "V".to_owned() } else { reasons.to_string() }
}

/// What the log still holds is what was archived.
fn compare_log(
    archive: &ArchiveLog,
    log: &dyn EventLog,
    audit: &mut Audit,
) -> Result<(), ArchiveError> {
    let fits = log.begun_with() == archive.begun_with() && log.partitions() >= archive.partitions();
    if log.log_id() != archive.log_id() || !fits {
        audit.differs("the log", "is another one than the archive's");
        return Ok(());
    }
    for partition in 0..archive.partitions() {
        let (kept, archived) = (log.range(partition), archive.range(partition));
        if kept.end < archived.end {
            let how = format!("ends at {}, archived are records to {}", kept.end, archived.end);
            audit.differs(format!("partition {partition} of the log"), how);
        }
        let mut next = kept.start.min(archived.end);
        let end = archived.end.min(kept.end);
        let (mut ours, mut theirs) = (RecordBatch::default(), RecordBatch::default());
        while next < end {
            ours.clear();
            theirs.clear();
            log.read(partition, next, READ_BYTES, &mut ours)?;
            archive.read(partition, next, READ_BYTES, &mut theirs)?;
            for (kept, archived) in ours.iter().zip(theirs.iter()).take_while(|(k, _)| k.0 < end) {
                audit.log_records += 1;
                next = kept.0 + 1;
                if kept != archived && !is_less_of(archive, partition, kept, archived) {
                    let what = position(Partition(partition), Offset(kept.0));
                    audit.differs(what, difference(kept, archived));
                }
            }
        }
    }
    Ok(())
}

/// Whether an archived record is the log's without what tells of a person.
fn is_less_of(
    archive: &ArchiveLog,
    partition: u32,
    kept: (u64, u64, &[u8]),
    archived: (u64, u64, &[u8]),
) -> bool {
    let less = |payload| personal::kept(Record::decode(payload).ok().as_ref());
    archive.archive().is_rewritten(partition, archived.0)
        && (kept.0, kept.1) == (archived.0, archived.1)
        && less(kept.2) == less(archived.2)
}

/// How an archived record differs from the log's, for people.
fn difference(kept: (u64, u64, &[u8]), archived: (u64, u64, &[u8])) -> String {
    let name = |payload: &[u8]| match Record::decode(payload).map(|record| record.kind) {
        Ok(Kind::Click(click)) => {
            format!("click {} on ad {} at {} micros", click.click_id, click.ad_id, click.price.0)
        }
        Ok(kind) => format!("{kind:?}").split(['(', ' ']).next().unwrap_or_default().to_owned(),
        Err(error) => error.code().to_owned(),
    };
    if kept.1 != archived.1 {
        return format!("append_time {} in the log, {} in the archive", kept.1, archived.1);
    }
    format!("{} in the log, {} in the archive", name(kept.2), name(archived.2))
}

/// The hash of the result: of all rows as the archive has them.
fn result(rows: &HashMap<RowId, Row>) -> String {
    let mut sorted: Vec<&Row> = rows.values().collect();
    sorted.sort_by_cached_key(|row| row.id());
    sha256_hex(&encode_rows(sorted.into_iter()))
}

/// The rows that are served are those that the records come to.
fn compare_rows(
    archive: &ArchiveLog,
    folded: &Folded,
    store: &dyn LedgerReader,
    wanted: &dyn Fn(&Row) -> bool,
    audit: &mut Audit,
) -> Result<(), ArchiveError> {
    let w = audit.summary.watermark;
    let mut missing: HashMap<&RowId, &Row> =
        folded.rows.iter().filter(|(_, row)| wanted(row)).collect();
    let mut found = Vec::new();
    for view in [View::Ad, View::Publisher] {
        store.scan(&Scan::all(view), &mut |row| {
            if !wanted(&row) {
                return true;
            }
            let expected = missing.remove(&row.id());
            if row.version.at() > w {
                audit.newer_rows += 1;
                return true;
            }
            audit.rows += 1;
            let is_whole = row.counts.conserved();
            if !expected.is_some_and(|expected| is_whole && row.agrees_with(expected)) {
                found.push((row, expected.cloned()));
            }
            true
        })?;
    }
    let lost = missing.into_values().filter(|row| !row.counts.only_pending());
    let lost: Vec<Row> = lost.cloned().collect();
    for (row, expected) in found {
        let how = row_difference(&row, expected.as_ref());
        let clicks = explain(archive, folded, &row)?;
        audit.differs(row_name(&row), format!("{how}; {clicks}"));
    }
    for row in lost {
        let clicks = explain(archive, folded, &row)?;
        audit.differs(row_name(&row), format!("is not in the store; {clicks}"));
    }
    Ok(())
}

fn row_name(row: &Row) -> String {
    let late = row.posted_minute.map_or(String::new(), |m| format!(" posted in minute {}", m.0));
    match &*row.key {
        RowKey::Ad { ad_id, currency, campaign_id, advertiser_id } => format!(
            "row of ad {ad_id:?} campaign {campaign_id:?} advertiser {advertiser_id:?} {currency} \
             minute {}{late}",
            row.minute.0
        ),
        RowKey::Publisher { publisher_id, placement_id, currency } => format!(
            "row of publisher {publisher_id:?} placement {placement_id:?} {currency} minute \
             {}{late}",
            row.minute.0
        ),
    }
}

fn row_difference(stored: &Row, expected: Option<&Row>) -> String {
    let Some(expected) = expected else { return "is in the store, but no click is of it".into() };
    let (have, want) = (&stored.counts, &expected.counts);
    let mut parts = Vec::new();
    let mut say = |name: &str, have: String, want: String| {
        if have != want {
            parts.push(format!("{name} {have} instead of {want}"));
        }
    };
    say("measured", have.measured.to_string(), want.measured.to_string());
    say("pending", have.pending.to_string(), want.pending.to_string());
    for class in Class::ALL {
        say(class.code(), have.of(class).to_string(), want.of(class).to_string());
    }
    say("sum", have.sum_micros.to_string(), want.sum_micros.to_string());
    say("version", stored.version.0.to_string(), expected.version.0.to_string());
    parts.join(", ")
}

/// The clicks that a row should count, as far as they can be named.
fn explain(archive: &ArchiveLog, folded: &Folded, row: &Row) -> Result<String, ArchiveError> {
    let mut clicks = Vec::new();
    let mut batch = RecordBatch::default();
    for verdict in &folded.verdicts {
        if verdict.fold_time.minute() < row.minute || clicks.len() > 5 {
            continue;
        }
        batch.clear();
        archive.read(verdict.partition.0, verdict.offset.0, 1, &mut batch)?;
        let Some((_, _, payload)) = batch.get(0) else { continue };
        let Ok(Record { kind: Kind::Click(click), .. }) = Record::decode(payload) else { continue };
        let click_time = click.received_at.min(verdict.fold_time);
        let of_row = match &*row.key {
            RowKey::Ad { ad_id, .. } => click.ad_id == ad_id,
            RowKey::Publisher { publisher_id, placement_id, .. } => {
                (click.publisher_id, click.placement_id) == (publisher_id, placement_id)
            }
        };
        if of_row && click_time.minute() == row.minute {
            clicks.push(format!("{} ({})", click.click_id, told(verdict.reasons)));
        }
    }
    Ok(match clicks.len() {
        0 => "no click of it is archived".to_owned(),
        1..=5 => format!("its clicks: {}", clicks.join(", ")),
        _ => format!("its first clicks: {}", clicks.join(", ")),
    })
}
