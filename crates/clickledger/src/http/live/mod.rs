//! The hub between the engine and live views: changed rows in, a stream and the last hour out.
//!
//! The engine's thread only puts an update down; a thread of the hub's own sums and serialises it
//! once for all clients. A client that cannot keep up loses its place, never the engine's time.

mod hour;
mod row;

use click_core::row::RowId;
use click_core::types::Millis;
use click_engine::live::{LiveRow, LiveSink, LiveUpdate};
use click_engine::store::{LedgerReader, Scan, ScanOrder, StoreError, View};
use hour::Hour;
pub use hour::{HourView, LiveMinute, TopAd};
pub use row::{LiveJson, classes, row_json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::broadcast;

/// Events that a stream client may lag behind before it is told to start over.
const QUEUE_EVENTS: usize = 256;
/// Most rows of one event.
const EVENT_ROWS: usize = 1_000;
/// Waiting rows above which updates are merged where they wait.
const MERGE_ROWS: usize = 500_000;

/// Changed rows, serialised once, shared by all clients.
#[derive(Debug)]
pub struct Event {
    /// The watermark that the rows are true as of.
    pub as_of: Millis,
    /// Clicks read beyond it.
    pub arriving: u64,
    /// The rows.
    pub rows: Vec<LiveJson>,
}

/// Live state of the ledger; shared by the engine, the API and the page.
pub struct Live {
    waiting: Mutex<Waiting>,
    news: Condvar,
    hour: Mutex<Hour>,
    events: Mutex<Option<broadcast::Sender<Arc<Event>>>>,
    clients: AtomicU64,
    resets: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    updates: Vec<LiveUpdate>,
    rows: usize,
    closed: bool,
}

/// The hub's thread; joins when dropped, after [`Live::close`].
pub struct LiveThread {
    live: Arc<Live>,
    thread: Option<JoinHandle<()>>,
}

impl Live {
    /// A hub with its thread.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start() -> std::io::Result<(Arc<Live>, LiveThread)> {
        let live = Arc::new(Live {
            waiting: Mutex::default(),
            news: Condvar::new(),
            hour: Mutex::default(),
            events: Mutex::new(Some(broadcast::channel(QUEUE_EVENTS).0)),
            clients: AtomicU64::new(0),
            resets: AtomicU64::new(0),
        });
        let hub = Arc::clone(&live);
        let run = move || while hub.turn() {};
        let thread = std::thread::Builder::new().name("live".into()).spawn(run)?;
        Ok((Arc::clone(&live), LiveThread { live, thread: Some(thread) }))
    }

    /// Takes the last hour's rows from a store, so that the page is not empty after a restart.
    /// Call it before the engine publishes.
    ///
    /// # Errors
    /// As the store's.
    pub fn seed(&self, reader: &dyn LedgerReader) -> Result<(), StoreError> {
        let mark = reader.read_mark()?;
        let from = Hour::first_minute(mark).0;
        let scan =
            Scan { view: View::Ad, minutes: from..u32::MAX, only: None, order: ScanOrder::Any };
        let mut rows = Vec::new();
        reader.scan(&scan, &mut |row| {
            rows.push(LiveRow { row, sealed: false });
            rows.len() < hour::MAX_ROWS
        })?;
        let mut hour = lock(&self.hour);
        hour.move_to(mark);
        for row in rows {
            hour.change(&row);
        }
        Ok(())
    }

    /// Changed rows from now on; `None` once closed. The counts of what was there before are in
    /// [`Live::hour`] and the store.
    pub fn subscribe(&self) -> Option<broadcast::Receiver<Arc<Event>>> {
        lock(&self.events).as_ref().map(broadcast::Sender::subscribe)
    }

    /// The last hour as of the newest update, with the ads of most valid clicks first.
    pub fn hour(&self, top: usize) -> HourView {
        lock(&self.hour).view(top)
    }

    /// Ends all streams and the hub's thread.
    pub fn close(&self) {
        lock(&self.waiting).closed = true;
        self.news.notify_all();
        lock(&self.events).take();
    }

    /// Open stream connections.
    pub fn clients(&self) -> &AtomicU64 {
        &self.clients
    }

    /// Times a client was told to start over.
    pub fn resets(&self) -> &AtomicU64 {
        &self.resets
    }

    /// Handles what waits; false once closed.
    fn turn(&self) -> bool {
        let updates = {
            let waiting = lock(&self.waiting);
            let idle = |waiting: &mut Waiting| waiting.updates.is_empty() && !waiting.closed;
            let waited = self.news.wait_while(waiting, idle);
            let mut waiting = waited.unwrap_or_else(PoisonError::into_inner);
            if waiting.closed {
                return false;
            }
            waiting.rows = 0;
            std::mem::take(&mut waiting.updates)
        };
        updates.into_iter().for_each(|update| self.spread(update));
        true
    }

    fn spread(&self, update: LiveUpdate) {
        let events = lock(&self.events).clone();
        let heard = events.as_ref().is_some_and(|events| events.receiver_count() > 0);
        let mut rows = Vec::new();
        {
            let mut hour = lock(&self.hour);
            hour.move_to(update.as_of);
            for row in &update.rows {
                let before = hour.change(row);
                if heard {
                    rows.push(LiveJson::new(row, before.as_ref()));
                }
            }
        }
        let Some(events) = events.filter(|_| heard) else { return };
        let (as_of, arriving) = (update.as_of, update.arriving);
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(EVENT_ROWS));
            let event = Event { as_of, arriving, rows: std::mem::replace(&mut rows, rest) };
            // An error only says that the last client has gone.
            let _ = events.send(Arc::new(event));
        }
    }
}

impl LiveSink for Live {
    fn publish(&self, update: LiveUpdate) {
        let mut waiting = lock(&self.waiting);
        waiting.rows += update.rows.len();
        waiting.updates.push(update);
        if waiting.rows > MERGE_ROWS {
            waiting.merge();
        }
        drop(waiting);
        self.news.notify_one();
    }
}

impl Waiting {
    /// Keeps only the newest of each row: bounded by the rows that are open.
    fn merge(&mut self) {
        let Some(last) = self.updates.last() else { return };
        let (as_of, arriving) = (last.as_of, last.arriving);
        let mut newest: HashMap<RowId, LiveRow> = HashMap::new();
        for row in self.updates.drain(..).flat_map(|update| update.rows) {
            newest.insert(row.row.id(), row);
        }
        self.rows = newest.len();
        let rows = newest.into_values().collect();
        self.updates.push(LiveUpdate { as_of, arriving, rows });
    }
}

impl Drop for LiveThread {
    fn drop(&mut self) {
        self.live.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the live hub's thread had panicked");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a lock guards here is for the eye only: better a stale number than no page.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a stream client for as long as it lives.
pub struct Client(Arc<Live>);

impl Client {
    /// One more client.
    pub fn new(live: &Arc<Live>) -> Client {
        live.clients.fetch_add(1, Ordering::Relaxed);
        Client(Arc::clone(live))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Ordering::Relaxed);
    }
}
