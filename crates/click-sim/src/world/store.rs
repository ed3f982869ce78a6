//! A store whose answers get lost, which fails half way, and which remembers all it was ever told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use click_core::row::Row;
use click_core::types::Millis;
use click_engine::store::{LedgerReader, LedgerStore, MemoryStore, Scan, StoreError, View};

use crate::bridge::{PlainKey, plain_row};
use crate::check::Dice;
use crate::reference::PlainRow;

/// Every content that was ever written, by key and version.
pub(super) type Written = BTreeMap<(PlainKey, u64), PlainRow>;

struct Inner {
    store: MemoryStore,
    fails: u32,
    dice: Dice,
    written: Written,
    held: BTreeMap<PlainKey, u64>,
    /// All that was written until some moment, as an operator's copy of it.
    copy: (Vec<Row>, Millis),
}

/// Clones share the rows.
#[derive(Clone)]
pub(super) struct TroubledStore(Arc<Mutex<Inner>>);

impl TroubledStore {
    pub(super) fn new() -> TroubledStore {
        let inner = Inner {
            store: MemoryStore::new(1),
            fails: 0,
            dice: Dice::new(0),
            written: Written::new(),
            held: BTreeMap::new(),
            copy: (Vec::new(), Millis(0)),
        };
        TroubledStore(Arc::new(Mutex::new(inner)))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn fail(&self, calls: u32, seed: u64) {
        let mut inner = self.inner();
        (inner.fails, inner.dice) = (calls, Dice::new(seed));
    }

    /// Goes back to the copy, of which a new one is then taken.
    pub(super) fn restore_copy(&self) {
        let now = (self.rows(), self.clone().inner().store.mark().unwrap_or_default());
        let mut inner = self.inner();
        let (rows, mark) = std::mem::replace(&mut inner.copy, now);
        inner.store = MemoryStore::new(1);
        inner.held.clear();
        inner.apply(&rows);
        inner.store.set_mark(mark).expect("a store in memory");
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        let (inner, mut rows) = (self.inner(), Vec::new());
        for view in [View::Ad, View::Publisher] {
            let scan = Scan::all(view);
            let read = inner.store.scan(&scan, &mut |row| {
                rows.push(row);
                true
            });
            read.expect("a store in memory");
        }
        rows
    }

    pub(super) fn written(&self) -> Written {
        self.inner().written.clone()
    }
}

impl Inner {
    /// Versions never fall, and one version never has two contents.
    fn apply(&mut self, rows: &[Row]) {
        self.store.upsert(rows).unwrap_or_else(|error| panic!("the store: {error}"));
        for row in rows {
            let (key, plain) = plain_row(row);
            let told = self.written.entry((key.clone(), plain.version_ms));
            assert_eq!(told.or_insert_with(|| plain.clone()), &plain, "two contents of {key:?}");
            let held = self.held.entry(key).or_insert(0);
            *held = (*held).max(plain.version_ms);
        }
    }
}

impl LedgerStore for TroubledStore {
    fn upsert(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        let mut inner = self.inner();
        if inner.fails == 0 {
            inner.apply(rows);
            return Ok(());
        }
        inner.fails -= 1;
        let kept = inner.dice.pick(&[0, rows.len() / 2, rows.len()]);
        inner.apply(&rows[..kept]);
        Err(StoreError::Unavailable("no answer".into()))
    }

    fn set_mark(&mut self, mark: Millis) -> Result<(), StoreError> {
        let mut inner = self.inner();
        if inner.fails > 0 {
            inner.fails -= 1;
            if inner.dice.percent(50) {
                inner.store.set_mark(mark)?;
            }
            return Err(StoreError::Unavailable("no answer".into()));
        }
        inner.store.set_mark(mark)
    }

    fn mark(&mut self) -> Result<Millis, StoreError> {
        self.inner().store.mark()
    }
}
