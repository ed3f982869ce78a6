//! Source stage, keyed by source address: G3, the look-ahead of a second, and final verdicts.
//!
//! A click waits here until no later click can change its verdict; all of that waiting is the
//! queue below, in fold order.

use super::event::{Facts, Flags};
use super::partial::{NOWHERE, Places, Tally};
use crate::limits::{BURST_SPAN_MS, LOOK_AHEAD_MS};
use crate::planted::{Bug, planted};
use crate::policy::{PolicyIndex, Timeline};
use crate::types::{Millis, Offset, Partition};
use crate::verdict::{Class, Reasons};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// A click's final verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verdict {
    /// Partition of the click.
    pub partition: Partition,
    /// Offset of the click.
    pub offset: Offset,
    /// Its place in fold order.
    pub fold_time: Millis,
    /// All reasons; none for a valid click.
    pub reasons: Reasons,
    /// The policy that judged it.
    pub policy: PolicyIndex,
}

/// No click at all.
const NOBODY: u64 = u64::MAX;
const MIN_HEADS: usize = 1024;
/// Clicks that are asked for ahead.
const BLOCK: usize = 32;
/// How far ahead a click's rows are asked for.
const AHEAD: usize = 8;

/// The source stage of some key groups.
#[derive(Clone, Default)]
pub struct SourceStage {
    waiting: VecDeque<Waiting>,
    /// Number of the first waiting click; numbers count up for ever.
    first: u64,
    /// Clicks below this number have been counted, as pending if they still wait.
    counted: u64,
    /// By a hash of the source, number of the last click: chains of clicks hang off it.
    heads: Vec<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    click: Facts,
    /// Number of the click before it in its chain of sources.
    previous: u64,
    /// How many clicks back the source's previous one is, 0 for none within reach.
    back: u32,
    /// Length of the chain of clicks that ends here.
    chain: u32,
    /// Where its rows are, once it has been counted.
    places: Places,
}

impl SourceStage {
    /// Takes clicks in fold order.
    pub fn apply<'a>(&mut self, clicks: impl Iterator<Item = &'a Facts>, timeline: &Timeline) {
        let mut clicks = clicks.peekable();
        let mut block: Vec<&Facts> = Vec::with_capacity(BLOCK);
        while clicks.peek().is_some() {
            block.clear();
            block.extend(clicks.by_ref().take(BLOCK));
            self.hint(&block);
            block.iter().for_each(|click| self.push(click, timeline));
        }
    }

    /// Asks for what the next clicks will look at.
    fn hint(&self, block: &[&Facts]) {
        if self.heads.is_empty() {
            return;
        }
        let head = |click: &Facts| &self.heads[slot_of(click.source, self.heads.len())];
        block.iter().for_each(|click| crate::prefetch::read(head(click)));
        for click in block {
            let number = *head(click);
            if number != NOBODY && number >= self.first {
                let Some(waiting) = self.waiting.get(to_index(number - self.first)) else {
                    continue;
                };
                crate::prefetch::read(&waiting.click.source);
                crate::prefetch::read(&waiting.previous);
            }
        }
    }

    #[inline]
    fn push(&mut self, click: &Facts, timeline: &Timeline) {
        let left_out = click.flags.any(Flags::PREFETCH | Flags::NO_CLICK_METHOD);
        let (previous, back, chain) =
            if click.source == 0 || left_out { (NOBODY, 0, 1) } else { self.chain(click) };
        self.waiting.push_back(Waiting { click: *click, previous, back, chain, places: NOWHERE });
        if chain > 1 {
            self.look_for_burst(chain, click.fold_time, timeline);
        }
    }

    /// Makes the click about to be pushed the head of its chain: what hangs behind it there, how
    /// far back the source's click before it is, and how long the run of such clicks is with it.
    #[inline]
    fn chain(&mut self, click: &Facts) -> (u64, u32, u32) {
        if self.waiting.len() >= self.heads.len() / 2 {
            self.rehash();
        }
        let number = self.first + self.waiting.len() as u64;
        let head = slot_of(click.source, self.heads.len());
        let behind = core::mem::replace(&mut self.heads[head], number);
        let Some(last) = self.last_of(click.source, behind) else { return (behind, 0, 1) };
        let previous = &self.waiting[to_index(last - self.first)];
        if click.fold_time.since(previous.click.fold_time) >= BURST_SPAN_MS {
            return (behind, 0, 1);
        }
        #[expect(clippy::cast_possible_truncation, reason = "a second's clicks")]
        let back = (number - last) as u32;
        (behind, back, previous.chain.saturating_add(1))
    }

    /// The source's latest click at or before `number` in a chain.
    #[inline]
    fn last_of(&self, source: u128, mut number: u64) -> Option<u64> {
        while number != NOBODY && number >= self.first {
            let waiting = &self.waiting[to_index(number - self.first)];
            if waiting.click.source == source {
                return Some(number);
            }
            number = waiting.previous;
        }
        None
    }

    /// Makes room for twice the clicks that wait.
    #[cold]
    fn rehash(&mut self) {
        let len = (self.waiting.len() * 4).next_power_of_two().max(MIN_HEADS);
        self.heads.clear();
        self.heads.resize(len, NOBODY);
        for (number, waiting) in (self.first..).zip(&mut self.waiting) {
            let click = &waiting.click;
            let left_out = click.flags.any(Flags::PREFETCH | Flags::NO_CLICK_METHOD);
            if click.source != 0 && !left_out {
                let head = slot_of(click.source, len);
                waiting.previous = core::mem::replace(&mut self.heads[head], number);
            }
        }
    }

    /// Marks the run of clicks that ends with the newest, for every threshold in force among them.
    #[inline]
    fn look_for_burst(&mut self, chain: u32, now: Millis, timeline: &Timeline) {
        let newest = self.waiting.len() - 1;
        let threshold = self.waiting[newest].click.burst_clicks;
        let one = u8::from(planted(Bug::BurstTooSmall));
        if chain > u32::from(threshold - one) {
            self.mark_run(newest, threshold - one);
        }
        let mut at = Millis(now.0.saturating_sub(BURST_SPAN_MS));
        if timeline.in_force_until(at) > now {
            return;
        }
        while at < now {
            let other = timeline.at(at).1.burst_clicks;
            at = timeline.in_force_until(at);
            if other != u64::from(threshold) && u64::from(chain) > other {
                #[expect(clippy::cast_possible_truncation, reason = "policies allow at most 100")]
                self.mark_run(newest, other as u8);
            }
        }
    }

    /// If the `threshold + 1` clicks up to `newest` lie within the span, those of them that are
    /// judged by this threshold are G3.
    fn mark_run(&mut self, newest: usize, threshold: u8) {
        let end = self.waiting[newest].click;
        let (mut least, mut most) = (end.click_time(), end.click_time());
        let mut at = newest;
        for _ in 0..threshold {
            let back = self.waiting[at].back as usize;
            if back == 0 {
                return;
            }
            // Who is no longer waiting is a second older than the newest.
            let Some(previous) = at.checked_sub(back) else { return };
            at = previous;
            let click = &self.waiting[at].click;
            least = least.min(click.click_time());
            most = most.max(click.click_time());
            let fold_span = end.fold_time.since(click.fold_time);
            let made_apart =
                most.since(least) >= BURST_SPAN_MS + u64::from(planted(Bug::BurstSpanInclusive));
            let made_apart = made_apart && !planted(Bug::BurstIgnoresClickTime);
            if fold_span >= BURST_SPAN_MS || made_apart {
                return;
            }
        }
        let mut at = newest;
        for step in 0..=threshold {
            let waiting = &mut self.waiting[at];
            if waiting.click.burst_clicks == threshold || planted(Bug::BurstTooSmall) {
                waiting.click.reasons = waiting.click.reasons.with(Class::G3);
            }
            if step < threshold {
                at -= waiting.back as usize;
            }
        }
    }

    /// Decides the clicks that are final at `to` and counts those that are known then; all clicks
    /// with a fold time below `to` have been taken.
    pub fn advance(&mut self, to: Millis, tally: &mut impl Tally, verdicts: &mut Vec<Verdict>) {
        self.decide(to, tally, verdicts);
        self.count(to, tally);
    }

    /// Decides the clicks that are final at `to`, counted as pending before or not.
    pub fn decide(&mut self, to: Millis, tally: &mut impl Tally, verdicts: &mut Vec<Verdict>) {
        let look_ahead = LOOK_AHEAD_MS - u64::from(planted(Bug::FinalTooSoon));
        let final_at = |waiting: &Waiting| waiting.click.fold_time.plus(look_ahead);
        while let Some(front) = self.waiting.front().filter(|front| final_at(front) <= to) {
            self.hint_decision(tally);
            if self.first < self.counted {
                tally.decide(&front.click, front.places, final_at(front));
            } else {
                tally.count_decided(&front.click, final_at(front));
            }
            verdicts.push(front.click.verdict());
            self.waiting.pop_front();
            self.first += 1;
        }
        self.counted = self.counted.max(self.first);
    }

    /// Asks for the rows of clicks that will be decided soon.
    #[inline]
    fn hint_decision(&self, tally: &impl Tally) {
        if let Some(ahead) = self.waiting.get(AHEAD) {
            if ahead.places == NOWHERE {
                tally.hint_row(&ahead.click);
            } else {
                tally.hint_places(ahead.places);
            }
        }
        if let Some(ahead) = self.waiting.get(2 * AHEAD).filter(|ahead| ahead.places == NOWHERE) {
            tally.hint_key(&ahead.click);
        }
    }

    /// Counts the clicks that are known at `to` as pending.
    pub fn count(&mut self, to: Millis, tally: &mut impl Tally) {
        let from = to_index(self.counted - self.first);
        let known_at = |click: &Facts| click.fold_time.plus(1);
        for place in from..self.waiting.len() {
            if let Some(click) = self.click(place + 2 * AHEAD) {
                tally.hint_key(click);
            }
            if let Some(click) = self.click(place + AHEAD) {
                tally.hint_row(click);
            }
            let waiting = &mut self.waiting[place];
            if known_at(&waiting.click) > to {
                break;
            }
            waiting.places = tally.count(&waiting.click, known_at(&waiting.click));
            self.counted += 1;
        }
    }

    fn click(&self, place: usize) -> Option<&Facts> {
        self.waiting.get(place).map(|waiting| &waiting.click)
    }

    /// Clicks whose verdict is not final.
    pub fn pending(&self) -> usize {
        self.waiting.len()
    }

    /// The waiting clicks in fold order: all that a snapshot needs.
    pub fn waiting(&self) -> impl Iterator<Item = &Facts> {
        self.waiting.iter().map(|waiting| &waiting.click)
    }

    /// Takes waiting clicks out of a snapshot, in fold order; they have been counted as pending.
    pub fn restore(&mut self, clicks: &[Facts], timeline: &Timeline) {
        for click in clicks {
            self.push(click, timeline);
        }
        self.counted = self.first + self.waiting.len() as u64;
    }
}

impl Facts {
    /// What is known of the click so far.
    pub(crate) const fn verdict(&self) -> Verdict {
        Verdict {
            partition: self.partition,
            offset: self.offset,
            fold_time: self.fold_time,
            reasons: self.reasons,
            policy: self.policy,
        }
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "masked to the table's length")]
const fn slot_of(source: u128, len: usize) -> usize {
    let mixed = (source as u64 ^ (source >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as usize & (len - 1)
}

#[expect(clippy::cast_possible_truncation, reason = "a distance within a queue in memory")]
const fn to_index(distance: u64) -> usize {
    distance as usize
}
