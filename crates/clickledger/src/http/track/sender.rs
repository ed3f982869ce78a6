//! Handing records to the log under a transport identity (SPEC §1 and §2).
//!
//! The tracker id has 128 fresh random bits at each start; `seq` is gapless per partition in log
//! order, because numbering and appending happen under one lock. Heartbeats and the name of the
//! previous instance make a lost tail visible as a gap.
//!
//! A log may have several parts, each with a log of its own here; partitions are numbered through
//! all of them. New clicks go to the newest part, heartbeats to every partition written to.

use super::waiting;
use crate::keys::file::replace;
use crate::keys::source::source_keys;
use crate::keys::{hex, now_ms, random};
use click_core::record::{
    Click, Kind, Previous, Record, SOURCE_KEY_BYTES, SourceKeys, Transport, partition_of,
};
use click_core::types::Millis;
use click_engine::log::{Commit, EventLog, LogError, LogHealth, Rest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Instant;

const EPOCH: u64 = 0;
const STATE_FILE: &str = "tracker.json";

/// What an instance knows durable in one partition; the next instance names it there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Tail {
    tracker_id: String,
    epoch: u64,
    next_seq: u64,
}

/// Contents of the state file: the newest tail per partition.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    partitions: BTreeMap<u32, Tail>,
}

struct Lane {
    state: Mutex<LaneState>,
    /// All records below this seq are known to be durable.
    durable: AtomicU64,
    previous: Option<Tail>,
}

#[derive(Default)]
struct LaneState {
    next_seq: u64,
    /// The previous instance has been named without a click.
    has_named: bool,
    sent_at: u64,
    out: Vec<u8>,
    scratch: Vec<u8>,
    ends: Vec<usize>,
}

/// A record on its way to durability.
#[derive(Debug)]
pub struct Pending {
    /// Resolves when the record, and all before it in its partition, are durable.
    pub commit: Commit,
    partition: usize,
    next_seq: u64,
}

/// A part of the log: where its records are appended, and its partitions.
struct Part {
    /// Number of its first partition.
    begin: usize,
    log: Arc<dyn EventLog>,
    lanes: Vec<Lane>,
}

/// Appends this tracker's records.
pub struct Sender {
    /// In order of their numbers; there is always one.
    parts: RwLock<Vec<Arc<Part>>>,
    tracker_id: String,
    source_keys: SourceKeys,
    /// What the last instance has left of partitions that no part has yet.
    tails: Mutex<BTreeMap<u32, Tail>>,
    state_path: Option<PathBuf>,
    written_state: Mutex<Vec<u64>>,
    clock_difference_ms: AtomicI64,
}

impl Part {
    /// Behind the parts that have the partitions below `begin`.
    fn new(begin: usize, log: Arc<dyn EventLog>, tails: &mut BTreeMap<u32, Tail>) -> Part {
        let lane = |at: u32| Lane {
            state: Mutex::default(),
            durable: AtomicU64::new(0),
            previous: tails.remove(&(number(begin) + at)),
        };
        let lanes = (0..log.partitions()).map(lane).collect();
        Part { begin, log, lanes }
    }

    /// Behind its last partition.
    fn end(&self) -> usize {
        self.begin + self.lanes.len()
    }
}

impl Sender {
    /// A new instance named `label` and random bits; `dir` is where it finds and leaves its state,
    /// and where the secret of source keys is.
    ///
    /// # Errors
    /// If a file is there but cannot be read, or the secret cannot be kept.
    pub fn new(log: Arc<dyn EventLog>, label: &str, dir: Option<&Path>) -> io::Result<Sender> {
        let tracker_id = format!("{}-{}", clean(label), hex(&random::<16>()));
        let state_path = dir.map(|dir| dir.join(STATE_FILE));
        let state = state_path.as_deref().map(read_state).transpose()?.unwrap_or_default();
        let mut tails = state.partitions;
        let source_keys = match dir {
            Some(dir) => source_keys(dir)?,
            None => SourceKeys::new(&random()),
        };
        let part = Part::new(0, log, &mut tails);
        Ok(Sender {
            parts: RwLock::new(vec![Arc::new(part)]),
            tracker_id,
            source_keys,
            tails: Mutex::new(tails),
            state_path,
            written_state: Mutex::default(),
            clock_difference_ms: AtomicI64::new(0),
        })
    }

    /// Adds a part behind those that there are: from now on new clicks go there.
    pub fn add_part(&self, log: Arc<dyn EventLog>) {
        let mut parts = self.parts.write().unwrap_or_else(PoisonError::into_inner);
        let begin = parts.last().map_or(0, |part| part.end());
        parts.push(Arc::new(Part::new(begin, log, &mut lock(&self.tails))));
    }

    /// Whether all parts take records; why not, if one does not.
    pub fn health(&self) -> LogHealth {
        let health = |part: &Arc<Part>| Some(part.log.health()).filter(|it| *it != LogHealth::Ok);
        self.parts().iter().find_map(health).unwrap_or(LogHealth::Ok)
    }

    /// This thread has nothing more to append until what is returned is dropped.
    pub fn rest(&self) -> Option<Rest> {
        self.newest().log.lull().map(|lull| lull.begin())
    }

    /// Queues one click.
    ///
    /// # Errors
    /// Those of [`EventLog::append`]; no seq is used then.
    pub fn append(&self, click: &Click<'_>) -> Result<Pending, LogError> {
        let parts = self.read_parts();
        let part = newest(&parts);
        let at = place(part, click);
        let (lane, key) = (&part.lanes[at], self.source_keys.of(click.ip));
        let mut state = lock(&lane.state);
        state.begin();
        self.encode(lane, &mut state, 0, Kind::Click(with_key(click, key.as_ref())));
        let commit = part.log.append(number(at), &state.out)?;
        state.next_seq += 1;
        self.note_clock(&commit, state.sent_at);
        Ok(Pending { commit, partition: part.begin + at, next_seq: state.next_seq })
    }

    /// Queues the clicks, those of each partition in one piece. One `Pending` per partition.
    ///
    /// # Errors
    /// That of the first partition that refused; clicks of partitions before it are queued.
    pub fn append_all(&self, clicks: &[Click<'_>]) -> Result<Vec<Pending>, LogError> {
        let part = self.newest();
        let mut by_place: BTreeMap<usize, Vec<&Click<'_>>> = BTreeMap::new();
        for click in clicks {
            by_place.entry(place(&part, click)).or_default().push(click);
        }
        by_place.into_iter().map(|(at, clicks)| self.append_some(&part, at, &clicks)).collect()
    }

    fn append_some(
        &self,
        part: &Part,
        at: usize,
        clicks: &[&Click<'_>],
    ) -> Result<Pending, LogError> {
        let lane = &part.lanes[at];
        // Nobody waits for the hashing.
        let keys: Vec<_> = clicks.iter().map(|click| self.source_keys.of(click.ip)).collect();
        let mut state = lock(&lane.state);
        state.begin();
        for (ahead, (click, key)) in (0u64..).zip(clicks.iter().zip(&keys)) {
            self.encode(lane, &mut state, ahead, Kind::Click(with_key(click, key.as_ref())));
            let end = state.out.len();
            state.ends.push(end);
        }
        let mut start = 0;
        let payload = |&end: &usize| &state.out[std::mem::replace(&mut start, end)..end];
        let payloads: Vec<&[u8]> = state.ends.iter().map(payload).collect();
        let commit = part.log.append_batch(number(at), &payloads)?;
        state.next_seq += clicks.len() as u64;
        self.note_clock(&commit, state.sent_at);
        Ok(Pending { commit, partition: part.begin + at, next_seq: state.next_seq })
    }

    /// Tells every written partition what comes next there; and once each one that takes no new
    /// clicks, where an instance before this one ended.
    ///
    /// # Errors
    /// The first refusal of the log.
    pub fn heartbeat(&self) -> Result<Vec<Pending>, LogError> {
        let mut sent = Vec::new();
        let parts = self.parts();
        let end = parts.last().map_or(0, |part| part.end());
        let lanes = parts.iter().flat_map(|part| (0..).zip(&part.lanes).map(move |it| (part, it)));
        for (part, (at, lane)) in lanes {
            let mut state = lock(&lane.state);
            let next_seq = state.next_seq;
            let is_left = part.end() < end && lane.previous.is_some() && !state.has_named;
            if next_seq == 0 && !is_left {
                continue;
            }
            state.begin();
            self.encode(lane, &mut state, 0, Kind::Heartbeat { next_seq });
            let commit = part.log.append(number(at), &state.out)?;
            state.has_named = true;
            self.note_clock(&commit, state.sent_at);
            sent.push(Pending { commit, partition: part.begin + at, next_seq });
        }
        Ok(sent)
    }

    /// Notes that the commit of `(partition, next_seq)` has resolved well.
    pub fn confirm(&self, partition: usize, next_seq: u64) {
        let parts = self.read_parts();
        let part = parts.iter().rfind(|part| part.begin <= partition);
        if let Some(lane) = part.and_then(|part| part.lanes.get(partition - part.begin)) {
            lane.durable.fetch_max(next_seq, Ordering::Relaxed);
        }
    }

    /// Writes the state file if something became durable since the last time.
    ///
    /// # Errors
    /// Those of the file system; the next instance then names an older tail.
    pub fn save(&self) -> io::Result<()> {
        let Some(path) = &self.state_path else { return Ok(()) };
        let mut written = self.written_state.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = self.parts();
        let lanes = || parts.iter().flat_map(|part| &part.lanes);
        let durable: Vec<u64> = lanes().map(|lane| lane.durable.load(Ordering::Relaxed)).collect();
        let is_known = written.iter().chain(std::iter::repeat(&0)).zip(&durable);
        if is_known.into_iter().all(|(written, durable)| written == durable) {
            return Ok(());
        }
        let tail = |(lane, &next_seq): (&Lane, &u64)| match next_seq {
            0 => lane.previous.clone(),
            _ => Some(Tail { tracker_id: self.tracker_id.clone(), epoch: EPOCH, next_seq }),
        };
        let tails = (0u32..).zip(lanes().zip(&durable).map(tail));
        let others = lock(&self.tails).clone();
        let tails = tails.filter_map(|(at, tail)| Some((at, tail?)));
        let partitions = tails.chain(others).collect();
        let bytes = serde_json::to_vec_pretty(&State { partitions })?;
        replace(path.parent().unwrap_or(Path::new(".")), path, &bytes)?;
        *written = durable;
        Ok(())
    }

    /// The log's clock minus ours at the last append, ms.
    pub fn clock_difference_ms(&self) -> i64 {
        self.clock_difference_ms.load(Ordering::Relaxed)
    }

    /// Label and random bits of this instance.
    pub fn tracker_id(&self) -> &str {
        &self.tracker_id
    }

    fn read_parts(&self) -> RwLockReadGuard<'_, Vec<Arc<Part>>> {
        self.parts.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn parts(&self) -> Vec<Arc<Part>> {
        self.read_parts().clone()
    }

    /// The part that takes new clicks.
    fn newest(&self) -> Arc<Part> {
        Arc::clone(newest(&self.read_parts()))
    }

    fn encode(&self, lane: &Lane, state: &mut LaneState, ahead: u64, kind: Kind<'_>) {
        let seq = state.next_seq + ahead;
        let first = seq == 0;
        let previous = lane.previous.as_ref().filter(|_| first).map(|tail| Previous {
            tracker_id: &tail.tracker_id,
            epoch: tail.epoch,
            next_seq: tail.next_seq,
        });
        let transport = Transport { tracker_id: &self.tracker_id, epoch: EPOCH, seq };
        let sent_at = Some(Millis(state.sent_at));
        let record = Record { sent_at, transport: Some(transport), previous, kind };
        record.encode(&mut state.out, &mut state.scratch);
    }

    fn note_clock(&self, commit: &Commit, sent_at: u64) {
        let log = i64::try_from(commit.position().append_time).unwrap_or(i64::MAX);
        let ours = i64::try_from(sent_at).unwrap_or(i64::MAX);
        self.clock_difference_ms.store(log.saturating_sub(ours), Ordering::Relaxed);
    }
}

/// The part that takes new clicks.
fn newest(parts: &[Arc<Part>]) -> &Arc<Part> {
    &parts[parts.len() - 1]
}

/// Which of the part's partitions is the click's.
fn place(part: &Part, click: &Click<'_>) -> usize {
    partition_of(click.user_key(), number(part.lanes.len().max(1))).0 as usize
}

fn number(partition: usize) -> u32 {
    u32::try_from(partition).unwrap_or(u32::MAX)
}

/// With the key of its source, whatever the caller says of one.
fn with_key<'a>(click: &Click<'a>, key: Option<&'a [u8; SOURCE_KEY_BYTES]>) -> Click<'a> {
    Click { source_key: key.map_or(&[], |key| key), ..*click }
}

impl Pending {
    /// Waits for durability and notes it.
    ///
    /// # Errors
    /// That of the log: the record may or may not be there.
    pub async fn durable(self, sender: &Sender) -> Result<(), LogError> {
        self.commit.await?;
        sender.confirm(self.partition, self.next_seq);
        Ok(())
    }

    /// As [`Self::durable`], at most until `deadline`, which is about as far away for all that wait
    /// so. `None` if it has passed.
    pub async fn durable_by(
        self,
        sender: &Sender,
        deadline: Instant,
    ) -> Option<Result<(), LogError>> {
        let outcome = waiting::outcome(self.commit, deadline).await?;
        Some(outcome.map(|_| sender.confirm(self.partition, self.next_seq)))
    }

    /// As [`Self::durable`], blocking.
    ///
    /// # Errors
    /// That of the log.
    pub fn wait(self, sender: &Sender) -> Result<(), LogError> {
        self.commit.wait()?;
        sender.confirm(self.partition, self.next_seq);
        Ok(())
    }
}

impl LaneState {
    fn begin(&mut self) {
        self.sent_at = now_ms();
        self.out.clear();
        self.ends.clear();
    }
}

/// The label's letters, digits, dots and dashes, at most 40.
fn clean(label: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let label: String = label.chars().filter(plain).take(40).collect();
    if label.is_empty() { "tracker".to_owned() } else { label }
}

/// The state file, empty if there is none or if a crash or a hand has spoilt it: it only makes
/// lost tails visible, and must never keep a tracker from starting.
fn read_state(path: &Path) -> io::Result<State> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::warn!("{}: {error}; the previous tracker is not named", path.display());
            State::default()
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::default()),
        Err(error) => Err(error),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
