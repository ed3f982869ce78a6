//! Ledger rows: their keys, counts and sums (SPEC §5).

use crate::types::{Minute, Version};
use crate::verdict::{CLASSES, Class};
use alloc::string::String;
use alloc::sync::Arc;

/// What a row counts by, apart from the time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowKey {
    /// The advertiser's view; the sum is the spend.
    Ad {
        /// Advertised item that was clicked.
        ad_id: String,
        /// ISO code or the operator's own name of a currency.
        currency: String,
        /// Campaign of the ad, empty if unknown.
        campaign_id: String,
        /// Who pays, empty if unknown.
        advertiser_id: String,
    },
    /// The publisher's view; the sum is the payout.
    Publisher {
        /// Who is paid, empty if unknown.
        publisher_id: String,
        /// Place on the publisher's pages, empty if unknown.
        placement_id: String,
        /// ISO code or the operator's own name of a currency.
        currency: String,
    },
}

/// Counts and sum of a row, absolute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All measured clicks.
    pub measured: u64,
    /// Clicks whose verdict is not final yet.
    pub pending: u64,
    /// Final clicks by primary class, in table order.
    pub by_class: [u64; CLASSES],
    /// Sum over the valid clicks, in micro-units of the row's currency.
    pub sum_micros: i128,
}

/// A ledger row, true as of its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What is counted; shared, since rows of one key are many.
    pub key: Arc<RowKey>,
    /// Minute in which the clicks happened.
    pub minute: Minute,
    /// Minute in which late clicks were posted; `None` in an ordinary row.
    pub posted_minute: Option<Minute>,
    /// Counts and sum.
    pub counts: Counts,
    /// Orders the rows of one key; the higher one wins.
    pub version: Version,
}

/// What tells rows apart, whatever their version.
pub type RowId = (Arc<RowKey>, Minute, Option<Minute>);

impl Row {
    /// Its identity.
    pub fn id(&self) -> RowId {
        (self.key.clone(), self.minute, self.posted_minute)
    }

    /// Whether a store that has this row knows all that has to be written of `newest`. It may lag
    /// behind by clicks that are pending: these are not written for themselves.
    pub fn agrees_with(&self, newest: &Row) -> bool {
        let decided = |row: &Row| (row.counts.by_class, row.counts.sum_micros);
        self == newest || self.version < newest.version && decided(self) == decided(newest)
    }
}

impl Counts {
    /// Whether none of its clicks is decided: such a row need not be in a store.
    pub const fn only_pending(&self) -> bool {
        self.measured == self.pending
    }

    /// The count of one class.
    pub const fn of(&self, class: Class) -> u64 {
        self.by_class[class as usize]
    }

    /// Conservation: every measured click is pending or in exactly one class.
    pub fn conserved(&self) -> bool {
        self.by_class.iter().try_fold(self.pending, |sum, n| sum.checked_add(*n))
            == Some(self.measured)
    }
}
