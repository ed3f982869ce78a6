//! Speed of the log on this machine: `cargo test --release -p click-engine --test log -- --ignored
//! --nocapture speed`. Prints figures, asserts nothing but correctness.

use std::path::Path;
use std::time::Instant;

use click_engine::disk::{Disk, OpenMode, RealDisk};
use click_engine::log::{Commit, DiskLog, EventLog, LogError, LogOptions, RecordBatch};

const PAYLOAD: [u8; 250] = [b'c'; 250];

fn scratch() -> tempfile::TempDir {
    // Beside the build, as /tmp may be memory.
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Retries while the queue is full, as a host would.
fn append_patiently(log: &DiskLog, slices: &[&[u8]]) -> Commit {
    loop {
        match log.append_batch(0, slices) {
            Ok(commit) => return commit,
            Err(LogError::Busy { .. }) => std::thread::sleep(std::time::Duration::from_micros(200)),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
#[ignore = "a measurement"]
fn speed_of_one_append_call() {
    let dir = scratch();
    let log = DiskLog::create(dir.path(), &LogOptions::default()).unwrap();
    for threads in [1_u32, 2, 4] {
        let started = Instant::now();
        let calls = 40_000_u32;
        let spent: f64 = std::thread::scope(|scope| {
            let run = || {
                let mut spent = 0.0;
                for _ in 0..calls / 500 {
                    let start = Instant::now();
                    let append = |_| log.append(0, &PAYLOAD).unwrap();
                    let mut commits: Vec<Commit> = (0..500).map(append).collect();
                    spent += start.elapsed().as_secs_f64();
                    commits.pop().unwrap().wait().unwrap();
                }
                spent
            };
            let all: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
            all.into_iter().map(|t| t.join().unwrap()).sum()
        });
        let ns = spent * 1e9 / f64::from(calls * threads);
        let rate = f64::from(calls * threads) / started.elapsed().as_secs_f64();
        println!("append, {threads} threads: {ns:.0} ns a call, {rate:.0} durable/s");
    }
}

#[test]
#[ignore = "a measurement"]
fn speed_of_durable_appends_one_at_a_time() {
    for threads in [1_u32, 4, 16, 64] {
        let dir = scratch();
        let log = DiskLog::create(dir.path(), &LogOptions::default()).unwrap();
        let started = Instant::now();
        let mut micros: Vec<u128> = std::thread::scope(|scope| {
            let run = || {
                let one = |_| {
                    let start = Instant::now();
                    log.append(0, &PAYLOAD).unwrap().wait().unwrap();
                    start.elapsed().as_micros()
                };
                (0..2_000).map(one).collect::<Vec<_>>()
            };
            let all: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
            all.into_iter().flat_map(|t| t.join().unwrap()).collect()
        });
        let rate = f64::from(threads * 2_000) / started.elapsed().as_secs_f64();
        micros.sort_unstable();
        let (p50, p99) = (micros[micros.len() / 2], micros[micros.len() * 99 / 100]);
        println!("closed loop, {threads} threads: {rate:.0}/s, p50 {p50} us, p99 {p99} us");
    }
}

#[test]
#[ignore = "a measurement"]
fn speed_of_batches_and_of_reading() {
    let dir = scratch();
    let log = DiskLog::create(dir.path(), &LogOptions::default()).unwrap();
    let slices = vec![PAYLOAD.as_slice(); 1_000];
    for threads in [1_u32, 2, 4] {
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..400 {
                        append_patiently(&log, &slices).wait().unwrap();
                    }
                });
            }
        });
        let rate = f64::from(threads) * 400_000.0 / started.elapsed().as_secs_f64();
        println!("batches of 1,000, {threads} threads, each waits: {rate:.0} durable/s");
    }
    for _ in 0..3 {
        let (end, started) = (log.range(0).end, Instant::now());
        let (mut from, mut bytes) = (0, 0_usize);
        let mut batch = RecordBatch::new();
        while from < end {
            batch.clear();
            log.read(0, from, 1 << 20, &mut batch).unwrap();
            from = batch.last().unwrap().0 + 1;
            bytes += batch.iter().map(|r| r.2.len() + 36).sum::<usize>();
        }
        let seconds = started.elapsed().as_secs_f64();
        let (gb, m) = (bytes as f64 / seconds / 1e9, end as f64 / seconds / 1e6);
        println!("sequential reading: {gb:.2} GB/s, {m:.1} M records/s");
    }
    drop(log);
    let started = Instant::now();
    DiskLog::open(dir.path(), &LogOptions::default()).unwrap();
    println!("reopening: {:?}", started.elapsed());
}

/// What the device takes alone: the floor of any durable append.
#[test]
#[ignore = "a measurement"]
fn speed_of_the_bare_disk() {
    let dir = scratch();
    for (name, zeroed) in [("reserved", false), ("written with zeros", true)] {
        for size in [4_096_usize, 16_384, 65_536] {
            let path = dir.path().join(Path::new("probe"));
            let file = RealDisk.open(&path, OpenMode::CreateOrOpen).unwrap();
            file.set_len(0).unwrap();
            file.preallocate(64 << 20).unwrap();
            if zeroed {
                file.write_at(0, &vec![0; 64 << 20]).unwrap();
            }
            file.sync_data().unwrap();
            let (bytes, started) = (vec![7; size], Instant::now());
            for n in 0..500 {
                file.write_at(n * size as u64, &bytes).unwrap();
                file.sync_data().unwrap();
            }
            println!("{name}: write of {size} and fdatasync: {:?}", started.elapsed() / 500);
        }
    }
}
