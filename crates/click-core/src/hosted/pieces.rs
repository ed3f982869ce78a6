//! What a stage holds, in bytes by key group: a host asks for the snapshots of many groups one
//! after the other, and all are written in one pass over what is held, at the first asking.

use crate::limits::KEY_GROUPS;
use crate::snapshot::Writer;
use alloc::vec::Vec;
use core::cell::OnceCell;

/// Kept until the stage moves on.
#[derive(Default)]
pub(super) struct Pieces(OnceCell<Vec<Vec<u8>>>);

impl Pieces {
    /// Those of a key group; `write` writes all, each to the writer of its key group.
    pub(super) fn of(&self, group: u8, write: impl FnOnce(&mut [Writer])) -> &[u8] {
        let all = self.0.get_or_init(|| {
            let mut writers = Vec::new();
            writers.resize_with(KEY_GROUPS.into(), Writer::default);
            write(&mut writers);
            writers.into_iter().map(Writer::into_bytes).collect()
        });
        &all[usize::from(group)]
    }

    /// To be called whenever what is held changes.
    pub(super) fn forget(&mut self) {
        self.0.take();
    }
}
