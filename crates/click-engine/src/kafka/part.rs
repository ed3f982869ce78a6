//! One part of a log, partitions of a topic, as engines read it. Offsets, times and order are the
//! cluster's; the place where to go on is the caller's alone. Must never look at other partitions
//! of the topic, which are another part's.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::address::KafkaSettings;
use super::appender::Appender;
use super::arrivals::Arrivals;
use super::client::{Watch, consumer_config, failed};
use super::lane::{HOLE_TIME, Lane, is_gone, offset_of, time_of};
use super::log::Patience;
use super::topics::{consumer, watermarks};
use crate::log::{Commit, LogError, RecordBatch};

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

/// Which partitions of which topic, and which of the log they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) topic: String,
    /// Number in the log of the first one.
    pub(super) begin: u32,
    /// Number in the topic of the first one.
    pub(super) first: u32,
    pub(super) count: u32,
}

/// Partitions of a topic, open for reading; ticks and policies can be appended.
pub(super) struct Part {
    settings: KafkaSettings,
    place: Place,
    patience: Patience,
    consumer: Arc<BaseConsumer<Watch>>,
    lanes: OnceLock<Vec<Mutex<Lane>>>,
    starting: Mutex<()>,
    arrivals: Arc<Arrivals>,
    side: Mutex<Option<BaseConsumer>>,
    appender: Appender,
    stop: Arc<AtomicBool>,
    poller: Option<JoinHandle<()>>,
}

impl Part {
    /// Opens the partitions of a topic that has been looked at.
    pub(super) fn open(
        settings: KafkaSettings,
        place: Place,
        patience: Patience,
        arrivals: Arc<Arrivals>,
    ) -> Result<Part, LogError> {
        let mut config = consumer_config(&settings)?;
        config.set("statistics.interval.ms", "1000").set("queued.min.messages", "100000");
        // Ahead of the reader in all, however many partitions there are; and no pause of a second
        // whenever that is reached.
        let ahead = (FETCH_AHEAD_KIB / place.count).max(1024);
        config.set("queued.max.messages.kbytes", ahead.to_string());
        config.set("fetch.queue.backoff.ms", "5");
        let consumer: BaseConsumer<Watch> = config
            .create_with_context(Watch::default())
            .map_err(|error| failed("consumer", &error))?;
        let consumer = Arc::new(consumer);
        let ranges = (0..place.first + place.count).map(|number| {
            if number < place.first {
                return Ok(0..0);
            }
            let (low, high) = watermarks(&*consumer, &place.topic, number)?;
            Ok(offset_of(low)..offset_of(high))
        });
        consumer.context().set_ranges(ranges.collect::<Result<_, LogError>>()?);
        let stop = Arc::new(AtomicBool::new(false));
        let poller = spawn_poller(Arc::clone(&consumer), Arc::clone(&stop))?;
        Ok(Part {
            appender: Appender::new(&settings, &place.topic)?,
            settings,
            place,
            patience,
            consumer,
            lanes: OnceLock::new(),
            starting: Mutex::default(),
            arrivals,
            side: Mutex::default(),
            stop,
            poller: Some(poller),
        })
    }

    /// Numbers of its partitions in the log.
    pub(super) fn numbers(&self) -> Range<u32> {
        self.place.begin..self.place.begin + self.place.count
    }

    /// Number in the topic of a partition of the log.
    fn in_topic(&self, partition: u32) -> u32 {
        partition - self.place.begin + self.place.first
    }

    /// What the cluster's client complained of last.
    pub(super) fn complaint(&self) -> Option<String> {
        self.consumer.context().complaint()
    }

    fn topic(&self) -> &str {
        &self.place.topic
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
        for (partition, from) in self.numbers().zip(positions) {
            let number = i32::try_from(self.in_topic(partition)).unwrap_or(i32::MAX);
            list.add_partition_offset(self.topic(), number, at(*from))
                .map_err(|error| failed("cannot read", &error))?;
        }
        self.consumer.assign(&list).map_err(|error| failed("cannot read", &error))?;
        let lane = |(partition, from): (u32, &u64)| {
            let number = i32::try_from(self.in_topic(partition)).unwrap_or(i32::MAX);
            let queue = self.consumer.split_partition_queue(self.topic(), number);
            let mut queue = queue.ok_or_else(|| LogError::kafka("no queue for a partition"))?;
            let arrivals = Arc::clone(&self.arrivals);
            queue.set_nonempty_callback(move || arrivals.note());
            let mut lane = Lane::new(queue, *from);
            // What has come before went to the common queue, and is nobody's.
            self.seek(partition, &mut lane, *from)?;
            Ok(Mutex::new(lane))
        };
        self.numbers().zip(positions).map(lane).collect()
    }

    fn lane(&self, partition: u32, from: u64) -> Result<MutexGuard<'_, Lane>, LogError> {
        let at = (partition - self.place.begin) as usize;
        let mut begin: Vec<u64> = self.numbers().map(|number| self.known(number).start).collect();
        begin[at] = from;
        Ok(lock(&self.lanes(&begin)?[at]))
    }

    pub(super) fn known(&self, partition: u32) -> Range<u64> {
        self.consumer.context().range(self.in_topic(partition))
    }

    /// Retries while the lane is just being started.
    fn seek(&self, partition: u32, lane: &mut Lane, from: u64) -> Result<(), LogError> {
        let number = i32::try_from(self.in_topic(partition)).unwrap_or(i32::MAX);
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
    pub(super) fn read_one(
        &self,
        partition: u32,
        from: u64,
        batch: &mut RecordBatch,
    ) -> Result<(), LogError> {
        let mut side = lock(&self.side);
        if side.is_none() {
            *side = Some(consumer(&self.settings)?);
        }
        let Some(side) = &*side else { return Ok(()) };
        let mut list = TopicPartitionList::new();
        let number = i32::try_from(self.in_topic(partition)).unwrap_or(i32::MAX);
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

    pub(super) fn try_read(
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

    /// What is known to be there, and what has arrived.
    pub(super) fn range(&self, partition: u32) -> Range<u64> {
        let known = self.known(partition);
        let at = (partition - self.place.begin) as usize;
        let lane = self.lanes.get().and_then(|lanes| lanes.get(at));
        let arrived = lane.map_or(0, |lane| lock(lane).arrived());
        known.start..known.end.max(arrived)
    }

    /// Whether anything has arrived beyond `ends`, of its partitions.
    pub(super) fn has_arrived(&self, ends: &[u64]) -> bool {
        let lanes = self.lanes.get().map_or(&[][..], Vec::as_slice);
        lanes.iter().zip(ends).any(|(lane, end)| lock(lane).arrived() > *end)
    }

    pub(super) fn append(&self, partition: u32, payload: &[u8]) -> Result<Commit, LogError> {
        self.appender.append(self.in_topic(partition), None, payload)
    }

    /// Reading begins there.
    pub(super) fn prepare(&self, positions: &[u64]) {
        // The first read says what is wrong, if anything is.
        let _ = self.lanes(positions);
    }

    /// For monitoring alone.
    pub(super) fn publish_positions(&self, positions: &[u64]) {
        let mut list = TopicPartitionList::new();
        for (partition, position) in self.numbers().zip(positions) {
            let number = i32::try_from(self.in_topic(partition)).unwrap_or(i32::MAX);
            let _ = list.add_partition_offset(self.topic(), number, at(*position));
        }
        let _ = self.consumer.commit(&list, CommitMode::Async);
    }

    fn gone(&self, partition: u32, from: u64) -> LogError {
        let start =
            watermarks(&*self.consumer, self.topic(), self.in_topic(partition)).map(|(low, _)| low);
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

impl Drop for Part {
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
