//! The embedded log on a real directory: appending, reading, reopening, waiting, locking,
//! retention.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use crate::support::{START, mem_options, payload, read_all, small};
use click_engine::disk::{DiskOp, MemDisk};
use click_engine::log::{
    DiskLog, EventLog, LogError, LogHealth, LogId, LogOptions, ManualClock, RecordBatch, Retention,
};

#[test]
fn appends_are_read_back_and_survive_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { partitions: 3, ..small() };
    let id = {
        let log = DiskLog::create(dir.path(), &options).unwrap();
        for n in 0..300_u64 {
            let commit = log.append(u32::try_from(n % 3).unwrap(), &payload(n)).unwrap();
            if n % 50 == 0 {
                assert_eq!(commit.wait().unwrap().offset, n / 3);
            }
        }
        log.log_id()
    };
    let log = DiskLog::open(dir.path(), &options).unwrap();
    assert_eq!((log.log_id(), log.generation(), log.partitions()), (id, 1, 3));
    for p in 0..3 {
        assert_eq!(log.range(p), 0..100);
        let found = read_all(&log, p, 700);
        let want: Vec<_> = (0..100).map(|n| payload(3 * n + u64::from(p))).collect();
        assert_eq!(found.iter().map(|r| r.2.clone()).collect::<Vec<_>>(), want);
        assert!(found.windows(2).all(|w| w[0].1 <= w[1].1));
        assert_eq!(log.last_append_time(p), found[99].1);
    }
}

#[test]
fn rolls_over_segments_and_reads_from_any_offset() {
    let dir = tempfile::tempdir().unwrap();
    let log = DiskLog::create(dir.path(), &small()).unwrap();
    for n in 0..3_000 {
        let commit = log.append(0, &payload(n)).unwrap();
        if n % 100 == 99 {
            commit.wait().unwrap();
        }
    }
    let segments = std::fs::read_dir(dir.path().join("p0000")).unwrap().count();
    assert!(segments > 3, "{segments} files");
    let mut batch = RecordBatch::new();
    for from in [0, 1, 17, 999, 1_500, 2_998, 2_999] {
        for max in [1, 100, 10_000, 10_000_000] {
            batch.clear();
            log.read(0, from, max, &mut batch).unwrap();
            assert_eq!(batch.get(0).unwrap().0, from);
            for (place, (offset, _, bytes)) in (from..).zip(&batch) {
                assert_eq!((place, payload(place).as_slice()), (offset, bytes));
            }
            if max == 10_000_000 {
                assert_eq!(batch.last().unwrap().0, 2_999);
            }
        }
    }
    batch.clear();
    log.read(0, 3_000, 1, &mut batch).unwrap();
    assert!(batch.is_empty());
    let beyond = LogError::BeyondEnd { partition: 0, from: 3_001, end: 3_000 };
    assert_eq!(log.read(0, 3_001, 1, &mut batch), Err(beyond));
}

#[test]
fn a_batch_has_consecutive_offsets_and_one_commit() {
    let dir = tempfile::tempdir().unwrap();
    let log = DiskLog::create(dir.path(), &small()).unwrap();
    let payloads: Vec<Vec<u8>> = (0..1_000).map(payload).collect();
    let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
    assert_eq!(log.append_batch(0, &slices).unwrap().wait().unwrap().offset, 999);
    let last = log.append_batch(0, &slices).unwrap().wait().unwrap();
    assert_eq!((last.offset, log.range(0)), (1_999, 0..2_000));
    assert!(matches!(log.append_batch(0, &[]), Err(LogError::EmptyBatch)));
}

#[test]
fn refuses_what_cannot_be_appended() {
    let dir = tempfile::tempdir().unwrap();
    let log = DiskLog::create(dir.path(), &small()).unwrap();
    let large = vec![7; 65_537];
    assert!(matches!(log.append(0, &large), Err(LogError::PayloadSize { size: 65_537, .. })));
    assert!(matches!(log.append(0, b""), Err(LogError::PayloadSize { size: 0, .. })));
    assert!(matches!(log.append(1, b"x"), Err(LogError::NoPartition { partition: 1, .. })));
    assert!(matches!(log.append_at(0, u64::MAX, b"x"), Err(LogError::TimeRange { .. })));
    log.append(0, &large[1..]).unwrap().wait().unwrap();
    assert_eq!(log.range(0), 0..1);
}

#[test]
fn a_full_queue_says_busy() {
    let disk = MemDisk::new(1);
    let options = LogOptions { max_queued: 70_000, ..mem_options(&disk) };
    let log = DiskLog::create("/log".as_ref(), &options).unwrap();
    let large = vec![1; 60_000];
    let mut busy = 0;
    for _ in 0..2_000 {
        busy += usize::from(matches!(log.append(0, &large), Err(LogError::Busy { .. })));
    }
    assert!(busy > 0);
    assert!(matches!(log.append_batch(0, &[&large, &large]), Err(LogError::BatchSize { .. })));
}

#[test]
fn thousands_may_wait_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = DiskLog::create(dir.path(), &LogOptions::default()).unwrap();
    let commits: Vec<_> = (0..20_000).map(|n| log.append(0, &payload(n)).unwrap()).collect();
    for (offset, commit) in (0..).zip(commits) {
        assert_eq!(commit.wait().unwrap().offset, offset);
    }
}

#[test]
fn group_commit_shares_flushes() {
    let disk = MemDisk::new(1);
    let options = LogOptions { segment_bytes: 1 << 22, ..mem_options(&disk) };
    let log = DiskLog::create("/log".as_ref(), &options).unwrap();
    let before = disk.calls(DiskOp::Sync);
    let payloads: Vec<Vec<u8>> = (0..1_000).map(payload).collect();
    let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
    log.append_batch(0, &slices).unwrap().wait().unwrap();
    assert!(disk.calls(DiskOp::Sync) - before <= 2);
}

struct CountWakes(AtomicUsize);

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_commit_is_a_future() {
    let dir = tempfile::tempdir().unwrap();
    let log = DiskLog::create(dir.path(), &small()).unwrap();
    let wakes = Arc::new(CountWakes(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&wakes));
    let mut context = Context::from_waker(&waker);
    let mut commit = Box::pin(log.append(0, b"x").unwrap());
    if commit.as_mut().poll(&mut context).is_pending() {
        let deadline = Instant::now() + Duration::from_secs(5);
        while wakes.0.load(Ordering::SeqCst) == 0 && Instant::now() < deadline {
            std::thread::yield_now();
        }
    }
    let Poll::Ready(Ok(position)) = commit.as_mut().poll(&mut context) else { panic!("pending") };
    assert_eq!((position.partition, position.offset), (0, 0));
}

/// How long after a commit resolved a reader waiting for partition 1 to pass `end` goes on.
fn wake_delay(log: &DiskLog, end: u64) -> Duration {
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            assert!(log.wait(&[0, end], Duration::from_secs(10)));
            Instant::now()
        });
        std::thread::sleep(Duration::from_millis(30));
        log.append(1, b"x").unwrap().wait().unwrap();
        let appended = Instant::now();
        waiter.join().unwrap().saturating_duration_since(appended)
    })
}

#[test]
fn wait_wakes_at_once_and_times_out() {
    let dir = tempfile::tempdir().unwrap();
    let log = DiskLog::create(dir.path(), &LogOptions { partitions: 2, ..small() }).unwrap();
    assert!(!log.wait(&[0, 0], Duration::from_millis(20)));
    // The best of a few, as the machine may be busy: a poll would be late every time.
    let best = (0..5).map(|n| wake_delay(&log, n)).min().unwrap();
    assert!(best < Duration::from_millis(50), "{best:?}");
    assert!(log.wait(&[0, 0], Duration::ZERO));
    assert!(!log.wait(&[0, 5], Duration::from_millis(1)));
}

#[test]
fn sixteen_threads_get_gapless_offsets() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { partitions: 2, segment_bytes: 1 << 20, ..small() };
    let log = DiskLog::create(dir.path(), &options).unwrap();
    let mut offsets: Vec<(u32, u64)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16_u32)
            .map(|t| {
                let log = &log;
                scope.spawn(move || {
                    let append = |n| log.append(t % 2, &payload(n)).unwrap();
                    let commits: Vec<_> = (0..500).map(append).collect();
                    let done = commits.into_iter().map(|c| c.wait().unwrap());
                    done.map(|p| (p.partition, p.offset)).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    offsets.sort_unstable();
    let want = (0..2).flat_map(|p| (0..4_000).map(move |o| (p, o)));
    assert!(offsets.into_iter().eq(want));
    assert_eq!((read_all(&log, 0, 1 << 20).len(), log.health()), (4_000, LogHealth::Ok));
}

#[test]
fn only_one_writer_and_no_reader_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = DiskLog::create(dir.path(), &small()).unwrap();
    log.append(0, b"x").unwrap().wait().unwrap();
    assert!(matches!(DiskLog::open(dir.path(), &small()), Err(LogError::Locked { .. })));
    assert!(matches!(DiskLog::open_readonly(dir.path(), &small()), Err(LogError::Locked { .. })));
    assert!(matches!(DiskLog::create(dir.path(), &small()), Err(LogError::Locked { .. })));
    drop(log);
    let one = DiskLog::open_readonly(dir.path(), &small()).unwrap();
    let two = DiskLog::open_readonly(dir.path(), &small()).unwrap();
    assert_eq!(read_all(&one, 0, 100), read_all(&two, 0, 100));
    assert!(matches!(one.append(0, b"x"), Err(LogError::ReadOnly)));
    assert!(matches!(one.truncate_before(0, 1), Err(LogError::ReadOnly)));
    assert!(matches!(DiskLog::open(dir.path(), &small()), Err(LogError::Locked { .. })));
    drop((one, two));
    assert!(matches!(DiskLog::create(dir.path(), &small()), Err(LogError::Exists { .. })));
    DiskLog::open_or_create(dir.path(), &small()).unwrap();
}

#[test]
fn opening_says_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let open = |options: &LogOptions| DiskLog::open(dir.path(), options).err().unwrap();
    assert!(matches!(open(&small()), LogError::NoLog { .. }));
    assert!(matches!(open(&LogOptions { partitions: 0, ..small() }), LogError::Options { .. }));
    let options = LogOptions { log_id: Some(LogId([9; 16])), generation: 7, ..small() };
    let log = DiskLog::create(dir.path(), &options).unwrap();
    assert_eq!((log.log_id(), log.generation()), (LogId([9; 16]), 7));
    drop(log);
    let other = open(&LogOptions { partitions: 2, ..small() }).to_string();
    assert!(other.contains("has 1 partitions, not 2"), "{other}");
    std::fs::write(dir.path().join("log.meta"), "nonsense").unwrap();
    assert!(open(&small()).to_string().contains("log.meta is corrupt"));
    std::fs::remove_file(dir.path().join("log.meta")).unwrap();
    let again = DiskLog::create(dir.path(), &small()).err().unwrap();
    assert!(matches!(again, LogError::Exists { .. }), "segments are never written over");
}

#[test]
fn retention_removes_whole_segments_below_the_floor() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START));
    let options = LogOptions { clock: Arc::clone(&clock) as _, ..small() };
    let log = DiskLog::create(dir.path(), &options).unwrap();
    for n in 0..3_000 {
        clock.advance(1_000);
        let commit = log.append(0, &payload(n)).unwrap();
        if n % 200 == 0 {
            commit.wait().unwrap();
        }
    }
    log.append(0, b"end").unwrap().wait().unwrap();
    assert_eq!(log.truncate_before(0, 0).unwrap(), 0);
    let by_age = Retention { max_age_ms: Some(1_500_000), max_bytes: None };
    log.retain(&by_age, &[0]).unwrap();
    assert_eq!(log.range(0).start, 0, "the floor protects");
    log.retain(&by_age, &[u64::MAX]).unwrap();
    let start = log.range(0).start;
    assert!(start > 500 && start <= 1_501, "{start}");
    let below = log.read(0, 0, 100, &mut RecordBatch::new());
    assert_eq!(below, Err(LogError::BelowStart { partition: 0, from: 0, start }));
    log.retain(&Retention { max_age_ms: None, max_bytes: Some(1) }, &[u64::MAX]).unwrap();
    let start = log.range(0).start;
    assert!(start > 1_501 && start <= 3_000, "the newest segment stays: {start}");
    assert!(log.retain(&by_age, &[]).is_err());
    drop(log);
    let log = DiskLog::open(dir.path(), &options).unwrap();
    assert_eq!(log.range(0), start..3_001);
    let first = read_all(&log, 0, 1 << 20)[0].clone();
    assert_eq!((first.0, first.2), (start, payload(start)));
}

#[test]
fn after_a_kill_even_the_newest_record_is_known_to_be_durable() {
    let dir = tempfile::tempdir().unwrap();
    let log = DiskLog::create(dir.path(), &small()).unwrap();
    for n in 0..20 {
        log.append(0, &payload(n)).unwrap().wait().unwrap();
        // What a killed process leaves: the files as they are.
        let killed = tempfile::tempdir().unwrap();
        std::fs::create_dir(killed.path().join("p0000")).unwrap();
        let segment = "p0000/00000000000000000000.seg";
        for name in ["log.meta", "mark", segment] {
            std::fs::copy(dir.path().join(name), killed.path().join(name)).unwrap();
        }
        let left = DiskLog::open(killed.path(), &small()).unwrap();
        assert_eq!(left.range(0), 0..n + 1);
        drop(left);
        let end = 64 + (0..=n).map(|n| 36 + payload(n).len()).sum::<usize>();
        let mut bytes = std::fs::read(killed.path().join(segment)).unwrap();
        bytes[end - 1] ^= 1;
        std::fs::write(killed.path().join(segment), &bytes).unwrap();
        let damaged = DiskLog::open(killed.path(), &small()).err().unwrap();
        assert!(matches!(damaged, LogError::Corrupt { .. }), "{damaged}");
    }
}

#[test]
fn a_reader_may_lag_while_old_segments_go() {
    let dir = tempfile::tempdir().unwrap();
    let log = DiskLog::create(dir.path(), &small()).unwrap();
    for n in 0..20_000 {
        let commit = log.append(0, &payload(n)).unwrap();
        if n % 500 == 499 {
            commit.wait().unwrap();
        }
    }
    assert_eq!(read_all(&log, 0, 100_000).len(), 20_000);
    let open_files = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| {
        let target = std::fs::read_link(entry.ok()?.path()).ok()?;
        target.starts_with(dir.path()).then_some(())
    });
    let (open_files, range) = (open_files.count(), log.range(0));
    assert!(open_files < 16, "{open_files} open files");
    let mut batch = RecordBatch::new();
    for from in (0..range.end).step_by(101) {
        if from % 3 == 0 {
            log.truncate_before(0, from.saturating_sub(500)).unwrap();
        }
        batch.clear();
        log.read(0, from, 1, &mut batch).unwrap();
        assert_eq!(batch.get(0).unwrap().2, payload(from));
    }
    let removed = log.read(0, 0, 1, &mut batch);
    assert!(matches!(removed, Err(LogError::BelowStart { .. })));
}
