//! User stage, keyed by user key: D1 and D2. Owns the dedup set and D2's last clicks.
//!
//! Clicks with a stateless reason pass through untouched: they never claim a link.

use super::event::{Event, Flags};
use crate::dedup::{PagedMap, Probe};
use crate::planted::{Bug, planted};
use crate::policy::{Policy, Timeline};
use crate::rules::double_click::{LastClick, is_double};
use crate::rules::duplicate::claim_lives;
use crate::types::Millis;
use crate::verdict::Class;
use alloc::vec::Vec;
use core::ops::Range;

/// How many clicks before its turn a click's table is asked for, then its line, what that leads
/// to, and the entry.
const TABLE_AHEAD: usize = 20;
const LINE_AHEAD: usize = 10;
const PAGE_AHEAD: usize = 4;
const ENTRY_AHEAD: usize = 2;
/// Clicks on the way.
const PROBES: usize = (TABLE_AHEAD + 1).next_power_of_two();
const SWEEP_EVERY_MS: u64 = 60_000;
/// Dead entries are gone within this long, well before 32 bits of milliseconds wrap.
const SWEEP_ROUND_MS: u64 = 24 * 3_600_000;
/// Log time never runs further ahead of the sweeping: the longest horizon, a round and this stay
/// below 32 bits.
const LONGEST_UNSWEPT_MS: u64 = 10 * 24 * 3_600_000;
const _: () =
    assert!(crate::limits::MAX_HORIZON_MS + SWEEP_ROUND_MS + LONGEST_UNSWEPT_MS < 1 << 32);

/// A claim: since when an identity is taken. The unit of the claim journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// Key group of the user key.
    pub group: u8,
    /// Identity of (issuer, click id, user id).
    pub identity: u128,
    /// When it was claimed.
    pub fold_time: Millis,
}

/// D2's memory of a user and ad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PairClick {
    /// Key group of the user key.
    pub group: u8,
    /// Identity of (user id, ad id).
    pub identity: u128,
    /// Fold time of the last click.
    pub fold_time: Millis,
    /// How long before that it happened.
    pub age_ms: u32,
}

/// What the stage remembered in a step, in fold order: appended to a journal, it is the
/// incremental part of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// New claims.
    pub claims: Vec<Claim>,
    /// New last clicks.
    pub pairs: Vec<PairClick>,
}

impl Journal {
    /// Whether it says nothing.
    pub const fn is_empty(&self) -> bool {
        self.claims.is_empty() && self.pairs.is_empty()
    }

    /// The same in parts of so many entries at most, in its order.
    pub fn parts(&self, entries: usize) -> impl Iterator<Item = Journal> {
        let claims = self.claims.chunks(entries);
        let claims = claims.map(|part| Journal { claims: part.to_vec(), pairs: Vec::new() });
        let pairs = self.pairs.chunks(entries);
        claims.chain(pairs.map(|part| Journal { claims: Vec::new(), pairs: part.to_vec() }))
    }
}

/// Where the two identities of a click are looked for.
#[derive(Clone, Copy, Default)]
struct Probes {
    claim: Probe,
    pair: Probe,
    candidates: bool,
}

/// The user stage of a range of key groups.
#[derive(Clone)]
pub struct UserStage {
    claims: PagedMap<4>,
    pairs: PagedMap<8>,
    swept: Millis,
}

impl UserStage {
    /// An empty stage for these key groups.
    pub fn new(groups: Range<u8>) -> UserStage {
        UserStage {
            claims: PagedMap::new(groups.clone()),
            pairs: PagedMap::new(groups),
            swept: Millis(0),
        }
    }

    /// Decides D1 and D2 of clicks in fold order. What a click will look at is asked for while
    /// those before it are decided, a step of the way there at a time.
    pub fn apply(&mut self, events: &mut [Event], timeline: &Timeline, journal: &mut Journal) {
        let mut probes = [Probes::default(); PROBES];
        let len = events.len();
        for number in 0..len + TABLE_AHEAD {
            let ahead = |clicks: usize| {
                (number + clicks).checked_sub(TABLE_AHEAD).filter(|number| *number < len)
            };
            if let Some(number) = ahead(TABLE_AHEAD) {
                probes[number % PROBES] = self.probe(&events[number]);
            }
            if let Some(number) = ahead(LINE_AHEAD) {
                self.hint_lines(&mut probes[number % PROBES]);
            }
            if let Some(number) = ahead(PAGE_AHEAD) {
                self.hint_pages(&mut probes[number % PROBES]);
            }
            if let Some(number) = ahead(ENTRY_AHEAD) {
                self.hint_entries(&probes[number % PROBES]);
            }
            if let Some(number) = ahead(0) {
                self.take(&mut events[number], &probes[number % PROBES], timeline, journal);
            }
        }
    }

    #[inline]
    fn take(
        &mut self,
        event: &mut Event,
        probes: &Probes,
        timeline: &Timeline,
        journal: &mut Journal,
    ) {
        if self.is_long_unswept(event.facts.fold_time) {
            self.catch_up(event.facts.fold_time, timeline);
        }
        if !event.facts.reasons.any_stateless() || planted(Bug::InvalidClaims) {
            self.decide(event, probes, timeline, journal);
        }
    }

    /// Lets go, bit by bit, of what can no longer matter at `now`. Changes no verdict.
    pub fn advance(&mut self, now: Millis, timeline: &Timeline) {
        self.catch_up(now, timeline);
        let since = now.since(self.swept);
        if since < SWEEP_EVERY_MS {
            return;
        }
        self.swept = now;
        let tables = self.claims.tables() as u64;
        let due = tables.saturating_mul(since.min(SWEEP_ROUND_MS)).div_ceil(SWEEP_ROUND_MS);
        let due = usize::try_from(due).unwrap_or(usize::MAX);
        self.claims.sweep(due, |value| claim_alive(value, now, timeline));
        self.pairs.sweep(due, |value| pair_alive(value, now));
    }

    #[inline]
    const fn is_long_unswept(&self, now: Millis) -> bool {
        now.since(self.swept) >= LONGEST_UNSWEPT_MS
    }

    /// Where log time leaps, lets go of the dead before their 32 bits can pass for recent times.
    fn catch_up(&mut self, now: Millis, timeline: &Timeline) {
        while self.is_long_unswept(now) {
            if self.claims.len() == 0 && self.pairs.len() == 0 {
                self.swept = now;
                return;
            }
            let then = self.swept.plus(LONGEST_UNSWEPT_MS);
            let tables = self.claims.tables();
            self.claims.sweep(tables, |value| claim_alive(value, then, timeline));
            self.pairs.sweep(tables, |value| pair_alive(value, then));
            self.swept = then;
        }
    }

    /// Claims held.
    pub const fn claims(&self) -> u64 {
        self.claims.len()
    }

    /// Bytes of memory of the dedup set.
    pub fn claims_memory(&self) -> usize {
        self.claims.memory()
    }

    /// Bytes of memory of D2's last clicks.
    pub fn pairs_memory(&self) -> usize {
        self.pairs.memory()
    }

    /// Hands out the claims of a key group that matter at `now`, sorted.
    pub fn for_each_claim(
        &self,
        group: u8,
        now: Millis,
        timeline: &Timeline,
        mut f: impl FnMut(Claim),
    ) {
        self.claims.for_each(group, |identity, value| {
            let fold_time = widen(value, now);
            if claim_lives(fold_time, now, timeline) {
                f(Claim { group, identity, fold_time });
            }
        });
    }

    /// Hands out the last clicks of a key group that matter at `now`, sorted.
    pub fn for_each_pair(&self, group: u8, now: Millis, mut f: impl FnMut(PairClick)) {
        self.pairs.for_each(group, |identity, value| {
            if pair_alive(value, now) {
                let (fold_time, age_ms) = unpack_pair(value, now);
                f(PairClick { group, identity, fold_time, age_ms });
            }
        });
    }

    /// Claims and last clicks held of a key group, those included that do not matter any more.
    pub(crate) fn held(&self, group: u8) -> (usize, usize) {
        (self.claims.len_of(group), self.pairs.len_of(group))
    }

    /// Adds what a snapshot or journal of these groups holds, oldest first; `now` is the snapshot's
    /// watermark.
    pub fn restore(&mut self, journal: &Journal, now: Millis, timeline: &Timeline) {
        for claim in &journal.claims {
            let value = narrow(claim.fold_time);
            if claim_lives(claim.fold_time, now, timeline) {
                self.put_claim(claim.group, claim.identity, value, now, timeline);
            }
        }
        for pair in &journal.pairs {
            let value = pack_pair(pair.fold_time, pair.age_ms);
            if pair_lives(pair.fold_time, now) {
                self.put_pair(pair.group, pair.identity, value, now);
            }
        }
        self.swept = self.swept.max(now);
    }

    fn put_claim(
        &mut self,
        group: u8,
        identity: u128,
        value: [u8; 4],
        now: Millis,
        timeline: &Timeline,
    ) {
        let alive = |value| claim_alive(value, now, timeline);
        let probe = self.claims.probe(group, identity);
        if let Some(held) = self.claims.get_or_insert(&probe, value, alive) {
            *held = value;
        }
    }

    fn put_pair(&mut self, group: u8, identity: u128, value: [u8; 8], now: Millis) {
        let alive = |value| pair_alive(value, now);
        let probe = self.pairs.probe(group, identity);
        if let Some(held) = self.pairs.get_or_insert(&probe, value, alive) {
            *held = value;
        }
    }

    /// Works out where a click's identities are looked for.
    #[inline]
    fn probe(&self, event: &Event) -> Probes {
        let group = event.facts.user_group;
        Probes {
            claim: self.claims.probe(group, event.claim),
            pair: self.pairs.probe(group, event.pair),
            candidates: false,
        }
    }

    #[inline]
    fn hint_lines(&self, probes: &mut Probes) {
        self.claims.hint_line(&mut probes.claim);
        self.pairs.hint_line(&mut probes.pair);
    }

    #[inline]
    fn hint_pages(&self, probes: &mut Probes) {
        probes.candidates = self.claims.hint_page(&mut probes.claim);
        probes.candidates |= self.pairs.hint_page(&mut probes.pair);
    }

    #[inline]
    fn hint_entries(&self, probes: &Probes) {
        if probes.candidates {
            self.claims.hint_entry(&probes.claim);
            self.pairs.hint_entry(&probes.pair);
        }
    }

    #[inline]
    fn decide(
        &mut self,
        event: &mut Event,
        probes: &Probes,
        timeline: &Timeline,
        journal: &mut Journal,
    ) {
        let (group, now) = (event.facts.user_group, event.facts.fold_time);
        let value = narrow(now);
        let alive = |value| claim_alive(value, now, timeline);
        if let Some(held) = self.claims.get_or_insert(&probes.claim, value, alive) {
            if claim_lives(widen(*held, now), now, timeline) {
                event.facts.reasons = event.facts.reasons.with(Class::D1);
                return;
            }
            *held = value;
        }
        journal.claims.push(Claim { group, identity: event.claim, fold_time: now });
        if event.facts.flags.any(Flags::USER)
            && let Some(policy) = timeline.get(event.facts.policy)
        {
            self.decide_double(event, &probes.pair, policy, journal);
        }
    }

    #[inline]
    fn decide_double(
        &mut self,
        event: &mut Event,
        probe: &Probe,
        policy: &Policy,
        journal: &mut Journal,
    ) {
        let (group, now) = (event.facts.user_group, event.facts.fold_time);
        #[expect(clippy::cast_possible_truncation, reason = "no staler than 30 days")]
        let age_ms = now.since(event.facts.received_at) as u32;
        let value = pack_pair(now, age_ms);
        let alive = |value| pair_alive(value, now);
        if let Some(held) = self.pairs.get_or_insert(probe, value, alive) {
            let (fold_time, age_ms) = unpack_pair(*held, now);
            let click_time = Millis(fold_time.since(Millis(u64::from(age_ms))));
            if is_double(&event.facts, LastClick { fold_time, click_time }, policy) {
                event.facts.reasons = event.facts.reasons.with(Class::D2);
                if planted(Bug::DoubleClicksRemembered) {
                    *held = value;
                }
                return;
            }
            *held = value;
        }
        journal.pairs.push(PairClick { group, identity: event.pair, fold_time: now, age_ms });
    }
}

fn claim_alive(value: [u8; 4], now: Millis, timeline: &Timeline) -> bool {
    claim_lives(widen(value, now), now, timeline)
}

fn pair_alive(value: [u8; 8], now: Millis) -> bool {
    pair_lives(unpack_pair(value, now).0, now)
}

const fn pair_lives(fold_time: Millis, now: Millis) -> bool {
    now.since(fold_time) <= crate::limits::DOUBLE_CLICK_MEMORY_MS
}

/// The low 32 bits of a time: enough, as nothing is kept for 49 days.
#[inline]
const fn narrow(time: Millis) -> [u8; 4] {
    let [a, b, c, d, ..] = time.0.to_le_bytes();
    [a, b, c, d]
}

/// The latest time at or before `now` with these low bits.
#[inline]
const fn widen(low: [u8; 4], now: Millis) -> Millis {
    let [a, b, c, d] = narrow(now);
    let age = u32::from_le_bytes([a, b, c, d]).wrapping_sub(u32::from_le_bytes(low));
    Millis(now.0.saturating_sub(age as u64))
}

#[inline]
fn pack_pair(fold_time: Millis, age_ms: u32) -> [u8; 8] {
    let ([a, b, c, d], [e, f, g, h]) = (narrow(fold_time), age_ms.to_le_bytes());
    [a, b, c, d, e, f, g, h]
}

#[inline]
fn unpack_pair([a, b, c, d, e, f, g, h]: [u8; 8], now: Millis) -> (Millis, u32) {
    (widen([a, b, c, d], now), u32::from_le_bytes([e, f, g, h]))
}
