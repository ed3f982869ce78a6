//! Output by the key group of the next stage.

use crate::limits::KEY_GROUPS;
use crate::snapshot::Writer;
use alloc::vec::Vec;

/// Batches for the next stage, one for each key group that has any, in the order of the groups.
pub type Routed = Vec<(u8, Vec<u8>)>;

/// Collects what goes to each key group.
pub(super) struct Router {
    groups: Vec<Writer>,
}

impl Router {
    pub(super) fn new() -> Router {
        Router { groups: (0..KEY_GROUPS).map(|_| Writer::default()).collect() }
    }

    pub(super) fn to(&mut self, group: u8) -> &mut Writer {
        &mut self.groups[usize::from(group)]
    }

    /// What went to each key group, of all of them.
    pub(super) fn into_pieces(self) -> Vec<Vec<u8>> {
        self.groups.into_iter().map(Writer::into_bytes).collect()
    }

    pub(super) fn finish(self) -> Routed {
        (0..).zip(self.into_pieces()).filter(|(_, batch)| !batch.is_empty()).collect()
    }
}
