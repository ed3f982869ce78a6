//! Damaged files: every cut and every flip near the end of the log is either a torn tail above the
//! mark or reported as corruption; a durable record is never lost or changed silently.

use std::path::{Path, PathBuf};

use click_engine::disk::{Disk, MemDisk, OpenMode};
use click_engine::log::{DiskLog, EventLog, LogError, LogId, LogOptions, RecordBatch};

use crate::support::{mem_options, payload, read_all};

const DIR: &str = "/log";
const RECORDS: u64 = 40;
/// Bytes in front of the first record, and in front of a payload.
const SEGMENT_HEADER: usize = 64;
const RECORD_HEADER: usize = 36;

fn segment() -> PathBuf {
    Path::new(DIR).join("p0000/00000000000000000000.seg")
}

fn bytes_of(disk: &MemDisk, path: &Path) -> Vec<u8> {
    let file = disk.open(path, OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.size().unwrap()).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

/// A log of one segment with `RECORDS` records, closed; and the byte where each record ends.
fn closed_log() -> (MemDisk, LogOptions, Vec<usize>) {
    let disk = MemDisk::new(3);
    let options = LogOptions { log_id: Some(LogId([5; 16])), ..mem_options(&disk) };
    let log = DiskLog::create(DIR.as_ref(), &options).unwrap();
    for n in 0..RECORDS {
        log.append(0, &payload(n)).unwrap().wait().unwrap();
    }
    let mut ends = vec![SEGMENT_HEADER];
    for n in 0..RECORDS {
        ends.push(ends[ends.len() - 1] + RECORD_HEADER + payload(n).len());
    }
    (disk, options, ends)
}

fn set(disk: &MemDisk, path: &Path, contents: &[u8]) {
    disk.tamper(path, |bytes| {
        bytes.clear();
        bytes.extend_from_slice(contents);
    })
    .unwrap();
}

fn open_error(options: &LogOptions) -> LogError {
    DiskLog::open(DIR.as_ref(), options).err().unwrap()
}

fn assert_corrupt(options: &LogOptions, context: &str) {
    let error = open_error(options);
    let LogError::Corrupt { file, .. } = &error else { panic!("{context}: {error}") };
    assert!(file.contains("p0000/"), "{context}: names the file: {error}");
    assert!(error.to_string().contains("restore"), "says the fix: {error}");
    let read_only = DiskLog::open_readonly(DIR.as_ref(), options).err();
    assert!(matches!(read_only, Some(LogError::Corrupt { .. })), "{context}, for reading");
}

#[test]
fn every_flip_in_a_closed_log_is_corruption() {
    let (disk, options, ends) = closed_log();
    let image = bytes_of(&disk, &segment());
    for at in ends[37]..ends[40] {
        disk.tamper(&segment(), |bytes| bytes[at] ^= 1 << (at % 8)).unwrap();
        assert_corrupt(&options, &format!("flip at {at}"));
        set(&disk, &segment(), &image);
    }
    for at in 0..SEGMENT_HEADER {
        disk.tamper(&segment(), |bytes| bytes[at] ^= 0x10).unwrap();
        assert_corrupt(&options, &format!("flip at {at}"));
        set(&disk, &segment(), &image);
    }
    assert_eq!(DiskLog::open(DIR.as_ref(), &options).unwrap().range(0), 0..RECORDS);
}

#[test]
fn every_cut_of_a_closed_log_is_corruption() {
    let (disk, options, ends) = closed_log();
    let image = bytes_of(&disk, &segment());
    for at in (0..SEGMENT_HEADER).chain(ends[37]..ends[40]) {
        set(&disk, &segment(), &image[..at]);
        assert_corrupt(&options, &format!("cut at {at}"));
        let zeroed: Vec<u8> =
            image[..at].iter().copied().chain(vec![0; image.len() - at]).collect();
        set(&disk, &segment(), &zeroed);
        assert_corrupt(&options, &format!("zeros from {at}"));
    }
}

/// The files as a power loss leaves them if the mark is as old as `marked` records.
fn with_old_mark(marked: u64) -> (MemDisk, LogOptions, Vec<usize>, Vec<u8>) {
    let (disk, options, ends) = closed_log();
    let image = bytes_of(&disk, &segment());
    let older = MemDisk::new(4);
    let older_options = LogOptions { log_id: options.log_id, ..mem_options(&older) };
    let log = DiskLog::create(DIR.as_ref(), &older_options).unwrap();
    for n in 0..marked {
        log.append(0, &payload(n)).unwrap().wait().unwrap();
    }
    drop(log);
    let mark = Path::new(DIR).join("mark");
    set(&disk, &mark, &bytes_of(&older, &mark));
    (disk, options, ends, image)
}

#[test]
fn above_the_mark_a_damaged_last_record_is_a_torn_tail() {
    let (disk, options, ends, image) = with_old_mark(38);
    let mark = bytes_of(&disk, &Path::new(DIR).join("mark"));
    for at in ends[39]..ends[40] {
        set(&disk, &Path::new(DIR).join("mark"), &mark);
        let mut torn = image.clone();
        torn[at] ^= 0x40;
        if at % 2 == 0 {
            torn[at..].fill(0);
        }
        set(&disk, &segment(), &torn);
        let log = DiskLog::open(DIR.as_ref(), &options).unwrap();
        assert_eq!(log.range(0), 0..39, "damage at {at}");
        drop(log);
        let cleaned = bytes_of(&disk, &segment());
        assert_eq!(cleaned[..ends[39]], image[..ends[39]]);
        assert!(cleaned[ends[39]..].iter().all(|b| *b == 0), "the tail is zeroed");
    }
}

#[test]
fn a_later_record_proves_that_an_earlier_one_was_durable() {
    let (disk, options, ends, image) = with_old_mark(10);
    for at in ends[37]..ends[39] {
        let mut damaged = image.clone();
        damaged[at] ^= 4;
        set(&disk, &segment(), &damaged);
        assert_corrupt(&options, &format!("flip at {at}, followed by a durable record"));
    }
}

#[test]
fn swapped_and_misplaced_records_are_corruption() {
    let (disk, options, ends) = closed_log();
    let image = bytes_of(&disk, &segment());
    let mut swapped = image[..ends[20]].to_vec();
    swapped.extend_from_slice(&image[ends[21]..ends[22]]);
    swapped.extend_from_slice(&image[ends[20]..ends[21]]);
    swapped.extend_from_slice(&image[ends[22]..]);
    set(&disk, &segment(), &swapped);
    assert_corrupt(&options, "two records swapped");
    let mut repeated = image[..ends[21]].to_vec();
    repeated.extend_from_slice(&image[ends[20]..]);
    set(&disk, &segment(), &repeated);
    assert_corrupt(&options, "a record twice");
    let mut missing = image[..ends[20]].to_vec();
    missing.extend_from_slice(&image[ends[21]..]);
    set(&disk, &segment(), &missing);
    assert_corrupt(&options, "a record missing");
}

#[test]
fn a_restored_old_block_is_corruption() {
    let disk = MemDisk::new(3);
    let options = mem_options(&disk);
    let log = DiskLog::create(DIR.as_ref(), &options).unwrap();
    for n in 0..RECORDS / 2 {
        log.append(0, &payload(n)).unwrap().wait().unwrap();
    }
    drop(log);
    let old = bytes_of(&disk, &segment());
    let log = DiskLog::open(DIR.as_ref(), &options).unwrap();
    for n in RECORDS / 2..RECORDS {
        log.append(0, &payload(n)).unwrap().wait().unwrap();
    }
    drop(log);
    let new = bytes_of(&disk, &segment());
    let blocks =
        (0..new.len()).step_by(512).filter(|at| new[*at..*at + 512] != old[*at..*at + 512]);
    for at in blocks {
        disk.tamper(&segment(), |b| b[at..at + 512].copy_from_slice(&old[at..at + 512])).unwrap();
        assert_corrupt(&options, &format!("old block at {at}"));
        set(&disk, &segment(), &new);
    }
    set(&disk, &segment(), &old);
    assert_corrupt(&options, "the whole old file");
}

#[test]
fn a_record_of_the_same_offset_from_another_history_is_corruption() {
    let (disk, options, ends) = closed_log();
    let image = bytes_of(&disk, &segment());
    let other = MemDisk::new(9);
    let other_options = LogOptions { log_id: options.log_id, ..mem_options(&other) };
    let log = DiskLog::create(DIR.as_ref(), &other_options).unwrap();
    for n in 0..RECORDS {
        // Same sizes, other bytes.
        let mut bytes = payload(n);
        bytes[0] ^= 0xff;
        log.append(0, &bytes).unwrap().wait().unwrap();
    }
    drop(log);
    let foreign = bytes_of(&other, &segment());
    for n in [0, 7, 38] {
        let mut mixed = image.clone();
        mixed[ends[n]..ends[n + 1]].copy_from_slice(&foreign[ends[n]..ends[n + 1]]);
        set(&disk, &segment(), &mixed);
        assert_corrupt(&options, &format!("foreign record {n}"));
    }
    let another = LogOptions { log_id: Some(LogId([6; 16])), ..mem_options(&other) };
    let log = DiskLog::create("/another".as_ref(), &another).unwrap();
    log.append(0, b"x").unwrap().wait().unwrap();
    drop(log);
    let another = bytes_of(&other, Path::new("/another/p0000/00000000000000000000.seg"));
    set(&disk, &segment(), &another);
    assert_corrupt(&options, "segment of another log");
}

#[test]
fn missing_files_are_corruption() {
    let (disk, options, _) = closed_log();
    let mark = Path::new(DIR).join("mark");
    let image = bytes_of(&disk, &mark);
    set(&disk, &mark, &vec![0; image.len()]);
    assert!(open_error(&options).to_string().contains("mark is corrupt"));
    for at in 0..image.len() {
        let mut flipped = image.clone();
        flipped[at] ^= 1;
        set(&disk, &mark, &flipped);
        let opened = DiskLog::open(DIR.as_ref(), &options).unwrap();
        assert_eq!(opened.range(0), 0..RECORDS, "one whole slot is enough");
        drop(opened);
        if at == 64 {
            break;
        }
    }
    set(&disk, &mark, &image);
    disk.remove(&segment()).unwrap();
    assert!(open_error(&options).to_string().contains("segments up to 40 are missing"));
}

#[test]
fn damage_in_an_older_segment_is_found_when_read() {
    let disk = MemDisk::new(1);
    let options = mem_options(&disk);
    let log = DiskLog::create(DIR.as_ref(), &options).unwrap();
    for n in 0..2_000 {
        let commit = log.append(0, &payload(n)).unwrap();
        if n % 100 == 99 {
            commit.wait().unwrap();
        }
    }
    assert_eq!(read_all(&log, 0, 50_000).len(), 2_000);
    drop(log);
    let image = bytes_of(&disk, &segment());
    for at in [SEGMENT_HEADER + 3, 5_000, image.len() - 1] {
        disk.tamper(&segment(), |bytes| bytes[at] ^= 1).unwrap();
        let log = DiskLog::open(DIR.as_ref(), &options).unwrap();
        let mut batch = RecordBatch::new();
        let error = log.read(0, 0, 1 << 20, &mut batch).err().unwrap();
        assert!(matches!(error, LogError::Corrupt { .. }), "{error}");
        for (n, (offset, _, bytes)) in (0..).zip(&batch) {
            assert_eq!((n, payload(n).as_slice()), (offset, bytes), "whole records before it");
        }
        drop(log);
        set(&disk, &segment(), &image);
    }
}

#[test]
fn random_damage_never_panics_or_invents() {
    let (disk, options, ends) = closed_log();
    let image = bytes_of(&disk, &segment());
    let mut random = 88_172_645_463_325_252_u64;
    for _ in 0..400 {
        let mut bytes = image.clone();
        for _ in 0..8 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let at = usize::try_from(random % ends[40] as u64).unwrap();
            bytes[at] = u8::try_from(random >> 56).unwrap();
        }
        set(&disk, &segment(), &bytes);
        match DiskLog::open(DIR.as_ref(), &options) {
            Ok(log) => assert_eq!((log.range(0), &bytes), (0..RECORDS, &image)),
            Err(error) => assert!(matches!(error, LogError::Corrupt { .. }), "{error}"),
        }
    }
}

#[test]
fn the_disk_twin_refuses_stale_handles() {
    let disk = MemDisk::new(1);
    let file = disk.open(Path::new("x"), OpenMode::CreateNew).unwrap();
    disk.crash();
    assert!(file.write_at(0, b"x").is_err());
}
