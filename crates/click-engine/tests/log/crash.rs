//! Power loss and failing disks: what was acknowledged is there, what failed was never
//! acknowledged.

use std::sync::Arc;
use std::time::Duration;

use click_engine::disk::{Disk, DiskOp, MemDisk, OpenMode};
use click_engine::log::{
    Commit, DiskLog, EventLog, LogError, LogHealth, LogOptions, ManualClock, Position,
};

use crate::support::{START, mem_options, payload, read_all};

const DIR: &str = "/log";

/// Appends a burst and returns the commits that were acknowledged.
fn burst(log: &dyn EventLog, from: u64, count: u64, wait_every: u64) -> Vec<Position> {
    let mut acked = Vec::new();
    let mut waiting: Vec<Commit> = Vec::new();
    for n in from..from + count {
        let Ok(commit) = log.append(u32::try_from(n % 2).unwrap(), &payload(n)) else { break };
        waiting.push(commit);
        if n % wait_every == 0 {
            acked.extend(waiting.drain(..).filter_map(|c| c.wait().ok()));
        }
    }
    acked.extend(waiting.into_iter().filter(Commit::is_settled).filter_map(|c| c.wait().ok()));
    acked
}

/// Every acknowledged record is there, unchanged, and offsets are gapless.
fn check(log: &dyn EventLog, expected: &[Vec<(u64, u64)>; 2]) {
    for (p, want) in (0..).zip(expected) {
        let found = read_all(log, p, 30_000);
        assert!(found.len() >= want.len(), "{} of {} records", found.len(), want.len());
        for ((offset, time, _), (n, (o, t))) in found.iter().zip((0..).zip(want)) {
            assert_eq!((*offset, *offset, *time), (n, *o, *t));
        }
        assert!(found.windows(2).all(|w| w[0].1 <= w[1].1), "append_time is monotone");
    }
}

#[test]
fn no_acknowledged_record_is_lost_in_crash_loops() {
    for seed in 0..60 {
        let disk = MemDisk::new(seed);
        let options = LogOptions { partitions: 2, ..mem_options(&disk) };
        let mut acked: [Vec<(u64, u64)>; 2] = [Vec::new(), Vec::new()];
        for round in 0..6 {
            let log = DiskLog::open_or_create(DIR.as_ref(), &options).unwrap();
            check(&log, &acked);
            // What recovery kept beyond the acknowledged is in the log for good.
            for (p, acked) in (0..).zip(&mut acked) {
                *acked = read_all(&log, p, 30_000).iter().map(|r| (r.0, r.1)).collect();
            }
            let new = burst(&log, round * 1_000, 40 * (seed % 7 + 1), seed % 13 + 1);
            disk.crash();
            for position in new {
                let part = &mut acked[position.partition as usize];
                assert_eq!(position.offset, part.len() as u64);
                part.push((position.offset, position.append_time));
            }
        }
    }
}

#[test]
fn creation_survives_a_crash_at_any_call() {
    for op in [DiskOp::Write, DiskOp::Sync, DiskOp::SyncDir, DiskOp::Preallocate] {
        for nth in 1..12 {
            let disk = MemDisk::new(nth);
            let options = LogOptions { partitions: 2, ..mem_options(&disk) };
            disk.fail_from(op, nth);
            let first = DiskLog::open_or_create(DIR.as_ref(), &options);
            let acked = first.as_ref().map_or(Vec::new(), |log| burst(log, 0, 10, 1));
            disk.crash();
            drop(first);
            disk.heal();
            let log = DiskLog::open_or_create(DIR.as_ref(), &options).unwrap();
            let kept: u64 = (0..2).map(|p| log.range(p).end).sum();
            assert!(kept >= acked.len() as u64);
            log.append(0, b"x").unwrap().wait().unwrap();
        }
    }
}

#[test]
fn the_first_failed_write_or_flush_is_final() {
    for op in [DiskOp::Write, DiskOp::Sync] {
        for nth in 1..40 {
            let disk = MemDisk::new(nth);
            let options = LogOptions { partitions: 2, ..mem_options(&disk) };
            let log = DiskLog::create(DIR.as_ref(), &options).unwrap();
            log.append(0, b"first").unwrap().wait().unwrap();
            disk.fail_from(op, nth);
            let mut acked = vec![Vec::new(), Vec::new()];
            acked[0].push((0, START));
            for position in burst(&log, 0, 60, 1) {
                acked[position.partition as usize].push((position.offset, position.append_time));
            }
            // Each burst makes at least as many calls as `nth`.
            assert!(matches!(log.health(), LogHealth::Poisoned { .. }), "{op:?} {nth}");
            disk.heal();
            assert!(matches!(log.append(0, b"x"), Err(LogError::Poisoned { .. })));
            assert!(!log.wait(&[u64::MAX; 2], Duration::from_secs(5)), "returns at once");
            // One whose flush succeeded but whose mark could not be written may be there too.
            let readable = read_all(&log, 0, 9_999).len();
            assert!(readable >= acked[0].len(), "durable ones stay readable");
            if nth % 2 == 0 {
                disk.crash();
            }
            drop(log);
            let log = DiskLog::open(DIR.as_ref(), &options).unwrap();
            check(&log, &[acked.remove(0), acked.remove(0)]);
            disk.crash();
            drop(log);
            DiskLog::open(DIR.as_ref(), &options).unwrap();
        }
    }
}

#[test]
fn all_waiting_commits_fail_together() {
    let disk = MemDisk::new(1);
    let log = DiskLog::create(DIR.as_ref(), &mem_options(&disk)).unwrap();
    disk.fail_from(DiskOp::Sync, 1);
    let append = |n| log.append(0, &payload(n));
    let commits: Vec<_> = (0..100).map_while(|n| append(n).ok()).collect();
    for commit in commits {
        let error = commit.wait().err().unwrap();
        assert!(error.to_string().contains("cannot flush"), "{error}");
        assert!(matches!(error, LogError::Poisoned { .. }));
    }
    assert_eq!(log.range(0), 0..0);
}

#[test]
fn a_full_disk_refuses_before_accepting_and_recovers() {
    let disk = MemDisk::new(1);
    let log = DiskLog::create(DIR.as_ref(), &mem_options(&disk)).unwrap();
    disk.set_capacity(300_000);
    let (mut acked, mut full) = (0, None);
    for n in 0..3_000 {
        match log.append(0, &payload(n)).and_then(Commit::wait) {
            Ok(position) => {
                assert_eq!((full.is_none(), position.offset), (true, acked));
                acked += 1;
            }
            Err(LogError::Full { .. }) => full = full.or(Some(n)),
            Err(error) => panic!("{error}"),
        }
    }
    assert!(full.is_some() && acked > 500, "{acked} accepted");
    assert!(matches!(log.health(), LogHealth::Full { .. }));
    assert_eq!(read_all(&log, 0, 9_999).len() as u64, acked, "reading goes on");
    disk.set_capacity(u64::MAX);
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while log.health() != LogHealth::Ok && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(log.append(0, b"again").unwrap().wait().unwrap().offset, acked);
    drop(log);
    let log = DiskLog::open(DIR.as_ref(), &mem_options(&disk)).unwrap();
    assert_eq!(log.range(0), 0..acked + 1);
}

#[test]
fn a_group_that_does_not_fit_fails_from_where_it_ends() {
    let disk = MemDisk::new(1);
    let options = LogOptions { partitions: 2, ..mem_options(&disk) };
    let log = DiskLog::create(DIR.as_ref(), &options).unwrap();
    disk.set_capacity(disk_used(&disk));
    let payloads: Vec<Vec<u8>> = (0..2_000).map(payload).collect();
    let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
    let commits: Vec<_> = [0, 1, 0, 0].map(|p| log.append_batch(p, &slices)).into_iter().collect();
    for commit in commits {
        let error = commit.and_then(Commit::wait).err().unwrap();
        assert!(matches!(error, LogError::Full { .. }), "{error}");
    }
    let kept = log.range(0).end;
    assert!(kept > 100 && kept < 2_000, "the part that fits is kept: {kept}");
    disk.set_capacity(u64::MAX);
    log.truncate_before(0, 0).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    let position = loop {
        match log.append_batch(0, &slices).and_then(Commit::wait) {
            Ok(position) => break position,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(position.offset >= kept + 1_999);
    assert_eq!(read_all(&log, 0, 99_999).len() as u64, position.offset + 1);
}

fn disk_used(disk: &MemDisk) -> u64 {
    disk.set_capacity(1 << 40);
    (1 << 40) - disk.free_space(DIR.as_ref()).unwrap()
}

#[test]
fn time_is_slewed_over_steps_of_the_wall_clock_and_restarts() {
    const HOUR: u64 = 3_600_000;
    let disk = MemDisk::new(1);
    let clock = Arc::new(ManualClock::new(START));
    let options = LogOptions { clock: Arc::clone(&clock) as _, ..mem_options(&disk) };
    let log = DiskLog::create(DIR.as_ref(), &options).unwrap();
    let stamp = |log: &DiskLog| log.append(0, b"x").unwrap().wait().unwrap().append_time;
    assert_eq!(stamp(&log), START);
    clock.advance(500);
    assert_eq!(stamp(&log), START + 500);
    clock.set_wall(START + HOUR);
    assert_eq!(stamp(&log), START + 500, "a leap is not followed at once");
    clock.advance(1_000);
    assert_eq!(stamp(&log), START + 1_600, "but at most 10 % faster");
    clock.set_wall(START - HOUR);
    clock.advance(1_000);
    assert_eq!(stamp(&log), START + 2_100, "behind, it goes on at half speed");
    drop(log);
    let log = DiskLog::open(DIR.as_ref(), &options).unwrap();
    assert_eq!(stamp(&log), START + 2_100, "never below the last record");
    clock.advance(1_000);
    assert_eq!(stamp(&log), START + 2_600);
    assert!(matches!(log.append_at(0, START, b"x"), Err(LogError::TimeBackwards { .. })));
    let given = log.append_at(0, START + HOUR, b"x").unwrap().wait().unwrap();
    assert_eq!((given.append_time, stamp(&log)), (START + HOUR, START + HOUR));
    drop(log);
    clock.set_wall(START + 3 * HOUR);
    let log = DiskLog::open(DIR.as_ref(), &options).unwrap();
    assert_eq!(stamp(&log), START + 3 * HOUR, "a start takes the wall clock if it is ahead");
}

#[test]
fn the_disk_twin_forgets_what_was_not_synced() {
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..50 {
        let disk = MemDisk::new(seed);
        disk.create_dir_all("d".as_ref()).unwrap();
        disk.sync_dir("".as_ref()).unwrap();
        let file = disk.open("d/f".as_ref(), OpenMode::CreateNew).unwrap();
        disk.sync_dir("d".as_ref()).unwrap();
        file.write_at(0, &[1; 512]).unwrap();
        file.sync_data().unwrap();
        file.write_at(512, &[2; 5_120]).unwrap();
        disk.crash();
        let mut bytes = [0; 6_000];
        let file = disk.open("d/f".as_ref(), OpenMode::Read).unwrap();
        let got = file.read_at(0, &mut bytes).unwrap();
        assert!(got >= 512 && bytes[..512].iter().all(|b| *b == 1), "synced bytes stay");
        for sector in bytes[512..5_632].chunks(512) {
            kept += usize::from(sector == [2; 512]);
            lost += usize::from(sector == [0; 512]);
        }
    }
    assert_eq!(kept + lost, 500, "sectors are whole");
    assert!(kept > 100 && lost > 100);
}

#[test]
fn a_torn_mark_leaves_the_other_slot() {
    for seed in 0..8 {
        let disk = MemDisk::new(seed);
        // So many that a slot spans two sectors.
        let options = LogOptions { partitions: 100, ..mem_options(&disk) };
        let mut ends = vec![0; 100];
        drop(DiskLog::create(DIR.as_ref(), &options).unwrap());
        for round in 0..4 {
            // Power also fails while opening; the last flush there is that of the mark.
            for nth in [1, 50, 102] {
                disk.fail_from(DiskOp::Sync, nth);
                assert!(DiskLog::open(DIR.as_ref(), &options).is_err());
                disk.crash();
                disk.heal();
            }
            let log = DiskLog::open(DIR.as_ref(), &options).unwrap();
            for p in (0..100).step_by(9) {
                assert!(log.range(p).end >= ends[p as usize]);
                let position = log.append(p, &payload(round)).unwrap().wait().unwrap();
                ends[p as usize] = position.offset + 1;
            }
            disk.crash();
        }
    }
}

#[test]
fn a_name_that_a_failed_process_left_unflushed_is_durable_after_the_next_opening() {
    for seed in 0..20 {
        let disk = MemDisk::new(seed);
        let options = LogOptions { segment_bytes: 70_000, ..mem_options(&disk) };
        let log = DiskLog::create(DIR.as_ref(), &options).unwrap();
        disk.fail_from(DiskOp::SyncDir, 1);
        let large = vec![7; 30_000];
        while log.append(0, &large).is_ok_and(|commit| commit.wait().is_ok()) {}
        assert!(matches!(log.health(), LogHealth::Poisoned { .. }), "the next segment has no name");
        disk.heal();
        disk.kill();
        drop(log);
        let log = DiskLog::open(DIR.as_ref(), &options).unwrap();
        let acknowledged = log.append(0, &large).unwrap().wait().unwrap();
        disk.crash();
        drop(log);
        let log = DiskLog::open(DIR.as_ref(), &options).unwrap();
        assert!(
            log.range(0).end > acknowledged.offset,
            "seed {seed}: an acknowledged record is lost"
        );
    }
}
