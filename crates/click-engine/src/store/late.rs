//! A store that need not be there when the engine starts: it is opened when it is first needed, and
//! asked again later if it does not answer.

use super::{LedgerStore, StoreAddress, StoreError};
use click_core::row::Row;
use click_core::types::Millis;
use std::path::{Path, PathBuf};

/// Opened at the first question that it answers.
pub struct LateStore {
    address: StoreAddress,
    base: PathBuf,
    log_id: String,
    generation: u16,
    open: Option<Box<dyn LedgerStore>>,
}

impl LateStore {
    /// The store at an address; a store that is there and belongs to others is an error at once.
    ///
    /// # Errors
    /// As [`StoreAddress::open`], but for `Unavailable`.
    pub fn new(
        address: &StoreAddress,
        base: &Path,
        log_id: &str,
        generation: u16,
    ) -> Result<LateStore, StoreError> {
        let (base, log_id) = (base.to_path_buf(), log_id.to_owned());
        let mut late = LateStore { address: address.clone(), base, log_id, generation, open: None };
        match late.opened() {
            Ok(_) | Err(StoreError::Unavailable(_)) => Ok(late),
            Err(error) => Err(error),
        }
    }

    fn opened(&mut self) -> Result<&mut Box<dyn LedgerStore>, StoreError> {
        match &mut self.open {
            Some(_) => {}
            closed => {
                let store = self.address.open(&self.base, &self.log_id, self.generation);
                *closed = Some(store.map_err(|error| named(&self.address, error))?);
            }
        }
        self.open.as_mut().ok_or_else(|| StoreError::Unavailable("not open".into()))
    }
}

fn named(address: &StoreAddress, error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(why) => StoreError::Unavailable(format!("{address}: {why}")),
        StoreError::Refused(why) => StoreError::Refused(format!("{address}: {why}")),
        error @ (StoreError::Conflict { .. }
        | StoreError::OtherLog { .. }
        | StoreError::Lost { .. }) => error,
    }
}

impl LedgerStore for LateStore {
    fn upsert(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        self.opened()?.upsert(rows)
    }

    fn set_mark(&mut self, mark: Millis) -> Result<(), StoreError> {
        self.opened()?.set_mark(mark)
    }

    fn mark(&mut self) -> Result<Millis, StoreError> {
        self.opened()?.mark()
    }

    fn may_fall_back(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.may_fall_back())
    }

    fn wants_summaries(&self) -> bool {
        !matches!(self.address, StoreAddress::Sqlite(_))
    }

    fn publish(&mut self, rows: &[Row], mark: Millis) -> Result<(), StoreError> {
        self.opened()?.publish(rows, mark)
    }
}
