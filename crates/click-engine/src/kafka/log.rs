//! A topic as the log that engines read. Offsets, times and order are the cluster's; the place
//! where to go on is the caller's alone.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use click_core::record::Header;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::address::KafkaSettings;
use super::appender::Appender;
use super::client::{Watch, consumer_config, failed};
use super::lane::{HOLE_TIME, Lane, is_gone, offset_of, time_of};
use super::topics::{check, consumer, watermarks};
use crate::disk::DiskLock;
use crate::log::{Commit, EventLog, LogError, LogHealth, LogId, RecordBatch, Retention};

/// How long a record has to come that is known to be there, and that somebody waits for.
const RECORD_PATIENCE: Duration = Duration::from_secs(60);
/// Fetched and not read yet, over all partitions, KiB.
const FETCH_AHEAD_KIB: u32 = 256 << 10;
/// How long more is waited for that is known to be there, so that few things are not read often.
const MORE: Duration = Duration::from_millis(2);
/// A partition that gives nothing for so long, though the cluster has more, is begun anew.
const STALL: Duration = Duration::from_secs(5);
/// How long a seek may take.
const SEEK_PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at whether a log is to be closed.
const NAP: Duration = Duration::from_millis(100);

/// What a read does if a record has not arrived that is known to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Gives what there is: for an engine that comes back anyway.
    Live,
    /// Waits for a minute, and fails then: for a command that reads everything.
    Whole,
}

/// One topic, open for reading; ticks and policies can be appended.
pub struct KafkaLog {
    settings: KafkaSettings,
    header: Header,
    patience: Patience,
    consumer: Arc<BaseConsumer<Watch>>,
    lanes: OnceLock<Vec<Mutex<Lane>>>,
    starting: Mutex<()>,
    arrivals: Arc<Arrivals>,
    side: Mutex<Option<BaseConsumer>>,
    appender: Appender,
    dead: OnceLock<Option<Appender>>,
    stop: Arc<AtomicBool>,
    poller: Option<JoinHandle<()>>,
    /// Who folds this log into one data directory is alone there.
    _lock: Option<Box<dyn DiskLock>>,
}

/// Counts arrivals, so that nobody has to look for them again and again.
#[derive(Default)]
struct Arrivals {
    count: Mutex<u64>,
    moved: Condvar,
}

impl KafkaLog {
    /// Opens the topic; `lock` is held as long.
    ///
    /// # Errors
    /// `Topic` with every setting of the topic that could lose clicks or reorder time; `Kafka` if
    /// the cluster does not answer.
    pub fn open(
        settings: KafkaSettings,
        patience: Patience,
        lock: Option<Box<dyn DiskLock>>,
    ) -> Result<KafkaLog, LogError> {
        let report = check(&settings)?;
        if !report.problems.is_empty() {
            let topic = &settings.address.topic;
            let reason = format!("topic {topic}: {}", report.problems.join("; "));
            return Err(LogError::topic(reason));
        }
        let mut config = consumer_config(&settings)?;
        config.set("statistics.interval.ms", "1000").set("queued.min.messages", "100000");
        // Ahead of the reader in all, however many partitions there are; and no pause of a second
        // whenever that is reached.
        let ahead = (FETCH_AHEAD_KIB / report.header.partitions).max(1024);
        config.set("queued.max.messages.kbytes", ahead.to_string());
        config.set("fetch.queue.backoff.ms", "5");
        let consumer: BaseConsumer<Watch> = config
            .create_with_context(Watch::default())
            .map_err(|error| failed("consumer", &error))?;
        let consumer = Arc::new(consumer);
        let ranges = (0..report.header.partitions).map(|partition| {
            let (low, high) = watermarks(&*consumer, &settings.address.topic, partition)?;
            Ok(offset_of(low)..offset_of(high))
        });
        consumer.context().set_ranges(ranges.collect::<Result<_, LogError>>()?);
        let stop = Arc::new(AtomicBool::new(false));
        let poller = spawn_poller(Arc::clone(&consumer), Arc::clone(&stop))?;
        Ok(KafkaLog {
            appender: Appender::new(&settings, &settings.address.topic)?,
            settings,
            header: report.header,
            patience,
            consumer,
            lanes: OnceLock::new(),
            starting: Mutex::default(),
            arrivals: Arc::default(),
            side: Mutex::default(),
            dead: OnceLock::new(),
            stop,
            poller: Some(poller),
            _lock: lock,
        })
    }

    /// What the cluster's client complained of last.
    pub fn complaint(&self) -> Option<String> {
        self.consumer.context().complaint()
    }

    fn topic(&self) -> &str {
        &self.settings.address.topic
    }

    /// Reading lanes, begun at `positions` if there are none yet.
    fn lanes(&self, positions: &[u64]) -> Result<&[Mutex<Lane>], LogError> {
        if let Some(lanes) = self.lanes.get() {
            return Ok(lanes);
        }
        let _starting = lock(&self.starting);
        if self.lanes.get().is_none() {
            let lanes = self.assign(positions)?;
            let _ = self.lanes.set(lanes);
        }
        Ok(self.lanes.get().map(Vec::as_slice).unwrap_or_default())
    }

    fn assign(&self, positions: &[u64]) -> Result<Vec<Mutex<Lane>>, LogError> {
        let mut list = TopicPartitionList::new();
        for (number, from) in (0..).zip(positions) {
            list.add_partition_offset(self.topic(), number, at(*from))
                .map_err(|error| failed("cannot read", &error))?;
        }
        self.consumer.assign(&list).map_err(|error| failed("cannot read", &error))?;
        let lane = |(partition, from): (u32, &u64)| {
            let number = i32::try_from(partition).unwrap_or(i32::MAX);
            let queue = self.consumer.split_partition_queue(self.topic(), number);
            let mut queue = queue.ok_or_else(|| LogError::kafka("no queue for a partition"))?;
            let arrivals = Arc::clone(&self.arrivals);
            queue.set_nonempty_callback(move || arrivals.note());
            let mut lane = Lane::new(queue, *from);
            // What has come before went to the common queue, and is nobody's.
            self.seek(partition, &mut lane, *from)?;
            Ok(Mutex::new(lane))
        };
        (0..).zip(positions).map(lane).collect()
    }

    fn lane(&self, partition: u32, from: u64) -> Result<MutexGuard<'_, Lane>, LogError> {
        let partitions = self.header.partitions;
        if partition >= partitions {
            return Err(LogError::NoPartition { partition, partitions });
        }
        let mut begin: Vec<u64> = (0..partitions).map(|number| self.known(number).start).collect();
        begin[partition as usize] = from;
        Ok(lock(&self.lanes(&begin)?[partition as usize]))
    }

    fn known(&self, partition: u32) -> Range<u64> {
        self.consumer.context().range(partition)
    }

    /// Retries while the lane is just being started.
    fn seek(&self, partition: u32, lane: &mut Lane, from: u64) -> Result<(), LogError> {
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        let until = Instant::now() + SEEK_PATIENCE;
        loop {
            match self.consumer.seek(self.topic(), number, at(from), SEEK_PATIENCE) {
                Ok(()) => {
                    lane.restart(from);
                    return Ok(());
                }
                Err(_) if Instant::now() < until => std::thread::sleep(NAP),
                Err(error) => return Err(failed("cannot seek", &error)),
            }
        }
    }

    /// One record out of order, by a consumer of its own, so that what is fetched ahead stays.
    fn read_one(&self, partition: u32, from: u64, batch: &mut RecordBatch) -> Result<(), LogError> {
        let mut side = lock(&self.side);
        if side.is_none() {
            *side = Some(consumer(&self.settings)?);
        }
        let Some(side) = &*side else { return Ok(()) };
        let mut list = TopicPartitionList::new();
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        list.add_partition_offset(self.topic(), number, at(from))
            .and_then(|()| side.assign(&list))
            .map_err(|error| failed("cannot read", &error))?;
        let until = Instant::now() + SEEK_PATIENCE;
        while Instant::now() < until {
            match side.poll(NAP) {
                Some(Ok(message)) if message.partition() == number => {
                    match offset_of(message.offset()) == from {
                        false => batch.push(from, HOLE_TIME, &[]),
                        true => {
                            let payload = message.payload().unwrap_or_default();
                            batch.push(from, time_of(message.timestamp()), payload);
                        }
                    }
                    return Ok(());
                }
                Some(Err(error)) if is_gone(&error) => return Err(self.gone(partition, from)),
                Some(_) | None => {}
            }
        }
        Err(LogError::kafka(format!("offset {from} of partition {partition} does not come")))
    }

    fn try_read(
        &self,
        partition: u32,
        from: u64,
        max_bytes: usize,
        batch: &mut RecordBatch,
    ) -> Result<(), LogError> {
        let known = self.known(partition);
        if from < known.start {
            return Err(LogError::BelowStart { partition, from, start: known.start });
        }
        let mut lane = self.lane(partition, from)?;
        if lane.next() != from && max_bytes <= 1 {
            drop(lane);
            return self.read_one(partition, from, batch);
        }
        if lane.next() != from || lane.is_missing() {
            self.seek(partition, &mut lane, from)?;
        }
        let before = batch.len();
        let until = match self.patience {
            Patience::Whole if from < known.end => Instant::now() + RECORD_PATIENCE,
            Patience::Whole | Patience::Live => Instant::now(),
        };
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let more = (!left.is_zero()).then_some((known.end, MORE));
            lane.read(max_bytes, left.min(STALL), more, batch);
            if batch.len() > before {
                return check_times(partition, batch);
            }
            match lane.take_error() {
                Some(error) if is_gone(&error) => return Err(self.gone(partition, from)),
                // Complaints on the way to a leader that answers.
                Some(_) | None => {}
            }
            if lane.is_missing() || from < known.end && lane.is_stalled(STALL) {
                self.seek(partition, &mut lane, from)?;
            }
            if from >= known.end || self.patience == Patience::Live {
                return Ok(());
            }
            if Instant::now() >= until {
                let why = self.complaint().unwrap_or_else(|| "no reason is known".into());
                return Err(LogError::kafka(format!(
                    "offset {from} of partition {partition} did not come within a minute: {why}"
                )));
            }
        }
    }

    fn gone(&self, partition: u32, from: u64) -> LogError {
        let start = watermarks(&*self.consumer, self.topic(), partition).map(|(low, _)| low);
        let start = start.map_or_else(|_| self.known(partition).start, offset_of);
        match from < start {
            true => LogError::BelowStart { partition, from, start },
            false => LogError::BeyondEnd { partition, from, end: self.known(partition).end },
        }
    }
}

/// What has no time of the log's own cannot be put in order.
fn check_times(partition: u32, batch: &RecordBatch) -> Result<(), LogError> {
    match batch.last() {
        Some((offset, 0, _)) => Err(LogError::topic(format!(
            "offset {offset} of partition {partition} has no LogAppendTime; set \
             message.timestamp.type of the topic back"
        ))),
        Some(_) | None => Ok(()),
    }
}

fn at(offset: u64) -> Offset {
    Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX))
}

/// Serves the client's events: statistics and complaints.
fn spawn_poller(
    consumer: Arc<BaseConsumer<Watch>>,
    stop: Arc<AtomicBool>,
) -> Result<JoinHandle<()>, LogError> {
    let work = move || {
        while !stop.load(Ordering::Relaxed) {
            // Messages come by the partitions' own queues.
            let _ = consumer.poll(NAP);
        }
    };
    let thread = std::thread::Builder::new().name("kafka-events".into()).spawn(work);
    thread.map_err(LogError::kafka)
}

impl EventLog for KafkaLog {
    fn log_id(&self) -> LogId {
        LogId(self.header.log_id)
    }

    fn generation(&self) -> u16 {
        self.header.generation
    }

    fn partitions(&self) -> u32 {
        self.header.partitions
    }

    fn append(&self, partition: u32, payload: &[u8]) -> Result<Commit, LogError> {
        self.appender.append(partition, None, payload)
    }

    fn append_at(&self, _: u32, _: u64, _: &[u8]) -> Result<Commit, LogError> {
        Err(LogError::topic("a topic stamps time by itself: import into a data directory"))
    }

    fn append_batch(&self, partition: u32, payloads: &[&[u8]]) -> Result<Commit, LogError> {
        let (last, rest) = payloads.split_last().ok_or(LogError::EmptyBatch)?;
        for payload in rest {
            // In order: what fails, fails before the last one does.
            drop(self.append(partition, payload)?);
        }
        self.append(partition, last)
    }

    fn read(
        &self,
        partition: u32,
        from: u64,
        max_bytes: usize,
        batch: &mut RecordBatch,
    ) -> Result<(), LogError> {
        match self.try_read(partition, from, max_bytes, batch) {
            // Whoever lives with the log comes again.
            Err(LogError::Kafka { .. }) if self.patience == Patience::Live => Ok(()),
            done => done,
        }
    }

    /// What is known to be there, and what has arrived.
    fn range(&self, partition: u32) -> Range<u64> {
        let known = self.known(partition);
        let lane = self.lanes.get().and_then(|lanes| lanes.get(partition as usize));
        let arrived = lane.map_or(0, |lane| lock(lane).arrived());
        known.start..known.end.max(arrived)
    }

    fn last_append_time(&self, partition: u32) -> u64 {
        let range = self.range(partition);
        let mut batch = RecordBatch::default();
        let last = range.end.checked_sub(1).filter(|last| *last >= range.start);
        let read = last.map(|last| self.read_one(partition, last, &mut batch));
        read.and(batch.last()).map_or(0, |(_, time, _)| time)
    }

    fn wait(&self, ends: &[u64], timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        let Some(lanes) = self.lanes.get() else { return false };
        loop {
            let seen = *lock(&self.arrivals.count);
            if lanes.iter().zip(ends).any(|(lane, end)| lock(lane).arrived() > *end) {
                return true;
            }
            if !self.arrivals.wait_beyond(seen, until) {
                return false;
            }
        }
    }

    fn health(&self) -> LogHealth {
        LogHealth::Ok
    }

    fn prepare(&self, positions: &[u64]) {
        // The first read says what is wrong, if anything is.
        let _ = self.lanes(positions);
    }

    fn publish_positions(&self, positions: &[u64]) {
        let mut list = TopicPartitionList::new();
        for (partition, position) in (0..).zip(positions) {
            let _ = list.add_partition_offset(self.topic(), partition, at(*position));
        }
        // For monitoring alone.
        let _ = self.consumer.commit(&list, CommitMode::Async);
    }

    fn show_dead_letter(&self, (partition, offset): (u32, u64), reason: &str, payload: &[u8]) {
        let topic = self.settings.address.dead_topic();
        let dead = self.dead.get_or_init(|| Appender::new(&self.settings, &topic).ok());
        let key = format!("{partition}:{offset}:{reason}");
        // Shown as well as may be: the record itself stays in the log, and is counted.
        let _ = dead.as_ref().map(|dead| dead.append(0, Some(&key), payload));
    }

    /// The topic's own settings decide what is removed, and when.
    fn truncate_before(&self, partition: u32, _: u64) -> Result<u64, LogError> {
        Ok(self.known(partition).start)
    }

    fn retain(&self, _: &Retention, _: &[u64]) -> Result<(), LogError> {
        Ok(())
    }
}

impl Arrivals {
    fn note(&self) {
        *lock(&self.count) += 1;
        self.moved.notify_all();
    }

    /// Waits until more than `seen` have come; false after `until`.
    fn wait_beyond(&self, seen: u64, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        let waits = |count: &mut u64| *count <= seen;
        let result = self.moved.wait_timeout_while(lock(&self.count), left, waits);
        !result.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.lanes.take();
        if let Some(poller) = self.poller.take() {
            let _ = poller.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
