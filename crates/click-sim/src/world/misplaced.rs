//! Whole, valid records of a log that stand in each other's places, as after writes that went to
//! the wrong block or blocks of an old copy: the log says so, or gives what was written.

use std::path::Path;
use std::sync::Arc;

use click_engine::disk::MemDisk;
use click_engine::log::{DiskLog, EventLog, LogId, LogOptions, RecordBatch};

use crate::check::Dice;

const LOG: &str = "/log";
const RECORDS: u64 = 30;
/// Bytes before the first record, and before each payload; docs/formats/log.md.
const SEGMENT_HEADER: usize = 64;
const RECORD_HEADER: usize = 36;
/// All of one size, so that each fits in the place of each.
const PAYLOAD: usize = 100;
const RECORD: usize = RECORD_HEADER + PAYLOAD;

/// Writes a log, puts records in others' places, and reads it.
///
/// # Errors
/// What was read that had not been written there.
///
/// # Panics
/// If an undamaged log cannot be written.
pub fn misplaced(seed: u64) -> Result<(), String> {
    let mut dice = Dice::new(seed);
    let disk = MemDisk::new(seed);
    let options = LogOptions {
        partitions: 2,
        log_id: Some(LogId([3; 16])),
        stepped: true,
        disk: Arc::new(disk.clone()),
        ..LogOptions::default()
    };
    let written = write(&options, &mut dice);
    let [from, to] = [0, 1].map(|_| (dice.below(2), dice.below(30)));
    let record = disk_record(&disk, from, None);
    let other = disk_record(&disk, to, Some(&record));
    if dice.percent(50) {
        disk_record(&disk, from, Some(&other));
    }
    read(&options, &written)
}

/// Appends to both partitions in groups; returns their payloads.
fn write(options: &LogOptions, dice: &mut Dice) -> [Vec<Vec<u8>>; 2] {
    let log = DiskLog::create(Path::new(LOG), options).expect("a log in memory");
    let (mut written, mut commits) = ([Vec::new(), Vec::new()], Vec::new());
    for number in 0..RECORDS {
        for (partition, written) in (0..).zip(&mut written) {
            let payload: Vec<u8> = (0..PAYLOAD).map(|_| dice.number().to_le_bytes()[0]).collect();
            commits.push(log.append(partition, &payload).expect("room for a record"));
            written.push(payload);
        }
        if dice.percent(30) || number + 1 == RECORDS {
            log.work();
        }
    }
    assert!(commits.iter().all(click_engine::log::Commit::is_settled), "all is written");
    written
}

/// The record at a place, which `put` replaces.
fn disk_record(disk: &MemDisk, (partition, number): (usize, usize), put: Option<&[u8]>) -> Vec<u8> {
    let path = format!("{LOG}/p{partition:04}/{:020}.seg", 0);
    let mut was = Vec::new();
    let taken = disk.tamper(Path::new(&path), |bytes| {
        let at = SEGMENT_HEADER + number * RECORD;
        let place = &mut bytes[at..at + RECORD];
        was = place.to_vec();
        if let Some(record) = put {
            place.copy_from_slice(record);
        }
    });
    taken.expect("the first segment");
    was
}

fn read(options: &LogOptions, written: &[Vec<Vec<u8>>; 2]) -> Result<(), String> {
    let Ok(log) = DiskLog::open(Path::new(LOG), options) else { return Ok(()) };
    for (partition, written) in (0..).zip(written) {
        let mut batch = RecordBatch::default();
        if log.read(partition, 0, usize::MAX, &mut batch).is_err() {
            continue;
        }
        let read: Vec<&[u8]> = batch.iter().map(|(_, _, payload)| payload).collect();
        if read != *written {
            return Err(format!("partition {partition} gives what was not written there"));
        }
    }
    Ok(())
}
