//! Who waits for a record: its commit resolves once the cluster has it, or, where the cluster does
//! not answer in time, once the own log has it durably. Must never resolve one whose record the own
//! log has not got.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use click_core::planted::{Bug, planted};

use crate::log::{Commit, CommitGroup, EventLog, LogError, LogHealth, Position};

/// How forwarding is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardStatus {
    /// Records that are durable in the own log alone.
    pub at_risk: u64,
    /// Records acknowledged from the own log, since the cluster did not answer in time.
    pub spooled: u64,
    /// How often everything under way was given up and sent again.
    pub restarts: u64,
    /// The cluster's clock minus ours when it last confirmed something, ms.
    pub clock_difference_ms: i64,
    /// What went wrong last, until something is confirmed again.
    pub problem: Option<String>,
}

struct Waiter {
    offset: u64,
    since: Duration,
    own: Commit,
    group: Arc<CommitGroup>,
}

#[derive(Default)]
struct Waiting {
    queue: VecDeque<Waiter>,
    acked: u64,
    /// The cluster has not confirmed in time, and is behind since.
    is_stalled: bool,
}

/// What forwarder and appenders share.
pub struct Forwarding {
    lanes: Vec<Mutex<Waiting>>,
    spool_after: Duration,
    spooled: AtomicU64,
    restarts: AtomicU64,
    clock_difference_ms: AtomicI64,
    problem: Mutex<Option<String>>,
}

impl Forwarding {
    pub(super) fn new(acked: &[u64], spool_after: Duration) -> Forwarding {
        let lane = |acked: &u64| Mutex::new(Waiting { acked: *acked, ..Waiting::default() });
        Forwarding {
            lanes: acked.iter().map(lane).collect(),
            spool_after,
            spooled: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            clock_difference_ms: AtomicI64::new(0),
            problem: Mutex::new(None),
        }
    }

    /// How it is doing.
    pub fn status(&self, own: &dyn EventLog) -> ForwardStatus {
        let behind = |(partition, lane): (u32, &Mutex<Waiting>)| {
            own.range(partition).end.saturating_sub(lock(lane).acked)
        };
        ForwardStatus {
            at_risk: (0..).zip(&self.lanes).map(behind).sum(),
            spooled: self.spooled.load(Ordering::Relaxed),
            restarts: self.restarts.load(Ordering::Relaxed),
            clock_difference_ms: self.clock_difference_ms.load(Ordering::Relaxed),
            problem: lock(&self.problem).clone(),
        }
    }

    /// A commit that resolves when its record, which `own` is of, is acknowledged.
    pub(super) fn wait_for(&self, own: Commit, now: Duration) -> Commit {
        let position = own.position();
        let group = CommitGroup::new();
        let commit = group.commit(position);
        let mut lane = lock(&self.lanes[position.partition as usize]);
        lane.queue.push_back(Waiter { offset: position.offset, since: now, own, group });
        commit
    }

    pub(super) fn note_acked(&self, partition: usize, acked: u64) {
        let mut lane = lock(&self.lanes[partition]);
        if acked > lane.acked {
            lane.acked = acked;
            drop(lane);
            *lock(&self.problem) = None;
        }
    }

    pub(super) fn note_clock(&self, append_time: u64, sent_at: Option<u64>) {
        if let (1.., Some(sent_at)) = (append_time, sent_at) {
            let difference = append_time.cast_signed().saturating_sub(sent_at.cast_signed());
            self.clock_difference_ms.store(difference, Ordering::Relaxed);
        }
    }

    pub(super) fn note_failure(&self, error: &LogError) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
        self.note_problem(error);
    }

    /// Whether anything has ever been sent again.
    pub(super) fn has_restarted(&self) -> bool {
        self.restarts.load(Ordering::Relaxed) > 0
    }

    pub(super) fn note_problem(&self, error: &LogError) {
        *lock(&self.problem) = Some(error.to_string());
    }

    /// Resolves what can be.
    pub(super) fn settle(&self, own: &dyn EventLog, now: Duration) {
        let is_ill = matches!(own.health(), LogHealth::Poisoned { .. });
        for (partition, lane) in (0..).zip(&self.lanes) {
            let settled = {
                let mut lane = lock(lane);
                if lane.acked >= own.range(partition).end {
                    lane.is_stalled = false;
                }
                self.due(&mut lane, now, is_ill)
            };
            // Wakes tasks: not under the lock.
            for (group, outcome) in settled {
                match outcome {
                    Ok(position) => group.settle_at(position),
                    Err(error) => group.fail(error),
                }
            }
        }
    }

    fn due(&self, lane: &mut Waiting, now: Duration, is_ill: bool) -> Vec<Settled> {
        let mut settled = Vec::new();
        while let Some(first) = lane.queue.front() {
            let confirmed = first.offset < lane.acked;
            lane.is_stalled |= !confirmed && now >= first.since + self.spool_after;
            // A record that the own log refused had a number that another one has got since.
            let unproven = planted(Bug::SpoolNotAwaited) && lane.is_stalled;
            let unproven = unproven.then(|| Ok(first.own.position()));
            let Some(outcome) = first.own.outcome().or(unproven) else { break };
            if !(confirmed || lane.is_stalled || is_ill || outcome.is_err()) {
                break;
            }
            self.spooled.fetch_add(u64::from(!confirmed && outcome.is_ok()), Ordering::Relaxed);
            settled.extend(lane.queue.pop_front().map(|first| (first.group, outcome)));
        }
        settled
    }
}

type Settled = (Arc<CommitGroup>, Result<Position, LogError>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
