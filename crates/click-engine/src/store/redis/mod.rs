//! Redis, a single one or a cluster, as a serving store.
//!
//! Rows are absolute and written by one script for each bucket, which compares versions and writes
//! the bucket's rows, or none of them. Each bucket has a mark of its own beside its rows: what a
//! failover takes back of the rows it takes back of the mark, and the next write notices. Must
//! never increment anything, and never raise a mark over rows that are gone.

mod keys;
mod link;
mod meta;
mod reader;

use super::sqlite::{check_same, other_generation};
use super::{LedgerStore, StoreError, View, packed};
use click_core::row::Row;
use click_core::types::Millis;
use keys::{BUCKETS, Keys, Kind};
use link::{Link, Place};
use meta::Meta;
use redis::{Cmd, Value};
use std::collections::BTreeMap;

pub use reader::RedisReader;

const UPSERT: &str = include_str!("upsert.lua");
/// Most rows of one script: a Redis answers nobody else meanwhile.
const SCRIPT_ROWS: usize = 256;

/// The writing side.
pub struct RedisStore {
    place: Place,
    link: Option<Link>,
    keys: Keys,
    log_id: String,
    generation: u16,
    /// What each bucket has confirmed to this writer.
    marks: Vec<u64>,
    /// The number of its last script that each bucket has confirmed: rows that are lost before a
    /// mark vouches for them are noticed, too.
    confirmed: Vec<u64>,
    /// Number of the script before, and the name under which a bucket keeps it.
    number: u64,
    writer: String,
    /// Generations that are there and not served any more once this one has caught up.
    older: Vec<u16>,
}

impl RedisStore {
    /// Opens or begins the store of a log in one Redis: `redis://HOST:PORT/DB`.
    ///
    /// # Errors
    /// `OtherLog` if it holds another log; `Refused` if it holds a newer generation or may throw
    /// rows away; `Unavailable` if it does not answer.
    pub fn open(url: &str, log_id: &str, generation: u16) -> Result<RedisStore, StoreError> {
        RedisStore::connect(Place::single(url)?, log_id, generation)
    }

    /// The same in a cluster, of which these nodes are asked first.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_cluster(
        nodes: &[String],
        log_id: &str,
        generation: u16,
    ) -> Result<RedisStore, StoreError> {
        RedisStore::connect(Place::cluster(nodes)?, log_id, generation)
    }

    fn connect(place: Place, log_id: &str, generation: u16) -> Result<RedisStore, StoreError> {
        let mut link = place.connect()?;
        meta::check_eviction(&mut link)?;
        let keys = Keys::new();
        let metas = meta::all(&mut link, &keys)?;
        for meta in &metas {
            meta.check(log_id, generation)?;
        }
        let mut older: Vec<u16> =
            metas.iter().flat_map(|meta| meta.marks.keys().copied()).collect();
        older.retain(|found| *found < generation);
        older.sort_unstable();
        older.dedup();
        let marks = metas.iter().map(|meta| meta.mark(generation)).collect();
        let writer = meta::new_writer(&mut link, &keys, &metas)?;
        let (confirmed, number) = (vec![0; BUCKETS], 0);
        let (link, log_id) = (Some(link), log_id.to_owned());
        let mut store = RedisStore {
            place,
            link,
            keys,
            log_id,
            generation,
            marks,
            confirmed,
            number,
            writer,
            older,
        };
        // Each bucket learns whose it is, before a reader or another writer comes.
        store.set_mark(Millis(0))?;
        Ok(store)
    }

    /// Sends scripts and judges their answers, each with its bucket.
    fn send(&mut self, scripts: Vec<(usize, Cmd)>) -> Result<(), StoreError> {
        let (buckets, scripts): (Vec<_>, Vec<_>) = scripts.into_iter().unzip();
        let link = match &mut self.link {
            Some(link) => link,
            None => self.link.insert(self.place.connect()?),
        };
        let answers = link.ask(scripts);
        if answers.is_err() {
            self.link = None;
        }
        let confirmed = self.least_mark();
        let mut lost = None::<u64>;
        for answer in answers? {
            if let Some(found) = self.judge(answer)? {
                lost = Some(lost.map_or(found, |lost| lost.min(found)));
            }
        }
        let Some(mark) = lost else {
            for bucket in buckets {
                self.confirmed[bucket] = self.number;
            }
            return Ok(());
        };
        // Others of the same server will have fallen back as well: one error tells of all.
        for known in &mut self.marks {
            *known = mark.min(*known);
        }
        self.confirmed.fill(0);
        Err(StoreError::Lost { mark: Millis(mark), confirmed })
    }

    /// The mark that the bucket fell back to, if it did.
    fn judge(&self, answer: Value) -> Result<Option<u64>, StoreError> {
        let parts: Vec<Vec<u8>> = match link::read::<Vec<Value>>(answer)?.as_slice() {
            [word, rest @ ..] if word == &Value::BulkString(b"ok".to_vec()) => {
                let _written = rest;
                return Ok(None);
            }
            parts => parts.iter().cloned().map(link::read).collect::<Result<_, _>>()?,
        };
        let text = |at: usize| {
            let bytes: &[u8] = parts.get(at).map_or(&[], Vec::as_slice);
            String::from_utf8_lossy(bytes).into_owned()
        };
        match text(0).as_str() {
            "lost" => Ok(Some(text(1).parse().unwrap_or(0))),
            "log" => Err(StoreError::OtherLog { found: text(1), expected: self.log_id.clone() }),
            "newer" => Err(meta::newer(&text(1), self.generation)),
            "same" => Err(self.conflict(&parts)),
            word => Err(StoreError::Refused(format!("redis answered {word:?} to a script"))),
        }
    }

    fn conflict(&self, parts: &[Vec<u8>]) -> StoreError {
        let told = || -> Result<(), StoreError> {
            let [_, owner, hour, field, kept, offered] = parts else { return Ok(()) };
            let owner = String::from_utf8_lossy(owner);
            let hour = String::from_utf8_lossy(hour).parse().unwrap_or(0);
            let place = (&*owner, hour);
            // Which view does not matter for saying what differs, as long as it can be read.
            let read = |value: &[u8]| {
                packed::row(View::Ad, self.generation, place, field, value)
                    .or_else(|_| packed::row(View::Publisher, self.generation, place, field, value))
            };
            check_same(&read(kept)?, &read(offered)?)
        };
        match told() {
            Err(error) => error,
            Ok(()) => StoreError::Refused("redis took equal rows for different ones".into()),
        }
    }

    fn script(&self, bucket: usize, groups: &[Group<'_>], mark: &str) -> Cmd {
        let mut script = redis::cmd("EVAL");
        script.arg(UPSERT).arg(2 + 2 * groups.len());
        let kind = groups.first().map_or(Kind::Ad, |group| group.kind);
        script.arg(self.keys.meta(bucket)).arg(self.keys.hours(bucket, self.generation, kind));
        for group in groups {
            let of = (self.generation, group.kind);
            script.arg(self.keys.rows(bucket, of, group.hour, group.owner));
            script.arg(self.keys.owners(bucket, of, group.hour));
        }
        script.arg(&self.log_id).arg(self.generation).arg(meta::mark_name(self.generation));
        script.arg(self.marks[bucket]).arg(mark);
        script.arg(&self.writer).arg(self.confirmed[bucket]).arg(self.number);
        for group in groups {
            script.arg(group.owner).arg(group.hour).arg(group.rows.len());
            for row in &group.rows {
                script.arg(packed::field(row)).arg(packed::value(row));
            }
        }
        script
    }

    fn scripts(&self, rows: &[Row]) -> Vec<(usize, Cmd)> {
        let mut groups: BTreeMap<(usize, Kind, u32, &str), Vec<&Row>> = BTreeMap::new();
        for row in rows {
            let owner = packed::owner(&row.key);
            let kind = Kind::of(View::of(&row.key), Some(owner));
            let place = (self.keys.bucket(owner), kind, row.minute.0 / packed::HOUR, owner);
            groups.entry(place).or_default().push(row);
        }
        let (mut scripts, mut of, mut some, mut many) = (Vec::new(), None, Vec::new(), 0);
        for ((bucket, kind, hour, owner), rows) in groups {
            for rows in rows.chunks(SCRIPT_ROWS) {
                let full = many + rows.len() > SCRIPT_ROWS;
                if let Some((before, _)) = of.filter(|before| full || *before != (bucket, kind)) {
                    scripts.push((before, self.script(before, &some, "")));
                    some.clear();
                    many = 0;
                }
                of = Some((bucket, kind));
                many += rows.len();
                some.push(Group { kind, hour, owner, rows: rows.to_vec() });
            }
        }
        scripts.extend(of.map(|(bucket, _)| (bucket, self.script(bucket, &some, ""))));
        scripts
    }

    fn least_mark(&self) -> Millis {
        Millis(self.marks.iter().copied().min().unwrap_or(0))
    }

    /// Serves this generation alone once it knows as much as the one before.
    fn retire_older(&mut self) -> Result<(), StoreError> {
        let confirmed = self.least_mark().0;
        let Some(link) = self.link.as_mut().filter(|_| !self.older.is_empty()) else {
            return Ok(());
        };
        let metas = meta::all(link, &self.keys)?;
        let served = |old: &u16| metas.iter().map(|meta| meta.mark(*old)).max().unwrap_or(0);
        if self.older.iter().any(|old| served(old) > confirmed) {
            return Ok(());
        }
        for old in std::mem::take(&mut self.older) {
            meta::retire(link, &self.keys, old, self.generation)?;
        }
        Ok(())
    }
}

/// Rows of one hour of an ad or publisher.
struct Group<'r> {
    kind: Kind,
    hour: u32,
    owner: &'r str,
    rows: Vec<&'r Row>,
}

impl LedgerStore for RedisStore {
    fn upsert(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        let wrong = rows.iter().find(|row| row.version.generation() != self.generation);
        if let Some(row) = wrong {
            return Err(other_generation(row.version, self.generation));
        }
        self.number += 1;
        let scripts = self.scripts(rows);
        self.send(scripts)
    }

    fn set_mark(&mut self, mark: Millis) -> Result<(), StoreError> {
        self.number += 1;
        let text = mark.0.to_string();
        let script = |bucket| (bucket, self.script(bucket, &[], &text));
        let scripts = (0..BUCKETS).map(script).collect();
        self.send(scripts)?;
        for known in &mut self.marks {
            *known = mark.0.max(*known);
        }
        self.retire_older()
    }

    fn may_fall_back(&self) -> bool {
        true
    }

    fn wants_summaries(&self) -> bool {
        true
    }

    fn mark(&mut self) -> Result<Millis, StoreError> {
        let mut link = self.place.connect()?;
        let metas = meta::all(&mut link, &self.keys)?;
        let marks = metas.iter().map(|meta: &Meta| meta.mark(self.generation));
        Ok(Millis(marks.min().unwrap_or(0)))
    }
}
