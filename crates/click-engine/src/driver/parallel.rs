//! Threads for the fold's side-by-side work: a rayon pool, or none.

use click_core::fold::{Parallel, Serial};
use rayon::iter::{IndexedParallelIterator, IntoParallelRefMutIterator, ParallelIterator};
use std::io;

/// A pool of named threads; with one thread, the caller's own.
pub struct Threads {
    pool: Option<rayon::ThreadPool>,
}

impl Threads {
    /// A pool of `threads`.
    pub fn new(threads: usize) -> io::Result<Threads> {
        if threads <= 1 {
            return Ok(Threads { pool: None });
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("fold-{index}"))
            .build()
            .map_err(io::Error::other)?;
        Ok(Threads { pool: Some(pool) })
    }
}

impl Parallel for Threads {
    fn for_each<T: Send>(&self, items: &mut [T], f: impl Fn(usize, &mut T) + Sync) {
        match &self.pool {
            Some(pool) if items.len() > 1 => pool.install(|| {
                items.par_iter_mut().enumerate().for_each(|(index, item)| f(index, item));
            }),
            _ => Serial.for_each(items, f),
        }
    }
}
