//! Who waits for a record: its commit resolves once the cluster has it, or, where the cluster does
//! not answer in time, once the own log has it durably, and a second site too if that is asked for.
//! Must never resolve one whose record the own log has not got.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use click_core::planted::{Bug, planted};

use super::reach::Reach;
use crate::log::{Commit, CommitGroup, EventLog, LogError, LogHealth, Position};

/// What becomes of a click that neither the cluster nor the second site has in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is not acknowledged.
    Refuse,
    /// It is acknowledged from the own log alone.
    Accept,
}

/// How records are copied to a second site while the cluster is late.
#[derive(Clone, Copy, Debug)]
pub struct Copying {
    /// See there.
    pub missing: Missing,
    /// How long the second site has for a copy, once the cluster is late.
    pub patience: Duration,
}

/// How forwarding is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardStatus {
    /// Records that the cluster has not confirmed.
    pub behind: u64,
    /// Those of them that are durable in the own log alone.
    pub at_risk: u64,
    /// Records acknowledged from the own log, since the cluster did not answer in time.
    pub spooled: u64,
    /// How often everything under way was given up and sent again.
    pub restarts: u64,
    /// The cluster's clock minus ours when it last confirmed something, ms.
    pub clock_difference_ms: i64,
    /// What went wrong last, until something is confirmed again.
    pub problem: Option<String>,
    /// Why the second site takes no copies, until it does again.
    pub copy_problem: Option<String>,
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
    cluster: Reach,
    /// The second site.
    copy: Reach,
    /// Where the own log ended at the start: what waits from before is copied as well.
    backlog: u64,
}

/// What forwarder and appenders share.
pub struct Forwarding {
    lanes: Vec<Mutex<Waiting>>,
    /// Per partition: everything below it is said to be confirmed by somebody else.
    elsewhere: Vec<AtomicU64>,
    spool_after: Duration,
    copying: Option<Copying>,
    spooled: AtomicU64,
    restarts: AtomicU64,
    clock_difference_ms: AtomicI64,
    problem: Mutex<Option<String>>,
    copy_problem: Mutex<Option<String>>,
}

impl Forwarding {
    /// Of lanes that are confirmed up to the first, and go up to the second of each pair.
    pub(super) fn new(
        lanes: &[(u64, u64)],
        spool_after: Duration,
        copying: Option<Copying>,
    ) -> Forwarding {
        let lane = |(acked, backlog): &(u64, u64)| {
            let cluster = Reach::new(*acked);
            Mutex::new(Waiting { cluster, backlog: *backlog, ..Waiting::default() })
        };
        Forwarding {
            lanes: lanes.iter().map(lane).collect(),
            elsewhere: lanes.iter().map(|_| AtomicU64::new(0)).collect(),
            spool_after,
            copying,
            spooled: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            clock_difference_ms: AtomicI64::new(0),
            problem: Mutex::new(None),
            copy_problem: Mutex::new(None),
        }
    }

    /// How it is doing.
    pub fn status(&self, own: &dyn EventLog) -> ForwardStatus {
        let (mut behind, mut at_risk) = (0, 0);
        for (partition, lane) in (0..).zip(&self.lanes) {
            let (end, lane) = (own.range(partition).end, lock(lane));
            behind += end.saturating_sub(lane.cluster.end);
            at_risk += end.saturating_sub(lane.cluster.end.max(lane.copy.end));
        }
        ForwardStatus {
            behind,
            at_risk,
            spooled: self.spooled.load(Ordering::Relaxed),
            restarts: self.restarts.load(Ordering::Relaxed),
            clock_difference_ms: self.clock_difference_ms.load(Ordering::Relaxed),
            problem: lock(&self.problem).clone(),
            copy_problem: lock(&self.copy_problem).clone(),
        }
    }

    /// Notes that the cluster has everything below `end`, as somebody else knows.
    pub(super) fn note_elsewhere(&self, partition: u32, end: u64) {
        if let Some(known) = self.elsewhere.get(partition as usize) {
            known.fetch_max(end, Ordering::Relaxed);
        }
    }

    pub(super) fn elsewhere(&self, partition: usize) -> u64 {
        self.elsewhere[partition].load(Ordering::Relaxed)
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

    pub(super) fn acked(&self, partition: u32) -> u64 {
        lock(&self.lanes[partition as usize]).cluster.end
    }

    pub(super) fn copied(&self, partition: u32) -> u64 {
        lock(&self.lanes[partition as usize]).copy.end
    }

    /// What the second site should get: while the cluster is late, all that it has not got either.
    pub(super) fn to_copy(&self, partition: u32, own_end: u64) -> Range<u64> {
        let lane = lock(&self.lanes[partition as usize]);
        let from = lane.cluster.end.max(lane.copy.end);
        let is_wanted = lane.cluster.is_late || lane.cluster.end < lane.backlog;
        from..if is_wanted { own_end.max(from) } else { from }
    }

    /// Notes up to where the second site has everything; that is less than before if it has lost
    /// its disk.
    pub(super) fn note_copied(&self, partition: u32, end: u64) {
        lock(&self.lanes[partition as usize]).copy.end = end;
    }

    pub(super) fn note_copy_problem(&self, error: Option<&LogError>) {
        *lock(&self.copy_problem) = error.map(ToString::to_string);
    }

    pub(super) fn note_acked(&self, partition: usize, acked: u64) {
        let mut lane = lock(&self.lanes[partition]);
        if acked > lane.cluster.end {
            lane.cluster.end = acked;
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
                self.note_progress(&mut lane, own.range(partition).end, now);
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

    fn note_progress(&self, lane: &mut Waiting, own_end: u64, now: Duration) {
        lane.cluster.note_progress(0, own_end, now, self.spool_after);
        match self.copying {
            Some(copying) if lane.cluster.is_late => {
                lane.copy.note_progress(lane.cluster.end, own_end, now, copying.patience);
            }
            Some(_) | None => lane.copy.rest(),
        }
    }

    fn due(&self, lane: &mut Waiting, now: Duration, is_ill: bool) -> Vec<Settled> {
        let mut settled = Vec::new();
        while let Some(first) = lane.queue.front() {
            let confirmed = first.offset < lane.cluster.end;
            lane.cluster.is_late |= !confirmed && now >= first.since + self.spool_after;
            // A record that the own log refused had a number that another one has got since.
            let unproven = planted(Bug::SpoolNotAwaited) && lane.cluster.is_late;
            let unproven = unproven.then(|| Ok(first.own.position()));
            let Some(mut outcome) = first.own.outcome().or(unproven) else { break };
            if !confirmed && outcome.is_ok() {
                let (offset, since) = (first.offset, first.since);
                if !lane.cluster.is_late && !is_ill {
                    break;
                }
                let Some(decided) = self.without_cluster(&mut lane.copy, offset, since, now) else {
                    break;
                };
                outcome = decided.and(outcome);
                self.spooled.fetch_add(u64::from(outcome.is_ok()), Ordering::Relaxed);
            }
            settled.extend(lane.queue.pop_front().map(|first| (first.group, outcome)));
        }
        settled
    }

    /// Whether a record that the cluster is late with is acknowledged; `None`: not yet decided.
    fn without_cluster(
        &self,
        copy: &mut Reach,
        offset: u64,
        since: Duration,
        now: Duration,
    ) -> Option<Result<(), LogError>> {
        let Some(copying) = self.copying else { return Some(Ok(())) };
        if offset < copy.end {
            return Some(Ok(()));
        }
        copy.is_late |= now >= since + self.spool_after + copying.patience;
        copy.is_late.then_some(match copying.missing {
            Missing::Accept => Ok(()),
            Missing::Refuse => Err(LogError::NotCopied),
        })
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
        let forwarding = Forwarding::new(&[(0, 0)], ms(PATIENCE), None);
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
        let forwarding = Forwarding::new(&[(0, 0)], ms(PATIENCE), None);
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
    /// What became of a click each, in front of a cluster and a second site that are away: not
    /// decided (`None`), acknowledged, or not.
    fn decided(copying: Option<Copying>, copied: u64, at: u64) -> [Option<bool>; 2] {
        let own = MemLog::new(LogId([1; 16]), 1, 1, Arc::new(ManualClock::new(1)));
        let forwarding = Forwarding::new(&[(0, 0)], ms(PATIENCE), copying);
        let click = || forwarding.wait_for(own.append(0, b"a").expect("in memory"), ms(0));
        let clicks = [click(), click()];
        forwarding.note_copied(0, copied);
        forwarding.settle(&own, ms(at));
        clicks.map(|click| click.outcome().map(|outcome| outcome.is_ok()))
    }

    #[test]
    fn a_click_waits_for_its_copy_and_then_as_the_configuration_says() {
        let of = |missing| Some(Copying { missing, patience: ms(50) });
        let (refuse, accept) = (of(Missing::Refuse), of(Missing::Accept));
        let (waits, good, bad) = (None, Some(true), Some(false));
        assert_eq!(decided(None, 0, PATIENCE), [good, good], "one disk is enough");
        for copying in [refuse, accept] {
            assert_eq!(decided(copying, 2, PATIENCE - 1), [waits, waits], "the cluster's time");
            assert_eq!(decided(copying, 0, PATIENCE), [waits, waits], "the copy's time");
            assert_eq!(decided(copying, 1, PATIENCE), [good, waits]);
            assert_eq!(decided(copying, 2, PATIENCE), [good, good]);
            assert_eq!(decided(copying, 1, PATIENCE + 49), [good, waits]);
        }
        assert_eq!(decided(refuse, 1, PATIENCE + 50), [good, bad]);
        assert_eq!(decided(accept, 1, PATIENCE + 50), [good, good]);
    }

    #[test]
    fn a_second_site_that_is_in_time_again_is_waited_for() {
        let own = MemLog::new(LogId([1; 16]), 1, 1, Arc::new(ManualClock::new(1)));
        let copying = Copying { missing: Missing::Refuse, patience: ms(50) };
        let forwarding = Forwarding::new(&[(0, 0)], ms(PATIENCE), Some(copying));
        let click = |at| forwarding.wait_for(own.append(0, b"a").expect("in memory"), ms(at));
        let state = |click: &Commit| click.outcome().map(|outcome| outcome.is_ok());
        let first = click(0);
        forwarding.settle(&own, ms(PATIENCE + 50));
        assert_eq!(state(&first), Some(false), "nobody has it");
        let second = click(200);
        forwarding.settle(&own, ms(200));
        assert_eq!(state(&second), Some(false), "at once, since nobody answers");
        forwarding.note_copied(0, 2);
        forwarding.settle(&own, ms(210));
        let third = click(220);
        forwarding.settle(&own, ms(220));
        assert_eq!(state(&third), None, "the second site is back");
        assert_eq!(forwarding.to_copy(0, 3), 2..3);
        forwarding.note_copied(0, 3);
        forwarding.settle(&own, ms(230));
        assert_eq!(state(&third), Some(true));
        forwarding.note_acked(0, 3);
        forwarding.settle(&own, ms(240));
        assert!(forwarding.to_copy(0, 9).is_empty(), "the cluster is back, and has its time");
    }
}
