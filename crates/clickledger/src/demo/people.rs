//! Who visits: ads of very unequal popularity, users with an address each, and the mishaps of real
//! traffic. Knows no socket and no clock.

use anyhow::Result;
use click_core::link::{LinkSpec, SigningKey, Target, mint};

const ADS: usize = 400;
const USERS: u64 = 20_000;
/// Popularity of the ad at rank r falls with r to this power.
const ZIPF: f64 = 1.1;
/// Visits that may come a second time.
const REMEMBERED: usize = 512;
/// Clicks of a robot's burst.
pub const BURST: usize = 40;

const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like \
     Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/126.0.0.0 Mobile Safari/537.36",
];

/// A request to be made.
#[derive(Clone, Debug)]
pub struct Visit {
    pub method: &'static str,
    pub target: String,
    pub address: [u8; 4],
    pub agent: &'static str,
    pub prefetch: bool,
}

/// A small generator of pseudo-random numbers (xorshift64*).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit.max(1)
    }
}

/// The crowd.
pub struct People {
    key: SigningKey,
    dice: Dice,
    /// Cumulative popularity, in parts of 2^32.
    popularity: Vec<u64>,
    recent: Vec<(Visit, u64, u64)>,
    prefix: String,
    minted: u64,
}

impl People {
    /// A crowd whose links are signed with `key`; equal seeds behave equally but for click ids.
    pub fn new(key: SigningKey, seed: u64) -> Result<People> {
        Ok(People {
            key,
            dice: Dice(seed | 1),
            popularity: popularity(),
            recent: Vec::new(),
            prefix: crate::cli::link::random_id()?,
            minted: 0,
        })
    }

    /// The next visit, at `now` in seconds since 1970.
    pub fn visit(&mut self, now: u64) -> Result<Visit> {
        let luck = self.dice.below(1000);
        let again = self.dice.below(self.recent.len() as u64);
        if let Some((visit, user, ad)) = self.recent.get(usize::try_from(again)?).cloned() {
            match luck {
                // Back button, reload, a proxy that retries.
                0..60 => return Ok(visit),
                // The same person clicks the same ad twice, each with a link of its own.
                60..90 => return self.fresh(user, ad, now),
                _ => {}
            }
        }
        let (user, ad) = (self.dice.below(USERS), self.pick_ad());
        let mut visit = self.fresh(user, ad, now)?;
        match luck {
            90..120 => visit.prefetch = true,
            120..135 => visit.method = "HEAD",
            _ => self.remember(&visit, user, ad),
        }
        Ok(visit)
    }

    /// One source, many clicks at once.
    pub fn burst(&mut self, now: u64) -> Result<Vec<Visit>> {
        let ad = self.pick_ad();
        let mut visits = Vec::with_capacity(BURST);
        for _ in 0..BURST {
            let mut visit = self.fresh(USERS + self.minted, ad, now)?;
            visit.address = [203, 0, 113, 7];
            visits.push(visit);
        }
        Ok(visits)
    }

    fn remember(&mut self, visit: &Visit, user: u64, ad: u64) {
        let entry = (visit.clone(), user, ad);
        match self.recent.len() < REMEMBERED {
            true => self.recent.push(entry),
            false => {
                let slot = self.minted % REMEMBERED as u64;
                if let Some(place) = usize::try_from(slot).ok().and_then(|i| self.recent.get_mut(i))
                {
                    *place = entry;
                }
            }
        }
    }

    fn fresh(&mut self, user: u64, ad: u64, now: u64) -> Result<Visit> {
        self.minted += 1;
        let ad_name = format!("ad-{ad:03}");
        let price = 20_000 + ad * 7919 % 480_000;
        let spec = LinkSpec {
            click_id: &format!("{}-{}", self.prefix, self.minted),
            user_id: &format!("user-{user}"),
            ad_id: &ad_name,
            campaign_id: &format!("campaign-{}", ad / 8),
            advertiser_id: &format!("advertiser-{}", ad / 40),
            publisher_id: &format!("site-{}", user % 25),
            placement_id: ["top", "side", "foot"][usize::try_from(user % 3)?],
            price_micros: Some(price),
            payout_micros: Some(price * 7 / 10),
            currency: "USD",
            expires_s: Some(now + 3600),
            target: Target::Url("https://example.com/landing"),
        };
        let [_, b, c, d] = u32::try_from(user)?.to_be_bytes();
        Ok(Visit {
            method: "GET",
            target: mint(&spec, &self.key)?,
            address: [81, b, c, d],
            agent: AGENTS[usize::try_from(user % 4)?],
            prefetch: false,
        })
    }

    fn pick_ad(&mut self) -> u64 {
        let at = self.dice.below(1 << 32);
        self.popularity.partition_point(|bound| *bound <= at).min(ADS - 1) as u64
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a table of popularity needs no exactness"
)]
fn popularity() -> Vec<u64> {
    let weight = |rank: usize| 1.0 / ((rank + 1) as f64).powf(ZIPF);
    let total: f64 = (0..ADS).map(weight).sum();
    let mut sum = 0.0;
    let mut cumulative = |rank| {
        sum += weight(rank) / total;
        (sum * 4_294_967_296.0) as u64
    };
    (0..ADS).map(&mut cumulative).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use click_core::link::ParsedLink;
    use std::collections::BTreeMap;

    #[test]
    fn the_crowd_behaves_as_described() {
        let key = SigningKey::new("k1", b"secret").unwrap();
        let mut people = People::new(key, 7).unwrap();
        let (mut ads, mut ids) = (BTreeMap::new(), BTreeMap::new());
        let (mut heads, mut prefetches) = (0, 0);
        for _ in 0..20_000 {
            let visit = people.visit(1_700_000_000).unwrap();
            let link = ParsedLink::parse(&visit.target.as_bytes()[3..]).unwrap();
            *ads.entry(link.ad_id().decode().into_owned()).or_insert(0) += 1;
            *ids.entry(link.click_id().decode().into_owned()).or_insert(0) += 1;
            heads += i32::from(visit.method == "HEAD");
            prefetches += i32::from(visit.prefetch);
        }
        assert!(ads["ad-000"] > 10 * ads["ad-050"], "{ads:?}");
        let repeated = ids.values().filter(|count| **count > 1).count();
        assert!((500..2000).contains(&repeated), "{repeated}");
        assert!((200..400).contains(&heads) && (400..800).contains(&prefetches));
        assert_eq!(people.burst(0).unwrap().len(), BURST);
    }
}
