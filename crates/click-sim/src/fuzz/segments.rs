//! The bytes of a log's segment file: the log opens with the records that were written, or not at
//! all. It never gives a record that was not.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use click_engine::disk::{Disk, MemDisk, OpenMode};
use click_engine::log::{DiskLog, EventLog, LogError, LogId, LogOptions, ManualClock, RecordBatch};

const DIR: &str = "/log";
const SEGMENT: &str = "/log/p0000/00000000000000000000.seg";
const MARK: &str = "/log/mark";
const RECORDS: u64 = 12;
/// Where the durable mark of the second log stands: records from here on may be a torn tail.
const MARKED: u64 = 3;
const START: u64 = 1_700_000_000_000;

/// Offset, `append_time` and payload.
type Written = (u64, u64, Vec<u8>);

/// A log that was written and closed, and how its files were then.
struct Closed {
    disk: MemDisk,
    clock: Arc<ManualClock>,
    segment: Vec<u8>,
    mark: Vec<u8>,
    records: Vec<Written>,
    /// Below it every record has to be there.
    durable: u64,
}

/// Both logs are held to their promise; whether the one that was closed in order opens.
pub(super) fn check(bytes: &[u8]) -> bool {
    static LOGS: OnceLock<Mutex<[Closed; 2]>> = OnceLock::new();
    let logs = LOGS.get_or_init(|| Mutex::new([closed(), with_an_old_mark()]));
    let logs = logs.lock().unwrap_or_else(PoisonError::into_inner);
    logs.each_ref().map(|log| log.opens_as_written(bytes))[0]
}

/// The written part of the file and a little of the room behind it, which `check` adds again.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut bytes = closed().segment;
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(written + 64);
    vec![bytes]
}

fn closed() -> Closed {
    write(RECORDS)
}

/// As after a power failure: the files of a whole log with the mark of a shorter one.
fn with_an_old_mark() -> Closed {
    Closed { mark: write(MARKED).mark, durable: MARKED, ..write(RECORDS) }
}

fn write(count: u64) -> Closed {
    let (disk, clock) = (MemDisk::new(1), Arc::new(ManualClock::new(START)));
    let log = DiskLog::create(DIR.as_ref(), &options(&disk, &clock)).expect("a log in memory");
    for n in 0..count {
        clock.advance(100 + n);
        let commit = log.append(0, &payload(n)).expect("room");
        log.work();
        commit.wait().expect("a disk that does not fail");
    }
    let records = read(&log).expect("our own records");
    assert_eq!(records.len() as u64, count, "all of them are durable");
    drop(log);
    let (segment, mark) = (contents(&disk, SEGMENT), contents(&disk, MARK));
    Closed { disk, clock, segment, mark, records, durable: count }
}

fn options(disk: &MemDisk, clock: &Arc<ManualClock>) -> LogOptions {
    LogOptions {
        log_id: Some(LogId([5; 16])),
        segment_bytes: 128 << 10,
        stepped: true,
        disk: Arc::new(disk.clone()),
        clock: Arc::clone(clock) as _,
        ..LogOptions::default()
    }
}

/// Of several lengths, across and within blocks of the disk.
fn payload(n: u64) -> Vec<u8> {
    let mut bytes = n.to_le_bytes().to_vec();
    bytes.extend((0..n * 97 % 400).map(|at| (at ^ n).to_le_bytes()[0]));
    bytes
}

impl Closed {
    fn opens_as_written(&self, bytes: &[u8]) -> bool {
        let mut segment = bytes.to_vec();
        segment.resize(segment.len().max(self.segment.len()), 0);
        let mut opened = false;
        for open in [DiskLog::open_readonly, DiskLog::open] {
            self.set(SEGMENT, &segment);
            self.set(MARK, &self.mark);
            let log = open(DIR.as_ref(), &options(&self.disk, &self.clock));
            opened = log.is_ok_and(|log| self.holds_what_was_written(&log));
        }
        opened
    }

    /// A record that is found to be damaged when it is read is refused then.
    fn holds_what_was_written(&self, log: &DiskLog) -> bool {
        let range = log.range(0);
        assert!(range.start == 0 && range.end >= self.durable, "durable records are gone");
        let Ok(records) = read(log) else { return false };
        assert_eq!(records.len() as u64, range.end, "what is said to be there can be read");
        assert!(self.records.starts_with(&records), "a record that was never written");
        true
    }

    fn set(&self, path: &str, bytes: &[u8]) {
        let replaced = self.disk.tamper(Path::new(path), |contents| {
            contents.clear();
            contents.extend_from_slice(bytes);
        });
        replaced.expect("a file of the log");
    }
}

fn read(log: &DiskLog) -> Result<Vec<Written>, LogError> {
    let mut batch = RecordBatch::new();
    log.read(0, 0, 1 << 20, &mut batch)?;
    Ok(batch.iter().map(|(offset, time, payload)| (offset, time, payload.to_vec())).collect())
}

fn contents(disk: &MemDisk, path: &str) -> Vec<u8> {
    let file = disk.open(Path::new(path), OpenMode::Read).expect("a file of the log");
    let size = usize::try_from(file.size().expect("its size")).expect("a small file");
    let mut bytes = vec![0; size];
    file.read_at(0, &mut bytes).expect("its bytes");
    bytes
}
