//! Reads from Redis: what an ad has in a range is asked for by name; everything is found by the
//! lists of hours and of ads in them. The mark is read before the rows, which may be newer than it
//! and never older.

use super::super::query::{LedgerReader, Scan, ScanOrder};
use super::super::{StoreError, View, order, packed};
use super::keys::{BUCKETS, Keys, Kind};
use super::link::{Link, Place, read};
use super::meta::{self, Meta};
use click_core::row::Row;
use click_core::types::Millis;
use redis::Cmd;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Idle connections kept.
const MAX_IDLE: usize = 8;
/// Hours that are asked for one by one without looking which there are.
const FEW_HOURS: u32 = 72;
/// Hours of ads that are read at once.
const AT_ONCE: usize = 2_048;

/// A cheap handle; clones share the connections.
#[derive(Clone)]
pub struct RedisReader {
    pool: Arc<Pool>,
}

struct Pool {
    place: Place,
    keys: Keys,
    idle: Mutex<Vec<Link>>,
}

impl RedisReader {
    /// Reads from one Redis; it is connected to when something is read.
    ///
    /// # Errors
    /// `Unavailable` if the URL is none.
    pub fn open(url: &str) -> Result<RedisReader, StoreError> {
        Ok(RedisReader::of(Place::single(url)?))
    }

    /// Reads from a cluster.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_cluster(nodes: &[String]) -> Result<RedisReader, StoreError> {
        Ok(RedisReader::of(Place::cluster(nodes)?))
    }

    fn of(place: Place) -> RedisReader {
        let pool = Pool { place, keys: Keys::new(), idle: Mutex::default() };
        RedisReader { pool: Arc::new(pool) }
    }
}

impl LedgerReader for RedisReader {
    fn scan(
        &self,
        scan: &Scan<'_>,
        take: &mut dyn FnMut(Row) -> bool,
    ) -> Result<Millis, StoreError> {
        let mut link = match self.pool.idle().pop() {
            Some(link) => link,
            None => self.pool.place.connect()?,
        };
        // A connection that failed is not given back.
        let mark = Reading { link: &mut link, keys: &self.pool.keys, scan }.read(take)?;
        let mut idle = self.pool.idle();
        if idle.len() < MAX_IDLE {
            idle.push(link);
        }
        Ok(mark)
    }

    fn has_summaries(&self) -> bool {
        true
    }
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, Vec<Link>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Reading<'a> {
    link: &'a mut Link,
    keys: &'a Keys,
    scan: &'a Scan<'a>,
}

/// Whose rows of which hours, in which bucket and generation.
type Wanted = (String, usize, u16, Vec<u32>);

impl Reading<'_> {
    fn read(&mut self, take: &mut dyn FnMut(Row) -> bool) -> Result<Millis, StoreError> {
        let buckets = match self.scan.only {
            Some(owner) => {
                let bucket = self.keys.bucket(owner);
                bucket..bucket + 1
            }
            None => 0..BUCKETS,
        };
        let metas = meta::of(self.link, self.keys, buckets.clone())?;
        let mark = metas.iter().map(|meta| meta.mark(meta.serving)).min().unwrap_or(0);
        if !self.scan.minutes.is_empty() {
            let wanted = self.wanted(buckets, &metas)?;
            self.rows(&wanted, take)?;
        }
        Ok(Millis(mark))
    }

    fn kind(&self) -> Kind {
        Kind::of(self.scan.view, self.scan.only)
    }

    fn wanted(&mut self, buckets: Range<usize>, metas: &[Meta]) -> Result<Vec<Wanted>, StoreError> {
        let mut wanted: BTreeMap<String, (usize, u16, Vec<u32>)> = BTreeMap::new();
        let known = buckets.zip(metas).filter(|(_, meta)| meta.log.is_some());
        let known: Vec<_> = known.map(|(bucket, meta)| (bucket, meta.serving)).collect();
        for (bucket, generation, hours) in self.hours(&known)? {
            if let Some(owner) = self.scan.only {
                wanted.insert(owner.to_owned(), (bucket, generation, hours));
                continue;
            }
            let of = (generation, self.kind());
            let ask = |hour: &u32| one("SMEMBERS", &self.keys.owners(bucket, of, *hour));
            let asks = hours.iter().map(ask).collect();
            for (hour, answer) in hours.into_iter().zip(self.link.ask(asks)?) {
                for owner in read::<Vec<String>>(answer)? {
                    let entry = wanted.entry(owner).or_insert((bucket, generation, Vec::new()));
                    entry.2.push(hour);
                }
            }
        }
        let flat = |(owner, (bucket, generation, hours))| (owner, bucket, generation, hours);
        Ok(wanted.into_iter().map(flat).collect())
    }

    /// The hours of the range of which each bucket may have rows, rising.
    fn hours(&mut self, known: &[(usize, u16)]) -> Result<Vec<(usize, u16, Vec<u32>)>, StoreError> {
        let minutes = &self.scan.minutes;
        let range = minutes.start / packed::HOUR..minutes.end.div_ceil(packed::HOUR);
        if self.scan.only.is_some() && range.len() <= FEW_HOURS as usize {
            let all = |&(bucket, generation)| (bucket, generation, range.clone().collect());
            return Ok(known.iter().map(all).collect());
        }
        let name = |&(bucket, generation): &(usize, u16)| {
            one("SMEMBERS", &self.keys.hours(bucket, generation, self.kind()))
        };
        let answers = self.link.ask(known.iter().map(name).collect())?;
        let found = known.iter().zip(answers).map(|(&(bucket, generation), answer)| {
            let mut hours: Vec<u32> = read(answer)?;
            hours.retain(|hour| range.contains(hour));
            hours.sort_unstable();
            Ok((bucket, generation, hours))
        });
        found.collect()
    }

    /// Hands out rows, some owners at a time.
    fn rows(
        &mut self,
        wanted: &[Wanted],
        take: &mut dyn FnMut(Row) -> bool,
    ) -> Result<(), StoreError> {
        let flat: Vec<_> = wanted
            .iter()
            .flat_map(|(owner, bucket, generation, hours)| {
                hours.iter().map(move |hour| (owner.as_str(), *bucket, *generation, *hour))
            })
            .collect();
        let mut rest = flat.as_slice();
        while !rest.is_empty() {
            let some;
            (some, rest) = rest.split_at(self.cut(rest));
            let mut rows = self.ask_rows(some)?;
            if self.scan.order == ScanOrder::Key {
                rows.sort_by(|a, b| order(a).cmp(&order(b)));
            }
            for row in rows {
                if !take(row) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Where a part ends that can be put in order by itself: a publisher's rows are ordered by
    /// placement before time.
    fn cut(&self, rest: &[(&str, usize, u16, u32)]) -> usize {
        let most = AT_ONCE.min(rest.len());
        match (self.scan.view, self.scan.order) {
            (View::Ad, _) | (View::Publisher, ScanOrder::Any) => most,
            (View::Publisher, ScanOrder::Key) => {
                let last = rest[most - 1].0;
                let more = rest[most..].iter().take_while(|(owner, ..)| *owner == last).count();
                most + more
            }
        }
    }

    fn ask_rows(&mut self, some: &[(&str, usize, u16, u32)]) -> Result<Vec<Row>, StoreError> {
        let (view, kind) = (self.scan.view, self.kind());
        let ask = |&(owner, bucket, generation, hour): &(&str, usize, u16, u32)| {
            one("HGETALL", &self.keys.rows(bucket, (generation, kind), hour, owner))
        };
        let answers = self.link.ask(some.iter().map(ask).collect())?;
        let mut rows = Vec::with_capacity(answers.len());
        for (&(owner, _, generation, hour), answer) in some.iter().zip(answers) {
            for (field, value) in read::<Vec<(Vec<u8>, Vec<u8>)>>(answer)? {
                let row = packed::row(view, generation, (owner, hour), &field, &value)?;
                if self.scan.minutes.contains(&row.minute.0) {
                    rows.push(row);
                }
            }
        }
        Ok(rows)
    }
}

fn one(command: &str, key: &str) -> Cmd {
    let mut one = redis::cmd(command);
    one.arg(key);
    one
}
