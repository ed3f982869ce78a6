//! The topics of a log: how they are made, and what about them could lose clicks or reorder time.
//!
//! Beside the topic of the clicks there are two: `TOPIC.header` has the header for ever, since
//! retention takes the first record of partition 0 some day, and `TOPIC.dead` shows records that no
//! click came of. A host like Flink writes `TOPIC.rows`, from which compaction takes older versions
//! of a row, and `TOPIC.verdicts`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use click_core::policy::Policy;
use click_core::record::{Header, Kind, Record};
use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::address::KafkaSettings;
use super::appender::Appender;
use super::asking::metadata;
use super::client::{config, failed, look_config, misconfigured};
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
    /// Partitions of the clicks, for ever.
    pub partitions: u32,
    /// Copies of each record.
    pub replication: u32,
    /// Copies without which nothing is confirmed.
    pub min_insync: u32,
    /// How long clicks are kept, ms.
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

/// What a look at the topic found.
#[derive(Clone, Debug)]
pub struct TopicReport {
    /// Which log it is.
    pub header: Header,
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
    let admin = admin(settings)?;
    let address = &settings.address;
    let (insync, kept) = (spec.min_insync.to_string(), spec.retention_ms.to_string());
    let bytes = MESSAGE_BYTES.max(1 << 20).to_string();
    let shared = |name, partitions: u32| {
        let count = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let replication = TopicReplication::Fixed(count(spec.replication));
        NewTopic::new(name, count(partitions), replication)
            .set("min.insync.replicas", &insync)
            .set("unclean.leader.election.enable", "false")
            .set("message.timestamp.type", "LogAppendTime")
            .set("retention.bytes", "-1")
            .set("max.message.bytes", &bytes)
    };
    let (header_topic, dead_topic) = (address.header_topic(), address.dead_topic());
    let keeping = |name, partitions, time| {
        shared(name, partitions).set("cleanup.policy", "delete").set("retention.ms", time)
    };
    let (rows, verdicts) = (address.rows_topic(), address.verdicts_topic());
    let mut topics = vec![
        keeping(&header_topic, 1, "-1"),
        keeping(&dead_topic, 1, &kept),
        keeping(&address.topic, spec.partitions, &kept),
    ];
    if let Some(partitions) = spec.outputs {
        topics.push(shared(&rows, partitions).set("cleanup.policy", "compact"));
        topics.push(keeping(&verdicts, partitions, &kept));
    }
    let made = block_on(admin.create_topics(&topics, &options(settings)));
    for result in made.map_err(|error| failed("cannot create topics", &error))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                return Err(LogError::kafka(format!("cannot create topic {topic}: {code}")));
            }
        }
    }
    settle(settings, spec)?;
    ensure_header(settings, spec)
}

/// Waits until every partition has its leader and its copies.
fn settle(settings: &KafkaSettings, spec: &TopicSpec) -> Result<(), LogError> {
    let until = Instant::now() + SETTLING;
    while Instant::now() < until {
        if partitions(settings, &settings.address.topic)
            .is_ok_and(|found| found.len() >= spec.partitions as usize)
        {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(LogError::kafka("the new topic's partitions have no leaders"))
}

/// The first header counts, whoever wrote it; partition 0 begins with it.
fn ensure_header(settings: &KafkaSettings, spec: &TopicSpec) -> Result<Header, LogError> {
    let address = &settings.address;
    if read_header(settings)?.is_none() {
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
    let name = &settings.address.topic;
    let none = || {
        let reason = format!("topic {name} has no header; run `clickledger topics create`");
        LogError::topic(reason)
    };
    read_header(settings)?.ok_or_else(none)
}

fn read_header(settings: &KafkaSettings) -> Result<Option<Header>, LogError> {
    let topic = settings.address.header_topic();
    if !exists(settings, &topic)? {
        return Ok(None);
    }
    let consumer = consumer(settings)?;
    let (low, high) = watermarks(&consumer, &topic, 0)?;
    if low == high {
        return Ok(None);
    }
    let mut from = TopicPartitionList::new();
    let begin = from.add_partition_offset(&topic, 0, Offset::Offset(low));
    begin.and_then(|()| consumer.assign(&from)).map_err(|error| failed("header", &error))?;
    let until = Instant::now() + settings.patience;
    while Instant::now() < until {
        // There may be complaints on the way to a broker that answers.
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(200)) {
            return decode(message.payload().unwrap_or_default()).map(Some);
        }
    }
    Err(LogError::kafka(format!("{topic} does not answer")))
}

fn decode(payload: &[u8]) -> Result<Header, LogError> {
    match Record::decode(payload).map(|record| record.kind) {
        Ok(Kind::Header(header)) => Ok(header),
        _ => Err(LogError::topic("the header topic holds something else than a header")),
    }
}

/// Looks at everything about the topic on which exactness rests.
///
/// # Errors
/// `Kafka` if the cluster does not answer, `Topic` if it has no such log.
pub fn check(settings: &KafkaSettings) -> Result<TopicReport, LogError> {
    let header = header(settings)?;
    let partitions = partitions(settings, &settings.address.topic)?;
    let values = describe(settings)?;
    let mut problems = Vec::new();
    if partitions.len() != header.partitions as usize {
        problems.push(format!(
            "it has {} partitions and was made with {}: users have moved between partitions, and \
             duplicates would not be seen; a grown topic cannot shrink, so make a new topic",
            partitions.len(),
            header.partitions
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
    Ok(TopicReport { header, problems })
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

fn describe(settings: &KafkaSettings) -> Result<BTreeMap<String, String>, LogError> {
    let topic = ResourceSpecifier::Topic(&settings.address.topic);
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
