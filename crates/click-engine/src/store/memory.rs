//! The in-memory twin of the embedded store, for tests and the simulator: same rules, same order.
//!
//! Must behave as `SqliteStore` does; one suite of conformance tests runs on both.

use super::query::{LedgerReader, Scan, ScanOrder, View};
use super::sqlite::{check_same, other_generation};
use super::{LedgerStore, StoreError};
use click_core::planted::{Bug, planted};
use click_core::row::{Row, RowKey};
use click_core::types::{Millis, Minute};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Key columns in the order of SPEC §11; an absent posted minute sorts first.
type Place = (String, String, Minute, Option<Minute>, String, String, String);

#[derive(Debug, Default)]
struct Shelf {
    rows: [BTreeMap<Place, Row>; 2],
    mark: Millis,
}

/// A store in memory; clones share the rows, so that one clone can read what another writes.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    generation: u16,
    shelf: Arc<Mutex<Shelf>>,
}

impl MemoryStore {
    /// An empty store for rows of this generation.
    pub fn new(generation: u16) -> MemoryStore {
        MemoryStore { generation, shelf: Arc::default() }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // Batches are checked before the first row is put down, so a panic leaves no half batch.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LedgerStore for MemoryStore {
    fn upsert(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        let mut shelf = self.shelf();
        let mut fresh: BTreeMap<(View, Place), &Row> = BTreeMap::new();
        for row in rows {
            if row.version.generation() != self.generation {
                return Err(other_generation(row.version, self.generation));
            }
            let at = (View::of(&row.key), place(row));
            let kept = fresh.get(&at).copied().or_else(|| shelf.rows[at.0 as usize].get(&at.1));
            match kept {
                Some(kept)
                    if kept.version >= row.version && !planted(Bug::LowerVersionAccepted) =>
                {
                    check_same(kept, row)?;
                }
                Some(_) | None => {
                    fresh.insert(at, row);
                }
            }
        }
        for ((view, place), row) in fresh {
            shelf.rows[view as usize].insert(place, row.clone());
        }
        Ok(())
    }

    fn set_mark(&mut self, mark: Millis) -> Result<(), StoreError> {
        let mut shelf = self.shelf();
        shelf.mark = shelf.mark.max(mark);
        Ok(())
    }

    fn mark(&mut self) -> Result<Millis, StoreError> {
        Ok(self.shelf().mark)
    }
}

impl LedgerReader for MemoryStore {
    fn scan(
        &self,
        scan: &Scan<'_>,
        take: &mut dyn FnMut(Row) -> bool,
    ) -> Result<Millis, StoreError> {
        let (rows, mark) = {
            let shelf = self.shelf();
            let rows = shelf.rows[scan.view as usize].values();
            let hit = |row: &&Row| {
                scan.minutes.contains(&row.minute.0)
                    && scan.only.is_none_or(|only| first_key(&row.key) == only)
            };
            (rows.filter(hit).cloned().collect::<Vec<_>>(), shelf.mark)
        };
        // Already in key order, which serves any order that a scan may ask for.
        let (ScanOrder::Any | ScanOrder::Key) = scan.order;
        for row in rows {
            if !take(row) {
                break;
            }
        }
        Ok(mark)
    }
}

fn first_key(key: &RowKey) -> &str {
    match key {
        RowKey::Ad { ad_id, .. } => ad_id,
        RowKey::Publisher { publisher_id, .. } => publisher_id,
    }
}

fn place(row: &Row) -> Place {
    let (minute, posted) = (row.minute, row.posted_minute);
    match (*row.key).clone() {
        RowKey::Ad { ad_id, currency, campaign_id, advertiser_id } => {
            (ad_id, String::new(), minute, posted, currency, campaign_id, advertiser_id)
        }
        RowKey::Publisher { publisher_id, placement_id, currency } => {
            let none = String::new;
            (publisher_id, placement_id, minute, posted, currency, none(), none())
        }
    }
}
