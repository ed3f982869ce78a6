//! Further stores beside the first: each with an outbox and a thread of its own, so that a slow or
//! dead one holds up neither the fold nor another store.

use super::outbox::Outbox;
use super::{Engine, lock};
use crate::live::StoreStatus;
use crate::store::{LedgerStore, StoreError, Summaries, is_summary_row};
use click_core::row::Row;
use click_core::types::Millis;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Why a store took nothing the last time.
pub(super) type Problem = Arc<Mutex<Option<String>>>;

pub(super) struct Mirror {
    pub(super) name: String,
    pub(super) outbox: Arc<Outbox>,
    pub(super) problem: Problem,
    pub(super) store: Option<Box<dyn LedgerStore>>,
    wants_summaries: bool,
}

impl Engine {
    /// Publishes to this store, too. To be called before anything is folded.
    ///
    /// # Errors
    /// As the store's, but for `Unavailable`: it is asked again.
    pub fn add_store(
        &mut self,
        name: &str,
        mut store: Box<dyn LedgerStore>,
    ) -> Result<(), StoreError> {
        // The checkpoint has everything that changed since its mark.
        let (rows, left_at) = &self.restored;
        let outbox = Outbox::unchecked(*left_at);
        let wants_summaries = store.wants_summaries();
        let own = |row: &&Row| wants_summaries || !is_summary_row(row);
        outbox.put_back(rows.iter().filter(own).cloned());
        match store.mark() {
            // It may have more than the first one; then it takes the same again.
            Ok(mark) => {
                outbox.fell_back(mark);
            }
            Err(StoreError::Unavailable(_)) => {}
            Err(error) => return Err(error),
        }
        self.mirrors.push(Mirror {
            name: name.to_owned(),
            outbox: Arc::new(outbox),
            problem: Problem::default(),
            store: Some(store),
            wants_summaries,
        });
        if wants_summaries && self.summaries.is_none() {
            self.make_summaries();
        }
        self.update_status();
        Ok(())
    }

    /// Begins with the rows that can still change.
    pub(super) fn make_summaries(&mut self) {
        let mut summaries = Summaries::default();
        self.fold.for_each_open_row(|row| summaries.know(&row));
        self.summaries = Some(summaries);
    }

    /// Puts changed rows, as of the grid instant before `w`, where each store's thread takes them.
    pub(super) fn hand_to_stores(&mut self, w: Millis) {
        let (to, mode) = (w.grid_floor(), self.config.publish_mode);
        let rows = &mut self.effects.rows;
        let sums = match &mut self.summaries {
            Some(summaries) => {
                let sums = summaries.put(rows);
                summaries.forget(w, self.fold.timeline());
                sums
            }
            None => Vec::new(),
        };
        for mirror in &self.mirrors {
            let sums = if mirror.wants_summaries { sums.as_slice() } else { &[] };
            mirror.outbox.put(rows.iter().chain(sums).cloned(), to, mode);
        }
        let sums = if self.first_wants_summaries { sums } else { Vec::new() };
        self.outbox.put(rows.drain(..).chain(sums), to, mode);
    }

    /// Rows that some store has not confirmed, and the mark that all of them have. A store that
    /// has to be filled again is left out: nothing here would help it.
    pub(super) fn unconfirmed(&self) -> (Vec<Row>, Millis) {
        let (mut rows, mut mark) = self.outbox.unconfirmed();
        for mirror in self.mirrors.iter().filter(|mirror| !mirror.outbox.progress().lacks) {
            let (more, at) = mirror.outbox.unconfirmed();
            mark = mark.min(at);
            rows.extend(more);
        }
        if self.mirrors.is_empty() {
            return (rows, mark);
        }
        let mut newest = BTreeMap::new();
        for row in rows {
            let place = newest.entry((row.id(), row.version));
            place.or_insert(row);
        }
        (newest.into_values().collect(), mark)
    }

    pub(super) fn store_statuses(&self) -> Vec<StoreStatus> {
        let of = |name: &str, outbox: &Outbox, problem: &Problem| {
            let progress = outbox.progress();
            StoreStatus {
                name: name.to_owned(),
                mark: progress.mark,
                rows_waiting: progress.rows,
                lacks: progress.lacks,
                problem: lock(problem).clone(),
            }
        };
        let first = of("first", &self.outbox, &self.problem);
        let more = self.mirrors.iter();
        let more = more.map(|mirror| of(&mirror.name, &mirror.outbox, &mirror.problem));
        std::iter::once(first).chain(more).collect()
    }

    /// Writes what waits for further stores, on this thread; one that fails takes it later.
    pub(super) fn drain_mirrors(&mut self) {
        for mirror in &mut self.mirrors {
            if let Some(store) = &mut mirror.store {
                let result = drain(&mirror.outbox, &mut **store);
                *lock(&mirror.problem) = result.err().map(|error| error.to_string());
            }
        }
    }
}

/// Writes what waits; what a store lost is written again as far as it is still here.
pub(super) fn drain(outbox: &Outbox, store: &mut dyn LedgerStore) -> Result<(), StoreError> {
    match outbox.drain(store) {
        Err(StoreError::Lost { mark, confirmed }) => {
            if !outbox.fell_back(mark) {
                return Err(StoreError::Lost { mark, confirmed });
            }
            outbox.drain(store)
        }
        done => done,
    }
}
