//! Which store: `sqlite:FILE`, `redis://HOST:PORT/DB`, `redis-cluster://HOST:PORT,...` or
//! `cassandra://HOST:PORT,.../KEYSPACE`, and how it is opened. Must never show a password.

use super::{LedgerReader, LedgerStore, SqliteReader, SqliteStore, StoreError};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// A store that can be opened.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreAddress {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// One Redis.
    Redis(String),
    /// A Redis Cluster: URLs of some of its nodes.
    RedisCluster(Vec<String>),
    /// A keyspace in Apache Cassandra.
    Cassandra(CassandraAddress),
}

/// `cassandra://[USER:PASSWORD@]HOST:PORT[,HOST:PORT...]/KEYSPACE[?OPTION=VALUE&...]`
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CassandraAddress {
    /// Nodes to ask first, `HOST:PORT`.
    pub nodes: Vec<String>,
    /// The keyspace.
    pub keyspace: String,
    /// User and password, if any.
    pub login: Option<(String, String)>,
    /// `replication`: copies per data centre, such as `dc1:3,dc2:3`; for a keyspace to be made.
    pub replication: Vec<(String, u32)>,
    /// `local_dc`: the data centre that is written to and read from first.
    pub local_dc: Option<String>,
    /// `consistency`: how many copies confirm a row.
    pub consistency: Consistency,
    /// `ttl_days`: rows are removed so long after they were written; 0: never.
    pub ttl_days: u32,
}

/// How many copies confirm a row, and are asked for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// One copy, in any data centre.
    One,
    /// Most copies of the local data centre.
    #[default]
    LocalQuorum,
    /// Most copies of all.
    Quorum,
}

/// What `store.url` may be.
const SHAPES: &str = "write sqlite:FILE, redis://HOST:PORT/DB, redis-cluster://HOST:PORT,HOST:PORT \
     or cassandra://HOST:PORT,HOST:PORT/KEYSPACE";

impl FromStr for StoreAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<StoreAddress, String> {
        if let Some(file) = text.strip_prefix("sqlite:").filter(|file| !file.is_empty()) {
            return Ok(StoreAddress::Sqlite(file.into()));
        }
        if let Some(rest) = text.strip_prefix("redis://") {
            let (place, db) = rest.split_once('/').unwrap_or((rest, "0"));
            let (_, host) = login(place);
            check_node(host)?;
            if db.parse::<u32>().is_err() {
                return Err(format!("'{db}' is no number of a database; {SHAPES}"));
            }
            return Ok(StoreAddress::Redis(text.to_owned()));
        }
        if let Some(rest) = text.strip_prefix("redis-cluster://") {
            let (login, hosts) = login(rest.trim_end_matches('/'));
            let login = login.map_or(String::new(), |login| format!("{login}@"));
            hosts.split(',').try_for_each(check_node)?;
            let nodes = hosts.split(',').map(|host| format!("redis://{login}{host}"));
            return Ok(StoreAddress::RedisCluster(nodes.collect()));
        }
        match text.strip_prefix("cassandra://") {
            Some(rest) => Ok(StoreAddress::Cassandra(cassandra(rest)?)),
            None => Err(format!("'{}' is no store; {SHAPES}", hide(text))),
        }
    }
}

/// Stores in the order of a list: URLs behind one another, separated by spaces, or by commas where
/// the next one begins.
///
/// # Errors
/// Which of them is none.
pub fn store_list(text: &str) -> Result<Vec<StoreAddress>, String> {
    let mut found: Vec<String> = Vec::new();
    for part in text.split([',', ' ']).filter(|part| !part.is_empty()) {
        let begins = part.contains("://") || part.starts_with("sqlite:");
        match found.last_mut().filter(|_| !begins) {
            // A further node of the store before.
            Some(before) => *before = format!("{before},{part}"),
            None => found.push(part.to_owned()),
        }
    }
    found.iter().map(|text| text.parse()).collect()
}

fn login(place: &str) -> (Option<&str>, &str) {
    match place.rsplit_once('@') {
        Some((login, host)) => (Some(login), host),
        None => (None, place),
    }
}

fn check_node(node: &str) -> Result<(), String> {
    let port = node.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.and_then(|(_, port)| port.parse::<u16>().ok()) {
        Some(_) => Ok(()),
        None => Err(format!("'{node}' is no HOST:PORT; {SHAPES}")),
    }
}

fn cassandra(rest: &str) -> Result<CassandraAddress, String> {
    let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
    let (place, keyspace) = place.split_once('/').ok_or(SHAPES)?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let is_name = keyspace.bytes().all(plain) && keyspace.starts_with(|c: char| c.is_alphabetic());
    if !is_name || keyspace.len() > 48 {
        return Err(format!(
            "'{keyspace}' is no keyspace: a letter, then letters, digits or '_', at most 48, small"
        ));
    }
    let (login, hosts) = login(place);
    hosts.split(',').try_for_each(check_node)?;
    let mut address = CassandraAddress {
        nodes: hosts.split(',').map(str::to_owned).collect(),
        keyspace: keyspace.to_owned(),
        login: login.and_then(|login| login.split_once(':')).map(|(a, b)| (a.into(), b.into())),
        ..CassandraAddress::default()
    };
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        set_option(&mut address, name, value)?;
    }
    Ok(address)
}

fn set_option(address: &mut CassandraAddress, name: &str, value: &str) -> Result<(), String> {
    match (name, value) {
        ("replication", _) => {
            let one = |part: &str| -> Option<(String, u32)> {
                let (dc, copies) = part.split_once(':')?;
                let is_name = dc.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
                (is_name && !dc.is_empty()).then_some((dc.to_owned(), copies.parse().ok()?))
            };
            let all: Option<_> = value.split([',', '+']).map(one).collect();
            address.replication = all.ok_or_else(|| {
                format!("replication '{value}' is no DATACENTRE:COPIES, such as dc1:3+dc2:3")
            })?;
        }
        ("local_dc", _) => address.local_dc = Some(value.to_owned()),
        ("consistency", "one") => address.consistency = Consistency::One,
        ("consistency", "local_quorum") => address.consistency = Consistency::LocalQuorum,
        ("consistency", "quorum") => address.consistency = Consistency::Quorum,
        ("consistency", _) => {
            return Err(format!("consistency '{value}': use one, local_quorum or quorum"));
        }
        ("ttl_days", _) => {
            address.ttl_days =
                value.parse().map_err(|_| format!("ttl_days '{value}': a number"))?;
        }
        _ => {
            return Err(format!(
                "'{name}' is no option: use replication, local_dc, consistency or ttl_days"
            ));
        }
    }
    Ok(())
}

/// A list of stores, as it may be shown: without users and passwords.
pub fn without_logins(list: &str) -> String {
    list.split_whitespace().map(hide).collect::<Vec<_>>().join(" ")
}

/// Without what stands before an `@`.
fn hide(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://***@{rest}"),
        _ => text.to_owned(),
    }
}

impl StoreAddress {
    /// The same with a file's whole path.
    #[must_use]
    pub fn below(&self, base: &Path) -> StoreAddress {
        match self {
            StoreAddress::Sqlite(file) => StoreAddress::Sqlite(base.join(file)),
            StoreAddress::Redis(_) | StoreAddress::RedisCluster(_) | StoreAddress::Cassandra(_) => {
                self.clone()
            }
        }
    }

    /// Opens it for writing, or begins it; a file lies below `base`.
    ///
    /// # Errors
    /// As the store's, or `Refused` where this build does not have it.
    pub fn open(
        &self,
        base: &Path,
        log_id: &str,
        generation: u16,
    ) -> Result<Box<dyn LedgerStore>, StoreError> {
        match self {
            StoreAddress::Sqlite(file) => {
                Ok(Box::new(SqliteStore::open(&base.join(file), log_id, generation)?))
            }
            #[cfg(feature = "redis")]
            StoreAddress::Redis(url) => {
                Ok(Box::new(super::RedisStore::open(url, log_id, generation)?))
            }
            #[cfg(feature = "redis")]
            StoreAddress::RedisCluster(nodes) => {
                Ok(Box::new(super::RedisStore::open_cluster(nodes, log_id, generation)?))
            }
            #[cfg(feature = "cassandra")]
            StoreAddress::Cassandra(address) => {
                Ok(Box::new(super::CassandraStore::open(address, log_id, generation)?))
            }
            #[cfg(not(all(feature = "redis", feature = "cassandra")))]
            other => Err(other.not_built()),
        }
    }

    /// Opens it for reading.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn reader(&self, base: &Path) -> Result<Arc<dyn LedgerReader>, StoreError> {
        match self {
            StoreAddress::Sqlite(file) => Ok(Arc::new(SqliteReader::open(&base.join(file))?)),
            #[cfg(feature = "redis")]
            StoreAddress::Redis(url) => Ok(Arc::new(super::RedisReader::open(url)?)),
            #[cfg(feature = "redis")]
            StoreAddress::RedisCluster(nodes) => {
                Ok(Arc::new(super::RedisReader::open_cluster(nodes)?))
            }
            #[cfg(feature = "cassandra")]
            StoreAddress::Cassandra(address) => {
                Ok(Arc::new(super::CassandraReader::open(address)?))
            }
            #[cfg(not(all(feature = "redis", feature = "cassandra")))]
            other => Err(other.not_built()),
        }
    }

    #[cfg(not(all(feature = "redis", feature = "cassandra")))]
    fn not_built(&self) -> StoreError {
        let feature = match self {
            StoreAddress::Cassandra(_) => "cassandra",
            StoreAddress::Sqlite(_) | StoreAddress::Redis(_) | StoreAddress::RedisCluster(_) => {
                "redis"
            }
        };
        StoreError::Refused(format!("this build has no {self}: build with --features {feature}"))
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreAddress::Sqlite(file) => write!(f, "{}", file.display()),
            StoreAddress::Redis(url) => write!(f, "{}", hide(url)),
            StoreAddress::RedisCluster(nodes) => {
                let hosts: Vec<_> =
                    nodes.iter().map(|node| login(node.trim_start_matches("redis://")).1).collect();
                write!(f, "redis-cluster://{}", hosts.join(","))
            }
            StoreAddress::Cassandra(address) => {
                write!(f, "cassandra://{}/{}", address.nodes.join(","), address.keyspace)
            }
        }
    }
}

/// No password.
impl fmt::Debug for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        store_list(text).map_or_else(|error| format!("error: {error}"), |all| format!("{all:?}"))
    }

    #[test]
    fn urls_are_told_apart_and_passwords_are_not_shown() {
        assert_eq!(shown("sqlite:a.db"), "[a.db]");
        assert_eq!(shown("redis://me:secret@h:1/2"), "[redis://***@h:1/2]");
        assert_eq!(
            shown("redis-cluster://u:pw@a:1,b:2,c:3, cassandra://x:9042,y:9042/ads,sqlite:l.db"),
            "[redis-cluster://a:1,b:2,c:3, cassandra://x:9042,y:9042/ads, l.db]"
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("mysql://h/db", "is no store"),
            ("redis://h/0", "is no HOST:PORT"),
            ("redis://h:1/x", "is no number"),
            ("cassandra://h:1/Ads", "is no keyspace"),
            ("cassandra://h:1/ads?x=1", "is no option"),
            ("cassandra://h:1/ads?replication=3", "DATACENTRE:COPIES"),
        ] {
            assert!(shown(text).contains(part), "{text}: {}", shown(text));
        }
    }

    #[test]
    fn options_of_cassandra() {
        let url = "cassandra://u:p@h:1/ads?replication=dc1:3+dc2:2&local_dc=dc1&consistency=quorum";
        let Ok(StoreAddress::Cassandra(found)) = url.parse() else { panic!("{url}") };
        assert_eq!(found.replication, [("dc1".to_owned(), 3), ("dc2".to_owned(), 2)]);
        assert_eq!(found.login, Some(("u".to_owned(), "p".to_owned())));
        assert_eq!(found.consistency, Consistency::Quorum);
    }
}
