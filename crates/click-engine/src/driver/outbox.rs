//! Outbox: changed rows on their way to the store, each at most once, with its newest content.
//!
//! The fold never waits for a store: it puts rows here and goes on. Whoever drains the outbox
//! (a thread, or the engine itself at the end) writes them and moves the mark.

use super::config::PublishMode;
use super::lock;
use crate::store::{LedgerStore, StoreError};
use click_core::limits::LOOK_AHEAD_MS;
use click_core::planted::{Bug, planted};
use click_core::row::{Row, RowKey};
use click_core::stage::window::PublishedRow;
use click_core::types::{Millis, Minute};
use foldhash::quality::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Most rows of one write.
const WRITE_ROWS: usize = 20_000;
/// Most rows that wait for a store that does not answer; it has to be filled again beyond that.
const MAX_WAITING: usize = 4_000_000;
/// How far back a store may fall, in log time, and be given from memory what it lost.
const KEEP_MS: u64 = 60_000;
/// Most rows that are kept for that.
const KEEP_ROWS: usize = 500_000;

/// Not seeded: the same rows are written in the same order in every run.
const HASHER: FixedState = FixedState::with_seed(0);

type Key<'r> = (&'r RowKey, Minute, Option<Minute>);

/// Rows that are put aside before they are looked at by key.
const MAX_FRESH: usize = 200_000;

#[derive(Default)]
struct Waiting {
    /// By key, which is part of the row.
    rows: HashTable<Row>,
    /// Those of the fold since, as they came: it is for who takes them to find the newest of each.
    fresh: Vec<Row>,
    /// Rows that are being written and have not been confirmed.
    writing: Vec<Row>,
    /// Rows that the store has taken, but for which no mark of the store vouches yet: a copy of it
    /// that is as old as its mark may lack them.
    unmarked: Vec<Row>,
    /// The store's rows changed after this, and those before the mark, are among `unmarked`.
    kept_from: Millis,
    /// The store lacks rows that are not here any more: its mark must not move.
    lacks: bool,
    /// The store has not been asked yet whether its mark is the one that is expected.
    unchecked: bool,
    /// Rows beyond `MAX_WAITING` are given up: somebody drains this.
    bounded: bool,
    /// Rows of minutes that are not over, by the minute that they wait for: mode `minute`.
    held: BTreeMap<Minute, Held>,
    /// All rows changed before this have been put here.
    put_to: Millis,
    /// The same, but for what is held: as far as a mark may go.
    complete_to: Millis,
    mark: Millis,
    closed: bool,
}

/// Rows of one minute.
struct Held {
    /// What changed before this is not among them.
    since: Millis,
    rows: HashTable<Row>,
}

/// Rows that wait for the store, and the mark up to which it has everything.
#[derive(Default)]
pub struct Outbox {
    waiting: Mutex<Waiting>,
    news: Condvar,
}

/// How far the store is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) rows: u64,
    pub(super) mark: Millis,
    pub(super) lacks: bool,
}

impl Outbox {
    pub(super) fn new(mark: Millis) -> Outbox {
        let waiting = Waiting {
            mark,
            complete_to: mark,
            put_to: mark,
            kept_from: mark,
            ..Waiting::default()
        };
        Outbox { waiting: Mutex::new(waiting), news: Condvar::new() }
    }

    /// Of a store that has not answered yet, and was left at this mark.
    pub(super) fn unchecked(mark: Millis) -> Outbox {
        let outbox = Outbox::new(mark);
        lock(&outbox.waiting).unchecked = true;
        outbox
    }

    /// From now on somebody drains it, and it holds no more than `MAX_WAITING` rows.
    pub(super) fn bounded(&self) {
        lock(&self.waiting).bounded = true;
    }

    /// The store has less than it had confirmed: what is still here is written again.
    ///
    /// False if it lacks more than that.
    pub(super) fn fell_back(&self, mark: Millis) -> bool {
        let mut waiting = lock(&self.waiting);
        waiting.put_back_written();
        // Even where the mark is as expected: nothing vouches for what was written after it.
        for row in std::mem::take(&mut waiting.unmarked) {
            waiting.put(row);
        }
        if mark >= waiting.mark {
            return !waiting.lacks;
        }
        if mark < waiting.kept_from {
            // Its mark stays where it is, so that a start finds out what to do.
            waiting.lacks = true;
        } else {
            waiting.mark = mark;
        }
        !waiting.lacks
    }

    fn check(&self, store: &mut dyn LedgerStore) -> Result<(), StoreError> {
        if lock(&self.waiting).unchecked {
            let mark = store.mark()?;
            self.fell_back(mark);
            lock(&self.waiting).unchecked = false;
        }
        Ok(())
    }

    /// Takes rows as of the grid instant `to`.
    pub(super) fn put(
        &self,
        rows: impl Iterator<Item = PublishedRow>,
        to: Millis,
        mode: PublishMode,
    ) {
        let mut waiting = lock(&self.waiting);
        // A change of `pending` alone is told to live views only.
        for published in rows.filter(|published| published.decided) {
            match mode {
                PublishMode::Live => waiting.fresh.push(published.row),
                PublishMode::Minute => waiting.hold(published.row),
            }
        }
        waiting.put_to = waiting.put_to.max(to);
        let to = waiting.release(to);
        if waiting.fresh.len() > MAX_FRESH {
            waiting.sort_in();
        }
        if waiting.bounded && waiting.rows.len() > MAX_WAITING {
            // What is held is given up with them when it comes to be due.
            waiting.rows.clear();
            waiting.fresh.clear();
            waiting.lacks = true;
        }
        if to > waiting.complete_to {
            waiting.complete_to = to;
            self.news.notify_one();
        }
    }

    /// Puts rows back in that an earlier run had not got confirmed.
    pub(super) fn put_back(&self, rows: impl Iterator<Item = Row>) {
        let mut waiting = lock(&self.waiting);
        rows.for_each(|row| waiting.put(row));
    }

    /// Writes everything that waits; on an error the rows wait on.
    pub(super) fn drain(&self, store: &mut dyn LedgerStore) -> Result<(), StoreError> {
        self.check(store)?;
        let keep = if store.may_fall_back() { KEEP_MS } else { 0 };
        loop {
            let (complete_to, lacks) = {
                let mut waiting = lock(&self.waiting);
                waiting.take(WRITE_ROWS);
                let complete = waiting.rows.is_empty().then_some(waiting.complete_to);
                (complete, waiting.lacks)
            };
            let rows = lock(&self.waiting).writing.clone();
            let mut result = store.upsert(&rows);
            if let (Ok(()), Some(mark)) = (&result, complete_to.filter(|_| !lacks)) {
                result = store.set_mark(mark);
            }
            let mut waiting = lock(&self.waiting);
            if let Err(error) = result {
                if planted(Bug::ConfirmedUnwritten) {
                    waiting.writing.clear();
                }
                waiting.put_back_written();
                return Err(error);
            }
            let waiting = &mut *waiting;
            waiting.unmarked.append(&mut waiting.writing);
            if let Some(mark) = complete_to {
                if !waiting.lacks {
                    waiting.mark = waiting.mark.max(mark);
                }
                waiting.forget(mark, keep);
                return Ok(());
            }
        }
    }

    /// Moves the mark without a store: there is nobody to confirm.
    pub(super) fn discard(&self) {
        let mut waiting = lock(&self.waiting);
        waiting.rows.clear();
        waiting.fresh.clear();
        waiting.mark = waiting.complete_to;
    }

    /// Waits until there is something new to write; false once closed.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        let waiting = lock(&self.waiting);
        let idle = |waiting: &mut Waiting| !waiting.closed && waiting.complete_to <= waiting.mark;
        let result = self.news.wait_timeout_while(waiting, timeout, idle);
        !result.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// Lets waiters go for good.
    pub(super) fn close(&self) {
        lock(&self.waiting).closed = true;
        self.news.notify_all();
    }

    pub(super) fn progress(&self) -> Progress {
        let waiting = lock(&self.waiting);
        let rows = waiting.rows.len() + waiting.fresh.len() + waiting.writing.len();
        Progress { rows: rows as u64, mark: waiting.mark, lacks: waiting.lacks }
    }

    /// All rows that no mark of the store vouches for, and the mark that it has.
    pub(super) fn unconfirmed(&self) -> (Vec<Row>, Millis) {
        let mut waiting = lock(&self.waiting);
        waiting.sort_in();
        let unmarked = waiting.unmarked.iter().filter(|row| row.version.at() > waiting.mark);
        let written = unmarked.chain(&waiting.writing);
        let held = waiting.held.values().flat_map(|held| &held.rows);
        let mut rows: Vec<Row> = written.chain(&waiting.rows).chain(held).cloned().collect();
        if planted(Bug::UnconfirmedNotSaved) {
            rows.clear();
        }
        rows.sort_unstable_by(|a, b| key(a).cmp(&key(b)).then(a.version.cmp(&b.version)));
        (rows, waiting.mark)
    }
}

fn key(row: &Row) -> Key<'_> {
    (&row.key, row.minute, row.posted_minute)
}

/// Of the first id and the minutes alone: few rows have the same ones, and each further id would be
/// another place in memory.
fn hash(row: &Row) -> u64 {
    let (RowKey::Ad { ad_id: id, .. } | RowKey::Publisher { publisher_id: id, .. }) = &*row.key;
    HASHER.hash_one((id, row.minute, row.posted_minute))
}

impl Waiting {
    fn put(&mut self, row: Row) {
        put_newer(&mut self.rows, row);
    }

    fn hold(&mut self, row: Row) {
        let since = self.put_to;
        let minute = row.posted_minute.unwrap_or(row.minute);
        let held =
            self.held.entry(minute).or_insert_with(|| Held { since, rows: HashTable::new() });
        put_newer(&mut held.rows, row);
    }

    /// Lets go what cannot change before its minute's next late click: all clicks of the minute are
    /// final as of `to`. Returns how far everything is here, but for what is still held.
    fn release(&mut self, to: Millis) -> Millis {
        let is_over = |minute: &Minute| minute.end().plus(LOOK_AHEAD_MS) <= to;
        let mut free = Vec::new();
        for (_, held) in self.held.iter_mut().filter(|(minute, _)| is_over(minute)) {
            free.extend(held.rows.extract_if(|row| row.counts.pending == 0));
        }
        self.held.retain(|_, held| !held.rows.is_empty());
        free.into_iter().for_each(|row| self.put(row));
        self.held.values().fold(to, |least, held| least.min(held.since))
    }

    fn sort_in(&mut self) {
        for row in self.fresh.drain(..) {
            put_newer(&mut self.rows, row);
        }
    }

    /// Adds rows to those that are being written, in the order of their keys.
    fn take(&mut self, most: usize) {
        self.sort_in();
        let room = most.saturating_sub(self.writing.len());
        self.writing.extend(self.rows.extract_if(|_| true).take(room));
        self.writing.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
    }

    /// Keeps of what the store has only what it may lose, unless that is too much.
    fn forget(&mut self, mark: Millis, keep: u64) {
        let from = Millis(mark.0.saturating_sub(keep)).max(self.kept_from);
        self.unmarked.retain(|row| row.version.at() > from);
        self.kept_from = from;
        if self.unmarked.len() > KEEP_ROWS && keep > 0 {
            self.unmarked.retain(|row| row.version.at() > mark);
            self.kept_from = mark.max(self.kept_from);
        }
    }

    fn put_back_written(&mut self) {
        for row in std::mem::take(&mut self.writing) {
            self.put(row);
        }
    }
}

fn put_newer(rows: &mut HashTable<Row>, row: Row) {
    match rows.entry(hash(&row), |other| key(other) == key(&row), hash) {
        Entry::Vacant(place) => {
            place.insert(row);
        }
        Entry::Occupied(mut place) => {
            if place.get().version <= row.version {
                *place.get_mut() = row;
            }
        }
    }
}
