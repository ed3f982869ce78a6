//! Configuration: one shipped file of defaults, a file, the environment and flags over it, checked
//! as a whole before anything starts. Every error names the place, the key and the fix.
//!
//! Must never guess: an unknown key or a value of another type is refused.

mod layers;
mod other_site;
mod reference;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use click_engine::archive::{LEAST_TRUNCATION_AGE_HOURS, Location};
use click_engine::kafka::KafkaAddress;
use click_engine::store::{StoreAddress, store_list};
use ipnet::IpNet;
use serde::Deserialize;

pub use layers::Layers;
pub use other_site::OtherSite;
pub use reference::reference;

/// The shipped defaults.
pub const DEFAULTS: &str = include_str!("default.toml");
/// Shortest access token.
const MIN_TOKEN: usize = 16;

/// The effective configuration, one field per key of `default.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub data: PathBuf,
    pub listen: String,
    pub admin_listen: String,
    pub access_token: String,
    pub roles: Vec<Role>,
    pub tls: Tls,
    pub tracker: Tracker,
    pub engine: Engine,
    pub log: Log,
    pub kafka: Kafka,
    pub spool: Spool,
    pub store: Store,
    pub archive: Archive,
}

/// `roles`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Tracker,
    Engine,
}

/// `[tls]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub certificates: String,
    pub private_key: String,
}

/// `[tracker]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracker {
    pub label: String,
    pub trusted_proxies: Vec<String>,
    pub redirect_deadline_ms: u64,
    pub batch_deadline_ms: u64,
    pub records_per_link_hour: u32,
    pub extra_schemes: Vec<String>,
    pub paused_ads: String,
    pub threads: usize,
    pub max_connections: u64,
}

/// `[engine]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    pub threads: usize,
    pub publish_mode: Mode,
    pub publish_interval_ms: u64,
    pub live_interval_ms: u64,
    pub checkpoint_interval_ms: u64,
}

/// `engine.publish_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Live,
    Minute,
}

/// `[log]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub url: String,
    pub partitions: u32,
    pub segment_bytes: u64,
    pub keep_hours: u64,
    pub keep_bytes: u64,
}

impl Log {
    /// The topic, if the log is one.
    ///
    /// # Errors
    /// If `url` is none.
    pub fn kafka(&self) -> Result<Option<KafkaAddress>> {
        let set = !self.url.is_empty();
        set.then(|| self.url.parse().map_err(anyhow::Error::msg)).transpose()
    }
}

/// `[kafka]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    pub properties: Vec<String>,
    pub allow_single_replica: bool,
    pub delivery_timeout_ms: u64,
}

impl Kafka {
    /// `properties`, taken apart.
    ///
    /// # Errors
    /// If one is no KEY=VALUE.
    pub fn pairs(&self) -> Result<BTreeMap<String, String>> {
        let pair = |text: &String| {
            let (key, value) = text.split_once('=').with_context(|| {
                format!("'{text}' is no KEY=VALUE, such as security.protocol=SSL")
            })?;
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        };
        self.properties.iter().map(pair).collect()
    }
}

/// `[spool]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spool {
    pub after_ms: u64,
    pub keep_hours: u64,
    pub copy_to: String,
    pub copy_token: String,
    pub copy_ca: String,
    pub copy_after_ms: u64,
    pub copy_missing: CopyMissing,
}

/// `spool.copy_missing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CopyMissing {
    Refuse,
    Accept,
}

impl Spool {
    /// The other site, if there is one.
    ///
    /// # Errors
    /// If `copy_to` is none, or how to speak to it is missing.
    pub fn other_site(&self) -> Result<Option<OtherSite>> {
        if self.copy_to.is_empty() {
            return Ok(None);
        }
        let site: OtherSite = self.copy_to.parse()?;
        if self.copy_token.is_empty() {
            bail!("'spool.copy_token' is missing: set the same one at both sites");
        }
        if site.is_https && self.copy_ca.is_empty() {
            bail!("HTTPS needs 'spool.copy_ca', such as /etc/ssl/certs/ca-certificates.crt");
        }
        Ok(Some(site))
    }
}

/// `[store]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    pub url: String,
}

impl Store {
    /// The stores, the one that reports read first.
    ///
    /// # Errors
    /// Which URL is none.
    pub fn addresses(&self) -> Result<Vec<StoreAddress>> {
        let found = store_list(&self.url).map_err(anyhow::Error::msg)?;
        let default = || vec![StoreAddress::Sqlite("ledger.db".into())];
        Ok(if found.is_empty() { default() } else { found })
    }
}

/// `[archive]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    pub url: String,
    pub interval_ms: u64,
    pub threads: usize,
    pub verdicts: VerdictsOf,
    pub truncate_after_hours: u64,
}

/// Who gives the verdicts that are archived.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum VerdictsOf {
    /// A fold of the archive's own.
    Fold,
    /// A job in Flink or Spark.
    Job,
}

impl Archive {
    /// Where the server archives, if it does.
    ///
    /// # Errors
    /// If `url` is no place that this program can write to.
    pub fn place(&self, data: &Path) -> Result<Option<Location>> {
        if self.url.is_empty() {
            return Ok(None);
        }
        let place = self.url.parse::<Location>().map_err(anyhow::Error::msg)?;
        Ok(Some(place.below(data)))
    }
}

impl Config {
    /// Checks the layers as a whole.
    ///
    /// # Errors
    /// The first key that cannot be right, with where it was set and what would be.
    pub fn from_layers(layers: &Layers) -> Result<Config> {
        let config: Config = layers.table().clone().try_into().map_err(|error| {
            anyhow::anyhow!("configuration: {error}; compare with --print-config")
        })?;
        for (key, check) in CHECKS {
            check(&config).with_context(|| format!("{}: key '{key}'", layers.origin(key)))?;
        }
        Ok(config)
    }

    /// Whether this process has a role.
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// `listen`.
    pub fn listen(&self) -> Result<SocketAddr> {
        address(&self.listen)
    }

    /// `admin_listen`, if the page and API have an address of their own.
    pub fn admin_listen(&self) -> Result<Option<SocketAddr>> {
        let set = !self.admin_listen.is_empty();
        set.then(|| address(&self.admin_listen)).transpose()
    }

    /// `tracker.trusted_proxies`.
    pub fn trusted_proxies(&self) -> Result<Vec<IpNet>> {
        self.tracker.trusted_proxies.iter().map(|text| network(text)).collect()
    }
}

type Check = fn(&Config) -> Result<()>;

const CHECKS: [(&str, Check); 31] = [
    ("listen", |c| c.listen().map(drop)),
    ("admin_listen", |c| c.admin_listen().map(drop)),
    ("access_token", |c| token(&c.access_token)),
    ("roles", roles),
    ("tls.certificates", |c| pair(&c.tls.certificates, &c.tls.private_key, "tls.private_key")),
    ("tls.private_key", |c| pair(&c.tls.private_key, &c.tls.certificates, "tls.certificates")),
    ("tracker.label", |c| label(&c.tracker.label)),
    ("tracker.trusted_proxies", |c| c.trusted_proxies().map(drop)),
    ("tracker.redirect_deadline_ms", |c| within(c.tracker.redirect_deadline_ms, 1, 60_000)),
    ("tracker.batch_deadline_ms", |c| within(c.tracker.batch_deadline_ms, 1, 60_000)),
    ("engine.threads", |c| within(c.engine.threads as u64, 0, 1024)),
    ("engine.publish_interval_ms", |c| within(c.engine.publish_interval_ms, 10, 60_000)),
    ("engine.live_interval_ms", |c| within(c.engine.live_interval_ms, 10, 60_000)),
    ("engine.checkpoint_interval_ms", |c| within(c.engine.checkpoint_interval_ms, 100, 3_600_000)),
    ("log.url", |c| c.log.kafka().map(drop)),
    ("log.partitions", |c| {
        let most = u64::from(click_engine::log::MAX_PARTITIONS);
        within(u64::from(c.log.partitions), 1, most)
    }),
    ("log.segment_bytes", |c| within(c.log.segment_bytes, 1 << 20, 1 << 40)),
    ("kafka.properties", |c| c.kafka.pairs().map(drop)),
    ("kafka.delivery_timeout_ms", |c| within(c.kafka.delivery_timeout_ms, 1_000, 240_000)),
    ("spool.after_ms", |c| within(c.spool.after_ms, 1, 60_000)),
    ("spool.keep_hours", |c| within(c.spool.keep_hours, 0, 24 * 365)),
    ("spool.copy_to", copies),
    ("spool.copy_token", |c| token(&c.spool.copy_token).and_then(|()| copies(c))),
    ("spool.copy_ca", |c| existing_file(&c.spool.copy_ca)),
    ("spool.copy_after_ms", copy_time),
    ("store.url", |c| c.store.addresses().map(drop)),
    ("archive.url", |c| c.archive.place(&c.data).map(drop)),
    ("archive.interval_ms", |c| divides_an_hour(c.archive.interval_ms)),
    ("archive.threads", |c| within(c.archive.threads as u64, 1, 1024)),
    ("archive.verdicts", |c| match c.archive.verdicts {
        VerdictsOf::Job if c.log.url.is_empty() => bail!("a job reads a log in Kafka: set log.url"),
        VerdictsOf::Job | VerdictsOf::Fold => Ok(()),
    }),
    ("archive.truncate_after_hours", |c| match c.archive.truncate_after_hours {
        0 => Ok(()),
        hours => truncation_age(hours.saturating_mul(3600)).context("use 0 for never"),
    }),
];

fn roles(config: &Config) -> Result<()> {
    let both = config.is(Role::Tracker) && config.is(Role::Engine);
    if config.roles.is_empty() {
        bail!("a process without a role does nothing; use \"tracker\", \"engine\" or both");
    }
    if config.log.url.is_empty() && !both {
        bail!("the log in the data directory is one process's: set log.url, or use both roles");
    }
    Ok(())
}

fn copies(config: &Config) -> Result<()> {
    let spool = &config.spool;
    let is_spooling = config.is(Role::Tracker) && !config.log.url.is_empty();
    let has_any = !spool.copy_to.is_empty() || !spool.copy_token.is_empty();
    if has_any && !is_spooling {
        bail!("only a tracker with its log in Kafka has a spool: set log.url, or leave it empty");
    }
    spool.other_site().map(drop)
}

fn copy_time(config: &Config) -> Result<()> {
    let (spool, deadline) = (&config.spool, config.tracker.redirect_deadline_ms);
    within(spool.copy_after_ms, 10, 60_000)?;
    let all = spool.after_ms.saturating_add(spool.copy_after_ms);
    if !spool.copy_to.is_empty() && all >= deadline {
        bail!(
            "with spool.after_ms that is {all} ms, and a visitor waits for {deadline} ms \
             (tracker.redirect_deadline_ms): lower one of both"
        );
    }
    Ok(())
}

fn divides_an_hour(ms: u64) -> Result<()> {
    within(ms, 1_000, 3_600_000)?;
    if !3_600_000_u64.is_multiple_of(ms) {
        bail!("{ms} ms do not divide an hour; write a number such as 10000, 60000 or 300000");
    }
    Ok(())
}

/// Refuses to truncate addresses that fraud work may need, given the age in seconds.
///
/// # Errors
/// If that is less than the dedup horizon.
pub fn truncation_age(seconds: u64) -> Result<()> {
    if seconds < LEAST_TRUNCATION_AGE_HOURS * 3600 {
        bail!(
            "addresses younger than {LEAST_TRUNCATION_AGE_HOURS} hours are not truncated: as long \
             as a click may be the duplicate of an earlier one they are evidence"
        );
    }
    Ok(())
}

fn address(text: &str) -> Result<SocketAddr> {
    text.parse().with_context(|| {
        format!("'{text}' is no address with port; write one such as 127.0.0.1:8080")
    })
}

fn network(text: &str) -> Result<IpNet> {
    let single = text.parse::<std::net::IpAddr>().map(IpNet::from);
    text.parse()
        .or(single)
        .with_context(|| format!("'{text}' is no address or network; write one such as 10.0.0.0/8"))
}

fn token(text: &str) -> Result<()> {
    let fits =
        text.is_empty() || text.len() >= MIN_TOKEN && text.bytes().all(|b| b.is_ascii_graphic());
    if !fits {
        bail!("needs at least {MIN_TOKEN} visible ASCII characters without spaces");
    }
    Ok(())
}

fn label(text: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !(1..=32).contains(&text.len()) || !text.bytes().all(plain) {
        bail!("'{text}' does not fit; use 1 to 32 letters, digits, '-', '_' or '.'");
    }
    Ok(())
}

fn pair(this: &str, other: &str, name: &str) -> Result<()> {
    if !this.is_empty() && other.is_empty() {
        bail!("'{name}' is missing; HTTPS needs both files");
    }
    existing_file(this)
}

fn existing_file(path: &str) -> Result<()> {
    if !path.is_empty() && !Path::new(path).is_file() {
        bail!("there is no file '{path}'");
    }
    Ok(())
}

fn within(value: u64, least: u64, most: u64) -> Result<()> {
    if !(least..=most).contains(&value) {
        bail!("{value} is out of range; use {least} to {most}");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
