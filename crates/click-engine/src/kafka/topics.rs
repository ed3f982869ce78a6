//! The topics of a log: how they are made, and what about them could lose clicks or reorder time.
//!
//! Beside the topic of the clicks there are two: `TOPIC.header` has the header for ever, since
//! retention takes the first record of partition 0 some day, and `TOPIC.dead` shows records that no
//! click came of. A host like Flink writes `TOPIC.rows`, from which compaction takes older versions
//! of a row, and `TOPIC.verdicts`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use click_core::policy::Policy;
use click_core::record::{Header, Kind, Layout, Record};
use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;

use super::address::KafkaSettings;
use super::appender::Appender;
use super::asking::metadata;
use super::client::{config, failed, look_config, misconfigured};
use super::known::{Known, known_if_any};
use crate::log::{LogError, MAX_PARTITIONS, MAX_PAYLOAD};

/// How long a partition's leader has to say where it ends.
const WATERMARK_PATIENCE: Duration = Duration::from_secs(10);
/// How long a new topic has until its partitions have leaders.
const SETTLING: Duration = Duration::from_secs(30);
/// Payload, key and what Kafka puts around a record.
const MESSAGE_BYTES: u64 = MAX_PAYLOAD as u64 + 1024;

/// How topics are made.
#[derive(Clone, Debug)]
pub struct TopicSpec {
    /// Partitions of the clicks.
    pub partitions: u32,
    /// Copies of each record.
    pub replication: u32,
    /// Copies without which nothing is confirmed.
    pub min_insync: u32,
    /// How long clicks are kept, ms; above 2^63 for ever.
    pub retention_ms: u64,
    /// SPEC §5.
    pub generation: u16,
    /// Partitions of the rows and verdicts of a host that is not this program; none without one.
    pub outputs: Option<u32>,
}

impl Default for TopicSpec {
    fn default() -> TopicSpec {
        TopicSpec {
            partitions: super::PARTITIONS,
            replication: 3,
            min_insync: 2,
            retention_ms: 7 * 24 * 3_600_000,
            generation: 1,
            outputs: None,
        }
    }
}

impl TopicSpec {
    /// How long clicks are kept, as Kafka says it.
    pub(super) fn kept(&self) -> String {
        i64::try_from(self.retention_ms).unwrap_or(-1).to_string()
    }
}

/// What a look at the topic found.
#[derive(Clone, Debug)]
pub struct TopicReport {
    /// Which log it is.
    pub header: Header,
    /// Its newest layout, if it has moved to other partitions; trackers may not know of it yet.
    pub layout: Option<Layout>,
    /// Its newest layout that trackers go by.
    pub in_force: Option<Layout>,
    /// What could lose clicks or reorder time, each with the setting and the fix.
    pub problems: Vec<String>,
}

/// Makes the topics, those that are missing, and the log's header, with which the topic begins
/// unless [`check`] finds something wrong with it; returns that.
///
/// # Errors
/// `Kafka` if the cluster does not do it, `Topic` if it cannot be.
pub fn create(settings: &KafkaSettings, spec: &TopicSpec) -> Result<Header, LogError> {
    if !(1..=MAX_PARTITIONS).contains(&spec.partitions) {
        return Err(LogError::topic(format!("partitions must be 1 to {MAX_PARTITIONS}")));
    }
    // Why the cluster does not let us in is told to this question alone.
    exists(settings, &settings.address.topic)?;
    let address = &settings.address;
    let kept = spec.kept();
    make(settings, &address.header_topic(), 1, spec, Cleanup::After("-1"))?;
    make(settings, &address.dead_topic(), 1, spec, Cleanup::After(&kept))?;
    make(settings, &address.topic, spec.partitions, spec, Cleanup::After(&kept))?;
    if let Some(partitions) = spec.outputs {
        make(settings, &address.rows_topic(), partitions, spec, Cleanup::Compact)?;
        make(settings, &address.verdicts_topic(), partitions, spec, Cleanup::After(&kept))?;
    }
    settle(settings, &address.topic, spec.partitions)?;
    ensure_header(settings, spec)
}

/// What is removed from a topic.
#[derive(Clone, Copy)]
pub(super) enum Cleanup<'a> {
    /// Everything after so many ms; -1: nothing.
    After(&'a str),
    /// Older records of a key.
    Compact,
}

/// Makes a topic of so many partitions, unless it is there.
pub(super) fn make(
    settings: &KafkaSettings,
    name: &str,
    partitions: u32,
    spec: &TopicSpec,
    cleanup: Cleanup<'_>,
) -> Result<(), LogError> {
    let count = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let (insync, bytes) = (spec.min_insync.to_string(), MESSAGE_BYTES.max(1 << 20).to_string());
    let replication = TopicReplication::Fixed(count(spec.replication));
    let topic = NewTopic::new(name, count(partitions), replication)
        .set("min.insync.replicas", &insync)
        .set("unclean.leader.election.enable", "false")
        .set("message.timestamp.type", "LogAppendTime")
        .set("retention.bytes", "-1")
        .set("max.message.bytes", &bytes);
    let topic = match cleanup {
        Cleanup::After(ms) => topic.set("cleanup.policy", "delete").set("retention.ms", ms),
        Cleanup::Compact => topic.set("cleanup.policy", "compact"),
    };
    let made = block_on(admin(settings)?.create_topics(&[topic], &options(settings)));
    for result in made.map_err(|error| failed("cannot create topics", &error))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                return Err(LogError::kafka(format!("cannot create topic {topic}: {code}")));
            }
        }
    }
    Ok(())
}

/// Waits until every partition has its leader and its copies.
pub(super) fn settle(settings: &KafkaSettings, topic: &str, count: u32) -> Result<(), LogError> {
    let until = Instant::now() + SETTLING;
    while Instant::now() < until {
        if partitions(settings, topic).is_ok_and(|found| found.len() >= count as usize) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(LogError::kafka("the new topic's partitions have no leaders"))
}

/// The first header counts, whoever wrote it; partition 0 begins with it.
fn ensure_header(settings: &KafkaSettings, spec: &TopicSpec) -> Result<Header, LogError> {
    let address = &settings.address;
    if known_if_any(settings)?.is_none() {
        let mut log_id = [0; 16];
        getrandom::fill(&mut log_id).map_err(LogError::kafka)?;
        let header = Header { log_id, generation: spec.generation, partitions: spec.partitions };
        let to = Appender::new(settings, &address.header_topic())?;
        to.append(0, Some("header"), &payload(header))?.wait()?;
    }
    let header = header(settings)?;
    let consumer = consumer(settings)?;
    // One that could lose clicks gets none.
    let is_good = check(settings)?.problems.is_empty();
    if is_good && watermarks(&consumer, &address.topic, 0)?.1 == 0 {
        Appender::new(settings, &address.topic)?.append(0, None, &payload(header))?.wait()?;
    }
    Ok(header)
}

fn payload(header: Header) -> Vec<u8> {
    let kind = Kind::Header(header);
    Record { sent_at: None, transport: None, previous: None, kind }.to_bytes()
}

/// Which log the topic is.
///
/// # Errors
/// `Kafka` if the cluster does not answer, `Topic` if it has no such log.
pub fn header(settings: &KafkaSettings) -> Result<Header, LogError> {
    Ok(known(settings)?.header)
}

/// What the header topic says.
pub(super) fn known(settings: &KafkaSettings) -> Result<Known, LogError> {
    let name = &settings.address.topic;
    let none = || {
        let reason = format!("topic {name} has no header; run `clickledger topics create`");
        LogError::topic(reason)
    };
    known_if_any(settings)?.ok_or_else(none)
}

/// Looks at everything about the topic on which exactness rests.
///
/// # Errors
/// `Kafka` if the cluster does not answer, `Topic` if it has no such log.
pub fn check(settings: &KafkaSettings) -> Result<TopicReport, LogError> {
    let known = known(settings)?;
    let mut problems = Vec::new();
    for (topic, count) in known.topics(&settings.address.topic) {
        let found = problems_of(settings, &topic, count)?;
        problems.extend(found.into_iter().map(|problem| format!("topic {topic}: {problem}")));
    }
    let (header, layout, in_force) = (known.header, known.newest().cloned(), known.in_force());
    Ok(TopicReport { header, layout, in_force: in_force.cloned(), problems })
}

/// Refuses a topic of the log that has fewer partitions than these, or could lose clicks.
pub(super) fn look_at(settings: &KafkaSettings, topic: &str, least: u32) -> Result<(), LogError> {
    let found = partitions(settings, topic)?.len();
    let count = u32::try_from(found).unwrap_or(u32::MAX).max(least);
    let problems = problems_of(settings, topic, count)?;
    if problems.is_empty() {
        return Ok(());
    }
    Err(LogError::topic(format!("topic {topic}: {}", problems.join("; "))))
}

/// What about a topic, of which the log has so many partitions, could lose clicks or reorder time.
pub(super) fn problems_of(
    settings: &KafkaSettings,
    topic: &str,
    known: u32,
) -> Result<Vec<String>, LogError> {
    let partitions = partitions(settings, topic)?;
    let values = describe(settings, topic)?;
    let mut problems = Vec::new();
    let found = partitions.len();
    if found > known as usize {
        problems.push(format!(
            "it has grown to {found} partitions, of which the log has {known}: run `clickledger \
             log cutover`, by which the log moves to the new ones without losing or repeating a \
             click"
        ));
    } else if found < known as usize {
        problems.push(format!(
            "it has {found} partitions, and the log has {known} there: it is not the topic that it \
             was; bring that one back"
        ));
    }
    let single = settings.allow_single_replica;
    let fewest = partitions.iter().copied().min().unwrap_or(0);
    if fewest < 3 && !single {
        problems.push(format!(
            "it has {fewest} replicas: the loss of one would lose or stop clicks; use 3 or more, \
             or set kafka.allow_single_replica for a trial"
        ));
    }
    let rules = RULES.iter().filter(|rule| !(single && rule.0 == "min.insync.replicas"));
    problems.extend(rules.filter_map(|rule| broken(rule, &values)));
    Ok(problems)
}

type Rule = (&'static str, fn(&str) -> bool, &'static str);

/// Setting, what it has to be, and why.
const RULES: [Rule; 7] = [
    (
        "message.timestamp.type",
        |value| value == "LogAppendTime",
        "senders' clocks would decide time; set it to LogAppendTime",
    ),
    ("cleanup.policy", |value| value == "delete", "compaction would drop clicks; set it to delete"),
    (
        "unclean.leader.election.enable",
        |value| value == "false",
        "a replica that lacks clicks could become leader; set it to false",
    ),
    (
        "min.insync.replicas",
        |value| value.parse().is_ok_and(|count: u32| count >= 2),
        "one disk could hold a confirmed click alone; set it to 2",
    ),
    (
        "retention.ms",
        |value| is_long_enough(value),
        "clicks would be removed while duplicates of them may come; set it to 604800000",
    ),
    (
        "retention.bytes",
        |value| value == "-1",
        "many clicks would push out others before their time; set it to -1",
    ),
    (
        "max.message.bytes",
        |value| value.parse().is_ok_and(|bytes: u64| bytes >= MESSAGE_BYTES),
        "a large click would be refused; set it to 1048576",
    ),
];

/// At least the horizon of the default policy.
fn is_long_enough(value: &str) -> bool {
    value == "-1" || value.parse().is_ok_and(|ms: u64| ms >= Policy::default().horizon_ms)
}

fn broken((key, is_good, why): &Rule, values: &BTreeMap<String, String>) -> Option<String> {
    let value = values.get(*key).map_or("unknown", String::as_str);
    (!is_good(value)).then(|| format!("{key} is {value}: {why}"))
}

/// Replicas of each partition.
pub(super) fn partitions(settings: &KafkaSettings, topic: &str) -> Result<Vec<usize>, LogError> {
    let metadata = metadata(settings, Some(topic))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let found = found.ok_or_else(|| LogError::topic(format!("there is no topic {topic}")))?;
    if found.partitions().iter().any(|partition| partition.leader() < 0) {
        return Err(LogError::kafka(format!("partitions of {topic} have no leader at the moment")));
    }
    Ok(found.partitions().iter().map(|partition| partition.replicas().len()).collect())
}

pub(super) fn exists(settings: &KafkaSettings, topic: &str) -> Result<bool, LogError> {
    let metadata = metadata(settings, None)?;
    Ok(metadata.topics().iter().any(|found| found.name() == topic))
}

pub(super) fn describe(
    settings: &KafkaSettings,
    topic: &str,
) -> Result<BTreeMap<String, String>, LogError> {
    let topic = ResourceSpecifier::Topic(topic);
    let found = block_on(admin(settings)?.describe_configs([&topic], &options(settings)));
    let found = found.map_err(|error| failed("cannot read the topic's settings", &error))?;
    let mut values = BTreeMap::new();
    for resource in found {
        let resource = resource.map_err(|code| LogError::kafka(format!("topic: {code}")))?;
        let entries = resource.entries.into_iter();
        values.extend(entries.filter_map(|entry| Some((entry.name, entry.value?))));
    }
    Ok(values)
}

pub(super) fn consumer(settings: &KafkaSettings) -> Result<BaseConsumer, LogError> {
    look_config(settings)?.create().map_err(|error| misconfigured(&error))
}

pub(super) fn watermarks<C: rdkafka::consumer::ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: u32,
) -> Result<(i64, i64), LogError> {
    let number = i32::try_from(partition).unwrap_or(i32::MAX);
    let found = consumer.fetch_watermarks(topic, number, WATERMARK_PATIENCE);
    found.map_err(|error| failed(&format!("partition {partition} of {topic}"), &error))
}

fn admin(settings: &KafkaSettings) -> Result<AdminClient<DefaultClientContext>, LogError> {
    config(settings)?.create().map_err(|error| misconfigured(&error))
}

fn options(settings: &KafkaSettings) -> AdminOptions {
    let patience = Some(settings.patience);
    AdminOptions::new().request_timeout(patience).operation_timeout(patience)
}
