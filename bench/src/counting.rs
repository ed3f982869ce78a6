//! A store that counts the rows that it is given, and keeps none.

use click_core::row::Row;
use click_core::types::Millis;
use click_engine::store::{LedgerStore, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Clones count together, each with a mark of its own.
#[derive(Clone, Default)]
pub struct CountingStore {
    mark: Millis,
    rows: Arc<AtomicU64>,
}

impl CountingStore {
    /// Rows given so far.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }
}

impl LedgerStore for CountingStore {
    fn upsert(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        self.rows.fetch_add(rows.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn set_mark(&mut self, mark: Millis) -> Result<(), StoreError> {
        self.mark = mark;
        Ok(())
    }

    fn mark(&mut self) -> Result<Millis, StoreError> {
        Ok(self.mark)
    }
}
