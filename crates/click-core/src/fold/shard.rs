//! A shard: the keyed stages of some key groups, and the data on its way between shards.

use crate::keys::KeyTable;
use crate::limits::KEY_GROUPS;
use crate::policy::Timeline;
use crate::stage::event::{Event, Facts, Slot};
use crate::stage::partial::{Partial, Partials};
use crate::stage::source::{SourceStage, Verdict};
use crate::stage::user::{Journal, UserStage};
use crate::stage::window::{Publish, PublishedRow, WindowStage};
use crate::types::Millis;
use alloc::vec::Vec;
use core::ops::Range;

/// The stages of some key groups.
pub(super) struct Shard {
    pub(super) user: UserStage,
    pub(super) source: SourceStage,
    pub(super) window: WindowStage,
    /// Clicks for the user stage.
    pub(super) events: Vec<Event>,
    /// Clicks for the source stage, when they come from several shards.
    inbox: Vec<Facts>,
    /// Clicks for the shards' source stages.
    outbox: Vec<Vec<Facts>>,
    pub(super) verdicts: Vec<Verdict>,
    /// Changes up to the step's last grid instant, and after it, for the shards' window stages.
    settled: Partials,
    open: Partials,
    /// The same for this shard's, from all shards.
    settled_here: Vec<(Slot, Partial)>,
    open_here: Vec<(Slot, Partial)>,
    pub(super) published: Vec<PublishedRow>,
}

/// What all shards read during a step.
pub(super) struct Step<'a> {
    pub(super) w: Millis,
    pub(super) timeline: &'a Timeline,
    pub(super) keys: &'a KeyTable,
    pub(super) generation: u16,
    pub(super) shards: usize,
    pub(super) publish: bool,
}

/// The shard that owns a key group.
#[inline]
pub fn shard_of(group: u8, shards: usize) -> usize {
    usize::from(group) * shards / usize::from(KEY_GROUPS)
}

/// The key groups that a shard owns.
#[expect(clippy::cast_possible_truncation, reason = "there are 128 groups")]
pub fn groups_of(shard: usize, shards: usize) -> Range<u8> {
    let first = |shard: usize| (shard * usize::from(KEY_GROUPS)).div_ceil(shards) as u8;
    first(shard)..first(shard + 1)
}

impl Shard {
    pub(super) fn new(index: usize, shards: usize) -> Shard {
        Shard {
            user: UserStage::new(groups_of(index, shards)),
            source: SourceStage::default(),
            window: WindowStage::default(),
            events: Vec::new(),
            inbox: Vec::new(),
            outbox: alloc::vec![Vec::new(); shards],
            verdicts: Vec::new(),
            settled: Partials::default(),
            open: Partials::default(),
            settled_here: Vec::new(),
            open_here: Vec::new(),
            published: Vec::new(),
        }
    }

    pub(super) fn sort_events(&mut self) {
        self.events.sort_by_key(|event| event.facts.fold_order());
    }

    pub(super) fn users(&mut self, step: &Step<'_>, journal: &mut Journal) {
        self.user.apply(&mut self.events, step.timeline, journal);
        self.user.advance(step.w, step.timeline);
        if step.shards > 1 {
            for event in self.events.drain(..) {
                let to = shard_of(event.facts.source_stage_group(), step.shards);
                self.outbox[to].push(event.facts);
            }
        }
    }

    pub(super) fn sources(&mut self, step: &Step<'_>) {
        if step.shards > 1 {
            self.inbox.sort_by_key(Facts::fold_order);
            self.source.apply(self.inbox.iter(), step.timeline);
            self.inbox.clear();
            self.source.advance(step.w.grid_floor(), &mut self.settled, &mut self.verdicts);
            self.source.advance(step.w, &mut self.open, &mut self.verdicts);
        } else {
            self.source.apply(self.events.iter().map(|event| &event.facts), step.timeline);
            self.events.clear();
        }
    }

    /// A lone shard's clicks change their rows directly. Those that wait are counted when rows are
    /// published or looked at: most are decided before that, and change them once.
    pub(super) fn windows(&mut self, step: &Step<'_>) {
        let (alone, grid) = (step.shards == 1, step.w.grid_floor());
        if alone && step.publish {
            self.source.advance(grid, &mut self.window, &mut self.verdicts);
        }
        self.window.apply(&self.settled_here);
        self.settled_here.clear();
        if step.publish {
            let (generation, keys, timeline) = (step.generation, step.keys, step.timeline);
            let rows = &mut self.published;
            self.window.publish(grid, &mut Publish { generation, keys, timeline, rows });
        }
        self.window.apply(&self.open_here);
        self.open_here.clear();
        if alone {
            self.source.decide(step.w, &mut self.window, &mut self.verdicts);
        }
    }

    /// Counts a lone shard's waiting clicks, so that its rows are true as of `w`.
    pub(super) fn count_waiting(&mut self, w: Millis) {
        self.source.count(w, &mut self.window);
    }
}

/// Moves clicks from the user stages to the source stages.
pub(super) fn exchange_clicks(shards: &mut [Shard]) {
    if shards.len() == 1 {
        return;
    }
    for from in 0..shards.len() {
        for to in 0..shards.len() {
            let mut clicks = core::mem::take(&mut shards[from].outbox[to]);
            shards[to].inbox.append(&mut clicks);
            shards[from].outbox[to] = clicks;
        }
    }
}

/// Moves partial counts from the source stages to the window stages.
pub(super) fn exchange_partials(shards: &mut [Shard], keys: &KeyTable) {
    let count = shards.len();
    if count == 1 {
        return;
    }
    for from in 0..count {
        let mut settled = core::mem::take(&mut shards[from].settled);
        let mut open = core::mem::take(&mut shards[from].open);
        for part in settled.iter() {
            shards[shard_of(keys.group(part.0.key), count)].settled_here.push(*part);
        }
        for part in open.iter() {
            shards[shard_of(keys.group(part.0.key), count)].open_here.push(*part);
        }
        settled.clear();
        open.clear();
        (shards[from].settled, shards[from].open) = (settled, open);
    }
}
