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
    /// While stalled, an end that the own log had, and when it had it.
    mark: Option<(u64, Duration)>,
}

impl Waiting {
    /// The cluster is in time again once it has confirmed everything, or, where clicks never cease,
    /// what there was at some moment within `patience` of it.
    fn note_progress(&mut self, end: u64, now: Duration, patience: Duration) {
        let reached = self.mark.filter(|(mark, _)| self.acked >= *mark);
        let in_time = reached.is_some_and(|(_, since)| now < since + patience);
        self.is_stalled &= self.acked < end && !in_time;
        if !self.is_stalled {
            self.mark = None;
        } else if self.mark.is_none() || reached.is_some() {
            self.mark = Some((end, now));
        }
    }
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
                lane.note_progress(own.range(partition).end, now, self.spool_after);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{LogId, ManualClock, MemLog};

    const PATIENCE: u64 = 100;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_cluster_that_is_in_time_again_is_waited_for_though_clicks_never_cease() {
        let own = MemLog::new(LogId([1; 16]), 1, 1, Arc::new(ManualClock::new(1)));
        let forwarding = Forwarding::new(&[0], ms(PATIENCE));
        let click = |at| forwarding.wait_for(own.append(0, b"a").expect("in memory"), ms(at));
        let first = click(0);
        forwarding.settle(&own, ms(PATIENCE - 1));
        assert!(!first.is_settled(), "the cluster has its time");
        forwarding.settle(&own, ms(PATIENCE));
        assert!(first.is_settled(), "from the own log");
        // From now on all but the three newest records are confirmed, a record every 10 ms.
        let mut spooled = Vec::new();
        for number in 1..20 {
            let at = PATIENCE + 10 * number;
            let commit = click(at);
            forwarding.note_acked(0, number.saturating_sub(3));
            forwarding.settle(&own, ms(at));
            spooled.push(commit.is_settled());
        }
        assert!(spooled[0], "it was behind at first");
        assert!(!spooled[10..].contains(&true), "clicks wait for the cluster again: {spooled:?}");
    }

    #[test]
    fn a_cluster_that_stays_behind_is_not_waited_for() {
        let own = MemLog::new(LogId([1; 16]), 1, 1, Arc::new(ManualClock::new(1)));
        let forwarding = Forwarding::new(&[0], ms(PATIENCE));
        let click = |at| forwarding.wait_for(own.append(0, b"a").expect("in memory"), ms(at));
        drop(click(0));
        forwarding.settle(&own, ms(PATIENCE));
        // It takes twenty records' time, 200 ms, until one is confirmed.
        for number in 1..100 {
            let at = PATIENCE + 10 * number;
            let commit = click(at);
            forwarding.note_acked(0, number.saturating_sub(20));
            forwarding.settle(&own, ms(at));
            assert!(commit.is_settled(), "{number} waits for a cluster that is behind");
        }
    }
}
