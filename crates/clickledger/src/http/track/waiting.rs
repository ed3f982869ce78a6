//! Waiting for durability without a system call, a timer or an allocation per click.
//!
//! Waking a task of another thread costs a write to that thread's event descriptor. So each server
//! thread has one task that waits for its commits in the order they were made: the log wakes that
//! task once per flush, and it wakes the requests locally. It also gives up on those whose deadline
//! has passed: as each has about the same time, the first in line is the first to be late. Must
//! never resolve a commit itself.

use click_engine::log::{Commit, LogError, Position};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::time::Instant;
use tokio::time::timeout_at;

type Outcome = Result<Position, LogError>;

/// The commits of a thread's requests, in the order they were made.
#[derive(Default)]
struct Line {
    /// Number of the first place; places are numbered for ever.
    first: u64,
    places: VecDeque<Place>,
    /// Number of the first place whose commit has not been waited for.
    next: u64,
    /// The task, where no commit is left to wait for.
    task: Option<Waker>,
}

/// One request's place in line.
enum Place {
    /// Its commit is waited for, or will be; who is to be told then.
    Waits(Option<(Commit, Instant)>, Option<Waker>),
    /// `None`: too late.
    Known(Option<Outcome>),
    /// Nobody asks any more.
    Left,
}

thread_local! {
    static LINE: RefCell<Option<Line>> = const { RefCell::new(None) };
}

/// Starts this thread's waiting task; call it once, inside the thread's runtime. The line holds at
/// most one place per open request of the thread.
pub fn start_here() {
    LINE.with(|line| line.replace(Some(Line::default())));
    tokio::spawn(async {
        loop {
            let (commit, deadline) =
                poll_fn(|context| with(|line| line.turn(context.waker()))).await;
            let outcome = match commit.outcome() {
                Some(outcome) => Some(outcome),
                None => timeout_at(deadline.into(), commit).await.ok(),
            };
            if let Some(waiter) = with(|line| line.tell(outcome)) {
                waiter.wake();
            }
        }
    });
}

/// The commit's outcome, by way of this thread's task if it has one; `None` after the deadline.
pub async fn outcome(commit: Commit, deadline: Instant) -> Option<Outcome> {
    if commit.is_settled() {
        return Some(commit.await);
    }
    let is_started = LINE.with_borrow(Option::is_some);
    if !is_started {
        return timeout_at(deadline.into(), commit).await.ok();
    }
    let (number, task) = with(|line| line.join(commit, deadline));
    let place = Reserved(number);
    if let Some(task) = task {
        task.wake();
    }
    poll_fn(|context| with(|line| line.ask(place.0, context.waker()))).await
}

/// A place in line, given back when dropped.
struct Reserved(u64);

impl Drop for Reserved {
    fn drop(&mut self) {
        with(|line| line.leave(self.0));
    }
}

/// This thread's line. Nothing that `work` calls waits or comes here again.
fn with<T>(work: impl FnOnce(&mut Line) -> T) -> T {
    LINE.with_borrow_mut(|line| work(line.get_or_insert_default()))
}

impl Line {
    fn place(&mut self, number: u64) -> Option<&mut Place> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.places.get_mut(at)
    }

    /// The last place, with its number; the task, if it has to be woken.
    fn join(&mut self, commit: Commit, deadline: Instant) -> (u64, Option<Waker>) {
        self.places.push_back(Place::Waits(Some((commit, deadline)), None));
        (self.first + self.places.len() as u64 - 1, self.task.take())
    }

    /// The next commit to wait for.
    fn turn(&mut self, task: &Waker) -> Poll<(Commit, Instant)> {
        loop {
            match self.place(self.next) {
                Some(Place::Waits(commit, _)) => match commit.take() {
                    Some(commit) => return Poll::Ready(commit),
                    None => self.next += 1,
                },
                Some(Place::Known(_) | Place::Left) => self.next += 1,
                None => {
                    self.task = Some(task.clone());
                    return Poll::Pending;
                }
            }
        }
    }

    /// What has come of the commit that was waited for last; who is to be woken.
    fn tell(&mut self, outcome: Option<Outcome>) -> Option<Waker> {
        let mut waiter = None;
        let next = self.next;
        if let Some(place) = self.place(next)
            && let Place::Waits(_, waker) = place
        {
            waiter = waker.take();
            *place = Place::Known(outcome);
        }
        self.next += 1;
        self.close_up();
        waiter
    }

    fn ask(&mut self, number: u64, asking: &Waker) -> Poll<Option<Outcome>> {
        match self.place(number) {
            Some(Place::Waits(_, waker)) => {
                match waker {
                    Some(waker) => waker.clone_from(asking),
                    None => *waker = Some(asking.clone()),
                }
                Poll::Pending
            }
            Some(Place::Known(outcome)) => Poll::Ready(outcome.take()),
            // The thread's line has ended, and its log with it.
            Some(Place::Left) | None => Poll::Ready(Some(Err(LogError::Closed))),
        }
    }

    fn leave(&mut self, number: u64) {
        if let Some(place) = self.place(number) {
            *place = Place::Left;
        }
        self.close_up();
    }

    fn close_up(&mut self) {
        while self.first < self.next && matches!(self.places.front(), Some(Place::Left)) {
            self.places.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use click_engine::log::CommitGroup;
    use std::time::Duration;

    fn position(offset: u64) -> Position {
        Position { partition: 0, offset, append_time: 1 }
    }

    #[test]
    fn each_hears_of_its_own_commit_and_who_has_left_holds_nobody_up() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            start_here();
            let groups = [CommitGroup::new(), CommitGroup::new()];
            let late = Instant::now() + Duration::from_secs(60);
            let ask = |number: usize, offset| {
                tokio::spawn(outcome(groups[number].commit(position(offset)), late))
            };
            let (first, left, second) = (ask(0, 1), ask(0, 2), ask(1, 3));
            let soon = Instant::now() + Duration::from_millis(20);
            let never = tokio::spawn(outcome(CommitGroup::new().commit(position(4)), soon));
            tokio::task::yield_now().await;
            left.abort();
            tokio::task::yield_now().await;
            groups[0].settle(Vec::new());
            assert_eq!(first.await.unwrap().unwrap().unwrap(), position(1));
            assert!(!second.is_finished());
            groups[1].settle(vec![(0, 3, LogError::Closed)]);
            assert!(matches!(second.await.unwrap(), Some(Err(LogError::Closed))));
            assert!(never.await.unwrap().is_none());
            assert!(with(|line| line.places.is_empty()));
        });
    }
}
