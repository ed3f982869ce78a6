//! What a stage holds, in bytes by key group: a host asks for the snapshots of many groups one
//! after the other, and all are written in one pass over what is held, at the first asking.

use alloc::vec::Vec;
use core::cell::OnceCell;

/// Kept until the stage moves on.
#[derive(Default)]
pub(super) struct Pieces(OnceCell<Vec<Vec<u8>>>);

impl Pieces {
    /// Those of a key group; `write` writes all, by key group.
    pub(super) fn of(&self, group: u8, write: impl FnOnce() -> Vec<Vec<u8>>) -> &[u8] {
        &self.0.get_or_init(write)[usize::from(group)]
    }

    /// To be called whenever what is held changes.
    pub(super) fn forget(&mut self) {
        self.0.take();
    }
}
