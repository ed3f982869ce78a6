//! More than a set number of records of one link per hour are not appended (SPEC §4).
//!
//! A fixed table of counters: a link that is not seen often may be forgotten (and so counted too
//! low), never counted too high. Memory does not grow, whatever is sent.

use super::limits::MAX_THROTTLED_ADS;
use click_core::prefetch;
use foldhash::quality::RandomState;
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

const SETS: usize = 32_768;
/// As many as fit into two cache lines with their lock.
const WAYS: usize = 7;
const HOUR_MS: u64 = 3_600_000;
/// Name under which throttled records are counted once the map of ads is full.
const OTHER: &str = "(other)";

#[derive(Clone, Copy, Default)]
struct Entry {
    link: u64,
    hour: u32,
    count: u32,
}

/// Counters of links whose hashes end alike.
#[derive(Default)]
#[repr(align(128))]
struct Set(Mutex<[Entry; WAYS]>);

/// A link whose counters are on their way from memory.
#[derive(Clone, Copy)]
pub struct Link(u64);

/// Counts records by link and hour, and throttled ones by ad.
pub struct Throttle {
    limit: u32,
    hasher: RandomState,
    sets: Box<[Set]>,
    by_ad: Mutex<BTreeMap<String, u64>>,
}

impl Throttle {
    /// Allows `limit` records of one link an hour.
    pub fn new(limit: u32) -> Throttle {
        let sets = std::iter::repeat_with(Set::default).take(SETS).collect();
        Throttle { limit, hasher: RandomState::default(), sets, by_ad: Mutex::default() }
    }

    /// The link with this signature. Its counters are seldom in the processor's cache: ask early.
    pub fn link(&self, signature: &str) -> Link {
        let link = Link(self.hasher.hash_one(signature));
        prefetch::read(self.set(link));
        link
    }

    fn set(&self, link: Link) -> &Set {
        &self.sets[usize::try_from(link.0 % SETS as u64).unwrap_or(0)]
    }

    /// Counts one more record of the link; `false` if it is one too many.
    pub fn allow(&self, link: Link, now_ms: u64) -> bool {
        let hour = u32::try_from(now_ms / HOUR_MS).unwrap_or(u32::MAX);
        let mut set = lock(&self.set(link).0);
        let entry = find(&mut set, link.0, hour);
        if entry.count >= self.limit {
            return false;
        }
        entry.count += 1;
        true
    }

    /// Notes that a record of `ad` was not appended.
    pub fn count(&self, ad: &str) {
        let mut by_ad = lock(&self.by_ad);
        let known = by_ad.contains_key(ad) || by_ad.len() < MAX_THROTTLED_ADS;
        *by_ad.entry(if known { ad } else { OTHER }.to_owned()).or_default() += 1;
    }

    /// Throttled records by ad.
    pub fn by_ad(&self) -> Vec<(String, u64)> {
        lock(&self.by_ad).iter().map(|(ad, count)| (ad.clone(), *count)).collect()
    }
}

/// The link's entry of this hour; takes the least used place if it has none.
fn find(set: &mut [Entry; WAYS], link: u64, hour: u32) -> &mut Entry {
    let place = set.iter().position(|e| e.link == link && e.hour == hour).unwrap_or_else(|| {
        let weight = |e: &Entry| if e.hour == hour { e.count } else { 0 };
        let least = (0..WAYS).min_by_key(|&way| weight(&set[way])).unwrap_or(0);
        set[least] = Entry { link, hour, count: 0 };
        least
    });
    &mut set[place]
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_its_thousand_each_hour_while_others_pass() {
        let throttle = Throttle::new(1000);
        let (hot, cold) = (throttle.link("hot"), throttle.link("cold"));
        let allowed = |now| (0..1500).filter(|_| throttle.allow(hot, now)).count();
        assert_eq!(allowed(0), 1000);
        assert_eq!(allowed(HOUR_MS - 1), 0);
        assert!(throttle.allow(cold, 0));
        assert_eq!(allowed(HOUR_MS), 1000);
    }

    #[test]
    fn a_hot_link_is_not_washed_out_by_many_others() {
        let throttle = Throttle::new(50);
        let hot = throttle.link("hot");
        for n in 0..50 {
            assert!(throttle.allow(hot, 0), "{n}");
        }
        for n in 0..400_000 {
            throttle.allow(throttle.link(&n.to_string()), 0);
        }
        assert!(!throttle.allow(hot, 0));
    }

    #[test]
    fn the_list_of_ads_is_bounded() {
        let throttle = Throttle::new(0);
        for n in 0..2 * MAX_THROTTLED_ADS {
            throttle.count(&format!("ad{n}"));
        }
        let by_ad = throttle.by_ad();
        assert_eq!(by_ad.len(), MAX_THROTTLED_ADS + 1);
        assert_eq!(by_ad.iter().map(|(_, n)| n).sum::<u64>(), 2 * MAX_THROTTLED_ADS as u64);
    }
}
