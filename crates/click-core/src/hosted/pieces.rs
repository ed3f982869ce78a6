//! What a stage holds, in bytes by key group: a host asks for the snapshots of many groups one
//! after the other, and all are written in one pass over what is held, at the first asking.

use super::route::Router;
use alloc::vec::Vec;
use core::cell::OnceCell;

/// Kept until the stage moves on.
#[derive(Default)]
pub(super) struct Pieces(OnceCell<Vec<Vec<u8>>>);

impl Pieces {
    /// Those of a key group; `write` writes all, each to its key group.
    pub(super) fn of(&self, group: u8, write: impl FnOnce(&mut Router)) -> &[u8] {
        let all = self.0.get_or_init(|| {
            let mut router = Router::new();
            write(&mut router);
            router.into_pieces()
        });
        &all[usize::from(group)]
    }

    /// To be called whenever what is held changes.
    pub(super) fn forget(&mut self) {
        self.0.take();
    }
}
