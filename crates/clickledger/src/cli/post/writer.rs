//! A store that is asked again while it does not answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use click_core::row::Row;
use click_core::types::Millis;
use click_engine::store::{LateStore, LedgerStore, StoreError};

use super::AT_ONCE;
use crate::out;

/// Time between two questions to a store that does not answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);

pub struct Writer {
    store: LateStore,
    stop: Arc<AtomicBool>,
}

/// What came of a question to the store.
pub enum Answer<T> {
    Done(T),
    /// It is back at an older mark.
    Lost,
    /// It did not answer until this was to end.
    Stopped,
}

impl Writer {
    pub const fn new(store: LateStore, stop: Arc<AtomicBool>) -> Writer {
        Writer { store, stop }
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub fn may_fall_back(&self) -> bool {
        self.store.may_fall_back()
    }

    pub fn mark(&mut self) -> Result<Answer<Millis>> {
        self.ask(LedgerStore::mark)
    }

    /// Writes rows, and then the mark.
    pub fn write(&mut self, rows: &[Row], mark: Option<Millis>) -> Result<Answer<()>> {
        let (more, last) = rows.split_at(rows.len() - rows.len() % AT_ONCE);
        for rows in more.chunks(AT_ONCE) {
            match self.ask(|store| store.upsert(rows))? {
                Answer::Done(()) => {}
                end @ (Answer::Lost | Answer::Stopped) => return Ok(end),
            }
        }
        self.ask(|store| match mark {
            Some(mark) => store.publish(last, mark),
            None => store.upsert(last),
        })
    }

    fn ask<T>(
        &mut self,
        mut question: impl FnMut(&mut LateStore) -> Result<T, StoreError>,
    ) -> Result<Answer<T>> {
        loop {
            match question(&mut self.store) {
                Ok(answer) => return Ok(Answer::Done(answer)),
                Err(StoreError::Unavailable(why)) => {
                    out::note(format_args!("{why}: asking again"));
                    std::thread::sleep(ASK_AGAIN);
                }
                Err(error @ StoreError::Lost { .. }) => {
                    out::note(format_args!("{error}: reading rows again"));
                    return Ok(Answer::Lost);
                }
                Err(
                    error @ (StoreError::Conflict { .. }
                    | StoreError::OtherLog { .. }
                    | StoreError::Refused(_)),
                ) => return Err(error).context("the store takes nothing more"),
            }
            if self.is_stopped() {
                // Not confirmed: read again at the next start.
                return Ok(Answer::Stopped);
            }
        }
    }
}
