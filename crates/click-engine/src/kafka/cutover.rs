//! Moving a log to other partitions (decision 18): each step may be done again, by the same command
//! or another one at the same time, without anything happening twice.

use std::time::{SystemTime, UNIX_EPOCH};

use click_core::limits::{MAX_LOG_PARTITIONS, MAX_PARTS};
use click_core::record::{Kind, Layout, Part, Record};
use click_core::types::Millis;

use super::address::KafkaSettings;
use super::appender::Appender;
use super::known::{IN_FORCE, Known, PROPOSED};
use super::topics::{
    Cleanup, TopicSpec, consumer, describe, exists, known, look_at, make, partitions, problems_of,
    settle, watermarks,
};
use crate::log::{LogError, MAX_PARTITIONS};

/// Where a log is to move to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The topic: a new one, or one of the log's that has grown.
    pub topic: String,
    /// Partitions of a new topic.
    pub partitions: Option<u32>,
}

/// What a cutover came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cutover {
    /// The log has moved: new clicks go to the last part.
    Done(Layout),
    /// It was there before.
    Before(Layout),
}

/// Moves the log to more partitions: makes the topic if it is not there, has the layout decided,
/// appends it to partition 0, and tells trackers.
///
/// # Errors
/// `Topic` with what has to be put right first, before anything is changed; `Kafka` if the cluster
/// does not answer: the same call goes on where this one was.
pub fn cutover(settings: &KafkaSettings, target: &Target) -> Result<Cutover, LogError> {
    let mut known = self::known(settings)?;
    check_parts(settings, &known)?;
    if known.is_unfinished() {
        // Somebody has begun it: first of all it is brought to its end.
        known = finish(settings, &known)?;
    }
    let (topic, had) = (&target.topic, has(settings, &known, &target.topic));
    let count = match wanted(settings, target, had)? {
        0 => match known.newest().filter(|layout| is_newest(layout, topic)) {
            Some(layout) => return Ok(Cutover::Before(layout.clone())),
            None => return Err(nothing_new(topic, had)),
        },
        count => count,
    };
    if had == 0 {
        make_topic(settings, topic, count)?;
    }
    look_at(settings, topic, had + count)?;
    check_empty(settings, topic, had..had + count)?;
    let layout = next(settings, &known, topic, count)?;
    append(settings, &settings.address.header_topic(), Some(PROPOSED), &layout)?;
    let known = finish(settings, &self::known(settings)?)?;
    match known.in_force() {
        Some(decided) if *decided == layout => Ok(Cutover::Done(layout)),
        _ => Err(LogError::topic(
            "another cutover was decided at the same moment, and is in force: look at it by \
             `clickledger topics check`, then run this again if it is still wanted",
        )),
    }
}

/// Partition 0 first, trackers then.
fn finish(settings: &KafkaSettings, known: &Known) -> Result<Known, LogError> {
    if let Some(layout) = known.newest().filter(|_| known.is_unfinished()) {
        append(settings, &settings.address.topic, None, layout)?;
        append(settings, &settings.address.header_topic(), Some(IN_FORCE), layout)?;
    }
    self::known(settings)
}

/// To partition 0 of a topic, confirmed.
fn append(
    settings: &KafkaSettings,
    topic: &str,
    key: Option<&str>,
    layout: &Layout,
) -> Result<(), LogError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let sent_at = Some(Millis(u64::try_from(now).unwrap_or_default()));
    let kind = Kind::Layout(layout.clone());
    let record = Record { sent_at, transport: None, previous: None, kind };
    Appender::new(settings, topic)?.append(0, key, &record.to_bytes())?.wait()?;
    Ok(())
}

/// What could lose clicks in the parts that there are, but that they have grown.
fn check_parts(settings: &KafkaSettings, known: &Known) -> Result<(), LogError> {
    for (topic, count) in known.topics(&settings.address.topic) {
        let found = partitions(settings, &topic)?.len();
        let count = u32::try_from(found).unwrap_or(u32::MAX).max(count);
        let problems = problems_of(settings, &topic, count)?;
        if !problems.is_empty() {
            return Err(LogError::topic(format!("topic {topic}: {}", problems.join("; "))));
        }
    }
    Ok(())
}

/// How many partitions of a topic the log has.
fn has(settings: &KafkaSettings, known: &Known, topic: &str) -> u32 {
    let topics = known.topics(&settings.address.topic);
    topics.iter().find(|(name, _)| name == topic).map_or(0, |(_, count)| *count)
}

fn is_newest(layout: &Layout, topic: &str) -> bool {
    layout.parts.last().is_some_and(|part| part.topic == topic)
}

fn nothing_new(topic: &str, had: u32) -> LogError {
    LogError::topic(format!(
        "all {had} partitions of topic {topic} are the log's already: let it grow, or name a new \
         topic by --to"
    ))
}

/// How many partitions the new part is to have; 0 if the topic has none that are new.
fn wanted(settings: &KafkaSettings, target: &Target, had: u32) -> Result<u32, LogError> {
    let Target { topic, partitions: asked } = target;
    let is_there = exists(settings, topic)?;
    if had == 0 && exists(settings, &format!("{topic}.header"))? {
        return Err(LogError::topic(format!("topic {topic} is another log: name a new one")));
    }
    let found = if is_there { partitions(settings, topic)?.len() } else { 0 };
    let found = u32::try_from(found).unwrap_or(u32::MAX);
    let count = match (is_there, asked) {
        (true, Some(asked)) if *asked != found => {
            return Err(LogError::topic(format!(
                "topic {topic} is there and has {found} partitions, not {asked}: leave \
                 --partitions out, or name a new topic"
            )));
        }
        (true, _) => found.saturating_sub(had),
        (false, Some(asked)) => *asked,
        (false, None) => {
            let reason = format!("there is no topic {topic}: say by --partitions how it is made");
            return Err(LogError::topic(reason));
        }
    };
    if count > MAX_PARTITIONS || (!is_there && count == 0) {
        return Err(LogError::topic(format!("partitions of a part are 1 to {MAX_PARTITIONS}")));
    }
    Ok(count)
}

/// Like the topic with which the log began.
fn make_topic(settings: &KafkaSettings, topic: &str, count: u32) -> Result<(), LogError> {
    let first = &settings.address.topic;
    let copies = partitions(settings, first)?.into_iter().min().unwrap_or(1);
    let values = describe(settings, first)?;
    let number = |key: &str| values.get(key).and_then(|value| value.parse().ok());
    let spec = TopicSpec {
        partitions: count,
        replication: u32::try_from(copies).unwrap_or(1),
        min_insync: number("min.insync.replicas").unwrap_or(1),
        retention_ms: values
            .get("retention.ms")
            .and_then(|value| value.parse().ok())
            .unwrap_or(u64::MAX),
        ..TopicSpec::default()
    };
    make(settings, topic, count, &spec, Cleanup::After(&spec.kept()))?;
    settle(settings, topic, count)
}

/// Whatever stands in a new partition would be the log's.
fn check_empty(
    settings: &KafkaSettings,
    topic: &str,
    numbers: std::ops::Range<u32>,
) -> Result<(), LogError> {
    let consumer = consumer(settings)?;
    for number in numbers {
        if watermarks(&consumer, topic, number)?.1 > 0 {
            return Err(LogError::topic(format!(
                "partition {number} of topic {topic} has records: a part begins empty; name a new \
                 topic"
            )));
        }
    }
    Ok(())
}

fn next(
    settings: &KafkaSettings,
    known: &Known,
    topic: &str,
    count: u32,
) -> Result<Layout, LogError> {
    let first =
        || Part { topic: settings.address.topic.clone(), partitions: known.header.partitions };
    let mut parts = known.newest().map_or_else(|| vec![first()], |layout| layout.parts.clone());
    parts.push(Part { topic: topic.to_owned(), partitions: count });
    let number = known.newest().map_or(0, |layout| layout.number) + 1;
    let layout = Layout { log_id: known.header.log_id, number, parts };
    if layout.parts.len() > MAX_PARTS || layout.partitions() > MAX_LOG_PARTITIONS {
        return Err(LogError::topic(format!(
            "a log has at most {MAX_PARTS} parts and {MAX_LOG_PARTITIONS} partitions in all"
        )));
    }
    Ok(layout)
}
