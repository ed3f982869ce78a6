//! Limits of the machine, measured in the same run as everything else: what no program can pass
//! here today. Neighbours on the same host count too, so each is measured more than once.
#![expect(unsafe_code, reason = "the prefetch instruction is an intrinsic; it cannot fault")]

use crate::clicks::Random;
use crate::stats::percentile;
use anyhow::Result;
use click_engine::disk::{Disk, OpenMode, RealDisk};
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

/// Lines of 64 bytes in the table that is updated at random: 512 MiB, far beyond any cache.
const LINES: usize = 1 << 23;
/// Updates that are on their way at the same time.
const BATCH: usize = 32;
/// Bytes of one copy.
const COPY: usize = 256 << 20;
/// Size of the file that is written, bytes.
const FILE: u64 = 64 << 20;

#[derive(Clone, Default)]
#[repr(align(64))]
struct Line([u64; 8]);

/// Random updates of 64-byte lines a second on one thread, asked for 32 at a time: the ceiling of
/// any exact dedup.
#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
pub fn updates_per_second(time: Duration) -> f64 {
    let mut table = vec![Line::default(); LINES];
    // Pages are there before the time runs.
    table.iter_mut().for_each(|line| line.0[0] = 1);
    let (mut random, mut indexes, mut done) = (Random(1), [0usize; BATCH], 0u64);
    let begun = Instant::now();
    while begun.elapsed() < time {
        for _ in 0..1000 {
            for index in &mut indexes {
                *index = usize::try_from(random.below(LINES as u64)).unwrap_or_default();
                prefetch(&table[*index]);
            }
            for index in indexes {
                table[index].0[1] ^= done;
            }
            done += BATCH as u64;
        }
    }
    let rate = done as f64 / begun.elapsed().as_secs_f64();
    black_box(&table);
    rate
}

fn prefetch(line: &Line) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint; `line` is a valid reference besides.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(
            core::ptr::from_ref(line).cast(),
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}

/// Bytes copied a second on one thread.
#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
pub fn copied_per_second(time: Duration) -> f64 {
    let (from, mut to) = (vec![1u8; COPY], vec![2u8; COPY]);
    let (begun, mut copies) = (Instant::now(), 0u64);
    while begun.elapsed() < time {
        to.copy_from_slice(black_box(&from));
        black_box(&mut to);
        copies += 1;
    }
    (copies * COPY as u64) as f64 / begun.elapsed().as_secs_f64()
}

/// How writes with fdatasync went.
#[derive(Clone, Copy, Debug)]
pub struct Flushes {
    /// Writes a second, one after the other.
    pub per_second: f64,
    /// Median, ms.
    pub p50_ms: f64,
    /// 99th percentile, ms.
    pub p99_ms: f64,
}

/// Writes `block` bytes and flushes, over and over, into a file whose space was written before.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub fn flushes(dir: &Path, block: usize, time: Duration) -> Result<Flushes> {
    let path = dir.join("flushes");
    let file = RealDisk.open(&path, OpenMode::CreateOrOpen)?;
    file.preallocate(FILE)?;
    let (bytes, size) = (vec![7u8; block], block as u64);
    for at in (0..FILE / size).map(|n| n * size) {
        file.write_at(at, &bytes)?;
    }
    file.sync_data()?;
    let (begun, mut times) = (Instant::now(), Vec::new());
    while begun.elapsed() < time {
        let at = times.len() as u64 % (FILE / size) * size;
        let start = Instant::now();
        file.write_at(at, &bytes)?;
        file.sync_data()?;
        times.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    let per_second = times.len() as f64 / begun.elapsed().as_secs_f64();
    times.sort_unstable();
    let ms = |fraction| percentile(&times, fraction) as f64 / 1e6;
    std::fs::remove_file(path)?;
    Ok(Flushes { per_second, p50_ms: ms(0.50), p99_ms: ms(0.99) })
}
