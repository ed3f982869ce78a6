//! What parses, and what it promises about any bytes.

use click_core::fold::{decode_journal, decode_rows, encode_journal, encode_rows};
use click_core::link::{KeyRights, Macros, ParsedLink};
use click_core::record::Record;
use click_engine::checkpoint::Checkpoint;
use click_engine::forward::{Given, Message, Section};
use click_engine::import::{Format, ReadOptions, prepare};
use click_engine::log::{DiskLog, EventLog, LogOptions, RecordBatch};

use super::{seeds, segments, stages};

/// Something that parses.
pub struct Target {
    /// Name of its folder.
    pub name: &'static str,
    /// Panics if the promise is broken; whether the input was taken.
    pub check: fn(&[u8]) -> bool,
    pub(super) seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "record", check: record, seeds: seeds::records },
    Target { name: "link", check: link, seeds: seeds::links },
    Target { name: "journal", check: journal, seeds: seeds::journals },
    Target { name: "rows", check: rows, seeds: seeds::rows },
    Target { name: "checkpoint", check: checkpoint, seeds: seeds::checkpoints },
    Target { name: "csv", check: csv, seeds: seeds::csv },
    Target { name: "ndjson", check: ndjson, seeds: seeds::ndjson },
    Target { name: "access-log", check: access_log, seeds: seeds::access_logs },
    Target { name: "parquet", check: parquet, seeds: seeds::parquet },
    Target { name: "segment", check: segments::check, seeds: segments::seeds },
    Target { name: "copy", check: copy, seeds: seeds::copies },
    Target { name: "hosted", check: stages::check, seeds: stages::seeds },
];

/// What decodes is written so that it decodes to the same.
fn record(bytes: &[u8]) -> bool {
    let Ok(record) = Record::decode(bytes) else { return false };
    assert_eq!(Record::decode(&record.to_bytes()).as_ref(), Ok(&record));
    true
}

/// What verifies has been signed, byte for byte; it leads somewhere or says why not.
fn link(query: &[u8]) -> bool {
    let Ok(link) = ParsedLink::parse(query) else { return false };
    let _ = link.destination(&click_core::link::DestinationPolicy::default(), &MACROS);
    if link.verify(&seeds::key(), KeyRights::ALL).is_err() {
        return false;
    }
    let signed = |query: &[u8]| {
        let end = query.windows(3).position(|part| part == b"&s=").expect("a signature");
        query[..end].to_vec()
    };
    let known = seeds::links().iter().any(|seed| signed(seed) == signed(query));
    assert!(known, "verified, but never signed");
    true
}

const MACROS: Macros<'_> = Macros { click_id: "c" };

fn journal(bytes: &[u8]) -> bool {
    let Ok(journal) = decode_journal(bytes) else { return false };
    assert_eq!(encode_journal(&journal), bytes, "nothing is left over");
    true
}

fn rows(bytes: &[u8]) -> bool {
    let Ok(rows) = decode_rows(bytes) else { return false };
    assert!(rows.iter().all(|row| row.counts.conserved()), "classes and pending add up");
    assert_eq!(decode_rows(&encode_rows(rows.iter())).as_ref(), Ok(&rows));
    true
}

/// Damage is seen: what is taken is what was written.
fn checkpoint(bytes: &[u8]) -> bool {
    let Ok(checkpoint) = Checkpoint::decode(bytes) else { return false };
    assert_eq!(checkpoint.encode(), bytes, "a damaged checkpoint is taken");
    true
}

/// Damage is seen: what is taken is what was written.
fn copy(bytes: &[u8]) -> bool {
    let Ok(given) = Given::decode(bytes) else { return false };
    let Given { log_id, spool, session, part, partitions, sections } = given;
    let mut message = Message::new(log_id, spool, session, part, partitions);
    for Section { partition, acked, from, records } in sections {
        message.section(partition, acked, from);
        records.iter().for_each(|record| message.record(record));
    }
    assert_eq!(message.finish(), bytes, "a damaged copy is taken");
    true
}

fn csv(bytes: &[u8]) -> bool {
    import(Format::Csv, bytes)
}

fn ndjson(bytes: &[u8]) -> bool {
    import(Format::Ndjson, bytes)
}

fn access_log(bytes: &[u8]) -> bool {
    import(Format::AccessLog, bytes)
}

fn parquet(bytes: &[u8]) -> bool {
    import(Format::Parquet, bytes)
}

/// Every row that is taken decodes to a click; the others are counted as rejects.
fn import(format: Format, bytes: &[u8]) -> bool {
    let dir = tempfile::tempdir().expect("a directory for the import");
    let (path, rejects) = (dir.path().join("file"), dir.path().join("rejects"));
    std::fs::write(&path, bytes).expect("room for a file");
    let options = ReadOptions { format: Some(format), rejects, ..ReadOptions::default() };
    let Ok(file) = prepare(&path, &options, &mut |_, _, _| {}) else { return false };
    if file.partitions() > 4 || file.rows() == 0 {
        return file.rows() > 0;
    }
    let options = LogOptions { partitions: file.partitions().max(1), ..small_log() };
    let log = DiskLog::create("/log".as_ref(), &options).expect("a log in memory");
    let append = click_engine::import::AppendOptions { batch: 64, close: false };
    let Ok(done) = file.append_to(&log, append, &mut |_, _, _| {}) else { return true };
    assert_eq!(done.appended + done.present, file.rows(), "each row is in the log");
    let mut batch = RecordBatch::new();
    for partition in 0..log.partitions() {
        log.read(partition, log.range(partition).start, 1 << 24, &mut batch).expect("readable");
    }
    for (_, _, payload) in batch.iter() {
        assert!(Record::decode(payload).is_ok(), "a row that the core cannot decode");
    }
    true
}

fn small_log() -> LogOptions {
    let disk = std::sync::Arc::new(click_engine::disk::MemDisk::new(1));
    LogOptions { disk, segment_bytes: 128 << 10, ..LogOptions::default() }
}
