//! A log in Kafka as engines read it: its parts, each some partitions of a topic, numbered through.

use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use click_core::record::{Header, Layout};

use super::address::KafkaSettings;
use super::appender::Appender;
use super::arrivals::Arrivals;
use super::part::{Part, Place};
use super::topics::{check, look_at};
use crate::disk::DiskLock;
use crate::log::{Commit, EventLog, LogError, LogHealth, LogId, RecordBatch, Retention};

/// What a read does if a record has not arrived that is known to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Gives what there is: for an engine that comes back anyway.
    Live,
    /// Waits for a minute, and fails then: for a command that reads everything.
    Whole,
}

/// A log, open for reading; ticks and policies can be appended.
pub struct KafkaLog {
    settings: KafkaSettings,
    header: Header,
    patience: Patience,
    /// Without gaps, in order of their numbers.
    parts: RwLock<Vec<Arc<Part>>>,
    extending: Mutex<()>,
    arrivals: Arc<Arrivals>,
    dead: OnceLock<Option<Appender>>,
    /// Who folds this log into one data directory is alone there.
    _lock: Option<Box<dyn DiskLock>>,
}

impl KafkaLog {
    /// Opens all topics of the log; `lock` is held as long.
    ///
    /// # Errors
    /// `Topic` with every setting of a topic that could lose clicks or reorder time; `Kafka` if
    /// the cluster does not answer.
    pub fn open(
        settings: KafkaSettings,
        patience: Patience,
        lock: Option<Box<dyn DiskLock>>,
    ) -> Result<KafkaLog, LogError> {
        let report = check(&settings)?;
        if !report.problems.is_empty() {
            return Err(LogError::topic(report.problems.join("; ")));
        }
        let arrivals = Arc::<Arrivals>::default();
        let first = Place {
            topic: settings.address.topic.clone(),
            begin: 0,
            first: 0,
            count: report.header.partitions,
        };
        let first = Part::open(settings.clone(), first, patience, Arc::clone(&arrivals))?;
        let log = KafkaLog {
            settings,
            header: report.header,
            patience,
            parts: RwLock::new(vec![Arc::new(first)]),
            extending: Mutex::default(),
            arrivals,
            dead: OnceLock::new(),
            _lock: lock,
        };
        if let Some(layout) = &report.layout {
            log.open_parts(layout)?;
        }
        Ok(log)
    }

    /// What the cluster's client complained of last.
    pub fn complaint(&self) -> Option<String> {
        self.parts().iter().find_map(|part| part.complaint())
    }

    fn open_parts(&self, layout: &Layout) -> Result<(), LogError> {
        let _extending = self.extending.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.parts().len();
        for (number, part) in layout.parts.iter().enumerate().skip(known) {
            let (begin, first) = layout.begins(number);
            let place = Place { topic: part.topic.clone(), begin, first, count: part.partitions };
            look_at(&self.settings, &place.topic, first + part.partitions)?;
            let (settings, arrivals) = (self.settings.clone(), Arc::clone(&self.arrivals));
            let part = Part::open(settings, place, self.patience, arrivals)?;
            self.parts.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(part));
        }
        Ok(())
    }

    fn parts(&self) -> Vec<Arc<Part>> {
        self.parts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn part(&self, partition: u32) -> Result<Arc<Part>, LogError> {
        let parts = self.parts.read().unwrap_or_else(PoisonError::into_inner);
        let found = parts.iter().find(|part| part.numbers().contains(&partition));
        let partitions = parts.last().map_or(0, |part| part.numbers().end);
        found.cloned().ok_or(LogError::NoPartition { partition, partitions })
    }
}

/// Those of a part's partitions.
fn own<'a>(part: &Part, all: &'a [u64]) -> &'a [u64] {
    let numbers = part.numbers();
    let end = all.len().min(numbers.end as usize);
    all.get(numbers.start as usize..end).unwrap_or_default()
}

impl EventLog for KafkaLog {
    fn log_id(&self) -> LogId {
        LogId(self.header.log_id)
    }

    fn generation(&self) -> u16 {
        self.header.generation
    }

    fn partitions(&self) -> u32 {
        self.parts().last().map_or(0, |part| part.numbers().end)
    }

    fn begun_with(&self) -> u32 {
        self.header.partitions
    }

    fn extend(&self, layout: &Layout) -> Result<(), LogError> {
        match self.open_parts(layout) {
            // Whoever lives with the log comes again.
            Err(LogError::Kafka { .. }) if self.patience == Patience::Live => Ok(()),
            done => done,
        }
    }

    fn append(&self, partition: u32, payload: &[u8]) -> Result<Commit, LogError> {
        self.part(partition)?.append(partition, payload)
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
        match self.part(partition)?.try_read(partition, from, max_bytes, batch) {
            // Whoever lives with the log comes again.
            Err(LogError::Kafka { .. }) if self.patience == Patience::Live => Ok(()),
            done => done,
        }
    }

    /// What is known to be there, and what has arrived.
    fn range(&self, partition: u32) -> Range<u64> {
        self.part(partition).map_or(0..0, |part| part.range(partition))
    }

    fn last_append_time(&self, partition: u32) -> u64 {
        let Ok(part) = self.part(partition) else { return 0 };
        let range = part.range(partition);
        let mut batch = RecordBatch::default();
        let last = range.end.checked_sub(1).filter(|last| *last >= range.start);
        let read = last.map(|last| part.read_one(partition, last, &mut batch));
        read.and(batch.last()).map_or(0, |(_, time, _)| time)
    }

    fn wait(&self, ends: &[u64], timeout: Duration) -> bool {
        let (until, parts) = (Instant::now() + timeout, self.parts());
        loop {
            let seen = self.arrivals.seen();
            if parts.iter().any(|part| part.has_arrived(own(part, ends))) {
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
        for part in self.parts() {
            let positions = own(&part, positions);
            // One that the state does not know of yet is begun by its first read.
            if positions.len() == part.numbers().len() {
                part.prepare(positions);
            }
        }
    }

    fn publish_positions(&self, positions: &[u64]) {
        self.parts().iter().for_each(|part| part.publish_positions(own(part, positions)));
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
        Ok(self.part(partition)?.known(partition).start)
    }

    fn retain(&self, _: &Retention, _: &[u64]) -> Result<(), LogError> {
        Ok(())
    }
}
