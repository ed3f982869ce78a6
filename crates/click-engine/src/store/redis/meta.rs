//! What each bucket says of itself: whose it is, which generation is served, and its marks.

use super::super::StoreError;
use super::keys::{BUCKETS, Keys, Kind};
use super::link::{Link, read};
use redis::Cmd;
use std::collections::{BTreeMap, HashMap};

const MARK: &str = "mark:";
/// Before the name of a writer, whose number is kept under it.
const WRITER: &str = "writer:";
/// Writers whose numbers are kept.
const WRITERS: usize = 8;
/// Keys that are removed at once.
const REMOVE: usize = 1_000;

/// One bucket's.
#[derive(Default)]
pub(super) struct Meta {
    pub(super) log: Option<String>,
    pub(super) serving: u16,
    newest: u16,
    writers: Vec<String>,
    pub(super) marks: BTreeMap<u16, u64>,
}

pub(super) fn mark_name(generation: u16) -> String {
    format!("{MARK}{generation}")
}

/// Of all buckets, in their order.
pub(super) fn all(link: &mut Link, keys: &Keys) -> Result<Vec<Meta>, StoreError> {
    of(link, keys, 0..BUCKETS)
}

/// Of some.
pub(super) fn of(
    link: &mut Link,
    keys: &Keys,
    buckets: std::ops::Range<usize>,
) -> Result<Vec<Meta>, StoreError> {
    let asks = buckets.map(|bucket| get(&keys.meta(bucket))).collect();
    link.ask(asks)?.into_iter().map(|answer| Ok(Meta::parse(read(answer)?))).collect()
}

fn get(key: &str) -> Cmd {
    let mut get = redis::cmd("HGETALL");
    get.arg(key);
    get
}

impl Meta {
    fn parse(mut fields: HashMap<String, String>) -> Meta {
        let number = |text: Option<&String>| text.and_then(|text| text.parse().ok()).unwrap_or(0);
        let marks = fields.iter().filter_map(|(name, value)| {
            Some((name.strip_prefix(MARK)?.parse().ok()?, value.parse().ok()?))
        });
        let writers = fields.keys().filter(|name| name.starts_with(WRITER));
        Meta {
            writers: writers.cloned().collect(),
            marks: marks.collect(),
            serving: number(fields.get("serving")),
            newest: number(fields.get("newest")),
            log: fields.remove("log"),
        }
    }

    pub(super) fn mark(&self, generation: u16) -> u64 {
        self.marks.get(&generation).copied().unwrap_or(0)
    }

    pub(super) fn check(&self, log_id: &str, generation: u16) -> Result<(), StoreError> {
        if let Some(found) = self.log.as_ref().filter(|found| *found != log_id) {
            let (found, expected) = (found.clone(), log_id.to_owned());
            return Err(StoreError::OtherLog { found, expected });
        }
        if self.newest > generation {
            return Err(newer(&self.newest.to_string(), generation));
        }
        Ok(())
    }
}

pub(super) fn newer(found: &str, generation: u16) -> StoreError {
    StoreError::Refused(format!(
        "the store serves generation {found}, this log is generation {generation}"
    ))
}

/// A name for a writer. Those of others are removed where they have become many: one that is still
/// there takes that for a loss, and writes its last minute once more.
pub(super) fn new_writer(
    link: &mut Link,
    keys: &Keys,
    metas: &[Meta],
) -> Result<String, StoreError> {
    let mut remove = Vec::new();
    for (bucket, meta) in metas.iter().enumerate().filter(|(_, meta)| meta.writers.len() > WRITERS)
    {
        let mut command = redis::cmd("HDEL");
        command.arg(keys.meta(bucket)).arg(&meta.writers);
        remove.push(command);
    }
    link.ask(remove)?;
    let mut random = [0; 8];
    getrandom::fill(&mut random)
        .map_err(|error| StoreError::Unavailable(format!("random numbers: {error}")))?;
    Ok(format!("{WRITER}{:016x}", u64::from_be_bytes(random)))
}

/// A Redis that removes keys when memory runs out would lose rows and keep the mark.
pub(super) fn check_eviction(link: &mut Link) -> Result<(), StoreError> {
    let mut info = redis::cmd("INFO");
    info.arg("memory");
    let said = format!("{:?}", link.ask_one::<redis::Value>(&info)?);
    let after = |text: &str, name: &str| -> Option<String> {
        let rest = &text[text.find(name)? + name.len()..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        Some(rest[..end.unwrap_or(rest.len())].to_owned())
    };
    for node in said.split("used_memory:").skip(1) {
        let limit = after(node, "maxmemory:").unwrap_or_default();
        let policy = after(node, "maxmemory_policy:").unwrap_or_default();
        if !matches!(limit.as_str(), "" | "0") && !matches!(policy.as_str(), "" | "noeviction") {
            return Err(StoreError::Refused(format!(
                "this redis throws keys away when memory is short (maxmemory-policy {policy}): \
                 set it to noeviction"
            )));
        }
    }
    Ok(())
}

/// Removes a generation, and says of each bucket that another one is served.
pub(super) fn retire(link: &mut Link, keys: &Keys, old: u16, new: u16) -> Result<(), StoreError> {
    for bucket in 0..BUCKETS {
        let meta = keys.meta(bucket);
        link.ask_one::<i64>(redis::cmd("HSET").arg(&meta).arg("serving").arg(new))?;
        for kind in Kind::ALL {
            let hours = keys.hours(bucket, old, kind);
            let known: Vec<u32> = link.ask_one(redis::cmd("SMEMBERS").arg(&hours))?;
            for hour in known {
                let of_hour = keys.owners(bucket, (old, kind), hour);
                let owners: Vec<String> = link.ask_one(redis::cmd("SMEMBERS").arg(&of_hour))?;
                for some in owners.chunks(REMOVE) {
                    let mut remove = redis::cmd("UNLINK");
                    for owner in some {
                        remove.arg(keys.rows(bucket, (old, kind), hour, owner));
                    }
                    link.ask_one::<i64>(&remove)?;
                }
                link.ask_one::<i64>(redis::cmd("UNLINK").arg(&of_hour))?;
            }
            link.ask_one::<i64>(redis::cmd("UNLINK").arg(&hours))?;
        }
        link.ask_one::<i64>(redis::cmd("HDEL").arg(&meta).arg(mark_name(old)))?;
    }
    Ok(())
}
