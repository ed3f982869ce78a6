//! A click between the stages: what the rules need of it, as fixed-size facts.

use crate::keys::KeyId;
use crate::planted::{Bug, planted};
use crate::policy::PolicyIndex;
use crate::types::{Micros, Millis, Minute, Offset, Partition};
use crate::verdict::Reasons;

/// Facts about a click that one bit can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// The ad did not run when the click was received.
    pub const INACTIVE: u8 = 1;
    /// The method is known and is no click.
    pub const NO_CLICK_METHOD: u8 = 2;
    /// Prefetch, prerender or preview.
    pub const PREFETCH: u8 = 4;
    /// The user is known.
    pub const USER: u8 = 8;

    /// Whether any bit of `mask` is set.
    #[inline]
    pub const fn any(self, mask: u8) -> bool {
        self.0 & mask != 0
    }
}

/// A click on its way to the user stage: two cache lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Identity of (issuer, click id, user id).
    pub claim: u128,
    /// Identity of (user id, ad id), where the user is known.
    pub pair: u128,
    /// What the later stages need.
    pub facts: Facts,
}

/// What the source stage and the rows need of a click.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Source of the activity rule, 0 if unknown.
    pub source: u128,
    /// Place of the record in fold order.
    pub fold_time: Millis,
    /// Offset of the record.
    pub offset: Offset,
    /// The tracker's clock.
    pub received_at: Millis,
    /// Price of a valid click.
    pub price: Micros,
    /// Payout of a valid click.
    pub payout: Micros,
    /// Partition of the record.
    pub partition: Partition,
    /// Row key of the advertiser view.
    pub ad_key: KeyId,
    /// Row key of the publisher view.
    pub publisher_key: KeyId,
    /// The policy in force at `fold_time`.
    pub policy: PolicyIndex,
    /// Minute that late clicks are posted to.
    pub posted: Posted,
    /// All reasons found so far.
    pub reasons: Reasons,
    /// Key group of the user key.
    pub user_group: u8,
    /// Key group of the source.
    pub source_group: u8,
    /// The policy's `burst_clicks`.
    pub burst_clicks: u8,
    /// More facts.
    pub flags: Flags,
}

/// The minute that late clicks are posted to, or none, in four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Posted(u32);

impl Posted {
    /// An ordinary click.
    pub const NONE: Posted = Posted(u32::MAX);

    /// Posted to `minute`.
    pub const fn to(minute: Option<Minute>) -> Posted {
        match minute {
            Some(minute) => Posted(minute.0),
            None => Posted::NONE,
        }
    }

    /// The minute.
    #[inline]
    pub const fn minute(self) -> Option<Minute> {
        if self.0 == u32::MAX { None } else { Some(Minute(self.0)) }
    }
}

/// A row's place: which key, which minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot {
    /// The row key's number.
    pub key: KeyId,
    /// Minute in which the clicks happened.
    pub minute: Minute,
    /// Minute in which late clicks are posted.
    pub posted: Posted,
}

impl Slot {
    /// The minute whose sealing ends the row, and whether it is one of late clicks.
    pub(super) const fn end(self) -> (bool, Minute) {
        match self.posted.minute() {
            Some(posted) => (true, posted),
            None => (false, self.minute),
        }
    }
}

impl Facts {
    /// When the click counts as having happened.
    #[inline]
    pub fn click_time(&self) -> Millis {
        self.received_at.min(self.fold_time)
    }

    /// Total order of the log.
    #[inline]
    pub fn fold_order(&self) -> (Millis, Partition, Offset) {
        (self.fold_time, self.partition, self.offset)
    }

    /// The click's rows in both views, with what it adds to their sums if it is valid.
    #[inline]
    pub fn rows(&self) -> [(Slot, Micros); 2] {
        let (minute, posted) = (self.click_time().minute(), self.posted);
        let payout = if planted(Bug::PublisherGetsPrice) { self.price } else { self.payout };
        [(self.ad_key, self.price), (self.publisher_key, payout)]
            .map(|(key, sum)| (Slot { key, minute, posted }, sum))
    }

    /// The key group of the source stage; clicks of an unknown source take part in no activity
    /// rule and stay with their user.
    #[inline]
    pub const fn source_stage_group(&self) -> u8 {
        if self.source == 0 { self.user_group } else { self.source_group }
    }
}
