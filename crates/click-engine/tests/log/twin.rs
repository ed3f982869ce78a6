//! The in-memory log behaves like the embedded one: the same calls give the same answers.

use std::sync::Arc;
use std::time::Duration;

use click_engine::disk::MemDisk;
use click_engine::log::{
    Commit, DiskLog, EventLog, LogError, LogId, LogOptions, ManualClock, MemLog, RecordBatch,
};

use crate::support::{START, mem_options, payload, read_all};

type Outcome = Result<(u32, u64, u64), LogError>;

fn outcome(commit: Result<Commit, LogError>) -> Outcome {
    commit.and_then(Commit::wait).map(|p| (p.partition, p.offset, p.append_time))
}

#[test]
fn the_twin_answers_like_the_embedded_log() {
    let clock = Arc::new(ManualClock::new(START));
    let disk = MemDisk::new(1);
    let options = LogOptions {
        partitions: 2,
        log_id: Some(LogId([1; 16])),
        clock: Arc::clone(&clock) as _,
        ..mem_options(&disk)
    };
    let embedded = DiskLog::create("/log".as_ref(), &options).unwrap();
    let twin = MemLog::new(LogId([1; 16]), 1, 2, Arc::clone(&clock) as _);
    let both: [&dyn EventLog; 2] = [&embedded, &twin];
    for n in 0..2_000 {
        clock.advance(n % 7);
        if n % 500 == 0 {
            clock.set_wall(START + n * 100);
        }
        let (bytes, other) = (payload(n), payload(n + 1));
        let [a, b] = both.map(|log| match n % 5 {
            0 => outcome(log.append_batch(1, &[&bytes, &other])),
            1 => outcome(log.append_at(0, START + n * 3, &bytes)),
            2 => outcome(log.append_at(1, START, &bytes)),
            3 => outcome(log.append(u32::try_from(n % 4).unwrap(), &bytes)),
            _ => outcome(log.append(0, &bytes)),
        });
        assert_eq!(a, b, "call {n}");
    }
    for p in 0..3 {
        let [a, b] = both.map(|log| (log.range(p), log.last_append_time(p)));
        assert_eq!(a, b);
        if p < 2 {
            assert_eq!(read_all(&embedded, p, 5_000), read_all(&twin, p, 5_000));
        }
        for from in [0, 5, 1_000_000] {
            let [a, b] = both.map(|log| log.read(p, from, 500, &mut RecordBatch::new()));
            assert_eq!(a, b);
        }
    }
    let [a, b] = both.map(|log| (log.log_id(), log.generation(), log.partitions()));
    assert_eq!(a, b);
    let ends = [embedded.range(0).end, embedded.range(1).end];
    let [a, b] =
        both.map(|log| (log.wait(&ends, Duration::ZERO), log.wait(&[0, 0], Duration::ZERO)));
    assert_eq!((a, b), ((false, true), (false, true)));
    assert_eq!(twin.truncate_before(0, 10), Ok(10));
    assert!(matches!(
        twin.read(0, 9, 1, &mut RecordBatch::new()),
        Err(LogError::BelowStart { .. })
    ));
}

#[test]
fn batches_hold_the_same_records_whatever_the_read_size() {
    let disk = MemDisk::new(1);
    let log = DiskLog::create("/log".as_ref(), &mem_options(&disk)).unwrap();
    let commits: Vec<_> = (0..900).map(|n| log.append(0, &payload(n)).unwrap()).collect();
    commits.into_iter().for_each(|c| assert!(c.wait().is_ok()));
    let whole = read_all(&log, 0, 1 << 24);
    for max in [1, 36, 37, 500, 4_096, 131_072, usize::MAX] {
        assert_eq!(read_all(&log, 0, max), whole, "{max} at a time");
    }
    let mut batch = RecordBatch::new();
    log.read(0, 0, 1_000, &mut batch).unwrap();
    let first = batch.len() as u64;
    log.read(0, first, 1_000, &mut batch).unwrap();
    assert!(batch.len() as u64 > first, "appended to the batch");
    assert!(
        (0..).zip(batch.iter()).all(|(n, (offset, _, bytes))| n == offset && bytes == payload(n))
    );
}
